//! The module files of a tree, and the choice between two files that provide one module.

use std::collections::HashMap;
use std::fs::{self, DirEntry, FileType, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Error, pool};
use crate::escape;
use crate::kmod::depmod::Notice;
use crate::kmod::depmod::conf::Config;
use crate::kmod::depmod::order::Ordered;
use crate::kmod::name::ModuleName;
use crate::sys::{self, Cause};
use foldhash::fast::FixedState;

/// A module file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The name of the module.
    pub(crate) name: ModuleName,
    /// Path of the file.
    pub(crate) file: PathBuf,
    /// Path in modules.dep: relative to the module directory, or absolute outside of it.
    pub(crate) path: Vec<u8>,
}

impl Ordered for Found {
    fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    fn path(&self) -> &[u8] {
        &self.path
    }
}

impl Found {
    /// Returns the module in `file`, for the module directory `dir`.
    fn new(dir: &Path, file: PathBuf) -> Self {
        let name = ModuleName::new(file.as_os_str().as_bytes());
        let path = file.strip_prefix(dir).unwrap_or(&file).as_os_str().as_bytes().to_owned();
        Self { name, file, path }
    }

    /// Returns the path without its suffix, by which depmod.d names it.
    fn stem(&self) -> &[u8] {
        let suffix = self.path.windows(3).rposition(|part| part == b".ko");
        suffix.map_or(&self.path, |at| &self.path[..at])
    }
}

/// Returns the modules in `files`, which may be outside of `dir`.
///
/// # Errors
/// A file that is named by a relative path or does not exist, or two files for one module.
pub(crate) fn named(dir: &Path, files: &[PathBuf]) -> Result<Vec<Found>, Error> {
    let mut modules = Vec::new();
    for file in files {
        if !file.is_absolute() {
            return Err(Error::NotAbsolute(file.clone()));
        }
        fs::metadata(file)
            .map_err(|error| sys::Error::io("could not create module", file, &error))?;
        let found = Found::new(dir, file.clone());
        if modules.iter().any(|other: &Found| other.name == found.name) {
            return Err(Error::Duplicate(file.clone()));
        }
        modules.push(found);
    }
    Ok(modules)
}

/// Returns the modules below `dir` and below the external directories of `config`, in no particular
/// order. Files and directories that cannot be read are reported and skipped.
///
/// # Errors
/// `dir` itself cannot be read.
pub(crate) fn scan(
    dir: &Path,
    config: &Config,
    notices: &mut Vec<Notice>,
) -> sys::Result<Vec<Found>> {
    fs::read_dir(dir).map_err(|e| sys::Error::io("could not open directory", dir, &e))?;
    let mut pending = vec![dir.to_owned()];
    pending.extend(config.externals.iter().map(|dir| sys::path(dir).to_owned()));
    let mut chosen = Chosen { config, found: Vec::new(), positions: HashMap::default() };
    let mut messages = Vec::new();
    // Directories are read level by level, so that a processor seldom waits for another one.
    while !pending.is_empty() {
        let read = |_: &mut (), directory: &PathBuf| Contents::read(directory, dir, config);
        let level = pool::map(&pending, || (), read, &mut |_| {});
        pending.clear();
        for mut contents in level {
            pending.append(&mut contents.directories);
            messages.append(&mut contents.notices);
            contents.modules.into_iter().for_each(|found| chosen.add(found));
        }
    }
    messages.sort_by(|a, b| a.0.cmp(&b.0));
    notices.extend(messages.into_iter().map(|(_, notice)| notice));
    Ok(chosen.found)
}

/// The preferred file of each module.
struct Chosen<'a> {
    config: &'a Config,
    found: Vec<Found>,
    /// Module name → position in `found`.
    positions: HashMap<ModuleName, usize, FixedState>,
}

impl Chosen<'_> {
    fn add(&mut self, found: Found) {
        match self.positions.get(&found.name) {
            None => {
                self.positions.insert(found.name.clone(), self.found.len());
                self.found.push(found);
            }
            Some(&position) => {
                if self.config.prefers(self.found[position].stem(), found.stem()) {
                    self.found[position] = found;
                }
            }
        }
    }
}

/// The contents of one directory.
#[derive(Default)]
struct Contents {
    directories: Vec<PathBuf>,
    modules: Vec<Found>,
    /// Messages with the paths that they are about.
    notices: Vec<(PathBuf, Notice)>,
}

impl Contents {
    /// Reads a directory of the tree below `top`.
    fn read(directory: &Path, top: &Path, config: &Config) -> Self {
        let mut contents = Self::default();
        match fs::read_dir(directory) {
            Ok(entries) => entries.for_each(|entry| match entry {
                Ok(entry) => contents.add(&entry, top, config),
                Err(error) => contents.fail("could not open directory", directory, &error),
            }),
            Err(error) => contents.fail("could not open directory", directory, &error),
        }
        contents
    }

    fn add(&mut self, entry: &DirEntry, top: &Path, config: &Config) {
        let name = entry.file_name();
        let excluded = config.excludes.iter().any(|e| name.as_bytes() == e);
        if excluded || name == "build" || name == "source" {
            return;
        }
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_symlink() => self.add_link(path, top),
            Ok(kind) => self.add_file(path, kind, top),
            Err(error) => self.fail("could not stat", &path, &error),
        }
    }

    fn add_link(&mut self, path: PathBuf, top: &Path) {
        match fs::metadata(&path) {
            Ok(target) if target.is_dir() && is_parent(&path, &target) => {
                let text =
                    format!("{}: not following a link to a parent directory", escape::path(&path));
                self.notices.push((path, Notice::Error(text)));
            }
            Ok(target) => self.add_file(path, target.file_type(), top),
            Err(error) => self.fail("could not stat", &path, &error),
        }
    }

    fn add_file(&mut self, path: PathBuf, kind: FileType, top: &Path) {
        if kind.is_dir() {
            if is_module(&path) {
                let text =
                    format!("{}: a directory with the name of a module", escape::path(&path));
                self.notices.push((path.clone(), Notice::Warning(text)));
            }
            self.directories.push(path);
        } else if kind.is_file() {
            if is_module(&path) {
                self.modules.push(Found::new(top, path));
            }
        } else {
            let mode = fs::metadata(&path).map_or(0, |m| m.mode() & 0o170_000);
            let text = format!("unsupported file type {}: {mode:o}", escape::path(&path));
            self.notices.push((path, Notice::Error(text)));
        }
    }

    fn fail(&mut self, what: &str, path: &Path, error: &std::io::Error) {
        let text = format!("{what} {}: {}", escape::path(&path), Cause::from(error));
        self.notices.push((path.to_owned(), Notice::Error(text)));
    }
}

fn is_module(path: &Path) -> bool {
    ModuleName::from_path(path.as_os_str().as_bytes()).is_some()
}

/// Returns whether the target of the link at `path` is one of the directories above it.
fn is_parent(path: &Path, target: &Metadata) -> bool {
    let same = |m: Metadata| (m.dev(), m.ino()) == (target.dev(), target.ino());
    path.ancestors().skip(1).any(|parent| fs::metadata(parent).is_ok_and(same))
}

/// Returns whether a module below `dir` was modified after `time`.
pub(crate) fn is_newer(dir: &Path, time: SystemTime) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| {
        let (name, path) = (entry.file_name(), entry.path());
        let Ok(kind) = entry.file_type() else { return false };
        if kind.is_dir() {
            return name != "build" && name != "source" && is_newer(&path, time);
        }
        let modified = || fs::metadata(&path).and_then(|m| m.modified());
        is_module(&path) && modified().is_ok_and(|modified| modified > time)
    })
}
