//! Files that come with the image or that the kernel command line names: regular files, up to a
//! limit of bytes.
//!
//! open(2) of a FIFO waits for a writer, a read from a terminal waits for a key, /dev/zero has no
//! end, and the open of a watchdog starts it. PID 1 must survive all of them in the place of a
//! file.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Cause, Error, Result, descriptors, raw};
use crate::escape;

/// Longest configuration file, in bytes.
pub(crate) const CONFIG_LIMIT: usize = 4 << 20;
/// Longest boot record or list of modules, in bytes.
pub(crate) const RECORD_LIMIT: usize = 8 << 20;

/// Files from this size in bytes on are mapped by [`contents`].
const MAP_SIZE: u64 = 16 << 20;

/// The bytes of a file. Of a large file only the pages in use are in memory: it is mapped. If
/// another process truncates it, the next access kills this one (SIGBUS), so PID 1 and its worker
/// read.
#[derive(Debug)]
pub(crate) enum FileBytes {
    /// Bytes that were read or decoded.
    Read(Vec<u8>),
    /// A large file.
    Mapped(raw::Map),
}

impl FileBytes {
    /// mmap(2): maps a file. An empty file is EINVAL.
    ///
    /// # Errors
    /// The errno of the call.
    pub(crate) fn map(file: impl AsFd) -> rustix::io::Result<Self> {
        raw::Map::new(file).map(Self::Mapped)
    }

    /// Maps `file` if it has `size` bytes or more.
    ///
    /// # Errors
    /// mmap(2) or fstat(2) fails.
    pub(super) fn map_if_large(file: &File, size: u64) -> rustix::io::Result<Option<Self>> {
        let is_large = rustix::fs::fstat(file)?.st_size.cast_unsigned() >= size;
        is_large.then(|| Self::map(file)).transpose()
    }
}

impl Default for FileBytes {
    fn default() -> Self {
        Self::Read(Vec::new())
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Mapped(map) => map.as_ref(),
        }
    }
}

/// open(2): opens the regular file at `path` read-only, without waiting for anything.
///
/// # Errors
/// There is no such file, or it is not a regular file.
pub(crate) fn open(path: &Path) -> Result<File> {
    Ok(open_with_metadata(path)?.0)
}

/// open(2): opens the regular file or the device with storage at `path` read-only, without waiting
/// for a writer, a terminal or the like.
///
/// # Errors
/// There is no such file, or it is something else.
pub(crate) fn open_or_device(path: &Path) -> Result<File> {
    Ok(open_if(path, |metadata| metadata.is_file() || metadata.file_type().is_block_device())?.0)
}

fn open_with_metadata(path: &Path) -> Result<(File, Metadata)> {
    open_if(path, Metadata::is_file)
}

fn open_if(path: &Path, is_wanted: impl Fn(&Metadata) -> bool) -> Result<(File, Metadata)> {
    let failed = |e: std::io::Error| Error::io("open", path, &e);
    let check = |metadata: Metadata| match is_wanted(&metadata) {
        true => Ok(metadata),
        false => Err(Error::new("open", escape::path(&path), Cause::NotRegular)),
    };
    // Before the open, because the open of a device may have effects.
    check(fs::metadata(path).map_err(failed)?)?;
    // O_NOCTTY and O_NONBLOCK for what has taken the place of the file meanwhile.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = check(file.metadata().map_err(failed)?)?;
    Ok((file, metadata))
}

/// Returns the content of the regular file at `path`.
///
/// # Errors
/// There is no such file, it is not a regular file, it is larger than `limit` bytes, or it cannot
/// be read.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let (mut file, metadata) = open_with_metadata(path)?;
    let mut bytes = Vec::new();
    read_to_end(&mut file, metadata.len(), limit, &mut bytes)
        .map_err(|cause| Error::new("read", escape::path(&path), cause))?;
    Ok(bytes)
}

/// Returns the content of the regular file at `path` as [`read`] does; a large file is mapped.
///
/// # Errors
/// As [`read`], or mmap(2) fails.
#[cfg(feature = "host")]
pub(crate) fn contents(path: &Path, limit: usize) -> Result<FileBytes> {
    let (mut file, metadata) = open_with_metadata(path)?;
    let failed = |cause: Cause| Error::new("read", escape::path(path), cause);
    if metadata.len() > limit as u64 {
        return Err(failed(Cause::TooLarge(limit)));
    }
    if let Some(map) =
        FileBytes::map_if_large(&file, MAP_SIZE).map_err(|errno| failed(errno.into()))?
    {
        return Ok(map);
    }
    let mut bytes = Vec::new();
    read_to_end(&mut file, metadata.len(), limit, &mut bytes).map_err(failed)?;
    Ok(FileBytes::Read(bytes))
}

/// Returns the content of the regular file at `path` as [`read`] does. A link to /dev/null is an
/// empty file.
///
/// # Errors
/// As [`read`].
#[cfg(feature = "host")]
pub(crate) fn read_or_null(path: &Path, limit: usize) -> Result<Vec<u8>> {
    or_null(path, read(path, limit))
}

