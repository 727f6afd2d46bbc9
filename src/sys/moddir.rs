//! /lib/modules/RELEASE and the directories of modprobe.d(5).

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::regular_file::{self, CONFIG_LIMIT};
use super::{Cause, Root, raw};
use crate::cmdline::modules::ModuleParams;
use crate::escape;
use crate::kmod::Warning;
use crate::kmod::catalog::IndexFiles;
use crate::kmod::conf::Config;
use crate::kmod::index::Bytes;

/// Parents of the configuration directories, highest precedence first.
const CONFIG_PARENTS: [&str; 5] = ["etc", "run", "usr/local/lib", "usr/lib", "lib"];

/// Returns the directories of the configuration `name` (`modprobe.d`, `depmod.d`), highest
/// precedence first.
pub(crate) fn config_dirs(root: &Root, name: &str) -> Vec<PathBuf> {
    CONFIG_PARENTS.map(|parent| root.join(parent).join(name)).to_vec()
}

/// Directories of the modules of all kernels, below a root.
#[cfg(feature = "host")]
const MODULE_DIRS: [&str; 2] = ["lib/modules", "usr/lib/modules"];

/// Returns the module directory of the kernel `release`, relative to a root: lib/modules/RELEASE,
/// or the same in usr/lib if only that has modules. A package that is unpacked for a root with a
/// merged /usr lacks the link /lib. `exists`: whether a path below the root exists.
#[cfg(feature = "host")]
pub(crate) fn place(release: &str, exists: &dyn Fn(&Path) -> bool) -> PathBuf {
    let dirs = MODULE_DIRS.map(|dir| Path::new(dir).join(release));
    let has_lists = |dir: &&PathBuf| {
        ["modules.dep", "modules.order"].iter().any(|name| exists(&dir.join(name)))
    };
    let found = dirs.iter().find(has_lists).or_else(|| dirs.iter().find(|dir| exists(dir)));
    found.unwrap_or(&dirs[0]).clone()
}

/// Longest index file, in bytes: twenty times that of a kernel with all modules.
const INDEX_LIMIT: usize = 32 << 20;

/// The module directory of one kernel.
#[derive(Debug, Clone)]
pub(crate) struct ModuleDir {
    path: PathBuf,
    /// Whether index files are mapped.
    mapped: bool,
}

impl ModuleDir {
    /// Returns the directory of the kernel `release` below `root`.
    pub(crate) fn new(root: &Root, release: &str) -> Self {
        Self::at(root.join("lib/modules").join(release))
    }

    /// Returns the directory of the kernel `release` below `root`, which may be in usr/lib.
    #[cfg(feature = "host")]
    pub(crate) fn find(root: &Root, release: &str) -> Self {
        Self::at(root.join(place(release, &|path| root.join(path).exists())))
    }

    /// Returns the directory at `path`.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mapped: false }
    }

    /// Returns this directory with index files mapped instead of read, for a process that looks up
    /// one name: it needs few of their pages. If another process truncates a mapped file, the next
    /// access kills this one (SIGBUS), so PID 1 maps no file.
    pub(crate) fn mapped(self) -> Self {
        Self { mapped: true, ..self }
    }

    /// Returns the release of its kernel: the last component of the path.
    #[cfg(feature = "host")]
    pub(crate) fn release(&self) -> String {
        self.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the first of modules.dep and modules.alias that it lacks: there is neither the text
    /// nor the binary index, or both are empty. depmod(8) never writes an empty binary index.
    pub(crate) fn missing_index(&self) -> Option<&'static str> {
        let has = |name: String| {
            fs::metadata(self.path.join(name)).is_ok_and(|file| file.is_file() && file.len() > 0)
        };
        let lacks = |name: &&str| !has((*name).to_owned()) && !has(format!("{name}.bin"));
        ["modules.dep", "modules.alias"].into_iter().find(lacks)
    }
}

impl IndexFiles for ModuleDir {
    fn open(&self, name: &str) -> Result<Option<Bytes>, Box<dyn Error>> {
        let path = self.path.join(name);
        if self.mapped
            && let Ok(file) = regular_file::open(&path)
            && let Ok(map) = raw::Map::new(&file)
        {
            return Ok(Some(Box::new(map)));
        }
        let bytes = regular_file::read_if_opened(&path, INDEX_LIMIT);
        // The caller names the file.
        let bytes = bytes.map_err(|error| error.cause.to_string())?;
        Ok(bytes.map(|bytes| Box::new(bytes) as Bytes))
    }
}

