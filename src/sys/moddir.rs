//! /lib/modules/RELEASE and the modprobe.d folders, as files.

use std::collections::BTreeMap;
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

/// Where the folders of configuration lie, highest precedence first.
const CONFIG_PLACES: [&str; 5] = ["etc", "run", "usr/local/lib", "usr/lib", "lib"];

/// Where the tools look for the configuration called `name` (`modprobe.d`, `depmod.d`), highest precedence first.
pub fn config_dirs(root: &Root, name: &str) -> Vec<PathBuf> {
    CONFIG_PLACES.map(|place| root.join(place).join(name)).to_vec()
}

/// The module directory of one kernel.
#[derive(Debug, Clone)]
pub struct ModuleDir(PathBuf);

impl ModuleDir {
    /// The directory of kernel `release` below `root`.
    pub fn new(root: &Root, release: &str) -> Self {
        Self(root.join("lib/modules").join(release))
    }

    /// The directory at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The release of the kernel that it is for: its last name.
    pub fn release(&self) -> String {
        self.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Its path.
    pub fn path(&self) -> &Path {
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

/// The configuration of `root` for the modules in `dir`: modprobe.d, then the modules' own softdeps and
/// weakdeps, all in byte order of their names. Of equal names only the one of the highest directory is
/// read. The kernel command line is not part of it.
pub fn config(root: &Root, dir: &ModuleDir, warnings: &mut Vec<Warning>) -> Config {
    config_at(&config_dirs(root, "modprobe.d"), dir, warnings)
}

/// As [`config`], with the module parameters of the kernel command line behind it.
pub fn config_with(
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

/// As [`config`], from these folders and files, highest precedence first, instead of modprobe.d. A file
/// needs no ending and sorts under its name; a path that does not exist says nothing. A file may also be a
/// modules.conf(5), which is told by its lines; what an image carries reads none, as an image is made of what is converted.
pub fn config_at(paths: &[PathBuf], dir: &ModuleDir, warnings: &mut Vec<Warning>) -> Config {
    let mut files = conf_files_of(paths, warnings);
    for own in ["modules.softdep", "modules.weakdep"] {
        files.insert(own.into(), dir.path().join(own));
    }
    let mut config = Config::default();
    for path in files.values() {
        // A file that cannot be opened says nothing, as with kmod.
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

/// The files that these folders and files, highest precedence first, come to, by name. Of equal names only the one of
/// the highest directory is among them.
pub fn conf_files_of(
    paths: &[PathBuf],
    warnings: &mut Vec<Warning>,
) -> BTreeMap<OsString, PathBuf> {
    let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for path in paths {
        let found = match path.file_name().filter(|_| path.exists() && !path.is_dir()) {
            Some(name) => vec![(name.to_owned(), path.clone())],
            None => conf_files(path, warnings),
        };
        for (name, path) in found {
            files.entry(name).or_insert(path);
        }
    }
    files
}

/// The `*.conf` files of a folder that do not start with a dot; a folder of such a name is warned of.
fn conf_files(folder: &Path, warnings: &mut Vec<Warning>) -> Vec<(OsString, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
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
    fn the_highest_directory_masks_and_names_sort() {
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
