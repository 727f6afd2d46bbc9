//! Processes: the console, children, the way out.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::fs::{FileType, MemfdFlags, OFlags};
use rustix::process::{Pid, WaitOptions};
use rustix::system::RebootCommand;

use super::helper::OURSELVES;
use super::{Error, Result, Root};

/// What runs commands.
const SHELL: &str = "/bin/sh";
/// open(2): a terminal does not become the controlling one by being opened.
const O_NOCTTY: i32 = OFlags::NOCTTY.bits().cast_signed();

/// Whether we are the first process.
pub fn is_first() -> bool {
    rustix::process::getpid() == Pid::INIT
}

/// Whether we were started without a standard error. Then /dev/null is there, open for reading as well,
/// which a shell's `2>/dev/null` is not, or else a directory (descriptors.rs).
pub fn stderr_was_closed() -> bool {
    const NULL: (u32, u32) = (1, 3);
    let stderr = rustix::stdio::stderr();
    let stat = rustix::fs::fstat(stderr);
    if stat.is_ok_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Directory) {
        return true;
    }
    let number =
        stat.map(|stat| (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)));
    let mode = rustix::fs::fcntl_getfl(stderr).map(|flags| flags & OFlags::RWMODE);
    number == Ok(NULL) && mode == Ok(OFlags::RDWR)
}

/// Puts /dev/console on the descriptors 0, 1 and 2.
///
/// # Errors
/// There is no console.
pub fn open_console(root: &Root) -> Result<()> {
    let path = root.join("dev/console");
    let console = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|e| Error::io("open", &path, &e))?;
    let failed = |errno| Error::new("dup2", path.display(), errno);
    rustix::stdio::dup2_stdin(&console).map_err(failed)?;
    rustix::stdio::dup2_stdout(&console).map_err(failed)?;
    rustix::stdio::dup2_stderr(&console).map_err(failed)
}

/// execve(2): becomes the program at `path`, called `args[0]`, with the environment as it is.
pub fn exec(path: &Path, args: &[OsString]) -> Error {
    let mut command = Command::new(path);
    if let Some((name, rest)) = args.split_first() {
        command.arg0(name).args(rest);
    }
    let error = command.exec();
    Error::io("exec", path, &error)
}

/// Runs a shell command and waits for it.
///
/// # Errors
/// There is no shell at /bin/sh.
pub fn shell_command(command: &str, environment: &[(&str, &str)]) -> Result<ExitStatus> {
    let mut child = start_command(command.as_ref(), environment)?;
    child.wait().map_err(|e| Error::io("wait", Path::new(SHELL), &e))
}

/// Starts a shell command, and does not wait for it.
///
/// # Errors
/// There is no shell at /bin/sh.
pub fn start_command<T: AsRef<OsStr>>(command: &OsStr, environment: &[(T, T)]) -> Result<Child> {
    let mut shell = Command::new(SHELL);
    // As system(3) calls it: it is the name before the shell's own messages.
    shell.arg0("sh").arg("-c").arg(command).stdin(Stdio::null());
    shell.envs(environment.iter().map(|(name, value)| (name, value)));
    shell.spawn().map_err(|e| Error::io("exec", Path::new(SHELL), &e))
}

/// Starts this program once more as `coldplug APPLET` on `terminal`, for a person, and waits for its end.
///
/// # Errors
/// There is no terminal, or /proc is missing.
pub fn interactive_self(applet: &str, terminal: &Path) -> Result<ExitStatus> {
    let open = || OpenOptions::new().read(true).write(true).custom_flags(O_NOCTTY).open(terminal);
    let failed = |e: std::io::Error| Error::io("open", terminal, &e);
    let stdin: File = open().map_err(failed)?;
    let (stdout, stderr) = (open().map_err(failed)?, open().map_err(failed)?);
    let mut command = ourselves(applet);
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    command
        .spawn()
        .and_then(|mut child| child.wait())
        .map_err(|e| Error::io("exec", Path::new(OURSELVES), &e))
}

/// Makes the terminal on descriptor 0 the controlling terminal of a new session, so that Ctrl-C and job control
/// work, and becomes `shell`. Comes back only with an error.
pub fn session_shell(shell: &Path) -> Error {
    let session = rustix::process::setsid()
        .and_then(|_| rustix::process::ioctl_tiocsctty(std::io::stdin()))
        .map_err(|e| Error::new("setsid", shell.display(), e));
    match session {
        Ok(()) => Error::io("exec", shell, &Command::new(shell).arg("-i").exec()),
        Err(error) => error,
    }
}

/// Starts this program once more as `coldplug APPLET WORD...`, with `stdin` and nothing else open, and does not wait
/// for it. Gives its process number.
///
/// # Errors
/// It cannot be started: /proc or /dev/null is missing, or there is no memory for it.
pub fn spawn_self(applet: &str, words: &[&str], stdin: File) -> Result<u32> {
    let mut command = ourselves(applet);
    command.args(words).stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(|child| child.id()).map_err(|e| Error::io("exec", Path::new(OURSELVES), &e))
}

/// `coldplug APPLET`, by this very program.
fn ourselves(applet: &str) -> Command {
    let mut command = Command::new(OURSELVES);
    command.arg0("coldplug").arg(applet);
    command
}

/// A file in memory that holds `bytes`, read from its start, and that stays open over execve(2) (memfd_create(2)).
///
/// # Errors
/// The kernel has none, or no memory.
pub fn inherited_memory(name: &str, bytes: &[u8]) -> Result<OwnedFd> {
    let failed = |errno| Error::new("memfd_create", name, errno);
    let memory = rustix::fs::memfd_create(name, MemfdFlags::empty()).map_err(failed)?;
    let mut file = File::from(memory);
    file.write_all(bytes)
        .and_then(|()| file.rewind())
        .map_err(|e| Error::io("write", Path::new(name), &e))?;
    Ok(file.into())
}

/// CLOCK_REALTIME in microseconds.
pub fn realtime_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let us = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
    u64::try_from(us).unwrap_or(0)
}

/// PR_SET_NAME of prctl(2): what ps(1) and the kernel's messages call this process.
pub fn set_name(name: &CStr) {
    // It only helps a reader.
    let _ = rustix::thread::set_name(name);
}

/// setpriority(2): makes the calling thread yield to all others, or takes its full share again.
pub fn be_nice(nice: bool) {
    // A thread that stays as it was only takes more or less time.
    let _ = rustix::process::setpriority_process(None, if nice { 19 } else { 0 });
}

/// Reaps every child that has ended, without waiting. For processes whose parents have died and left
/// them to us.
pub fn reap() -> usize {
    let ended = || matches!(rustix::process::wait(WaitOptions::NOHANG), Ok(Some(_)));
    std::iter::repeat_with(ended).take_while(|e| *e).count()
}

/// How the machine is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Restart.
    Reboot,
    /// Power off.
    PowerOff,
    /// Stop.
    Halt,
}

/// reboot(2) after sync(2). Comes back only where the kernel refuses.
///
/// # Errors
/// The kernel's answer.
pub fn leave(how: Leave) -> Result<()> {
    rustix::fs::sync();
    let (command, name) = match how {
        Leave::Reboot => (RebootCommand::Restart, "restart"),
        Leave::PowerOff => (RebootCommand::PowerOff, "power off"),
        Leave::Halt => (RebootCommand::Halt, "halt"),
    };
    rustix::system::reboot(command).map_err(|e| Error::new("reboot", name, e))
}
