//! The keymap of the console, which PID 1 loads before it asks for a passphrase.
//!
//! ```text
//! etc/coldplug/keymap, the format of loadkeys -b and of busybox's loadkmap:
//!
//! offset  length
//! 0       7       "bkeymap"
//! 7       256     for each table of the kernel 1 if it follows, or 0
//! 263     256     the table: 128 keys of 16 bits, little-endian
//! …
//! ```
//!
//! Where the configuration of the root names the keymap:
//!
//! | file | what it names |
//! |---|---|
//! | etc/vconsole.conf | `KEYMAP=NAME`: a file below usr/share/keymaps or usr/share/kbd/keymaps |
//! | etc/console-setup/cached_*.kmap.gz | itself: what setupcon of Debian has made |
//! | etc/default/keyboard | `XKBLAYOUT=` and the like, which ckbcomp converts |

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;
use super::manifest::{Content, Manifest, Node};
use crate::escape;
use crate::sys::inside::inside;
use crate::sys::keymap::{KEYMAP, MAGIC, TABLES};
use crate::sys::{regular_file, sysfs};

/// Size of a table in bytes.
const TABLE: usize = 256;
const VCONSOLE: &str = "etc/vconsole.conf";
const KEYBOARD: &str = "etc/default/keyboard";
const CACHED: &str = "etc/console-setup";
/// Directories of keymaps below the root.
const KEYMAPS: [&str; 4] =
    ["usr/share/keymaps", "usr/share/kbd/keymaps", "usr/lib/kbd/keymaps", "lib/kbd/keymaps"];
/// Suffixes of their files.
const SUFFIXES: [&str; 4] = [".map.gz", ".map", ".kmap.gz", ".kmap"];
/// Largest file that is read, in bytes.
const LIMIT: usize = 1 << 20;
/// Deepest directory of keymaps.
const MAX_DEPTH: usize = 8;

/// The keymap that an image is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keymap {
    /// That of the root's configuration.
    Configured,
    /// The keymap of this name, or the file at this path of the build machine.
    Named(PathBuf),
}

/// What loadkeys is to convert.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// A file of the build machine.
    File(PathBuf),
    /// The layout of X with these arguments of ckbcomp.
    Layout(Vec<String>),
}

impl Source {
    fn text(&self) -> String {
        match self {
            Self::File(path) => escape::path(path).into_owned(),
            Self::Layout(args) => format!("ckbcomp {}", args.join(" ")),
        }
    }
}

/// Adds the keymap to an image.
///
/// # Errors
/// [`Error::Keymap`]: there is none, a program that converts it is missing or fails, or the result is
/// no keymap.
pub(super) fn add(manifest: &mut Manifest, keymap: &Keymap, root: &Path) -> Result<(), Error> {
    let source = match keymap {
        Keymap::Configured => configured(root)?,
        Keymap::Named(name) => Source::File(named(root, name)?),
    };
    let failed = |why: String| Error::Keymap(source.text(), why);
    let content = binary(&source).map_err(failed)?;
    check(&content).map_err(|why| failed(why.to_owned()))?;
    let origin = match &source {
        Source::File(path) => Some(path.clone()),
        Source::Layout(_) => None,
    };
    let node = Node::of_root(0o644, Content::Bytes(content)).because("--keymap");
    manifest.add(KEYMAP, Node { origin, ..node })
}

