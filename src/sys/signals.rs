//! Signals that process 1 acts on: SIGINT, which the kernel sends for Ctrl-Alt-Del, and SIGCHLD.
//! All others have their default action, which for process 1 is none.
//!
//! A handler wakes the poll(2) of the boot through an eventfd. A signalfd would need the signals to
//! be blocked, and every child inherits that: Ctrl-C would not work in a shell.

use std::ffi::c_int;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitStatus;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::child::{self, ChildProcess, Received};
use super::{BootTime, Error, Result, process, raw, watchdog};

/// Numbers of signals.
const SIGINT: c_int = 2;
const SIGCHLD: c_int = 17;

/// Number of unhandled Ctrl-Alt-Del presses that restart the machine immediately.
const PRESSES_OF_EMERGENCY: u32 = 7;

/// The eventfd that a signal makes readable.
static WAKE: OnceLock<OwnedFd> = OnceLock::new();
/// Times that Ctrl-Alt-Del was pressed.
static PRESSES: AtomicU32 = AtomicU32::new(0);

/// sigaction(2): has Ctrl-Alt-Del and ended children wake the boot.
///
/// # Errors
/// The kernel has no eventfd left.
pub(crate) fn install() -> Result<()> {
    let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|e| Error::new("eventfd", "signals", e))?;
    // It is set once: there is one boot.
    let _ = WAKE.set(wake);
    raw::handle_signal(SIGINT);
    raw::handle_signal(SIGCHLD);
    catch_ctrl_alt_del();
    Ok(())
}

/// sysctl/kernel.rst: whether Ctrl-Alt-Del restarts the machine (1), or sends SIGINT to process 1.
/// The same as RB_ENABLE_CAD and RB_DISABLE_CAD of reboot(2), which waits for a resume that is under
/// way.
const CTRL_ALT_DEL: &str = "/proc/sys/kernel/ctrl-alt-del";

/// Has the kernel send SIGINT for Ctrl-Alt-Del.
pub(crate) fn catch_ctrl_alt_del() {
    // Refused in a container, which gets no Ctrl-Alt-Del.
    let _ = std::fs::write(CTRL_ALT_DEL, "0");
}

/// Has the kernel restart the machine at Ctrl-Alt-Del, as it does for every init that has not asked
/// for a signal instead.
pub(crate) fn restore_ctrl_alt_del() {
    let _ = std::fs::write(CTRL_ALT_DEL, "1");
}

/// Reports whether Ctrl-Alt-Del was pressed.
pub(crate) fn is_ctrl_alt_del_pressed() -> bool {
    PRESSES.load(Ordering::Relaxed) > 0
}

/// Returns the descriptor that is readable after a signal.
pub(crate) fn wake_fd() -> Option<BorrowedFd<'static>> {
    WAKE.get().map(AsFd::as_fd)
}

/// Clears the wakeup, and reaps the children that have ended.
pub(crate) fn clear_wake() {
    if let Some(wake) = WAKE.get()
        && rustix::io::read(wake, &mut [0u8; 8]).is_ok()
    {
        child::reap();
    }
}

/// Sleeps until a signal arrives, `left` has passed or the watchdog wants a ping. Reaps children.
pub(crate) fn sleep(left: Duration) {
    sleep_unless_readable(None, left);
}

/// Sleeps as [`sleep`] does, and no longer than until `fd` is readable.
pub(crate) fn sleep_unless_readable(fd: Option<BorrowedFd<'_>>, left: Duration) {
    // A ping that fails is reported by the event loop; here nobody could act on it.
    let ping = watchdog::ping_if_due().ok().flatten();
    let left = ping.map_or(left, |at| left.min(at - BootTime::now()));
    let wake = wake_fd();
    // Without it nothing wakes the sleep when a child ends.
    let left = if wake.is_some() { left } else { left.min(Duration::from_secs(1)) };
    let fds = fd.into_iter().chain(wake);
    let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    // Interrupted or not: the caller looks at everything again.
    let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
    if wake.is_some() { clear_wake() } else { child::reap() }
}

/// Sleeps until `end`, or until Ctrl-Alt-Del is pressed. Reaps children.
pub(crate) fn sleep_until(end: BootTime) {
    while !is_ctrl_alt_del_pressed() && BootTime::now() < end {
        sleep(end - BootTime::now());
    }
}

/// Waits for a message from `child` until `end`, or until Ctrl-Alt-Del is pressed: an earlier press
/// may have led to this wait. [`Received::Pending`] means that none has arrived.
pub(crate) fn receive_from(child: &ChildProcess, end: BootTime) -> Received {
    let presses = PRESSES.load(Ordering::Relaxed);
    loop {
        let received = child.try_receive();
        let left = end - BootTime::now();
        let is_pressed = PRESSES.load(Ordering::Relaxed) != presses;
        if received != Received::Pending || left.is_zero() || is_pressed {
            return received;
        }
        sleep_unless_readable(Some(child.as_fd()), left);
    }
}

/// Waits for the child `pid` of [`child::spawn`], and reaps all others. Returns `None` if
/// Ctrl-Alt-Del is pressed first.
pub(crate) fn wait_for_child(pid: u32) -> Option<ExitStatus> {
    const CHECK_INTERVAL: Duration = Duration::from_secs(1);
    loop {
        if let Some(status) = child::exit_status(pid) {
            return Some(status);
        }
        if is_ctrl_alt_del_pressed() {
            child::forget(pid);
            return None;
        }
        sleep(CHECK_INTERVAL);
    }
}

/// Waits until this process has no child, or until `timeout` passes. Returns whether it has none.
pub(crate) fn wait_for_all_children(timeout: Duration) -> bool {
    const CHECK_INTERVAL: Duration = Duration::from_millis(100);
    let end = BootTime::now() + timeout;
    loop {
        child::reap();
        // After that the call has no child to reap, except for one that has ended meanwhile.
        let none = waitid(
            WaitId::All,
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT,
        );
        if none.is_err_and(|errno| errno == Errno::CHILD) {
            return true;
        }
        if BootTime::now() >= end {
            return false;
        }
        sleep(CHECK_INTERVAL);
    }
}

/// Notes a signal. Runs in the signal handler.
pub(super) fn note(signal: c_int) {
    if signal == SIGINT && PRESSES.fetch_add(1, Ordering::Relaxed) + 1 >= PRESSES_OF_EMERGENCY {
        process::restart_immediately();
    }
    // A full counter is readable already.
    let _ = WAKE.get().map(|wake| rustix::io::write(wake, &1u64.to_ne_bytes()));
}
