//! Writing to a port that may be slow or have no reader, such as a serial or virtio port.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Cause, Error, Result};
use crate::escape;

/// A port or file, open for writing. A regular file may block for as long as its disk does, so this
/// is not for PID 1.
#[derive(Debug)]
pub(crate) struct Port {
    file: File,
    path: PathBuf,
}

impl Port {
    /// Opens the port or file at `path`. `create` creates the file if it does not exist. A file is
    /// emptied.
    ///
    /// # Errors
    /// It cannot be opened; a block device.
    pub(crate) fn open(path: PathBuf, create: bool) -> Result<Self> {
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let mut options = OpenOptions::new();
        let opened = options.write(true).create(create).custom_flags(flags).open(&path);
        let opened = opened.and_then(|file| {
            let kind = file.metadata()?.file_type();
            if kind.is_file() {
                file.set_len(0)?;
            }
            Ok((file, kind.is_block_device()))
        });
        match opened.map_err(|e| Error::io("write", &path, &e))? {
            (_, true) => {
                let cause = Cause::Other("it is a block device".to_owned());
                Err(Error::new("write", escape::path(&path), cause))
            }
            (file, false) => Ok(Self { file, path }),
        }
    }

    /// Returns the open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Writes as many bytes as the port accepts at once, and returns how many.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> usize {
        self.file.write(bytes).unwrap_or(0)
    }

    /// Writes all bytes. The port may accept nothing for as long as `stall`.
    ///
    /// # Errors
    /// They cannot be written; PIPE if the host end of a virtio port is not connected; TIME after
    /// the timeout.
    pub(crate) fn write_all(&mut self, bytes: &[u8], stall: Duration) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    wait_until_writable(self.file.as_fd(), stall)
                        .map_err(|errno| Error::new("write", escape::path(&self.path), errno))?;
                }
                Err(e) => return Err(Error::io("write", &self.path, &e)),
            }
        }
        Ok(())
    }
}

/// poll(2): waits until the descriptor accepts a byte.
///
/// # Errors
/// PIPE if its other end is not connected, TIME after `timeout`.
fn wait_until_writable(fd: BorrowedFd<'_>, timeout: Duration) -> std::result::Result<(), Errno> {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    match poll(&mut fds, Timespec::try_from(timeout).ok().as_ref())? {
        0 => Err(Errno::TIME),
        // A virtio port without a reader reports POLLHUP and accepts nothing.
        _ if !fds[0].revents().contains(PollFlags::OUT) => Err(Errno::PIPE),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::Instant;

    #[test]
    fn a_file_is_written_and_a_full_pipe_times_out() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        let stall = Duration::from_millis(10);
        let write = |path: &Path, bytes: &[u8], create| {
            Port::open(path.to_owned(), create)?.write_all(bytes, stall)
        };
        write(&path, b"longer text", true).unwrap();
        write(&path, b"text", false).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
        let fifo = scratch.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let _reader = OpenOptions::new().read(true).custom_flags(flags).open(&fifo).unwrap();
        let began = Instant::now();
        let error = write(&fifo, &vec![0; 1 << 20], false).unwrap_err();
        assert_eq!(error.cause, Cause::Errno(Errno::TIME));
        assert!(began.elapsed() >= stall);
    }
}
