//! The end of every boot that cannot go on: logs the cause, prints the verdict, and does what
//! `coldplug.onfail=` says.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use super::consoles::{self, Occasion};
use super::error::Interruption;
use super::request::Request;
use super::shell_access::{self, ShellAccess};
use super::{Boot, BootError, exit_port, led};
use crate::cmdline::boot::{BootParams, OnFailure};
use crate::load::ShutdownHandle;
use crate::report::Event;
use crate::sys::console::{self, Console};
use crate::sys::kmsg::{Kmsg, Priority};
use crate::sys::process::{self, Shutdown};
use crate::sys::{BootTime, Root, crash, signals, watchdog};

/// What to do when the boot cannot go on.
#[derive(Debug, Clone, Copy)]
struct Policy {
    onfail: Option<OnFailure>,
    /// The kernel's `panic=`, followed if `coldplug.onfail=` is not set.
    panic: Option<i64>,
}

/// A static, because the panic hook takes no arguments.
static POLICY: Mutex<Policy> = Mutex::new(Policy { onfail: None, panic: None });

/// The loads to drain before the machine is left: those of each attempt to boot.
static SHUTDOWN: Mutex<Vec<ShutdownHandle>> = Mutex::new(Vec::new());
/// Longest wait for these loads.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The answer to `retry` and `continue` where [`BootError::allows_another_attempt`] is false.
const NOT_RESUMABLE: &str = "coldplug: retry and continue are not possible after the switch, a \
                             crash, or a resume that has not ended; use 'reboot'";

/// Adds loads to drain before the machine is left.
pub(super) fn add_shutdown_handle(handle: ShutdownHandle) {
    let mut handles = SHUTDOWN.lock().unwrap_or_else(PoisonError::into_inner);
    handles.retain(|handle| !handle.is_over());
    handles.push(handle);
}

/// How a person at a console goes on with a boot that has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resume {
    /// Search for the root again, with these words added to the kernel command line.
    Retry(String),
    /// Switch to what is mounted at /sysroot.
    Continue,
}

/// Sets the policy of the command line, and what a shell needs.
pub(super) fn set_policy(dir: &Root, params: &BootParams) {
    shell_access::set(dir, !params.no_shell);
    let mut policy = POLICY.lock().unwrap_or_else(PoisonError::into_inner);
    // A machine that is to end with an exit status waits for nobody.
    let exits = params.exit_port.map(|_| OnFailure::PowerOff);
    *policy = Policy { onfail: params.on_failure.or(exits), panic: params.panic };
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
    /// Logs why the boot cannot go on, and ends it, unless a person wants to go on with it.
    pub(super) fn rescue(&mut self, error: &BootError) -> Resume {
        self.reporter.log_missing_modules();
        // The cause is the last thing before the verdict.
        let text = error.to_string();
        for line in error.lines() {
            self.reporter.log().error(&line);
        }
        self.reporter.reach(Event::Rescue, &text);
        self.reporter.add_warning(text);
        self.tend_watchdog();
        self.store_boot(error);
        // No other verdict than ok can be withheld.
        let _ = self.finish_record(error.verdict());
        if let BootError::Interrupted(how) = error {
            leave(how.shutdown())
        }
        let resumable = error.allows_another_attempt();
        apply_policy(&self.dir, |request| match request {
            Request::Retry(words) if resumable => Some(Resume::Retry(words)),
            Request::Continue if resumable => Some(Resume::Continue),
            _ => None,
        })
    }
}

/// Follows `coldplug.onfail=`; without it `panic=`, as the kernel would; else offers a shell.
/// Returns what `resume` makes of a request from there.
fn apply_policy<T>(root: &Root, resume: impl Fn(Request) -> Option<T>) -> T {
    let policy = *POLICY.lock().unwrap_or_else(PoisonError::into_inner);
    match policy.onfail {
        Some(OnFailure::Reboot) => leave(Shutdown::Reboot),
        Some(OnFailure::PowerOff) => leave(Shutdown::PowerOff),
        Some(OnFailure::Halt) => leave(Shutdown::Halt),
        None => follow_panic(policy),
        Some(OnFailure::Shell) => {}
    }
    offer_shell(root, policy, resume)
}