/// Returns the keymap of the root's configuration.
fn configured(root: &Path) -> Result<Source, Error> {
    let text = |name: &str| {
        let bytes = regular_file::read(&inside(root, Path::new(name)), LIMIT).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let vconsole = text(VCONSOLE);
    if let Some(name) = value(&vconsole, "KEYMAP") {
        return Ok(Source::File(named(root, Path::new(&name))?));
    }
    let mut cached = sysfs::entry_names(&inside(root, Path::new(CACHED)));
    cached.retain(|name| name.starts_with("cached_") && name.ends_with(".kmap.gz"));
    // Debian's name has the encoding; that of a system with UTF-8 fits a console with Unicode.
    cached.sort_by_key(|name| (!name.starts_with("cached_UTF-8"), name.clone()));
    if let Some(name) = cached.first() {
        return Ok(Source::File(inside(root, &Path::new(CACHED).join(name))));
    }
    let keyboard = text(KEYBOARD);
    let option = |key: &str, option: &str| {
        let value = value(&keyboard, key)?;
        Some([option.to_owned(), value])
    };
    match option("XKBLAYOUT", "-layout") {
        Some(layout) => {
            let others = [
                option("XKBMODEL", "-model"),
                option("XKBVARIANT", "-variant"),
                option("XKBOPTIONS", "-option"),
            ];
            let words = others.into_iter().flatten().chain([layout]).flatten();
            Ok(Source::Layout(words.collect()))
        }
        None => Err(Error::Keymap(
            escape::path(root).into_owned(),
            format!("no keymap in {VCONSOLE}, {CACHED} or {KEYBOARD}"),
        )),
    }
}

/// Returns the value of the last line `KEY=VALUE` of a file in the syntax of shells, without quotes;
/// `None` if it is empty.
fn value(text: &str, key: &str) -> Option<String> {
    let lines = text.lines().rev().filter_map(|line| line.trim().strip_prefix(key));
    let value = lines.into_iter().find_map(|rest| rest.strip_prefix('='))?;
    let value = value.trim().trim_matches(['"', '\'']);
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

/// Returns the file of a keymap: a path of the build machine, if it has a slash, or a name.
fn named(root: &Path, name: &Path) -> Result<PathBuf, Error> {
    if name.as_os_str().as_encoded_bytes().contains(&b'/') {
        return Ok(name.to_owned());
    }
    let wanted = name.to_string_lossy();
    let dirs = KEYMAPS.map(PathBuf::from);
    dirs.iter().find_map(|dir| find(root, dir, &wanted, MAX_DEPTH)).ok_or_else(|| {
        let dirs = KEYMAPS[..2].join(" or ");
        Error::Keymap(wanted.into_owned(), format!("no such keymap below {dirs} of the root"))
    })
}

/// Returns the first file of a keymap in a directory or below it, in the order of the paths.
fn find(root: &Path, dir: &Path, name: &str, depth: usize) -> Option<PathBuf> {
    let mut entries = sysfs::entry_names(&inside(root, dir));
    entries.sort_unstable();
    let has_suffix = SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    let is_wanted = |entry: &&String| {
        SUFFIXES.iter().any(|suffix| entry.strip_suffix(suffix) == Some(name))
            || (has_suffix && (*entry == name || entry.strip_suffix(".gz") == Some(name)))
    };
    let files = entries.iter().filter(is_wanted).map(|entry| inside(root, &dir.join(entry)));
    let found = files.into_iter().find(|path| path.is_file());
    let below = || {
        // Parts that others include are no keymaps.
        let dirs = entries.iter().filter(|entry| *entry != "include").map(|entry| dir.join(entry));
        dirs.into_iter()
            .filter(|dir| depth > 0 && inside(root, dir).is_dir())
            .find_map(|dir| find(root, &dir, name, depth - 1))
    };
    found.or_else(below)
}

/// Returns the keymap in the binary format. A file that has it already is not converted.
fn binary(source: &Source) -> Result<Vec<u8>, String> {
    match source {
        Source::File(path) => {
            let stored = regular_file::read(path, LIMIT).map_err(|error| error.to_string())?;
            if stored.starts_with(MAGIC) {
                return Ok(stored);
            }
            loadkeys(Some(path), &[])
        }
        Source::Layout(args) => {
            let args = args.iter().map(OsStr::new);
            let text = run("ckbcomp", "console-setup", args, None, &[])?;
            loadkeys(None, &text)
        }
    }
}

/// Returns the keymap that loadkeys makes of a file or of its input. It writes values in the byte
/// order of this machine.
fn loadkeys(file: Option<&Path>, input: &[u8]) -> Result<Vec<u8>, String> {
    let mut keymap = run("loadkeys", "kbd", ["-q", "-b", "-u"].map(OsStr::new), file, input)?;
    if cfg!(target_endian = "big") {
        let values = keymap.get_mut(MAGIC.len() + TABLES..).unwrap_or_default();
        values.as_chunks_mut::<2>().0.iter_mut().for_each(|value| value.reverse());
    }
    Ok(keymap)
}

/// Runs a program of the build machine. Returns its output.
fn run<'a>(
    program: &str,
    package: &str,
    args: impl IntoIterator<Item = &'a OsStr>,
    file: Option<&Path>,
    input: &[u8],
) -> Result<Vec<u8>, String> {
    let mut command = Command::new(program);
    command.args(args).args(file).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("{program} is needed and not found (Debian's package {package})")
        }
        _ => format!("{program}: {error}"),
    })?;
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that fails reads nothing, and says why.
            stdin.map(|mut stdin| stdin.write_all(input))
        });
        child.wait_with_output()
    });
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
            Err(format!("{program} failed: {}", escape::line(last)))
        }
    }
}