/// Reads the configuration of `root` for the modules in `dir`: modprobe.d, modules.softdep and
/// modules.weakdep, ordered by file name. If several directories have a file of one name, the file
/// in the directory of the highest precedence is used. The kernel command line is not read.
pub(crate) fn config(root: &Root, dir: &ModuleDir, warnings: &mut Vec<Warning>) -> Config {
    let read = |path: &Path| regular_file::read_if_opened(path, CONFIG_LIMIT);
    config_from(&config_dirs(root, "modprobe.d"), dir, warnings, &read)
}

/// Reads the configuration as [`config`] does and appends the module words of the kernel command
/// line `line`.
pub(crate) fn config_with(
    root: &Root,
    dir: &ModuleDir,
    params: &ModuleParams,
    warnings: &mut Vec<Warning>,
) -> Config {
    let mut config = config(root, dir, warnings);
    params.add_to(&mut config);
    warnings.extend_from_slice(&params.warnings);
    config
}

/// Reads the configuration as [`config`] does, from these directories and files, highest precedence
/// first, instead of modprobe.d. A file needs no suffix and is ordered by its name. Missing paths
/// are ignored. A file may also be a modules.conf(5), which is detected by its content. The build
/// for an image does not read modules.conf, because images are made from the converted
/// configuration. A file may be a pipe, as in `modprobe -C <(...)`.
pub(crate) fn config_at(paths: &[PathBuf], dir: &ModuleDir, warnings: &mut Vec<Warning>) -> Config {
    let read = |path: &Path| match paths.iter().any(|named| named == path) {
        true => Ok(fs::read(path).ok()),
        false => regular_file::read_if_opened(path, CONFIG_LIMIT),
    };
    config_from(paths, dir, warnings, &read)
}

/// Reads the configuration in `paths` and that of the modules in `dir`. `read` returns the content
/// of a file, or `None` if it cannot be opened.
fn config_from(
    paths: &[PathBuf],
    dir: &ModuleDir,
    warnings: &mut Vec<Warning>,
    read: &dyn Fn(&Path) -> super::Result<Option<Vec<u8>>>,
) -> Config {
    let mut files = merged_conf_files(paths, warnings);
    for own in ["modules.softdep", "modules.weakdep"] {
        files.retain(|(name, _)| name != own);
        files.push((own.into(), dir.path().join(own)));
    }
    sort(&mut files);
    let mut config = Config::default();
    for (_, path) in &files {
        let name = escape::path(path);
        let bytes = match read(path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => continue,
            Err(error) => {
                warnings.push(Warning::new(&name, 0, format!("ignored: {}", error.cause)));
                continue;
            }
        };
        #[cfg(feature = "host")]
        if paths.contains(path)
            && super::modules_conf::add(&mut config, &name, &bytes, &dir.release(), warnings)
        {
            continue;
        }
        config.add_file(&name, &bytes, warnings);
    }
    config
}

/// Returns the configuration files in these directories and files, highest precedence first, in
/// the order of their names. If several have one name, the first one is used.
pub(crate) fn conf_files(paths: &[PathBuf], warnings: &mut Vec<Warning>) -> Vec<PathBuf> {
    let mut files = merged_conf_files(paths, warnings);
    sort(&mut files);
    files.into_iter().map(|(_, path)| path).collect()
}

fn sort(files: &mut [(OsString, PathBuf)]) {
    files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
}

/// Returns the files of [`conf_files`] with their names, in any order.
fn merged_conf_files(paths: &[PathBuf], warnings: &mut Vec<Warning>) -> Vec<(OsString, PathBuf)> {
    let mut files: Vec<(OsString, PathBuf)> = Vec::new();
    for path in paths {
        let found = match path.file_name().filter(|_| path.exists() && !path.is_dir()) {
            Some(name) => vec![(name.to_owned(), path.clone())],
            None => conf_files_in(path, warnings),
        };
        for (name, path) in found {
            if files.iter().all(|(other, _)| *other != name) {
                files.push((name, path));
            }
        }
    }
    files
}

