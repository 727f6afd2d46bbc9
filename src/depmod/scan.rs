//! The modules of a tree: which files there are, and which of two files of one module counts.

use std::collections::HashMap;
use std::fs::{self, DirEntry, FileType, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use foldhash::fast::FixedState;
use rustix::io::Errno;

use super::pool;
use crate::kmod::depmod::Notice;
use crate::kmod::depmod::conf::Config;
use crate::kmod::depmod::order::Ordered;
use crate::kmod::name::ModuleName;
use crate::sys::{Cause, Error, errno};

/// A module file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The module's name.
    pub name: ModuleName,
    /// Where the file lies.
    pub file: PathBuf,
    /// Its path in modules.dep: below the module directory, or absolute outside of it.
    pub path: String,
}

impl Ordered for Found {
    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn path(&self) -> &str {
        &self.path
    }
}

impl Found {
    /// The module that `file` is, with its path as seen from the module directory.
    fn new(dir: &Path, file: PathBuf) -> Self {
        let name = ModuleName::new(&file.to_string_lossy());
        let path = file.strip_prefix(dir).unwrap_or(&file).to_string_lossy().into_owned();
        Self { name, file, path }
    }

    /// Its path without ending, by which depmod.d names it.
    fn stem(&self) -> &str {
        self.path.rfind(".ko").map_or(&self.path, |at| &self.path[..at])
    }
}

/// The modules in these files, which need not lie in `dir`.
///
/// # Errors
/// A file that is not named from the root or is not there, or the second of one module; in words.
pub fn named(dir: &Path, files: &[PathBuf]) -> Result<Vec<Found>, String> {
    let mut modules = Vec::new();
    for file in files {
        let name = file.display();
        if !file.is_absolute() {
            return Err(format!("{name}: not absolute path."));
        }
        let reason = |text: String| format!("could not create module {name}: {text}");
        fs::metadata(file).map_err(|e| reason(Cause::from(&e).to_string()))?;
        let found = Found::new(dir, file.clone());
        if modules.iter().any(|other: &Found| other.name == found.name) {
            let text = errno::text(Errno::EXIST);
            return Err(format!("could not add module {name}: {text}"));
        }
        modules.push(found);
    }
    Ok(modules)
}

/// The modules of the directory `dir`, and of those that `config` names besides, in no order. What cannot be read is
/// told and passed over.
///
/// # Errors
/// `dir` itself cannot be read.
pub fn scan(dir: &Path, config: &Config, notices: &mut Vec<Notice>) -> Result<Vec<Found>, Error> {
    fs::read_dir(dir).map_err(|e| Error::io("open", dir, &e))?;
    let mut folders = vec![dir.to_owned()];
    folders.extend(config.externals.iter().map(PathBuf::from));
    let mut chosen = Chosen { config, found: Vec::new(), places: HashMap::default() };
    let mut told = Vec::new();
    // Level by level, so that a processor seldom waits for another one.
    while !folders.is_empty() {
        let look = |_: &mut (), folder: &PathBuf| Contents::of(folder, dir, config);
        let level = pool::map(&folders, || (), look, &mut |_| {});
        folders.clear();
        for mut contents in level {
            folders.append(&mut contents.folders);
            told.append(&mut contents.notices);
            contents.modules.into_iter().for_each(|found| chosen.add(found));
        }
    }
    told.sort_by(|a, b| a.0.cmp(&b.0));
    notices.extend(told.into_iter().map(|(_, notice)| notice));
    Ok(chosen.found)
}

/// Of each module the file that counts.
struct Chosen<'a> {
    config: &'a Config,
    found: Vec<Found>,
    /// Name → place in `found`.
    places: HashMap<ModuleName, usize, FixedState>,
}

impl Chosen<'_> {
    fn add(&mut self, found: Found) {
        match self.places.get(&found.name) {
            None => {
                self.places.insert(found.name.clone(), self.found.len());
                self.found.push(found);
            }
            Some(&place) => {
                if self.config.prefers(self.found[place].stem(), found.stem()) {
                    self.found[place] = found;
                }
            }
        }
    }
}

/// What one folder holds.
#[derive(Default)]
struct Contents {
    folders: Vec<PathBuf>,
    modules: Vec<Found>,
    /// Each with the path that it is about.
    notices: Vec<(PathBuf, Notice)>,
}

impl Contents {
    /// Looks into a folder of the tree below `top`.
    fn of(folder: &Path, top: &Path, config: &Config) -> Self {
        let mut contents = Self::default();
        match fs::read_dir(folder) {
            Ok(entries) => entries.for_each(|entry| match entry {
                Ok(entry) => contents.entry(&entry, top, config),
                Err(error) => contents.fail("could not open directory", folder, &error),
            }),
            Err(error) => contents.fail("could not open directory", folder, &error),
        }
        contents
    }

    fn entry(&mut self, entry: &DirEntry, top: &Path, config: &Config) {
        let name = entry.file_name();
        let excluded = config.excludes.iter().any(|e| name == e.as_str());
        if excluded || name == "build" || name == "source" {
            return;
        }
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_symlink() => self.link(path, top),
            Ok(kind) => self.of_kind(path, kind, top),
            Err(error) => self.fail("could not stat", &path, &error),
        }
    }

    fn link(&mut self, path: PathBuf, top: &Path) {
        match fs::metadata(&path) {
            Ok(target) if target.is_dir() && leads_back(&path, &target) => {
                let text = format!("{}: a link to a folder above it, not followed", path.display());
                self.notices.push((path, Notice::Error(text)));
            }
            Ok(target) => self.of_kind(path, target.file_type(), top),
            Err(error) => self.fail("could not stat", &path, &error),
        }
    }

    fn of_kind(&mut self, path: PathBuf, kind: FileType, top: &Path) {
        if kind.is_dir() {
            if is_module(&path) {
                let text = format!("{}: a folder with the name of a module", path.display());
                self.notices.push((path.clone(), Notice::Warning(text)));
            }
            self.folders.push(path);
        } else if kind.is_file() {
            if is_module(&path) {
                self.modules.push(Found::new(top, path));
            }
        } else {
            let mode = fs::metadata(&path).map_or(0, |m| m.mode() & 0o170_000);
            let text = format!("unsupported file type {}: {mode:o}", path.display());
            self.notices.push((path, Notice::Error(text)));
        }
    }

    fn fail(&mut self, act: &str, path: &Path, error: &std::io::Error) {
        let text = format!("{act} {}: {}", path.display(), Cause::from(error));
        self.notices.push((path.to_owned(), Notice::Error(text)));
    }
}

fn is_module(path: &Path) -> bool {
    ModuleName::from_path(&path.to_string_lossy()).is_some()
}

/// Whether the folder that the link at `path` names is one of those that lead to it.
fn leads_back(path: &Path, target: &Metadata) -> bool {
    let same = |m: Metadata| (m.dev(), m.ino()) == (target.dev(), target.ino());
    path.ancestors().skip(1).any(|folder| fs::metadata(folder).is_ok_and(same))
}

/// Whether a module below `dir` was changed after `time`.
pub fn is_newer(dir: &Path, time: SystemTime) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| {
        let (name, path) = (entry.file_name(), entry.path());
        let Ok(kind) = entry.file_type() else { return false };
        if kind.is_dir() {
            return name != "build" && name != "source" && is_newer(&path, time);
        }
        let changed = || fs::metadata(&path).and_then(|m| m.modified());
        ModuleName::from_path(&path.to_string_lossy()).is_some()
            && changed().is_ok_and(|changed| changed > time)
    })
}