/// Checks that the content of a file is a keymap in the binary format.
fn check(bytes: &[u8]) -> Result<(), &'static str> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("loadkeys wrote no keymap")?;
    let flags = rest.get(..TABLES).ok_or("the keymap is cut off")?;
    let tables = flags.iter().filter(|flag| **flag != 0).count();
    match flags.iter().all(|flag| *flag <= 1) && rest.len() == TABLES + tables * TABLE {
        true if tables > 0 => Ok(()),
        true => Err("the keymap is empty"),
        false => Err("the keymap has another size than its tables"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Returns a keymap with this many tables.
    fn keymap(tables: usize) -> Vec<u8> {
        let flags = (0..TABLES).map(|at| u8::from(at < tables));
        MAGIC.iter().copied().chain(flags).chain(vec![7; tables * TABLE]).collect()
    }

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_configuration_names_the_keymap() {
        let keyboard = "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"de,us\"\nXKBVARIANT=\"\"\n";
        let layout = "ckbcomp -model pc105 -layout de,us";
        let map = "usr/share/keymaps/i386/qwertz/de.kmap.gz";
        let cached = "etc/console-setup/cached_UTF-8_del.kmap.gz";
        let conf = |text: &'static str| (VCONSOLE, text);
        for (files, want) in [
            (&[conf("# KEYMAP=fr\nKEYMAP=\"de\"\n"), (map, "")][..], map),
            (&[conf("KEYMAP=de\n"), (map, ""), (cached, "")], map),
            (&[conf("KEYMAP=\n"), (cached, ""), (KEYBOARD, keyboard)], cached),
            (&[("etc/console-setup/cached_A.kmap.gz", ""), (cached, "")], cached),
            (&[(KEYBOARD, keyboard)], layout),
            (
                &[conf("KEYMAP=de\n")],
                "--keymap: de: no such keymap below usr/share/keymaps or usr/share/kbd/keymaps of \
                 the root",
            ),
            (
                &[(KEYBOARD, "XKBMODEL=pc105\n")],
                "--keymap: DIR: no keymap in etc/vconsole.conf, etc/console-setup or \
                 etc/default/keyboard",
            ),
        ] {
            let root = root(files);
            let found = match configured(root.path()) {
                Ok(source) => source.text(),
                Err(error) => error.to_string(),
            };
            let dir = root.path().to_str().unwrap();
            assert_eq!(found.replace(&format!("{dir}/"), "").replace(dir, "DIR"), want);
        }
    }

    #[test]
    fn a_name_is_searched_below_the_directories_of_keymaps() {
        let root = root(&[
            ("usr/share/keymaps/b/us.map.gz", ""),
            ("usr/share/keymaps/a/us.kmap.gz", ""),
            ("usr/share/keymaps/a/include/fr.map", ""),
            ("usr/share/kbd/keymaps/fr.map", ""),
            ("usr/share/keymaps/a/no.map.gz", ""),
        ]);
        let found = |name: &str| {
            let path = named(root.path(), Path::new(name)).ok()?;
            Some(path.strip_prefix(root.path()).unwrap_or(&path).to_str().unwrap().to_owned())
        };
        assert_eq!(found("us").as_deref(), Some("usr/share/keymaps/a/us.kmap.gz"));
        assert_eq!(found("us.map.gz").as_deref(), Some("usr/share/keymaps/b/us.map.gz"));
        // `keymap = no` of image.conf means no keymap.
        assert_eq!(found("no.map").as_deref(), Some("usr/share/keymaps/a/no.map.gz"));
        assert_eq!(found("fr").as_deref(), Some("usr/share/kbd/keymaps/fr.map"));
        assert_eq!(found("./x"), Some("./x".to_owned()));
        assert_eq!(found(".."), None);
    }

    #[test]
    fn a_keymap_in_the_binary_format_is_stored() {
        let dir = root(&[]);
        let file = dir.path().join("de.bmap");
        for (content, want) in [
            (keymap(7), ""),
            (keymap(0), "the keymap is empty"),
            (keymap(2)[..600].to_vec(), "the keymap has another size than its tables"),
            (keymap(2)[..100].to_vec(), "the keymap is cut off"),
            ([&keymap(1)[..], b"x"].concat(), "the keymap has another size than its tables"),
        ] {
            fs::write(&file, &content).unwrap();
            let mut manifest = Manifest::default();
            let added = add(&mut manifest, &Keymap::Named(file.clone()), dir.path());
            let found = added.err().map(|error| error.to_string()).unwrap_or_default();
            match want {
                "" => assert_eq!(manifest.find(KEYMAP).unwrap().1.content, Content::Bytes(content)),
                _ => assert_eq!(found, format!("--keymap: {}: {want}", file.display())),
            }
        }
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let why = run("nonexistent-loadkeys", "kbd", [], None, &[]).unwrap_err();
        assert_eq!(why, "nonexistent-loadkeys is needed and not found (Debian's package kbd)");
        let why = run("sh", "dash", ["-c", "echo one >&2; exit 3"].map(OsStr::new), None, b"x");
        assert_eq!(why.unwrap_err(), "sh failed: one");
        let text = run("cat", "coreutils", [], None, b"text").unwrap();
        assert_eq!(text, b"text");
    }
}
