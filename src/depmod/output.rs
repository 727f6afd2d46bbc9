//! The index files on disk: all are complete and on the medium before the first one is renamed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::kmod::depmod::files::File;
use crate::sys::atomic_file::AtomicFile;
use crate::sys::{Error, Result};

/// The name of an index file and its content on disk.
type Written = (&'static str, AtomicFile);

/// The directory that the index files are written to.
#[derive(Debug)]
pub(crate) struct Output {
    dir: PathBuf,
    /// Complete files that do not have their names yet.
    written: Mutex<Vec<Written>>,
}

impl Output {
    /// Prepares to write to `dir` and creates it if it is missing.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub(crate) fn new(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir).map_err(|e| Error::io("could not create directory", &dir, &e))?;
        Ok(Self { dir, written: Mutex::default() })
    }

    /// Writes a file and waits until it is on the medium. It gets its name in [`Self::commit`].
    ///
    /// # Errors
    /// The file cannot be written. Nothing of it remains.
    pub(crate) fn store(&self, file: File) -> Result<()> {
        let path = self.dir.join(file.name);
        let written =
            write(&path, &file.bytes).map_err(|e| Error::io("could not write", &path, &e))?;
        self.lock().push((file.name, written));
        Ok(())
    }

    /// Replaces every file of the directory with the one that was written. Files that were not
    /// committed are discarded when the `Output` is dropped.
    ///
    /// # Errors
    /// A file cannot be renamed.
    pub(crate) fn commit(&self) -> Result<()> {
        let mut written = std::mem::take(&mut *self.lock());
        // The threads complete the files in any order.
        written.sort_unstable_by_key(|(name, _)| *name);
        for (name, file) in written {
            file.commit().map_err(|e| Error::io("could not rename", &self.dir.join(name), &e))?;
        }
        Ok(())
    }

    /// Locks the list. A thread that panicked has left it consistent.
    fn lock(&self) -> MutexGuard<'_, Vec<Written>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<AtomicFile> {
    let mut file = AtomicFile::create(path, 0o644)?;
    file.write_all(bytes)?;
    file.sync()?;
    Ok(file)
}
