//! The files on disk: each under another name first, on the medium before it gets its own.

use std::fs::{self, File as Handle};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::kmod::depmod::files::File;
use crate::sys::{Cause, boottime_ns};

/// The directory that the files go to.
#[derive(Debug)]
pub struct Output {
    dir: PathBuf,
    /// Tells our files from those that another run has left, or is writing: processes in containers have equal numbers.
    began: u64,
    /// Names of files that lie there under their other names.
    waiting: Mutex<Vec<&'static str>>,
}

impl Output {
    /// Writes to `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// It cannot be made, in words.
    pub fn new(dir: PathBuf) -> Result<Self, String> {
        fs::create_dir_all(&dir).map_err(|e| failed("could not create directory", &dir, &e))?;
        Ok(Self { dir, began: boottime_ns(), waiting: Mutex::default() })
    }

    /// Writes a file under another name, and waits until the medium has it.
    ///
    /// # Errors
    /// It cannot be written, in words; nothing of it is left.
    pub fn keep(&self, file: File) -> Result<(), String> {
        let path = self.aside(file.name);
        write(&path, &file.bytes).map_err(|e| {
            if e.kind() != ErrorKind::AlreadyExists {
                // The error that counts is the first one.
                let _ = fs::remove_file(&path);
            }
            failed("could not write", &self.dir.join(file.name), &e)
        })?;
        self.waiting.lock().map_err(|e| e.to_string())?.push(file.name);
        Ok(())
    }

    /// Gives every file its own name, in the place of what was there.
    ///
    /// # Errors
    /// A file cannot be renamed, in words.
    pub fn commit(&self) -> Result<(), String> {
        let mut waiting = self.waiting.lock().map_err(|e| e.to_string())?;
        // The order in which the files were made hangs on the threads.
        waiting.sort_by(|a, b| b.cmp(a));
        while let Some(&name) = waiting.last() {
            let path = self.dir.join(name);
            fs::rename(self.aside(name), &path)
                .map_err(|e| failed("could not rename", &path, &e))?;
            waiting.pop();
        }
        Ok(())
    }

    fn aside(&self, name: &str) -> PathBuf {
        self.dir.join(format!(".{name}.{}.{}", std::process::id(), self.began))
    }
}

impl Drop for Output {
    /// Takes away what was not committed.
    fn drop(&mut self) {
        for name in self.waiting.get_mut().map(std::mem::take).unwrap_or_default() {
            let _ = fs::remove_file(self.aside(name));
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = Handle::options().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

fn failed(act: &str, path: &Path, error: &std::io::Error) -> String {
    format!("{act} {}: {}", path.display(), Cause::from(error))
}
