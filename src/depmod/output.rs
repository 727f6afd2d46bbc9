//! The index files on disk: all are complete and on the medium before the first one is renamed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::kmod::depmod::files::File;
use crate::sys::Cause;
use crate::sys::atomic_file::AtomicFile;

/// The directory that the index files are written to.
#[derive(Debug)]
pub struct Output {
    dir: PathBuf,
    /// Complete files that do not have their names yet.
    written: Mutex<Vec<(&'static str, AtomicFile)>>,
}

impl Output {
    /// Prepares to write to `dir` and creates it if it is missing.
    ///
    /// # Errors
    /// The directory cannot be created; a message.
    pub fn new(dir: PathBuf) -> Result<Self, String> {
        fs::create_dir_all(&dir).map_err(|e| failed("could not create directory", &dir, &e))?;
        Ok(Self { dir, written: Mutex::default() })
    }

    /// Writes a file and waits until it is on the medium. It gets its name in [`Self::commit`].
    ///
    /// # Errors
    /// The file cannot be written; a message. Nothing of it remains.
    pub fn keep(&self, file: File) -> Result<(), String> {
        let path = self.dir.join(file.name);
        let written =
            write(&path, &file.bytes).map_err(|e| failed("could not write", &path, &e))?;
        self.written.lock().map_err(|e| e.to_string())?.push((file.name, written));
        Ok(())
    }

    /// Replaces every file of the directory with the one that was written. Files that were not
    /// committed are discarded when the `Output` is dropped.
    ///
    /// # Errors
    /// A file cannot be renamed; a message.
    pub fn commit(&self) -> Result<(), String> {
        let mut written = std::mem::take(&mut *self.written.lock().map_err(|e| e.to_string())?);
        // The threads complete the files in any order.
        written.sort_unstable_by_key(|(name, _)| *name);
        for (name, file) in written {
            file.commit().map_err(|e| failed("could not rename", &self.dir.join(name), &e))?;
        }
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<AtomicFile> {
    let mut file = AtomicFile::create(path, 0o644)?;
    file.write_all(bytes)?;
    file.sync()?;
    Ok(file)
}

fn failed(act: &str, path: &Path, error: &std::io::Error) -> String {
    format!("{act} {}: {}", path.display(), Cause::from(error))
}
