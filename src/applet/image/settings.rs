//! The lines of image.conf as options of `image build`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::super::args::Args;
use super::super::message::{self, Error};
use super::build::{self, Build};
use super::update;
use crate::escape;
use crate::image::conf::{self, Setting};
use crate::sys::Root;

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::applet) enum Kind {
    /// yes or no.
    Flag,
    /// A text; the last line counts.
    Value,
    /// A text; all lines count.
    List,
    /// yes, no or a text.
    FlagOrValue,
    /// Nothing: `update` has this option on its command line alone.
    CommandLine,
}

/// The long options of `image build`.
pub(in crate::applet) const KEYS: [(&str, Kind); 27] = [
    ("kernel", Kind::CommandLine),
    ("root", Kind::CommandLine),
    ("configured", Kind::CommandLine),
    ("as-list", Kind::CommandLine),
    ("output", Kind::Value),
    ("all", Kind::Flag),
    ("modules", Kind::List),
    ("board", Kind::List),
    ("host", Kind::Flag),
    ("with", Kind::List),
    ("init", Kind::Value),
    ("boot-only", Kind::Flag),
    ("modules-as", Kind::Value),
    ("cache", Kind::Value),
    ("no-cache", Kind::Flag),
    ("compress", Kind::Value),
    ("list", Kind::Value),
    ("manifest", Kind::Value),
    ("trim-indexes", Kind::Flag),
    ("no-firmware", Kind::Flag),
    ("generic", Kind::Flag),
    ("microcode", Kind::FlagOrValue),
    ("include", Kind::List),
    ("fsck", Kind::FlagOrValue),
    ("keymap", Kind::FlagOrValue),
    ("shell", Kind::FlagOrValue),
    ("shell-password-hash", Kind::Value),
];
/// Those besides that say nothing about the image.
const QUIET: (&str, Kind) = ("quiet", Kind::Flag);
/// The keys of files that an update writes.
const PATHS: [&str; 2] = ["output", "manifest"];

/// An option as on the command line, and the line that it comes from.
type Word<'s> = (OsString, &'s Setting);

/// Returns the build that image.conf below `root` asks for. Files that are skipped are reported.
///
/// # Errors
///
/// A file cannot be read, or a line is wrong.
pub(super) fn read(root: &Root) -> Result<Build, Error> {
    let mut warnings = Vec::new();
    let settings = conf::read(root, &mut warnings);
    for warning in &warnings {
        message::warn("image", &warning.to_string());
    }
    build(&settings.map_err(|error| Error::Failed(error.to_string()))?)
}

/// Returns the build that these settings ask for.
///
/// # Errors
///
/// A key is unknown, or has a value that it does not take: the message starts with `FILE:LINE`.
fn build(settings: &[Setting]) -> Result<Build, Error> {
    let mut words: Vec<Word<'_>> = Vec::new();
    for setting in settings {
        add(&mut words, setting).map_err(|why| failed(setting, &why))?;
    }
    let mut build = Build::default();
    for (word, setting) in words {
        check_path(setting).map_err(|why| failed(setting, &why))?;
        // The first word is the name of the command.
        let args = Args::new(&[OsString::new(), word], Vec::new(), &build::USAGE);
        build.add(args).map_err(|error| failed(setting, &error.to_string()))?;
    }
    Ok(build)
}

fn failed(setting: &Setting, why: &str) -> Error {
    let hint = "image.conf(5) describes the keys".to_owned();
    Error::Hinted(format!("{}: {}: {why}", setting.place, setting.key), hint)
}

/// Adds the option of a line to those of the lines before it.
fn add<'s>(words: &mut Vec<Word<'s>>, setting: &'s Setting) -> Result<(), String> {
    let Setting { key, value, .. } = setting;
    let known = KEYS.iter().chain([&QUIET]).find(|(name, _)| name == key);
    let kind = known.ok_or("no such key")?.1;
    let flag = switch(value);
    let value = match (kind, flag) {
        (Kind::CommandLine, _) => return Err("can only be given on the command line".to_owned()),
        _ if value.is_empty() => None,
        (Kind::Flag | Kind::FlagOrValue, Some(is_on)) => is_on.then_some(None),
        (Kind::Flag, None) => return Err(format!("'{}' is neither yes nor no", shown(value))),
        _ => Some(Some(value)),
    };
    let replaced: &[&str] = match (kind, key.as_str(), &value) {
        (_, "modules", Some(_)) => &["all"],
        (_, "all", Some(_)) => &["all", "modules"],
        (_, "cache" | "no-cache", Some(_)) => &["cache", "no-cache"],
        (Kind::List, _, Some(_)) => &[],
        (_, key, _) => &[key],
    };
    words.retain(|(_, earlier)| !replaced.contains(&earlier.key.as_str()));
    words.extend(value.map(|value| (word(key, value), setting)));
    Ok(())
}

/// Checks a path that is the same in any directory.
fn check_path(Setting { key, value, .. }: &Setting) -> Result<(), String> {
    match PATHS.contains(&key.as_str()) && !update::is_path_of_file(Path::new(value)) {
        true => Err(format!("'{}' is not the absolute path of a file", shown(value))),
        false => Ok(()),
    }
}

/// Returns the option as on the command line.
fn word(key: &str, value: Option<&OsString>) -> OsString {
    let mut word = OsString::from(format!("--{key}"));
    if let Some(value) = value {
        word.push("=");
        word.push(value);
    }
    word
}