/// Returns the empty content if `path` leads to /dev/null, or else `result`.
#[cfg(feature = "host")]
pub(crate) fn or_null<T: Default>(path: &Path, result: Result<T>) -> Result<T> {
    match result {
        Err(error) if error.cause == Cause::NotRegular && is_null_device(path) => Ok(T::default()),
        result => result,
    }
}

/// Returns the content of the regular file at `path` as [`read`] does, or `None` if it cannot be
/// opened: kmod silently ignores such files. A link to /dev/null, by which administrators mask a
/// file of the distribution, is an empty file.
///
/// # Errors
/// It is not a regular file, it is larger than `limit` bytes, or it cannot be read.
pub(crate) fn read_if_opened(path: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
    match read(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => match error.cause {
            Cause::NotRegular if is_null_device(path) => Ok(Some(Vec::new())),
            Cause::Errno(_) if error.op == "open" => Ok(None),
            _ => Err(error),
        },
    }
}

/// Returns whether `path` leads to /dev/null.
pub(crate) fn is_null_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| {
        metadata.file_type().is_char_device() && descriptors::is_null(metadata.rdev())
    })
}

/// Returns the content of the regular file at `path` as text.
///
/// # Errors
/// As [`read`], or the content is not UTF-8.
pub(crate) fn read_text(path: &Path, limit: usize) -> Result<String> {
    let bytes = read(path, limit)?;
    String::from_utf8(bytes).map_err(|_| Error::new("read", escape::path(&path), Cause::NotUtf8))
}

/// Appends the rest of `file` to `bytes`: at most `limit` bytes, even if the file grows meanwhile.
/// `len` is the length that fstat(2) returned.
///
/// # Errors
/// The file is larger than the limit, the memory does not suffice, or read(2) fails.
pub(super) fn read_to_end(
    file: &mut File,
    len: u64,
    limit: usize,
    bytes: &mut Vec<u8>,
) -> std::result::Result<(), Cause> {
    if len > limit as u64 {
        return Err(Cause::TooLarge(limit));
    }
    let len = usize::try_from(len).unwrap_or(limit);
    // One byte more, so that the last read(2), which finds the end, needs no larger buffer.
    bytes.try_reserve_exact(len + 1).map_err(|_| Cause::Errno(Errno::NOMEM))?;
    let start = bytes.len();
    // Files in /proc and /sys have the length 0.
    file.take(limit as u64 + 1).read_to_end(bytes).map_err(|e| Cause::from(&e))?;
    match bytes.len() - start > limit {
        true => Err(Cause::TooLarge(limit)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        fs::write(path("file"), "text").unwrap();
        fs::write(path("empty"), "").unwrap();
        fs::write(path("binary"), [0xff]).unwrap();
        fs::create_dir(path("directory")).unwrap();
        mknodat(CWD, path("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, path(name)).unwrap();
        link("fifo", "to-fifo");
        link("file", "to-file");
        link("loop", "loop");
        let sparse = File::create(path("sparse")).unwrap();
        sparse.set_len(3 << 20).unwrap();
        for (name, limit, want) in [
            ("file", 4, "text"),
            ("to-file", 4, "text"),
            ("empty", 0, ""),
            ("file", 3, "read file: larger than the limit of 3 bytes"),
            ("sparse", 2 << 20, "read sparse: larger than the limit of 2 MiB"),
            ("binary", 9, "read binary: not valid UTF-8"),
            ("missing", 9, "open missing: No such file or directory"),
            ("loop", 9, "open loop: Too many levels of symbolic links"),
            ("directory", 9, "open directory: not a regular file"),
            ("fifo", 9, "open fifo: not a regular file"),
            ("to-fifo", 9, "open to-fifo: not a regular file"),
            ("socket", 9, "open socket: not a regular file"),
            ("/dev/zero", 9, "open /dev/zero: not a regular file"),
            ("/dev/null", 9, "open /dev/null: not a regular file"),
            // fstat(2) returns a length of 0 for it.
            (
                "/proc/self/mountinfo",
                9,
                "read /proc/self/mountinfo: larger than the limit of 9 bytes",
            ),
        ] {
            let found = read_text(&path(name), limit).unwrap_or_else(|e| e.to_string());
            let dir = format!("{}/", scratch.path().display());
            assert_eq!(found.replace(&dir, ""), want, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_opened_counts_as_missing() {
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(read_if_opened(&scratch.path().join("none"), 9), Ok(None));
        let error = read_if_opened(scratch.path(), 9).unwrap_err();
        assert_eq!(error.cause, Cause::NotRegular);
    }

    #[test]
    fn a_file_that_grows_is_not_read_beyond_the_limit() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("f");
        fs::write(&path, [b'x'; 100]).unwrap();
        let mut bytes = Vec::new();
        let result = read_to_end(&mut open(&path).unwrap(), 5, 10, &mut bytes);
        assert_eq!((result, bytes.len()), (Err(Cause::TooLarge(10)), 11));
    }
}
