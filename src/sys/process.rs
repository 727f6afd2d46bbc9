//! Processes: the console, children, exec and reboot.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{FileType, MemfdFlags, Mode, OFlags, open};
use rustix::process::{Pid, Signal};
use rustix::system::RebootCommand;

use super::{BootTime, Error, Result, Root, descriptors, raw, watchdog};
use crate::escape;

/// The shell of system(3).
const SHELL: &str = "/bin/sh";
/// proc_pid_exe(5): the program that runs.
pub(crate) const SELF_EXE: &str = "/proc/self/exe";

/// Interval between checks whether a child has ended.
const WAIT_INTERVAL: Duration = Duration::from_millis(10);

/// Reports whether this is process 1.
pub(crate) fn is_pid1() -> bool {
    rustix::process::getpid() == Pid::INIT
}

/// Reports whether this is process 1 of the machine, and not that of a container: there process 2
/// is kthreadd, a thread of the kernel. The first process of another PID namespace has no process 2
/// yet.
///
/// Neither root filesystem nor name tells them apart: the root of a container may be in memory, and
/// `rdinit=` may name any link.
pub(crate) fn is_init_of_machine() -> bool {
    let kthreadd = Pid::from_raw(2);
    is_pid1()
        && kthreadd.is_some_and(|pid| {
            rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
        })
}

/// Returns an environment variable that changes what a tool does. There is none if the user has
/// fewer rights than this process, which is set-user-ID or has capabilities of its file: then the
/// variables are the user's.
pub(crate) fn environment(name: &str) -> Option<OsString> {
    let users = (rustix::process::getuid(), rustix::process::geteuid());
    let groups = (rustix::process::getgid(), rustix::process::getegid());
    let is_secure = users.0 != users.1 || groups.0 != groups.1 || raw::is_secure_execution();
    std::env::var_os(name).filter(|_| !is_secure)
}

/// Reports whether this process was started without a standard error. Descriptor 2 is then
/// /dev/null, open for reading too, which the `2>/dev/null` of a shell is not, or a directory
/// (descriptors.rs).
pub(crate) fn stderr_was_closed() -> bool {
    let stderr = rustix::stdio::stderr();
    let stat = rustix::fs::fstat(stderr);
    if stat.is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Directory) {
        return true;
    }
    let is_null = stat.is_ok_and(|stat| descriptors::is_null(stat.st_rdev));
    let mode = rustix::fs::fcntl_getfl(stderr).map(|flags| flags & OFlags::RWMODE);
    is_null && mode == Ok(OFlags::RDWR)
}

/// dup2(2): makes /dev/console the descriptors 0, 1 and 2. A serial line without a carrier does not
/// block the open.
///
/// # Errors
/// There is no console.
pub(crate) fn open_console(root: &Root) -> Result<()> {
    let path = root.join("dev/console");
    let console = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(&path)
        .map_err(|e| Error::io("open", &path, &e))?;
    let failed = |errno| Error::new("dup2", escape::path(&path), errno);
    let flags = rustix::fs::fcntl_getfl(&console).map_err(failed)?;
    rustix::fs::fcntl_setfl(&console, flags - OFlags::NONBLOCK).map_err(failed)?;
    rustix::stdio::dup2_stdin(&console).map_err(failed)?;
    rustix::stdio::dup2_stdout(&console).map_err(failed)?;
    rustix::stdio::dup2_stderr(&console).map_err(failed)
}

/// execve(2): replaces this process with the program at `path`, called `args[0]`, in the same
/// environment. Returns only on failure.
pub(crate) fn exec(path: &Path, args: &[OsString]) -> Error {
    let mut command = Command::new(path);
    if let Some((name, rest)) = args.split_first() {
        command.arg0(name).args(rest);
    }
    let error = command.exec();
    Error::io("exec", path, &error)
}

/// Runs a shell command with additions to the environment and waits until it ends, as system(3)
/// does.
///
/// # Errors
/// There is no shell at /bin/sh, or no /dev/null for `stdin`.
pub(crate) fn run_shell_command(
    command: &[u8],
    environment: &[(&str, &[u8])],
    stdin: Stdio,
) -> Result<ExitStatus> {
    let environment = environment.iter().map(|(name, value)| (name, OsStr::from_bytes(value)));
    let mut child = shell_command(OsStr::from_bytes(command), environment)
        .stdin(stdin)
        .spawn()
        .map_err(|e| Error::io("exec", Path::new(SHELL), &e))?;
    child.wait().map_err(|e| Error::io("wait", Path::new(SHELL), &e))
}

