//! A few places that processes may hold at once, each a file with an flock(2): what dies gives its place back.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{Error, Result, Root};

const FOLDER: &str = "run/coldplug/install";

/// Takes one of `places` for `name`, without waiting; `None` where all are taken. It is held until the file is dropped.
///
/// # Errors
/// The files cannot be made: there is no /run.
pub fn take(root: &Root, name: &str, places: usize) -> Result<Option<File>> {
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder).map_err(|e| Error::io("mkdir", &folder, &e))?;
    for place in 0..places {
        let file = open(&folder.join(format!("{name}.{place}")))?;
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
    fn places_are_held_until_they_are_given_back() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let take = |name| take(&root, name, 2).unwrap();
        let first = take("a");
        let second = take("a");
        assert!(first.is_some() && second.is_some() && take("a").is_none());
        assert!(take("b").is_some());
        drop(first);
        assert!(take("a").is_some());
    }
}