/// Returns the `*.conf` files of a directory without those that start with a dot. A directory with
/// such a name is reported, and a link that leads nowhere.
fn conf_files_in(dir: &Path, warnings: &mut Vec<Warning>) -> Vec<(OsString, PathBuf)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut entries: Vec<_> = entries.flatten().collect();
    // The warnings come in the same order on every filesystem.
    entries.sort_unstable_by_key(fs::DirEntry::file_name);
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text.len() <= 5 || !text.ends_with(".conf") || text.starts_with('.') {
            continue;
        }
        let path = entry.path();
        let text = match fs::metadata(&path) {
            Ok(file) if file.is_dir() => "directories inside directories are not supported".into(),
            Ok(_) => {
                files.push((name, path));
                continue;
            }
            // A link to nothing, or to itself.
            Err(error) => format!("ignored: {}", Cause::from(&error)),
        };
        warnings.push(Warning::new(&escape::path(&path), 0, text));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    #[test]
    fn the_highest_directory_wins_and_names_are_sorted() {
        let scratch = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("etc/modprobe.d/b.conf", "blacklist etc-b\n");
        put("lib/modprobe.d/b.conf", "blacklist lib_b\n");
        put("lib/modprobe.d/a.conf", "blacklist lib_a\n");
        put("lib/modprobe.d/c.txt", "blacklist never\n");
        put("lib/modprobe.d/.d.conf", "blacklist never\n");
        put("lib/modules/1/modules.softdep", "softdep m pre: own\n");
        put("usr/lib/modprobe.d/z.conf", "softdep m pre: late\nbad\n");
        let root = Root::at(scratch.path());
        let mut warnings = Vec::new();
        let config = config(&root, &ModuleDir::new(&root, "1"), &mut warnings);
        assert_eq!(config.blacklist, [b"lib_a", b"etc_b"]);
        assert_eq!(config.softdep_of(&"m".into()).unwrap().pre, [b"own"]);
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0]
                .to_string()
                .ends_with("z.conf line 2: ignoring bad line starting with 'bad'")
        );
    }

    #[test]
    fn a_file_that_is_no_regular_file_or_too_large_is_ignored_with_a_warning() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let dir = scratch.path().join("etc/modprobe.d");
        fs::create_dir_all(&dir).unwrap();
        mknodat(CWD, dir.join("a.conf"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::write(dir.join("b.conf"), "blacklist b\n").unwrap();
        fs::File::create(dir.join("c.conf")).unwrap().set_len(1 << 40).unwrap();
        std::os::unix::fs::symlink("/dev/zero", dir.join("d.conf")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.join("e.conf")).unwrap();
        std::os::unix::fs::symlink("/dev/null", dir.join("f.conf")).unwrap();
        mknodat(CWD, scratch.path().join("run"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::create_dir(scratch.path().join("lib")).unwrap();
        mknodat(CWD, scratch.path().join("lib/modprobe.d"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let mut warnings = Vec::new();
        let config = config(&root, &ModuleDir::new(&root, "1"), &mut warnings);
        assert_eq!(config.blacklist, [b"b"]);
        let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        let prefix = format!("{}/", scratch.path().display());
        let texts: Vec<_> = texts.iter().map(|text| text.trim_start_matches(&prefix)).collect();
        assert_eq!(
            texts,
            [
                "etc/modprobe.d/e.conf: ignored: No such file or directory",
                "etc/modprobe.d/a.conf: ignored: not a regular file",
                "etc/modprobe.d/c.conf: ignored: larger than the limit of 4 MiB",
                "etc/modprobe.d/d.conf: ignored: not a regular file",
                "lib/modprobe.d: ignored: not a regular file",
            ]
        );
    }

    #[cfg(feature = "host")]
    #[test]
    fn modules_are_found_in_lib_or_usr_lib() {
        for (files, want) in [
            (&[][..], "lib"),
            (&["lib/modules/1/modules.dep", "usr/lib/modules/1/modules.dep"], "lib"),
            (&["lib/modules/1/vmlinuz"], "lib"),
            (&["usr/lib/modules/1/vmlinuz"], "usr/lib"),
            (&["usr/lib/modules/1/modules.order", "lib/modules/2/modules.dep"], "usr/lib"),
            // Modules that were added later.
            (&["lib/modules/1/updates/x.ko", "usr/lib/modules/1/modules.order"], "usr/lib"),
        ] {
            let exists = |path: &Path| files.iter().any(|file| Path::new(file).starts_with(path));
            let want = format!("{want}/modules/1");
            assert_eq!(place("1", &exists), Path::new(&want), "{files:?}");
        }
    }

    #[test]
    fn index_files_are_read_or_mapped() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let dir = ModuleDir::new(&root, "1");
        fs::create_dir_all(dir.path()).unwrap();
        fs::write(dir.path().join("full"), "text").unwrap();
        fs::write(dir.path().join("empty"), "").unwrap();
        fs::create_dir(dir.path().join("directory")).unwrap();
        for dir in [dir.clone(), dir.mapped()] {
            let text = |name: &str| dir.open(name).unwrap().map(|b| (*b).as_ref().to_vec());
            assert_eq!(text("full").as_deref(), Some(&b"text"[..]));
            assert_eq!(text("empty").as_deref(), Some(&b""[..]));
            assert_eq!(text("none"), None);
            let error = dir.open("directory").err().unwrap();
            assert_eq!(error.to_string(), "not a regular file");
        }
    }
}
