//! The temporary directory of a check. A check that a signal ends leaves it behind, and the next
//! check of the same user removes it: a directory is in use while its process has a lock on it.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::sys;

/// Start of the name of the directory.
const PREFIX: &str = "coldplug-check-";
/// Age from which a directory without a lock is one that was left behind: a new one is not locked
/// yet.
const MIN_AGE: Duration = Duration::from_secs(60);

/// A temporary directory, removed at the end.
#[derive(Debug)]
pub(super) struct TemporaryDir {
    dir: TempDir,
    /// Has the lock.
    _lock: File,
}

impl TemporaryDir {
    /// Makes a directory, and removes those that were left behind.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn new() -> sys::Result<Self> {
        Self::new_in(&place())
    }

    fn new_in(place: &Path) -> sys::Result<Self> {
        remove_left(place);
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place);
        let dir = dir.map_err(|error| sys::Error::io("mkdir", place, &error))?;
        let failed = |error| sys::Error::io("open", dir.path(), &error);
        let lock = File::open(dir.path()).map_err(failed)?;
        // Without locks, as on some network filesystems, none is removed either.
        let _ = flock(&lock, FlockOperation::NonBlockingLockExclusive);
        Ok(Self { dir, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Returns the directory in which temporary files may be large.
fn place() -> PathBuf {
    const LARGE: &str = "/var/tmp";
    match std::env::var_os("TMPDIR") {
        None if Path::new(LARGE).is_dir() => LARGE.into(),
        _ => std::env::temp_dir(),
    }
}

/// Removes the directories in `place` that checks of this user have left behind. What cannot be
/// removed stays.
fn remove_left(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let has_name = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        if has_name && entry.metadata().is_ok_and(|metadata| is_own_and_old(&metadata)) {
            let path = entry.path();
            let Ok(dir) = File::open(&path) else { continue };
            if flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

/// Returns whether this is a directory of this user that is not new. A link is none.
fn is_own_and_old(metadata: &Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|time| time.elapsed().ok());
    metadata.is_dir()
        && metadata.uid() == geteuid().as_raw()
        && age.is_some_and(|age| age >= MIN_AGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    #[test]
    fn directories_that_were_left_behind_are_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let age = |path: &Path| {
            let old = SystemTime::now() - MIN_AGE * 2;
            File::open(path).unwrap().set_modified(old).unwrap();
        };
        let used = TemporaryDir::new_in(scratch.path()).unwrap();
        age(used.path());
        for name in ["coldplug-check-left", "coldplug-check-new", "coldplug-other"] {
            fs::create_dir_all(scratch.path().join(name).join("files")).unwrap();
            fs::write(scratch.path().join(name).join("files/1"), name).unwrap();
        }
        symlink("coldplug-other", scratch.path().join("coldplug-check-link")).unwrap();
        age(&scratch.path().join("coldplug-check-left"));
        age(&scratch.path().join("coldplug-other"));
        let own = TemporaryDir::new_in(scratch.path()).unwrap();
        for (name, stays) in [
            ("coldplug-check-left", false),
            ("coldplug-check-new", true),
            ("coldplug-check-link", true),
            ("coldplug-other/files/1", true),
        ] {
            assert_eq!(scratch.path().join(name).exists(), stays, "{name}");
        }
        assert!(used.path().exists() && own.path().exists());
        let path = own.path().to_owned();
        drop(own);
        assert!(!path.exists());
    }
}