/// Parses a boolean as systemd does.
fn switch(value: &OsStr) -> Option<bool> {
    match value.to_str()?.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

fn shown(value: &OsStr) -> String {
    escape::line(&escape::path(value)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::usage::Opt;
    use crate::image::{CacheChoice, Compress, Init, Modules, Options, Shell};
    use std::fs;

    fn built(lines: &str) -> Result<Build, String> {
        let settings: Vec<_> = lines
            .split(';')
            .zip(1..)
            .filter_map(|(line, number)| {
                let (key, value) = line.split_once('=')?;
                let [key, value] = [key, value].map(str::trim);
                Some(Setting { key: key.into(), value: value.into(), place: format!("f:{number}") })
            })
            .collect();
        build(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_are_options() {
        let all = built("").unwrap().options;
        assert_eq!((all.modules, all.init, all.firmware), (Modules::All, Init::Smallest, true));
        let build = built(
            "modules = @virtio, ext4; modules = xfs; compress = zstd:3; no-firmware = yes; \
             output = /efi/%v; quiet = on; generic = 1; list = /l; shell-password-hash = /h",
        )
        .unwrap();
        let options = build.options;
        let names = ["@virtio", "ext4", "xfs"].map(str::to_owned).to_vec();
        assert_eq!((options.modules, build.quiet), (Modules::Named(names), true));
        assert_eq!((options.compress, options.firmware), (Compress::Zstd(Some(3)), false));
        assert_eq!((options.out.as_path(), options.generic), (Path::new("/efi/%v"), true));
        assert_eq!((options.list, options.shell_password), (Some("/l".into()), Some("/h".into())));
    }

    #[test]
    fn later_lines_win() {
        let modules = |lines| built(lines).unwrap().options.modules;
        let named = |name: &str| Modules::Named(vec![name.to_owned()]);
        assert_eq!(modules("modules = a; all = yes"), Modules::All);
        assert_eq!(modules("modules = a; all = yes; modules = b"), named("b"));
        assert_eq!(modules("modules = a; modules =; modules = b"), named("b"));
        assert_eq!(modules("modules = a; all = no"), named("a"));
        assert_eq!(modules("modules = a; modules ="), Modules::All);
        let shell = |lines| built(lines).unwrap().options.shell;
        assert_eq!(shell("shell = yes"), Some(Shell::Any));
        assert_eq!(shell("shell = yes; shell = /bin/x"), Some(Shell::Program("/bin/x".into())));
        assert_eq!(shell("shell = /bin/x; shell = no"), None);
        let init = |lines| built(lines).unwrap().options.init;
        assert_eq!(init("init = /a; init = /b"), Init::Program("/b".into()));
        assert_eq!(init("init = /a; boot-only = yes"), Init::BootOnly);
        assert_eq!(init("boot-only = yes; init = /a"), Init::Program("/a".into()));
        assert_eq!(init("boot-only = yes; boot-only = no"), Init::Smallest);
        let cache = |lines| built(lines).unwrap().options.cache;
        assert_eq!(cache("no-cache = yes; cache = /c"), CacheChoice::Dir("/c".into()));
        assert_eq!(cache("cache = /c; no-cache = yes"), CacheChoice::Off);
    }

    #[test]
    fn lines_of_lists_add_up() {
        let capture = tempfile::NamedTempFile::new().unwrap();
        fs::write(capture.path(), "coldplug-capture 1\nkernel 6.1\n").unwrap();
        let board = capture.path().display().to_string();
        for (key, [first, second]) in [
            ("board", [&*board, &*board]),
            ("with", ["rescue", "gpu"]),
            ("include", ["/a", "/b"]),
            ("modules", ["a", "b"]),
        ] {
            let count = |lines: &str| {
                let Options { boards, extras, includes, modules, .. } =
                    built(lines).unwrap().options;
                let names = match modules {
                    Modules::Named(names) => names.len(),
                    Modules::All => 0,
                };
                boards.len() + extras.len() + includes.len() + names
            };
            let both = format!("{key} = {first}; {key} = {second}");
            assert_eq!(count(&both), 2, "{key}");
            assert_eq!(count(&format!("{both}; {key} =")), 0, "{key}");
            assert_eq!(count(&format!("{key} = {first}; {key} =; {key} = {second}")), 1, "{key}");
        }
    }

    #[test]
    fn wrong_lines_are_named() {
        for (lines, want) in [
            ("quiet = yes; frob = 1", "f:2: frob: no such key"),
            ("kernel = 6.1", "f:1: kernel: can only be given on the command line"),
            ("root = /", "f:1: root: can only be given on the command line"),
            ("generic = maybe", "f:1: generic: 'maybe' is neither yes nor no"),
            ("help = yes", "f:1: help: no such key"),
            ("output = image", "f:1: output: 'image' is not the absolute path of a file"),
            ("manifest = -", "f:1: manifest: '-' is not the absolute path of a file"),
            (
                "manifest = /a; manifest = /",
                "f:2: manifest: '/' is not the absolute path of a file",
            ),
        ] {
            assert_eq!(built(lines).unwrap_err(), want);
        }
        let error = built("compress = rar").unwrap_err();
        assert!(error.starts_with("f:1: compress: "), "{error}");
        assert!(error.contains("expected none, zstd, xz, gzip or lz4"), "{error}");
        // What takes one back makes it right.
        assert!(built("compress = rar; compress =").is_ok());
    }

    #[test]
    fn every_option_of_build_is_a_key() {
        let named = build::USAGE.options.iter().filter(|opt| !opt.long().is_empty());
        let mut options: Vec<_> = named.map(Opt::long).collect();
        let mut keys: Vec<_> = KEYS.iter().chain([&QUIET]).map(|(name, _)| *name).collect();
        options.sort_unstable();
        keys.sort_unstable();
        assert_eq!(options, keys);
    }
}
