//! Writing to a port that may be slow or have no reader, such as a serial or virtio port.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Error, Result};

/// Writes `bytes` to the port or file at `path`, which is created if it does not exist. Gives up if
/// the port accepts no byte for `stall_timeout`.
///
/// # Errors
/// It cannot be opened or written; ETIME after `stall_timeout`.
pub(crate) fn write(path: &Path, bytes: &[u8], stall_timeout: Duration) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("write", path, &e);
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut port = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(flags)
        .open(path)
        .map_err(failed)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        match port.write(rest) {
            Ok(count) => rest = &rest[count..],
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let mut fds = [PollFd::from_borrowed_fd(port.as_fd(), PollFlags::OUT)];
                let timeout = Timespec::try_from(stall_timeout).ok();
                if poll(&mut fds, timeout.as_ref()) == Ok(0) {
                    return Err(Error::new("write", path.display(), Errno::TIME));
                }
            }
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Cause;

    #[test]
    fn a_file_is_written_and_a_full_pipe_times_out() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        write(&path, b"text", Duration::ZERO).unwrap();
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
        let error = write(&fifo, &[0; 1 << 20], Duration::from_millis(10)).unwrap_err();
        assert_eq!(error.cause, Cause::Errno(Errno::TIME));
    }
}
