//! Replacing a file in one step: readers see the old file or the complete new one.
//!
//! The new file has no name until it is complete (`O_TMPFILE`, open(2)), so that nothing remains if
//! the program is killed. On filesystems without `O_TMPFILE` it has a temporary name next to the
//! target: `.NAME.PID-NUMBER`. The leading dot keeps it out of directory listings such as
//! modprobe.d's.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
#[cfg(feature = "host")]
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use rustix::io::Errno;

use super::{Error, Result};

/// A file that is being written. If it is dropped before [`AtomicFile::commit`], the target keeps
/// its old content.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    file: File,
    target: PathBuf,
    state: State,
    /// Bytes written so far.
    size: u64,
}

/// Where the new content is.
#[derive(Debug)]
enum State {
    /// In a file without a name.
    Unnamed,
    /// In a file with a temporary name, in the directory of the target.
    Temporary(PathBuf),
    /// At the target: committed, or written in place.
    Final,
}

/// Symbolic links that are followed to the target: as many as the kernel follows.
#[cfg(feature = "host")]
const MAX_LINKS: usize = 40;
/// Temporary names that are tried.
const MAX_NAMES: u32 = 1000;

impl AtomicFile {
    /// Begins a file that replaces `target`, a symbolic link there included. Its permissions are
    /// `mode` without the bits of the umask.
    ///
    /// # Errors
    /// The directory does not exist or is not writable.
    pub(crate) fn create(target: &Path, mode: u32) -> io::Result<Self> {
        let (file, state) = match unnamed(target, mode) {
            Some(file) => (file, State::Unnamed),
            None => {
                let mut options = File::options();
                options.write(true).create_new(true).mode(mode);
                let (file, path) = with_temporary_name(target, |path| options.open(path))?;
                (file, State::Temporary(path))
            }
        };
        Ok(Self { file, target: target.to_owned(), state, size: 0 })
    }

    /// Begins a file at a path that a user has named; `-` is standard output. Symbolic links are
    /// followed. A target that exists and is not a regular file, such as a device or a pipe, or that
    /// has no name, is written in place; `mode` is for all others.
    ///
    /// # Errors
    /// As [`Self::create`]; the target is a directory; ELOOP.
    #[cfg(feature = "host")]
    pub(crate) fn create_output(path: &Path, mode: u32) -> io::Result<Self> {
        if is_standard_output(path) {
            let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
            return Ok(Self { file, target: path.to_owned(), state: State::Final, size: 0 });
        }
        if fs::metadata(path).is_ok_and(|target| !target.is_file() || target.nlink() == 0) {
            let file = File::options().write(true).open(path)?;
            return Ok(Self { file, target: path.to_owned(), state: State::Final, size: 0 });
        }
        Self::create(&follow_links(path)?, mode)
    }

    /// fdatasync(2): waits until the bytes are on the medium. A pipe has no medium.
    ///
    /// # Errors
    /// The answer of the kernel, such as ENOSPC.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self.file.sync_data() {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
            done => done,
        }
    }

    /// Puts the file in the place of its target and returns its size in bytes. Does not sync.
    ///
    /// # Errors
    /// The answers of linkat(2) and rename(2). The target then keeps its old content.
    pub(crate) fn commit(mut self) -> io::Result<u64> {
        if matches!(self.state, State::Unnamed) {
            let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let link = |path: &Path| {
                linkat(CWD, &own, CWD, path, AtFlags::SYMLINK_FOLLOW).map_err(io::Error::from)
            };
            self.state = match link(&self.target) {
                Ok(()) => State::Final,
                // linkat(2) replaces nothing.
                Err(_) => State::Temporary(with_temporary_name(&self.target, link)?.1),
            };
        }
        if let State::Temporary(path) = &self.state {
            fs::rename(path, &self.target)?;
            self.state = State::Final;
        }
        Ok(self.size)
    }
}

/// Returns whether a path that a user has named for output is `-`, which means standard output.
#[cfg(feature = "host")]
pub(crate) fn is_standard_output(path: &Path) -> bool {
    path == Path::new("-")
}

/// Returns the name of an output in messages.
#[cfg(feature = "host")]
pub(crate) fn output_name(path: &Path) -> &Path {
    if is_standard_output(path) { Path::new("standard output") } else { path }
}

