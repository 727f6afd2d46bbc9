//! The end of every boot that cannot go on: say why, say the verdict, do what `coldplug.onfail=` says.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use super::{Boot, BootError};
use crate::cmdline::boot::{BootParams, OnFailure};
use crate::load::Brake;
use crate::sys::process::{self, Leave};
use crate::sys::{Root, kmsg::Kmsg, kmsg::Priority, sysfs};

/// What to do when the boot cannot go on.
#[derive(Debug, Clone, Copy)]
struct Policy {
    onfail: Option<OnFailure>,
    /// The kernel's `panic=`: what it would do if it were in our place.
    panic: Option<i64>,
}

/// The panic hook needs it, and is handed nothing.
static POLICY: Mutex<Policy> = Mutex::new(Policy { onfail: None, panic: None });

/// What is still being loaded.
static SHUTDOWN: Mutex<Option<Brake>> = Mutex::new(None);
/// The longest that the end of the machine waits for it.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Remembers what has to end before the machine does.
pub(super) fn set_loads(brake: Brake) {
    *SHUTDOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(brake);
}

/// Remembers what the command line says.
pub(super) fn set_policy(params: &BootParams) {
    let mut policy = POLICY.lock().unwrap_or_else(PoisonError::into_inner);
    *policy = Policy { onfail: params.on_failure, panic: params.panic };
}

/// Sees to it that a panic of ours does not end PID 1. Only the first process gets this hook: elsewhere a panic
/// is a message and an exit code.
pub(super) fn install_panic_hook(root: &Root) {
    if !process::is_first() {
        return;
    }
    let root = root.clone();
    std::panic::set_hook(Box::new(move |info| {
        let text = format!("internal error: {info}");
        if let Ok(kmsg) = Kmsg::open(&root) {
            kmsg.write(Priority::Err, &text);
        }
        write_console(&root, &text);
        write_console(&root, "coldplug: verdict=panic modules=0/0 failed=0 time=0");
        apply_policy(&root);
    }));
}

impl Boot {
    /// Says why the boot cannot go on, and ends it. Never comes back.
    pub(super) fn rescue(&mut self, stop: &BootError) -> ! {
        for line in stop.text.lines() {
            self.log.error(line);
        }
        for line in self.record.missing() {
            self.log.warn(&line);
        }
        self.record.warnings.push(stop.text.clone());
        self.finish_record(stop.verdict);
        apply_policy(&self.root)
    }
}

/// Does what the policy says. Without a policy: what `panic=` asks the kernel to do, else a shell.
fn apply_policy(root: &Root) -> ! {
    let policy = *POLICY.lock().unwrap_or_else(PoisonError::into_inner);
    match policy {
        Policy { onfail: Some(OnFailure::Reboot), .. } => leave(Leave::Reboot),
        Policy { onfail: Some(OnFailure::PowerOff), .. } => leave(Leave::PowerOff),
        Policy { onfail: Some(OnFailure::Halt), .. } => leave(Leave::Halt),
        Policy { onfail: None, panic: Some(delay) } if delay != 0 => {
            thread::sleep(Duration::from_secs(u64::try_from(delay).unwrap_or(0)));
            leave(Leave::Reboot)
        }
        _ => offer_shell(root),
    }
}

/// A shell; a person who leaves it wants the machine to start again. Without a shell we wait to be reset.
fn offer_shell(root: &Root) -> ! {
    match shell(root) {
        Ok(()) => {
            write_console(root, "coldplug: shell left; restarting");
            leave(Leave::Reboot)
        }
        Err(error) => {
            write_console(
                root,
                &format!("coldplug: {error}; waiting for a reset (Ctrl-Alt-Del works)"),
            );
            idle()
        }
    }
}

/// Runs a shell for a person on the console, where the image has one.
///
/// # Errors
/// There is no shell, or no terminal to run it on.
pub(super) fn shell(root: &Root) -> crate::sys::Result<()> {
    let path = PathBuf::from("/bin/sh");
    let executable =
        |p: &Path| std::fs::metadata(p).is_ok_and(|m| m.permissions().mode() & 0o111 != 0);
    if !executable(&path) {
        return Err(crate::sys::Error::new("shell", "/bin/sh", rustix::io::Errno::NOENT));
    }
    // The terminal behind /dev/console can be a controlling terminal, /dev/console itself cannot.
    let terminal = sysfs::console(root)
        .map_or_else(|| root.join("dev/console"), |tty| root.join("dev").join(tty));
    process::interactive_self("console-shell", &terminal).map(|_status| ())
}

/// Leaves the machine; where the kernel will not let us, stays.
///
/// What is still being probed comes to its end first. reboot(2) holds the lock of suspend while it waits for all
/// asynchronous probing, and the scan of a parallel SCSI bus takes that lock: both would wait for ever (seen on 6.1).
pub(super) fn leave(how: Leave) -> ! {
    let brake = SHUTDOWN.try_lock().ok().and_then(|loads| loads.clone());
    if brake.is_some_and(|brake| !brake.halt(DRAIN_TIMEOUT)) {
        write_console(&Root::default(), "coldplug: leaving while modules are being loaded");
    }
    let _ = process::leave(how);
    idle()
}

/// PID 1 with nothing left to do: buries orphans, for ever.
fn idle() -> ! {
    loop {
        process::reap();
        thread::sleep(Duration::from_secs(1));
    }
}

fn write_console(root: &Root, line: &str) {
    use std::io::Write;
    if let Ok(mut console) = std::fs::OpenOptions::new().write(true).open(root.join("dev/console"))
    {
        // The last words; there is nobody to tell that they were not heard.
        let _ = writeln!(console, "{line}");
    }
}