/// Restarts the machine if `panic=` says so, as the kernel would.
fn follow_panic(policy: Policy) {
    if let Some(delay) = policy.panic.filter(|delay| *delay != 0) {
        let delay = Duration::from_secs(u64::try_from(delay).unwrap_or(0));
        signals::sleep_until(BootTime::now() + delay);
        leave(Shutdown::Reboot)
    }
}

/// Offers a shell, and reboots when the person exits it. Without a shell it waits for a reset.
fn offer_shell<T>(root: &Root, policy: Policy, resume: impl Fn(Request) -> Option<T>) -> T {
    let access = shell_access::current(root);
    if let ShellAccess::Refused(reason) = &access {
        write_console(root, &format!("coldplug: shell refused: {reason}"));
        follow_panic(policy);
        wait_for_reset(root)
    }
    loop {
        match consoles::ask(root, Occasion::Failure, &access) {
            Ok(None) => leave_by_ctrl_alt_del(root),
            Ok(Some(Request::Exit)) => {
                write_console(root, "coldplug: shell exited; rebooting");
                leave(Shutdown::Reboot)
            }
            Ok(Some(Request::Reboot)) => leave(Shutdown::Reboot),
            Ok(Some(Request::PowerOff)) => leave(Shutdown::PowerOff),
            Ok(Some(request)) => match resume(request) {
                Some(answer) => return answer,
                None => write_console(root, NOT_RESUMABLE),
            },
            Err(error) => {
                write_console(root, &format!("coldplug: {error}"));
                wait_for_reset(root)
            }
        }
    }
}

/// Reboots because Ctrl-Alt-Del was pressed after the verdict.
fn leave_by_ctrl_alt_del(root: &Root) -> ! {
    write_console(root, &format!("coldplug: {}", Interruption::CtrlAltDel));
    leave(Shutdown::Reboot)
}

fn wait_for_reset(root: &Root) -> ! {
    write_console(root, "coldplug: waiting for a reset (press Ctrl-Alt-Del)");
    idle()
}

/// Reboots, powers off or halts the machine. Idles if the kernel refuses.
///
/// Loads that are under way are drained first. reboot(2) holds the lock of suspend while it waits
/// for all asynchronous probing, and the scan of a parallel SCSI bus takes that lock: a deadlock
/// (seen on 6.1). Ctrl-Alt-Del therefore does not shorten this wait, nor that of sync(2), 15 s in
/// total, but restarts a machine that was to be powered off or halted.
pub(super) fn leave(how: Shutdown) -> ! {
    led::end();
    let handles = SHUTDOWN.try_lock().map(|handles| handles.clone()).unwrap_or_default();
    let end = BootTime::now() + DRAIN_TIMEOUT;
    // After a crash there is no handle, but perhaps a worker process with its last loads.
    let drained = match handles.as_slice() {
        [] => signals::wait_for_all_children(DRAIN_TIMEOUT),
        handles => handles.iter().all(|handle| handle.drain(end - BootTime::now())),
    };
    if !drained {
        // In the log alone: the verdict is the last line on the console.
        if let Ok(kmsg) = Kmsg::open(&Root::default()) {
            kmsg.write(Priority::Debug, "shutting down while modules are still loading");
        }
    }
    process::sync();
    exit_port::end();
    let is_pressed = signals::is_ctrl_alt_del_pressed();
    process::shut_down(if is_pressed { Shutdown::Reboot } else { how });
    idle()
}

/// Waits for Ctrl-Alt-Del, and reaps orphans.
fn idle() -> ! {
    const MAX_SLEEP: Duration = Duration::from_secs(60);
    watchdog::abandon();
    while !signals::is_ctrl_alt_del_pressed() {
        signals::sleep(MAX_SLEEP);
    }
    write_console(&Root::default(), &format!("coldplug: {}", Interruption::CtrlAltDel));
    process::sync();
    process::shut_down(Shutdown::Reboot);
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
