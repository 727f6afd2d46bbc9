//! A device or file that holds one record, read and written at offsets.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

use super::read_at::read_at;
use super::{Cause, Error, Result};
use crate::byte_text;
use crate::disk;
use crate::escape;

/// Most bytes that are written.
const CAPACITY: u64 = 1 << 20;
/// Flags of open(2) without an access mode.
const FLAGS: OFlags =
    OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// The use of a device or file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// To write a file, which is created if it is missing.
    Create,
}

impl Access {
    /// Returns whether something is to be written.
    pub(crate) fn writes(self) -> bool {
        self != Self::Read
    }
}

/// An open device or file.
#[derive(Debug)]
pub(crate) struct StoreFile {
    file: File,
    path: PathBuf,
    size: u64,
    capacity: u64,
}

impl StoreFile {
    /// Opens the block device at `node`, whose size is `size`.
    ///
    /// # Errors
    /// It is no block device, or it is to be written and is in use (EBUSY) or read-only.
    pub(crate) fn open_device(node: &Path, size: u64, access: Access) -> Result<Self> {
        let failed = |e: io::Error| Error::io("open", node, &e);
        // O_EXCL: fails if a filesystem on it is mounted, or another driver has it. A reader does
        // not set it, because others would get EBUSY meanwhile.
        let exclusive = if access.writes() { OFlags::EXCL } else { OFlags::empty() };
        let flags = FLAGS | exclusive;
        let file = File::options()
            .read(true)
            .write(access.writes())
            .custom_flags(flags.bits().cast_signed())
            .open(node)
            .map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        match kind.is_block_device() {
            true => Ok(Self { file, path: node.to_owned(), size, capacity: size.min(CAPACITY) }),
            false => Err(Error::new("open", escape::path(&node), Cause::NotBlockDevice)),
        }
    }

    /// Opens the block device or regular file at `path`, whose other parts may be in use.
    ///
    /// # Errors
    /// It is neither, or cannot be opened.
    pub(crate) fn open_shared(path: &Path, access: Access) -> Result<Self> {
        let failed = |e: io::Error| Error::io("open", path, &e);
        let mut options = File::options();
        let options = options.read(true).write(access.writes());
        let mut file =
            options.custom_flags(FLAGS.bits().cast_signed()).open(path).map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        if !kind.is_block_device() && !kind.is_file() {
            return Err(Error::new("open", escape::path(&path), Cause::NotBlockDevice));
        }
        let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { file, path: path.to_owned(), size, capacity: size })
    }

    /// Opens the regular file `path` below the directory `dir`.
    ///
    /// # Errors
    /// It is no regular file, or it is to be written and cannot be.
    pub(crate) fn open_file(dir: BorrowedFd<'_>, path: &str, access: Access) -> Result<Self> {
        let mode = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
            Access::Create => OFlags::RDWR | OFlags::CREATE,
        };
        let flags = FLAGS | mode;
        let path = byte_text::to_path(path);
        let file = openat(dir, &*path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| Error::new("open", escape::path(&*path), e))?;
        let (file, path) = (File::from(file), path.into_owned());
        let metadata = file.metadata().map_err(|e| Error::io("open", &path, &e))?;
        match metadata.is_file() {
            true => Ok(Self { file, path, size: metadata.len(), capacity: CAPACITY }),
            false => Err(Error::new("open", escape::path(&path), Cause::NotRegular)),
        }
    }

    /// Returns the path that it was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the number of bytes that have room.
    pub(crate) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// pread(2): returns `len` bytes at `offset`, or those that there are.
    ///
    /// # Errors
    /// The errno of the call.
    pub(crate) fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        read_at(&self.file, offset, len).map_err(|e| Error::io("read", &self.path, &e))
    }

    /// pwrite(2), fsync(2): writes `bytes` at `offset` and waits until they are on the medium.
    ///
    /// # Errors
    /// The errno of the calls.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let failed = |op| move |e: io::Error| Error::io(op, &self.path, &e);
        self.file.write_all_at(bytes, offset).map_err(failed("write"))?;
        self.file.sync_all().map_err(failed("fsync"))
    }
}

impl disk::Source for StoreFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_file_is_read_and_written_at_offsets() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = File::open(scratch.path()).unwrap();
        let open = |name: &str, access| StoreFile::open_file(dir.as_fd(), name, access);
        assert_eq!(
            open("f", Access::Write).unwrap_err().to_string(),
            "open f: No such file or directory"
        );
        let file = open("f", Access::Create).unwrap();
        assert_eq!(file.read(0, 10), Ok(Vec::new()));
        file.write(3, b"abc").unwrap();
        assert_eq!(file.read(0, 10), Ok(b"\0\0\0abc".to_vec()));
        assert_eq!(file.read(4, 1), Ok(b"b".to_vec()));
        std::os::unix::fs::symlink("f", scratch.path().join("link")).unwrap();
        assert!(open("link", Access::Write).is_err() && open(".", Access::Read).is_err());
        let reader = open("f", Access::Read).unwrap();
        assert_eq!(reader.read(3, 3), Ok(b"abc".to_vec()));
        assert!(reader.write(0, b"x").is_err());
        for access in [Access::Read, Access::Write] {
            assert!(StoreFile::open_device(&scratch.path().join("f"), 1, access).is_err());
        }
    }
}
