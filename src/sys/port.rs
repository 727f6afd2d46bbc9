//! Writing to a port that may be slow or have no reader, such as a serial or virtio port.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{BootTime, Cause, Error, Result, watchdog};

/// Longest sleep between two looks whether the watchdog wants a ping.
const PING_INTERVAL: Duration = Duration::from_millis(500);

/// How long a port may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// Longest wait for the port to accept the next byte.
    pub(crate) stall: Duration,
    /// Longest time for all bytes.
    pub(crate) total: Duration,
}

/// Writes `bytes` to the port or file at `path`. `create` creates the file if it does not exist.
///
/// # Errors
/// It cannot be opened or written; a block device; PIPE if the host end of a virtio port is not
/// connected; TIME after a timeout.
pub(crate) fn write(path: &Path, bytes: &[u8], create: bool, timeouts: Timeouts) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("write", path, &e);
    let deadline = BootTime::now() + timeouts.total;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut port = OpenOptions::new();
    let mut port =
        port.write(true).create(create).custom_flags(flags).open(path).map_err(failed)?;
    let kind = port.metadata().map_err(failed)?.file_type();
    if kind.is_block_device() {
        let cause = Cause::Other("it is a block device".to_owned());
        return Err(Error::new("write", path.display(), cause));
    }
    if kind.is_file() {
        port.set_len(0).map_err(failed)?;
    }
    let mut rest = bytes;
    let mut progress = BootTime::now();
    while !rest.is_empty() {
        ping_watchdog();
        match port.write(rest) {
            Ok(count) => {
                rest = &rest[count..];
                progress = BootTime::now();
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                wait_until_writable(port.as_fd(), deadline.min(progress + timeouts.stall))
                    .map_err(|errno| Error::new("write", path.display(), errno))?;
            }
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(())
}

/// Pings the watchdog of the boot. A ping that fails is no failure of the port.
fn ping_watchdog() {
    let _ = watchdog::ping_if_due();
}

/// poll(2): waits until the descriptor accepts a byte.
///
/// # Errors
/// PIPE if its other end is not connected, TIME at `end`.
fn wait_until_writable(fd: BorrowedFd<'_>, end: BootTime) -> std::result::Result<(), Errno> {
    loop {
        ping_watchdog();
        let left = end - BootTime::now();
        let sleep = left.min(PING_INTERVAL);
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
        match poll(&mut fds, Timespec::try_from(sleep).ok().as_ref()) {
            Err(Errno::INTR) | Ok(0) if !left.is_zero() => {}
            Err(errno) => return Err(errno),
            Ok(0) => return Err(Errno::TIME),
            // A virtio port without a reader reports POLLHUP and accepts nothing.
            Ok(_) if !fds[0].revents().contains(PollFlags::OUT) => return Err(Errno::PIPE),
            Ok(_) if left.is_zero() => return Err(Errno::TIME),
            Ok(_) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_and_a_full_pipe_times_out() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        let timeouts =
            |ms| Timeouts { stall: Duration::from_millis(ms), total: Duration::from_secs(60) };
        write(&path, b"longer text", true, timeouts(0)).unwrap();
        write(&path, b"text", false, timeouts(0)).unwrap();
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
        for stall in [10, 600] {
            let began = BootTime::now();
            let error = write(&fifo, &[0; 1 << 20], false, timeouts(stall)).unwrap_err();
            assert_eq!(error.cause, Cause::Errno(Errno::TIME));
            assert!(began.elapsed() >= Duration::from_millis(stall), "a ping ends no wait");
        }
    }
}
