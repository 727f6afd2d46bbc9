//! The index files of a module tree: those that depmod has left there, or where it never ran what it would leave.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::Error;
use crate::depmod::{self, Failure, Listener, Settings};
use crate::kmod::depmod::Notice;
use crate::kmod::depmod::files::File;
use crate::sys::{Root, moddir};

/// Index files by name.
#[derive(Debug)]
pub(super) struct Indexes {
    dir: PathBuf,
    /// Made here, and nowhere on disk. Empty where the tree has its own.
    made: BTreeMap<&'static str, Vec<u8>>,
    /// What depmod had to say while they were made.
    pub(super) notices: Vec<String>,
}

impl Indexes {
    /// The indexes of the modules of `release` in `dir`, which lies below `root`.
    ///
    /// # Errors
    /// There is no such directory, or its modules cannot be indexed.
    pub(super) fn open(root: &Path, dir: &Path, release: &str) -> Result<Self, Error> {
        let mut indexes = Self { dir: dir.to_owned(), made: BTreeMap::new(), notices: Vec::new() };
        if !dir.is_dir() {
            return Err(Error::NoModules { dir: dir.to_owned(), release: release.to_owned() });
        }
        if !dir.join("modules.dep").exists() {
            indexes.make(root, release).map_err(|why| Error::Depmod(dir.to_owned(), why))?;
        }
        Ok(indexes)
    }

    fn make(&mut self, root: &Path, release: &str) -> Result<(), String> {
        let mut notes = Notes(Vec::new());
        let (config, complaints) =
            depmod::config(&moddir::config_dirs(&Root::at(root), "depmod.d"), release);
        complaints.iter().for_each(|c| notes.0.push(c.to_string()));
        let mut told = Vec::new();
        let found = depmod::scan(&self.dir, &config, &mut told).map_err(|e| e.to_string())?;
        told.into_iter().for_each(|notice| notes.notice(notice));
        let files = Mutex::new(&mut self.made);
        let keep = |file: File| {
            let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
            files.insert(file.name, file.bytes);
            Ok(())
        };
        let settings = Settings::default();
        depmod::index(&self.dir, found, &settings, &mut notes, &keep).map_err(in_words)?;
        self.notices = notes.0;
        Ok(())
    }

    /// The file called `name`; `None` if there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.made.get(name) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => read_optional(&self.dir.join(name)),
        }
    }
}

/// A file's content, or `None` if it isn't there.
pub(super) fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

fn in_words(failure: Failure) -> String {
    match failure {
        Failure::Cycles(ways, _) => format!("modules depend on each other: {}", ways.join("; ")),
        Failure::Index(error) => error.to_string(),
        Failure::Output(text) => text,
    }
}

/// Collects what is to be said.
struct Notes(Vec<String>);

impl Listener for Notes {
    fn notice(&mut self, notice: Notice) {
        let (Notice::Error(text) | Notice::Warning(text)) = notice;
        self.0.push(text);
    }

    fn needs(&mut self, _user: &Path, _symbol: &[u8], _provider: &Path) {}

    fn progress(&mut self, _done: usize, _of: usize) {}
}
