//! Writing to a port that may be slow or have no reader, such as a serial or virtio port.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Cause, Error, Result};
use crate::escape;

/// Writes a text to the port or file at `path`: what `bytes` returns for the open port. `create`
/// creates the file if it does not exist. A port may accept nothing for as long as `stall`. A regular file may block for as long as its disk
/// does, so this is not for PID 1.
///
/// # Errors
/// It cannot be opened or written; a block device; PIPE if the host end of a virtio port is not
/// connected; TIME after the timeout.
pub(crate) fn write(
    path: &Path,
    bytes: impl FnOnce(&File) -> Vec<u8>,
    create: bool,
    stall: Duration,
) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("write", path, &e);
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut port = OpenOptions::new();
    let mut port =
        port.write(true).create(create).custom_flags(flags).open(path).map_err(failed)?;
    let kind = port.metadata().map_err(failed)?.file_type();
    if kind.is_block_device() {
        let cause = Cause::Other("it is a block device".to_owned());
        return Err(Error::new("write", escape::path(&path), cause));
    }
    if kind.is_file() {
        port.set_len(0).map_err(failed)?;
    }
    let bytes = bytes(&port);
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        match port.write(rest) {
            Ok(count) => rest = &rest[count..],
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                wait_until_writable(port.as_fd(), stall)
                    .map_err(|errno| Error::new("write", escape::path(&path), errno))?;
            }
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(())
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
    use std::time::Instant;

    #[test]
    fn a_file_is_written_and_a_full_pipe_times_out() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        let stall = Duration::from_millis(10);
        write(&path, |_| b"longer text".to_vec(), true, stall).unwrap();
        write(&path, |_| b"text".to_vec(), false, stall).unwrap();
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
        let error = write(&fifo, |_| vec![0; 1 << 20], false, stall).unwrap_err();
        assert_eq!(error.cause, Cause::Errno(Errno::TIME));
        assert!(began.elapsed() >= stall);
    }
}
