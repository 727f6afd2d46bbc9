//! Counting semaphores across processes: each place is a file with an flock(2), so that the kernel
//! releases the place of a process that dies.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{Error, Result, Root};

const DIR: &str = "run/coldplug/install";

/// Acquires one of the `limit` places of the semaphore `name`. Returns `None` if all are held; does
/// not wait. Dropping the file releases the place.
///
/// # Errors
/// The files cannot be created: /run is missing or read-only.
pub(crate) fn try_acquire(root: &Root, name: &str, limit: usize) -> Result<Option<File>> {
    let dir = root.join(DIR);
    fs::create_dir_all(&dir).map_err(|e| Error::io("mkdir", &dir, &e))?;
    for place in 0..limit {
        let file = open(&dir.join(format!("{name}.{place}")))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    file.map_err(|e| Error::io("open", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_held_until_they_are_released() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let acquire = |name| try_acquire(&root, name, 2).unwrap();
        let first = acquire("a");
        let second = acquire("a");
        assert!(first.is_some() && second.is_some() && acquire("a").is_none());
        assert!(acquire("b").is_some());
        drop(first);
        assert!(acquire("a").is_some());
    }
}
