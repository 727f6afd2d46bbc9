//! /lib/modules/RELEASE and the directories of modprobe.d(5).

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::Root;
use super::raw::Map;
use crate::cmdline::modules::ModuleParams;
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

/// The module directory of one kernel.
#[derive(Debug, Clone)]
pub(crate) struct ModuleDir(PathBuf);

impl ModuleDir {
    /// Returns the directory of the kernel `release` below `root`.
    pub(crate) fn new(root: &Root, release: &str) -> Self {
        Self(root.join("lib/modules").join(release))
    }

    /// Returns the directory at `path`.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the release of its kernel: the last component of the path.
    #[cfg(feature = "host")]
    pub(crate) fn release(&self) -> String {
        self.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl IndexFiles for ModuleDir {
    fn open(&self, name: &str) -> Option<Bytes> {
        let file = File::open(self.0.join(name)).ok()?;
        let len = usize::try_from(file.metadata().ok()?.len()).ok()?;
        match len {
            0 => Some(Box::new(Vec::new())),
            _ => Map::new(&file, len).ok().map(|map| Box::new(map) as Bytes),
        }
    }
}

/// Reads the configuration of `root` for the modules in `dir`: modprobe.d, modules.softdep and
/// modules.weakdep, ordered by file name. If several directories have a file of one name, the file
/// in the directory of the highest precedence is used. The kernel command line is not read.
pub(crate) fn config(root: &Root, dir: &ModuleDir, warnings: &mut Vec<Warning>) -> Config {
    config_at(&config_dirs(root, "modprobe.d"), dir, warnings)
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
/// configuration.
pub(crate) fn config_at(paths: &[PathBuf], dir: &ModuleDir, warnings: &mut Vec<Warning>) -> Config {
    let mut files = merged_conf_files(paths, warnings);
    for own in ["modules.softdep", "modules.weakdep"] {
        files.retain(|(name, _)| name != own);
        files.push((own.into(), dir.path().join(own)));
    }
    sort(&mut files);
    let mut config = Config::default();
    for (_, path) in &files {
        // kmod ignores files that cannot be opened.
        let Ok(bytes) = fs::read(path) else { continue };
        let name = path.to_string_lossy();
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
/// such a name is reported.
fn conf_files_in(dir: &Path, warnings: &mut Vec<Warning>) -> Vec<(OsString, PathBuf)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text.len() <= 5 || !text.ends_with(".conf") || text.starts_with('.') {
            continue;
        }
        if entry.path().is_dir() {
            let path = entry.path().to_string_lossy().into_owned();
            warnings.push(Warning::new(
                &path,
                0,
                "directories inside directories are not supported",
            ));
        } else {
            files.push((name, entry.path()));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(config.blacklist, ["lib_a", "etc_b"]);
        assert_eq!(config.softdep_of(&"m".into()).unwrap().pre, ["own"]);
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0]
                .to_string()
                .ends_with("z.conf line 2: ignoring bad line starting with 'bad'")
        );
    }

    #[test]
    fn index_files_are_mapped() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let dir = ModuleDir::new(&root, "1");
        fs::create_dir_all(dir.path()).unwrap();
        fs::write(dir.path().join("full"), "text").unwrap();
        fs::write(dir.path().join("empty"), "").unwrap();
        assert_eq!((*dir.open("full").unwrap()).as_ref(), b"text");
        assert!((*dir.open("empty").unwrap()).as_ref().is_empty());
        assert!(dir.open("none").is_none());
    }
}
