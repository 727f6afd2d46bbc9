//! The copies of a U-Boot environment on block devices or in files.

use std::path::PathBuf;

use rustix::io::Errno;

use super::store_file::{Access, StoreFile};
use super::{Error, Result};
use crate::disk::uboot_env::StoredEnvironment;

/// The open copies.
#[derive(Debug)]
pub(crate) struct EnvironmentFile {
    /// Each copy: its device, and its offset there.
    copies: Vec<(StoreFile, u64)>,
    /// Length of each copy.
    size: usize,
}

impl EnvironmentFile {
    /// Opens the copies at `places`, each a node or a file and an offset, which counts from the end
    /// if it is negative. Each copy has `size` bytes.
    ///
    /// # Errors
    /// A place cannot be opened, or is not within its device (EINVAL).
    pub(crate) fn open(places: &[(PathBuf, i64)], size: usize, access: Access) -> Result<Self> {
        let open = |(path, offset): &(PathBuf, i64)| {
            let file = StoreFile::open_shared(path, access)?;
            let offset = match u64::try_from(*offset) {
                Ok(offset) => Some(offset),
                Err(_) => file.capacity().checked_sub(offset.unsigned_abs()),
            };
            let end = |offset: u64| offset.checked_add(size as u64);
            let is_inside = |offset: &u64| end(*offset).is_some_and(|end| end <= file.capacity());
            let object = format_args!("{}: {size} bytes of an environment", path.display());
            let offset = offset.filter(is_inside);
            offset.map(|at| (file, at)).ok_or_else(|| Error::new("read", object, Errno::INVAL))
        };
        Ok(Self { copies: places.iter().map(open).collect::<Result<_>>()?, size })
    }

    /// Returns the bytes of each copy; none for one that cannot be read.
    ///
    /// # Errors
    /// No copy can be read.
    pub(crate) fn read(&self) -> Result<Vec<Vec<u8>>> {
        let read = |(file, at): &(StoreFile, u64)| file.read(*at, self.size);
        let copies: Vec<_> = self.copies.iter().map(read).collect();
        if copies.iter().all(Result::is_err) {
            return copies.into_iter().collect();
        }
        Ok(copies.into_iter().map(Result::unwrap_or_default).collect())
    }

    /// Writes the environment over the copy that is not the current one, and waits until it is on
    /// the medium.
    ///
    /// # Errors
    /// The variables do not fit (ENOSPC), or the errno of the calls.
    pub(crate) fn save(&self, stored: &mut StoredEnvironment) -> Result<()> {
        let Some((file, at)) = self.copies.get(stored.next) else { return Ok(()) };
        let bytes = stored
            .encode(self.size)
            .ok_or_else(|| Error::new("write", file.path().display(), Errno::NOSPC))?;
        file.write(*at, &bytes)?;
        stored.advance();
        Ok(())
    }
}

/// flock(2): locks out fw_setenv(1) of both U-Boot and libubootenv until the file is closed.
///
/// # Errors
/// The errno of the calls.
#[cfg(feature = "host")]
pub(crate) fn lock() -> Result<std::fs::File> {
    const LOCK: &str = "/var/lock/fw_printenv.lock";
    let path = std::path::Path::new(LOCK);
    let mut options = std::fs::File::options();
    let file = options.read(true).write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|e| Error::io("open", path, &e))?;
    let operation = rustix::fs::FlockOperation::LockExclusive;
    rustix::fs::flock(&file, operation).map_err(|errno| Error::new("flock", LOCK, errno))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_written_in_turn() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("disk");
        std::fs::write(&path, [7; 1024]).unwrap();
        let places = [(path.clone(), 128), (path.clone(), -256)];
        let open = |places: &[_]| EnvironmentFile::open(places, 256, Access::Write);
        let file = open(&places).unwrap();
        let mut stored = StoredEnvironment::new(2);
        for value in ["1", "2", "3"] {
            stored.variables.set("n", value);
            file.save(&mut stored).unwrap();
            let found = StoredEnvironment::parse(&file.read().unwrap()).unwrap();
            assert_eq!(found, stored);
        }
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes[..128].iter().chain(&bytes[384..768]).all(|byte| *byte == 7));
        for offset in [769, -255, -1025, i64::MAX] {
            let error = open(&[(path.clone(), offset)]).unwrap_err().to_string();
            assert!(error.ends_with("256 bytes of an environment: Invalid argument"), "{error}");
        }
        stored.variables.set("n", &"x".repeat(256));
        assert_eq!(file.save(&mut stored).unwrap_err().cause, Errno::NOSPC);
    }
}