/// Starts a shell command with additions to the environment, reads nothing, and does not wait.
///
/// # Errors
/// There is no shell at /bin/sh, or no /dev/null.
pub(crate) fn spawn_shell_command<T: AsRef<OsStr>>(
    command: &OsStr,
    environment: &[(T, T)],
) -> Result<Child> {
    let environment = environment.iter().map(|(name, value)| (name, value));
    let mut shell = shell_command(command, environment);
    shell.stdin(Stdio::null()).spawn().map_err(|e| Error::io("exec", Path::new(SHELL), &e))
}

fn shell_command(
    command: &OsStr,
    environment: impl Iterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
) -> Command {
    let mut shell = Command::new(SHELL);
    // The name that system(3) uses; the shell prints it before its own messages.
    shell.arg0("sh").arg("-c").arg(command);
    shell.envs(environment);
    shell
}

/// Starts this program as `coldplug APPLET WORD...` with `stdin`, `stdout` or /dev/null, /dev/null and
/// what is not closed by execve(2) as its open descriptors, and does not wait. Returns its process
/// ID.
///
/// # Errors
/// It cannot be started: /proc or /dev/null is missing, or there is not enough memory.
pub(crate) fn spawn_self(
    applet: &str,
    words: &[&OsStr],
    stdin: File,
    stdout: Option<File>,
) -> Result<u32> {
    let mut command = self_command(applet);
    command.args(words).stdin(stdin).stderr(Stdio::null());
    command.stdout(stdout.map_or_else(Stdio::null, Stdio::from));
    command.spawn().map(|child| child.id()).map_err(|e| Error::io("exec", Path::new(SELF_EXE), &e))
}

/// Returns the command `coldplug APPLET`, with the program that runs.
fn self_command(applet: &str) -> Command {
    let mut command = Command::new(SELF_EXE);
    command.arg0("coldplug").arg(applet);
    command
}

/// Command of this program that starts another one and is tied to its parent.
#[cfg(feature = "host")]
pub(crate) const TIED: &str = "tied";

/// Returns the command PROGRAM, which gets SIGTERM when the thread that starts it ends. The
/// program is looked up in PATH by a child that runs this program: only a child can ask for that.
#[cfg(feature = "host")]
pub(crate) fn tied_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = self_command(TIED);
    command.arg(std::process::id().to_string()).arg(program);
    command
}

/// PR_SET_PDEATHSIG of prctl(2): has the kernel send this process SIGTERM when its parent, the process
/// `parent`, ends.
///
/// # Errors
/// The parent has ended already.
#[cfg(feature = "host")]
pub(crate) fn die_with_parent(parent: i32) -> Result<()> {
    let failed = |errno| Error::new("prctl", "PR_SET_PDEATHSIG", errno);
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM)).map_err(failed)?;
    match rustix::process::getppid() == Pid::from_raw(parent) {
        true => Ok(()),
        false => Err(failed(rustix::io::Errno::SRCH)),
    }
}

/// Returns the path of an executable file that is in a directory of PATH.
#[cfg(feature = "host")]
pub(crate) fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    let is_program = |path: &std::path::PathBuf| {
        path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
    };
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(is_program)
}

/// memfd_create(2): returns a file in memory that holds `bytes`, is read from its start, and stays
/// open across execve(2).
///
/// # Errors
/// The kernel lacks memfd_create(2), or memory.
pub(crate) fn memfd(name: &str, bytes: &[u8]) -> Result<OwnedFd> {
    let failed = |errno| Error::new("memfd_create", name, errno);
    let memory = rustix::fs::memfd_create(name, MemfdFlags::empty()).map_err(failed)?;
    let mut file = File::from(memory);
    file.write_all(bytes)
        .and_then(|()| file.rewind())
        .map_err(|e| Error::io("write", Path::new(name), &e))?;
    Ok(file.into())
}

/// Returns CLOCK_REALTIME in microseconds since 1970.
pub(crate) fn realtime_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let us = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
    u64::try_from(us).unwrap_or(0)
}

/// PR_SET_NAME of prctl(2): sets the name of this process in ps(1) and in kernel messages.
pub(crate) fn set_name(name: &CStr) {
    // Only readers of ps(1) notice a failure.
    let _ = rustix::thread::set_name(name);
}

/// setpriority(2): sets the nice value of the calling thread to 19, the lowest priority, or to 0.
pub(crate) fn set_low_priority(low: bool) {
    // A failure changes how long the work takes and nothing else.
    let _ = rustix::process::setpriority_process(None, if low { 19 } else { 0 });
}

/// waitpid(2): waits until `child` ends, or `timeout` has passed, and returns its exit status in
/// time. Not for PID 1, which reaps its children in its event loop.
///
/// # Errors
/// The errno of the call.
pub(crate) fn wait_for(
    child: &mut Child,
    timeout: Duration,
) -> std::io::Result<Option<ExitStatus>> {
    let end = BootTime::now() + timeout;
    loop {
        let status = child.try_wait()?;
        if status.is_some() || BootTime::now() >= end {
            return Ok(status);
        }
        std::thread::sleep(WAIT_INTERVAL);
    }
}

