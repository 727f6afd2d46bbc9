//! /dev/console, written without blocking: the terminal behind it may have stopped the output
//! (XOFF, a modem line), or nobody may read it.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::{Error, Result, Root, procfs};
use crate::escape;

/// Flags of open(2): no wait, and no controlling terminal.
const FLAGS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

/// Milliseconds that this process may still wait for a console that accepts nothing, in total. Later
/// lines are dropped. A console that is slow accepts a few bytes now and then, and costs nothing.
static STALL_LEFT_MS: AtomicU64 = AtomicU64::new(2000);
/// What [`reserve_time`] leaves for the lines that follow.
const RESERVE_MS: u64 = 1000;
/// Interval of the attempts to write: a terminal becomes writable for poll(2) only when its buffer
/// is almost empty, which takes seconds at 9600 baud.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// Whether the last line was cut. The next one then starts with a newline.
static IS_CUT: AtomicBool = AtomicBool::new(false);

/// Whether a status is on the console.
static HAS_STATUS: AtomicBool = AtomicBool::new(false);
/// Longest status, in bytes: a line that wraps would not be erased.
pub(crate) const MAX_STATUS: usize = 79;
/// EL of ECMA-48: erases from the cursor to the end of the line. The cursor stands before a status.
const ERASE: &[u8] = b"\x1b[K";

/// Number of lines that this process has printed.
static LINES: AtomicU64 = AtomicU64::new(0);

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
        self.erase_status();
        LINES.fetch_add(1, Ordering::Relaxed);
        if IS_CUT.load(Ordering::Relaxed) && write(self.0.as_fd(), b"\n") {
            IS_CUT.store(false, Ordering::Relaxed);
        }
        write(self.0.as_fd(), format!("{}\n", escape::line(line)).as_bytes());
    }
}

impl Console {
    /// Shows a line that the next line, or the next status, replaces. The cursor goes to its start, so
    /// that a message of the kernel replaces it too.
    pub(crate) fn show_status(&self, status: &str) {
        HAS_STATUS.store(true, Ordering::Relaxed);
        let mut status = escape::line(status).into_owned();
        while status.len() > MAX_STATUS {
            status.pop();
        }
        write(self.0.as_fd(), &[ERASE, status.as_bytes(), b"\r"].concat());
    }

    /// Erases the status, if there is one.
    pub(crate) fn erase_status(&self) {
        if HAS_STATUS.swap(false, Ordering::Relaxed) {
            write(self.0.as_fd(), ERASE);
        }
    }
}

/// Returns whether the messages of the kernel appear at `file`: /dev/console, or a terminal that
/// /proc/consoles lists.
pub(crate) fn is_console(root: &Root, file: &File) -> bool {
    let number = |path: std::path::PathBuf| std::fs::metadata(path).ok().map(|node| node.rdev());
    let Ok(own) = file.metadata() else { return false };
    let names = procfs::consoles(root);
    let names = names.iter().map(String::as_str).chain(["console"]);
    let mut nodes = names.map(|name| root.join("dev").join(name));
    own.file_type().is_char_device() && nodes.any(|node| number(node) == Some(own.rdev()))
}

/// Keeps the messages of the kernel off the consoles until it is dropped, except for emergencies.
#[derive(Debug)]
pub(crate) struct QuietKernel {
    root: Root,
    /// The first number of kernel.printk before.
    level: Option<String>,
}

impl QuietKernel {
    const LEVEL: &str = "kernel/printk";

    /// Silences the kernel, if it allows that.
    pub(crate) fn new(root: &Root) -> Self {
        let levels = procfs::sysctl(root, Self::LEVEL).ok();
        let level = levels.and_then(|text| text.split_whitespace().next().map(str::to_owned));
        // Without it the text is only more likely to be damaged.
        let _ = procfs::set_sysctl(root, Self::LEVEL, "1");
        Self { root: root.clone(), level }
    }
}

impl Drop for QuietKernel {
    fn drop(&mut self) {
        if let Some(level) = &self.level {
            let _ = procfs::set_sysctl(&self.root, Self::LEVEL, level);
        }
    }
}

/// Returns the number of lines that this process has printed on the console.
#[cfg(feature = "stacks")]
pub(crate) fn lines_printed() -> u64 {
    LINES.load(Ordering::Relaxed)
}

/// Leaves a second for a line that matters more than those before it, even if the console accepted
/// nothing for long: the verdict.
pub(crate) fn reserve_time() {
    STALL_LEFT_MS.fetch_max(RESERVE_MS, Ordering::Relaxed);
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

/// Writes `bytes` to a descriptor that does not block, until it has accepted nothing for
/// [`STALL_LEFT_MS`]. Returns whether all were written.
pub(super) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut progress = Instant::now();
    while !rest.is_empty() {
        match rustix::io::write(fd, rest) {
            Ok(count) => {
                rest = rest.get(count..).unwrap_or_default();
                progress = Instant::now();
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN)
                if !spend_if_stalled(progress)
                    && wait_for_room(fd, RETRY_INTERVAL)
                        .is_none_or(|flags| flags.contains(PollFlags::OUT)) => {}
            // Nobody is left to report a failed write to.
            Err(_) => {
                IS_CUT.fetch_or(rest.len() < bytes.len(), Ordering::Relaxed);
                return false;
            }
        }
    }
    true
}

/// Returns whether nothing has been accepted since `progress` for all the time that is left, and
/// then takes that time away.
fn spend_if_stalled(progress: Instant) -> bool {
    let budget = Duration::from_millis(STALL_LEFT_MS.load(Ordering::Relaxed));
    let is_stalled = progress.elapsed() >= budget;
    if is_stalled {
        STALL_LEFT_MS.store(0, Ordering::Relaxed);
    }
    is_stalled
}

/// Waits until the descriptor accepts bytes. Returns false if it has accepted none for
/// [`STALL_LEFT_MS`], or if the other end is closed.
fn wait_until_writable(fd: BorrowedFd<'_>) -> bool {
    let start = Instant::now();
    loop {
        match wait_for_room(fd, RETRY_INTERVAL) {
            Some(flags) => return flags.contains(PollFlags::OUT),
            None if spend_if_stalled(start) => return false,
            None => {}
        }
    }
}

/// poll(2): waits until the descriptor accepts bytes or has an error, at most for `timeout`.
fn wait_for_room(fd: BorrowedFd<'_>, timeout: Duration) -> Option<PollFlags> {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    // Interrupted or not: the caller tries again.
    let ready = poll(&mut fds, Timespec::try_from(timeout).ok().as_ref());
    matches!(ready, Ok(1..)).then(|| fds[0].revents())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_erased_by_what_follows() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let console = Console::open_at(file.path()).unwrap();
        console.erase_status();
        console.show_status(&"x".repeat(100));
        console.show_status("waiting\nfor\x1b[1m it");
        console.print("a line");
        console.print("another");
        let text = std::fs::read_to_string(file.path()).unwrap();
        let first = format!("\x1b[K{}\r", "x".repeat(MAX_STATUS));
        let second = format!("\x1b[K{}\r", escape::line("waiting\nfor\x1b[1m it"));
        assert_eq!(text, first + &second + "\x1b[Ka line\nanother\n");
    }
}