/// Replaces the file at `path` with `bytes` and creates missing directories above it. With
/// `durable`, the bytes are on the medium before the file gets its name. If several processes
/// write at once, the last commit wins.
///
/// # Errors
/// A directory or the file cannot be written. The file then keeps its old content.
pub(crate) fn replace(path: &Path, bytes: &[u8], durable: bool) -> Result<()> {
    let failed = |op| move |e: io::Error| Error::io(op, path, &e);
    let dir = path.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(dir).map_err(|e| Error::io("mkdir", dir, &e))?;
    // Not 0666: some kernels before 6.0 ignore the umask for O_TMPFILE.
    let mut file = AtomicFile::create(path, 0o644).map_err(failed("write"))?;
    file.write_all(bytes).map_err(failed("write"))?;
    if durable {
        file.sync().map_err(failed("write"))?;
    }
    file.commit().map_err(failed("rename")).map(drop)
}

/// Returns the path that symbolic links at `path` lead to, even if nothing exists there yet.
///
/// # Errors
/// ELOOP.
#[cfg(feature = "host")]
pub(crate) fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.with_file_name("").join(target),
            // Not a link, or nothing there.
            Err(_) => return Ok(path),
        }
    }
    Err(Errno::LOOP.into())
}

/// Calls `act` with temporary names for `target` until one is free. Returns the result of `act` and
/// the name.
fn with_temporary_name<T>(
    target: &Path,
    act: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(T, PathBuf)> {
    let mut exists = io::Error::from(Errno::EXIST);
    for number in 0..MAX_NAMES {
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{}-{number}", std::process::id()));
        let path = target.with_file_name(name);
        match act(&path) {
            Ok(done) => return Ok((done, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => exists = error,
            Err(error) => return Err(error),
        }
    }
    Err(exists)
}

/// Opens a file without a name in the directory of `target`. Returns `None` if the filesystem does
/// not support that, or if /proc, which [`AtomicFile::commit`] names the file by, is not mounted.
fn unnamed(target: &Path, mode: u32) -> Option<File> {
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or_else(|| Path::new("."));
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = File::from(open(dir, flags, Mode::from(mode)).ok()?);
    Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())).exists().then_some(file)
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let State::Temporary(path) = &self.state {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn a_file_is_replaced_on_commit_and_nothing_else_remains() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a");
        fs::write(&path, "old").unwrap();
        let mut half = AtomicFile::create(&path, 0o644).unwrap();
        half.write_all(b"half").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        drop(half);
        let mut new = AtomicFile::create(&path, 0o600).unwrap();
        new.write_all(b"new").unwrap();
        new.sync().unwrap();
        assert_eq!(new.commit().unwrap(), 3);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let mode = fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(count(scratch.path()), 1);
    }

    #[test]
    fn replace_creates_directories_and_leaves_nothing_behind() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a/b/c");
        replace(&path, b"1", true).unwrap();
        replace(&path, b"2", false).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        let dir = path.parent().unwrap();
        assert_eq!(count(dir), 1);
        let error = replace(&dir.join("c/d"), b"3", false).unwrap_err();
        assert!(error.to_string().starts_with("mkdir "), "{error}");
        fs::create_dir(dir.join("e")).unwrap();
        assert!(replace(&dir.join("e"), b"3", false).is_err());
        assert_eq!(count(dir), 2);
    }

    /// A killed process leaves its temporary file on a filesystem without `O_TMPFILE`.
    #[test]
    fn a_temporary_name_in_use_is_skipped() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a");
        let stale = scratch.path().join(format!(".a.{}-0", std::process::id()));
        fs::write(&stale, "stale").unwrap();
        replace(&path, b"new", false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_to_string(&stale).unwrap(), "stale");
        let create = |path: &Path| File::options().write(true).create_new(true).open(path);
        let (_, free) = with_temporary_name(&path, create).unwrap();
        assert!(free.ends_with(format!(".a.{}-1", std::process::id())));
    }

    #[cfg(feature = "host")]
    #[test]
    fn output_follows_links_and_writes_devices_in_place() {
        use std::os::unix::fs::symlink;
        fn put(path: &Path, text: &str) -> io::Result<u64> {
            let mut file = AtomicFile::create_output(path, 0o666)?;
            file.write_all(text.as_bytes())?;
            file.sync()?;
            file.commit()
        }
        let scratch = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| scratch.path().join(name));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        put(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        fs::remove_file(&file).unwrap();
        put(&link, "again").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "again");
        let own = scratch.path().join("own");
        symlink("own", &own).unwrap();
        assert!(put(&own, "x").is_err());
        assert_eq!(put(Path::new("/dev/null"), "gone").unwrap(), 4);
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert_eq!(put(Path::new("/dev/full"), "x").unwrap_err().raw_os_error(), Some(28));
        assert!(put(scratch.path(), "x").is_err());
        assert!(put(&scratch.path().join("no/file"), "x").is_err());
    }
}