/// kill(2): sends SIGTERM to a child.
#[cfg(feature = "host")]
pub(crate) fn ask_to_end(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended already.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
}

/// kill(2): sends `signal` to every process of a group.
pub(crate) fn kill_group(group: u32, signal: Signal) {
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        // The group may have ended already.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// What reboot(2) does with the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shutdown {
    /// RB_AUTOBOOT.
    Reboot,
    /// RB_POWER_OFF.
    PowerOff,
    /// RB_HALT_SYSTEM.
    Halt,
}

/// Time that sync(2) gets: it waits for every disk, and for one that does not answer forever.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that reboot(2) gets: it waits for drivers, and forever for a resume that cannot read its
/// image.
const REBOOT_TIMEOUT: Duration = Duration::from_secs(60);
/// Interval of the looks whether one of them has ended.
const CALL_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// sysrq.rst: a key that is written there acts immediately, whatever kernel.sysrq says.
const SYSRQ: &CStr = c"/proc/sysrq-trigger";

/// sync(2): writes what is not on the disks yet, for as long as [`SYNC_TIMEOUT`].
pub(crate) fn sync() {
    let _ = is_late(SYNC_TIMEOUT, Box::new(rustix::fs::sync));
}

/// reboot(2); after [`REBOOT_TIMEOUT`] the same by sysrq, which waits for nothing. Returns only on
/// failure.
pub(crate) fn shut_down(how: Shutdown) {
    if is_late(REBOOT_TIMEOUT, Box::new(move || drop(reboot(how)))) {
        press_sysrq(match how {
            Shutdown::Reboot => b"b",
            Shutdown::PowerOff => b"o",
            Shutdown::Halt => b"",
        });
    } else {
        // It has failed, or there was no thread for it.
        let _ = reboot(how);
    }
}

/// Restarts by sysrq, which waits for nothing, or by reboot(2) if the kernel has no sysrq. Safe in a
/// signal handler.
pub(super) fn restart_immediately() {
    press_sysrq(b"b");
    let _ = rustix::system::reboot(RebootCommand::Restart);
}

/// Allocates nothing: a signal handler calls it.
fn press_sysrq(key: &[u8]) {
    let file = open(SYSRQ, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    let _ = file.and_then(|file| rustix::io::write(file, key));
}

/// Makes a call that may block in a thread. Returns whether it runs longer than `timeout`.
fn is_late(timeout: Duration, call: Box<dyn FnOnce() + Send>) -> bool {
    let thread = std::thread::Builder::new().stack_size(64 << 10).spawn(call);
    let end = BootTime::now() + timeout;
    // A channel to wait on would be 4 KB of code.
    while thread.as_ref().is_ok_and(|thread| !thread.is_finished()) {
        if BootTime::now() >= end {
            return true;
        }
        // A ping that fails leaves the device open: then the watchdog resets the machine.
        let _ = watchdog::ping_if_due();
        std::thread::sleep(CALL_POLL_INTERVAL);
    }
    false
}

/// reboot(2). Returns only on failure. Allocates nothing unless it fails.
///
/// # Errors
/// The errno of reboot(2).
pub(super) fn reboot(how: Shutdown) -> Result<()> {
    let (command, name) = match how {
        Shutdown::Reboot => (RebootCommand::Restart, "restart"),
        Shutdown::PowerOff => (RebootCommand::PowerOff, "power off"),
        Shutdown::Halt => (RebootCommand::Halt, "halt"),
    };
    rustix::system::reboot(command).map_err(|e| Error::new("reboot", name, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const VARIABLE: &str = "COLDPLUG_TEST_OF_ENVIRONMENT";

    /// Runs this test again as another user, once with a copy of the program that is set-user-ID.
    #[test]
    fn a_set_user_id_program_has_no_environment() {
        if std::env::var_os(VARIABLE).is_some() {
            let is_own = std::env::args().next().is_some_and(|name| name.ends_with("own"));
            assert_eq!(environment(VARIABLE).is_some(), is_own);
            return;
        }
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(scratch.path(), 0o755);
        for (name, bits) in [("own", 0o755), ("set-user-id", 0o4755), ("set-group-id", 0o2755)] {
            let program = scratch.path().join(name);
            std::fs::copy(SELF_EXE, &program).unwrap();
            mode(&program, bits);
            let mut command = Command::new(&program);
            let test = "sys::process::tests::a_set_user_id_program_has_no_environment";
            command.args(["--exact", test]).env(VARIABLE, "1").uid(65534).gid(65534);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{name}: {}", output.stdout.escape_ascii());
            assert!(output.stdout.windows(8).any(|text| text == b"1 passed"), "{name}");
        }
    }
}
