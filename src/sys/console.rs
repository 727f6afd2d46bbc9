//! /dev/console, written without blocking: the terminal behind it may have stopped the output
//! (XOFF, a modem line), or nobody may read it.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::{Error, Result, Root};
use crate::escape;

/// Flags of open(2): no wait, and no controlling terminal.
const FLAGS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

/// Milliseconds that this process may still wait for the console, in total. Later lines are dropped
/// while the console accepts nothing.
static STALL_LEFT_MS: AtomicU64 = AtomicU64::new(2000);

/// The console, open for writing.
#[derive(Debug)]
pub(crate) struct Console(File);

impl Console {
    /// Opens /dev/console.
    ///
    /// # Errors
    /// There is no console.
    pub(crate) fn open(root: &Root) -> Result<Self> {
        Self::open_at(&root.join("dev/console"))
    }

    /// Opens the terminal or file at `path`.
    ///
    /// # Errors
    /// The errno of open(2).
    fn open_at(path: &std::path::Path) -> Result<Self> {
        OpenOptions::new()
            .write(true)
            .custom_flags(FLAGS.bits().cast_signed())
            .open(path)
            .map(Self)
            .map_err(|e| Error::io("open", path, &e))
    }

    /// Prints one line. Whatever it holds, it stays one line and leaves the terminal as it is. What
    /// the console does not accept in time is dropped.
    pub(crate) fn print(&self, line: &str) {
        write(self.0.as_fd(), format!("{}\n", escape::line(line)).as_bytes());
    }
}

/// Prints one line to descriptor 1, which may block: it waits until the descriptor accepts
/// something, as [`Console::print`] does, and writes then.
pub(crate) fn print_to_stdout(line: &str) {
    if wait_until_writable(rustix::stdio::stdout()) {
        let _ = std::io::stdout().write_all(format!("{}\n", escape::line(line)).as_bytes());
    }
}

/// Prints a line to the console and to the kernel log. Allocates nothing: a signal handler may call
/// it.
pub(super) fn print_last(line: &[u8]) {
    let open = |path: &CStr| open(path, OFlags::WRONLY | FLAGS | OFlags::CLOEXEC, Mode::empty());
    if let Ok(kmsg) = open(c"/dev/kmsg") {
        // One write is one record. The kernel does not print its copy: "daemon", LOG_DEBUG.
        let parts = [IoSlice::new(b"<31>"), IoSlice::new(line), IoSlice::new(b"\n")];
        let _ = rustix::io::writev(kmsg, &parts);
    }
    if let Ok(console) = open(c"/dev/console") {
        write(console.as_fd(), line);
        write(console.as_fd(), b"\n");
    }
}

/// Writes `bytes` to a descriptor that does not block, until that has to wait for longer than
/// [`STALL_LEFT_MS`].
fn write(fd: BorrowedFd<'_>, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(fd, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if wait_until_writable(fd) => {}
            // Nobody is left to report a failed write to.
            Err(_) => return,
        }
    }
}

/// Waits until the descriptor accepts bytes. Returns false at the end of [`STALL_LEFT_MS`], or if
/// the other end is closed.
fn wait_until_writable(fd: BorrowedFd<'_>) -> bool {
    let start = Instant::now();
    let budget = Duration::from_millis(STALL_LEFT_MS.load(Ordering::Relaxed));
    let writable = loop {
        let left = budget.saturating_sub(start.elapsed());
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Err(Errno::INTR) if !left.is_zero() => {}
            Ok(1..) => break fds[0].revents().contains(PollFlags::OUT),
            _ => break false,
        }
    };
    let left = budget.saturating_sub(start.elapsed()).as_millis();
    STALL_LEFT_MS.store(u64::try_from(left).unwrap_or(0), Ordering::Relaxed);
    writable
}
