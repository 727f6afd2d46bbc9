//! The end of every boot that cannot go on: logs the cause, prints the verdict, and does what
//! `coldplug.onfail=` says.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use super::{Boot, BootError};
use crate::cmdline::boot::{BootParams, OnFailure};
use crate::load::ShutdownHandle;
use crate::sys::console::{self, Console};
use crate::sys::kmsg::{Kmsg, Priority};
use crate::sys::process::{self, Shutdown};
use crate::sys::{BootTime, Root, crash, signals, sysfs};

/// What to do when the boot cannot go on.
#[derive(Debug, Clone, Copy)]
struct Policy {
    onfail: Option<OnFailure>,
    /// The kernel's `panic=`, followed if `coldplug.onfail=` is not set.
    panic: Option<i64>,
}

/// A static, because the panic hook takes no arguments.
static POLICY: Mutex<Policy> = Mutex::new(Policy { onfail: None, panic: None });

/// The loads to drain before the machine is left.
static SHUTDOWN: Mutex<Option<ShutdownHandle>> = Mutex::new(None);
/// Longest wait for these loads.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Sets the loads to drain before the machine is left.
pub(super) fn set_shutdown_handle(handle: ShutdownHandle) {
    *SHUTDOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
}

/// Sets the policy of the command line.
pub(super) fn set_policy(params: &BootParams) {
    let mut policy = POLICY.lock().unwrap_or_else(PoisonError::into_inner);
    *policy = Policy { onfail: params.on_failure, panic: params.panic };
    crash::set_last_resort(match *policy {
        Policy { onfail: Some(OnFailure::Reboot), .. } => Some(Shutdown::Reboot),
        Policy { onfail: Some(OnFailure::PowerOff), .. } => Some(Shutdown::PowerOff),
        Policy { onfail: Some(OnFailure::Halt), .. } => Some(Shutdown::Halt),
        Policy { onfail: None, panic: Some(delay) } if delay != 0 => Some(Shutdown::Reboot),
        Policy { .. } => None,
    });
}

/// Keeps PID 1 alive after a crash or a panic of coldplug: it executes itself anew, because other
/// threads may go on with the boot meanwhile, or hold what rescue needs. Only PID 1 gets this: in
/// other processes a panic is a message and an exit code.
pub(super) fn install_handlers(root: &Root) {
    if !process::is_pid1() {
        return;
    }
    crash::install();
    let root = root.clone();
    std::panic::set_hook(Box::new(move |info| {
        let text = format!("coldplug panicked; please report it: {info}").replace('\n', " ");
        if let Ok(kmsg) = Kmsg::open(&root) {
            kmsg.write(Priority::Debug, &text);
        }
        write_console(&root, &format!("coldplug: {text}"));
        crash::restart_after_panic();
    }));
}

impl Boot {
    /// Logs why the boot cannot go on, and ends it. Never returns.
    pub(super) fn rescue(&mut self, error: &BootError) -> ! {
        let text = error.to_string();
        for line in error.lines() {
            self.reporter.log().error(&line);
        }
        self.reporter.log_missing_modules();
        self.reporter.add_warning(text);
        self.finish_record(error.verdict());
        if matches!(error, BootError::Interrupted) {
            leave(Shutdown::Reboot)
        }
        apply_policy(&self.dir)
    }
}

/// Follows `coldplug.onfail=`; without it `panic=`, as the kernel would; else starts a shell.
fn apply_policy(root: &Root) -> ! {
    let policy = *POLICY.lock().unwrap_or_else(PoisonError::into_inner);
    match policy {
        Policy { onfail: Some(OnFailure::Reboot), .. } => leave(Shutdown::Reboot),
        Policy { onfail: Some(OnFailure::PowerOff), .. } => leave(Shutdown::PowerOff),
        Policy { onfail: Some(OnFailure::Halt), .. } => leave(Shutdown::Halt),
        Policy { onfail: None, panic: Some(delay) } if delay != 0 => {
            let delay = Duration::from_secs(u64::try_from(delay).unwrap_or(0));
            signals::sleep_until(BootTime::now() + delay);
            leave(Shutdown::Reboot)
        }
        _ => offer_shell(root),
    }
}

/// Starts a shell, and reboots when the person exits it. Without a shell it waits for a reset.
fn offer_shell(root: &Root) -> ! {
    match shell(root) {
        Ok(()) => {
            write_console(root, "coldplug: shell exited; rebooting");
            leave(Shutdown::Reboot)
        }
        Err(error) => {
            write_console(
                root,
                &format!("coldplug: {error}; waiting for a reset (press Ctrl-Alt-Del)"),
            );
            idle()
        }
    }
}

/// Reboots because Ctrl-Alt-Del was pressed after the verdict.
fn leave_by_ctrl_alt_del(root: &Root) -> ! {
    write_console(root, &format!("coldplug: {}", BootError::Interrupted));
    leave(Shutdown::Reboot)
}

/// Runs a shell on the console and waits until the person exits it.
///
/// # Errors
/// The image contains no shell, or there is no terminal to run it on.
pub(super) fn shell(root: &Root) -> crate::sys::Result<()> {
    let path = PathBuf::from("/bin/sh");
    let executable =
        |p: &Path| std::fs::metadata(p).is_ok_and(|m| m.permissions().mode() & 0o111 != 0);
    if !executable(&path) {
        return Err(crate::sys::Error::new("shell", "/bin/sh", rustix::io::Errno::NOENT));
    }
    // /dev/console cannot be a controlling terminal; the terminal behind it can.
    let terminal = sysfs::active_console(root)
        .map_or_else(|| root.join("dev/console"), |tty| root.join("dev").join(tty));
    let pid = process::spawn_self_on_terminal("console-shell", &terminal)?;
    if signals::wait_for_child(pid).is_none() {
        leave_by_ctrl_alt_del(root)
    }
    Ok(())
}

/// Reboots, powers off or halts the machine. Idles if the kernel refuses.
///
/// Loads that are under way are drained first. reboot(2) holds the lock of suspend while it waits
/// for all asynchronous probing, and the scan of a parallel SCSI bus takes that lock: a deadlock
/// (seen on 6.1).
pub(super) fn leave(how: Shutdown) -> ! {
    let handle = SHUTDOWN.try_lock().ok().and_then(|loads| loads.clone());
    // After a crash there is no handle, but perhaps a worker process with its last loads.
    let drained = match handle {
        Some(handle) => handle.drain(DRAIN_TIMEOUT),
        None => signals::wait_for_all_children(DRAIN_TIMEOUT),
    };
    if !drained {
        // In the log alone: the verdict is the last line on the console.
        if let Ok(kmsg) = Kmsg::open(&Root::default()) {
            kmsg.write(Priority::Debug, "shutting down while modules are still loading");
        }
    }
    let _ = process::shut_down(how);
    idle()
}

/// Waits for Ctrl-Alt-Del, and reaps orphans.
fn idle() -> ! {
    const MAX_SLEEP: Duration = Duration::from_secs(60);
    while !signals::is_ctrl_alt_del_pressed() {
        signals::sleep(MAX_SLEEP);
    }
    write_console(&Root::default(), &format!("coldplug: {}", BootError::Interrupted));
    let _ = process::shut_down(Shutdown::Reboot);
    loop {
        signals::sleep(MAX_SLEEP);
    }
}

fn write_console(root: &Root, line: &str) {
    match Console::open(root) {
        Ok(console) => console.print(line),
        Err(_) => console::print_to_stdout(line),
    }
}
