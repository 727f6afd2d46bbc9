//! The index files of a module tree: those on disk, or, if depmod has not run there, the files that
//! it would write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use super::{Error, source};
use crate::depmod::{self, Listener, Settings};
use crate::kmod::catalog::IndexFiles;
use crate::kmod::depmod::Notice;
use crate::kmod::depmod::files::File;
use crate::kmod::index::Bytes;
use crate::sys::{Root, moddir};

/// Index files by name.
#[derive(Debug)]
pub(super) struct Indexes {
    dir: PathBuf,
    /// Files generated in memory. Empty if the tree has index files of its own.
    generated: BTreeMap<&'static str, Vec<u8>>,
    /// Messages of depmod about the modules while it generated the files.
    pub(super) notices: Vec<String>,
}

impl Indexes {
    /// Opens or generates the index files for the modules of `release` in `dir`, which is below
    /// `root`.
    ///
    /// # Errors
    /// The directory does not exist, or its modules cannot be indexed.
    pub(super) fn open(root: &Path, dir: &Path, release: &str) -> Result<Self, Error> {
        let mut indexes =
            Self { dir: dir.to_owned(), generated: BTreeMap::new(), notices: Vec::new() };
        if !dir.is_dir() {
            return Err(Error::NoModules { dir: dir.to_owned(), release: release.to_owned() });
        }
        if !dir.join("modules.dep").exists() {
            indexes
                .generate(root, release)
                .map_err(|error| Error::Depmod(dir.to_owned(), error))?;
        }
        Ok(indexes)
    }

    fn generate(&mut self, root: &Path, release: &str) -> Result<(), depmod::Error> {
        let mut collector = Collector(Vec::new());
        let (config, warnings) =
            depmod::config(&moddir::config_dirs(&Root::at(root), "depmod.d"), release);
        collector.0.extend(warnings.iter().map(ToString::to_string));
        let mut notices = Vec::new();
        let found = depmod::scan(&self.dir, &config, &mut notices)?;
        notices.into_iter().for_each(|notice| collector.notice(notice));
        let files = Mutex::new(&mut self.generated);
        let store = |file: File| {
            let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
            files.insert(file.name, file.bytes);
            Ok(())
        };
        let settings = Settings::default();
        depmod::index(&self.dir, found, &settings, &mut collector, &store)?;
        self.notices = collector.0;
        Ok(())
    }

    /// Returns the content of the index file `name`, or `None` if there is no such file.
    ///
    /// # Errors
    /// The file exists and cannot be read.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.generated.get(name) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => read_optional(&self.dir.join(name)),
        }
    }
}

impl IndexFiles for Indexes {
    fn open(&self, name: &str) -> Result<Option<Bytes>, Box<dyn std::error::Error>> {
        Ok(self.read(name)?.map(|bytes| Box::new(bytes) as Bytes))
    }
}

/// Returns the content of the file at `path`, or `None` if it does not exist.
pub(super) fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match source::read(path) {
        Ok(content) => Ok(Some(content.to_vec())),
        Err(Error::System(error)) if error.cause == Errno::NOENT => Ok(None),
        Err(error) => Err(error),
    }
}

/// Collects the messages of depmod.
struct Collector(Vec<String>);

impl Listener for Collector {
    fn notice(&mut self, notice: Notice) {
        let (Notice::Error(text) | Notice::Warning(text)) = notice;
        self.0.push(text);
    }

    fn needs(&mut self, _user: &Path, _symbol: &[u8], _provider: &Path) {}

    fn progress(&mut self, _done: usize, _total: usize) {}
}
