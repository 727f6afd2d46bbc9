//! The shells that a boot offers: one child process per console of /proc/consoles. The first
//! request from one of them ends all.
//!
//! A child opens the terminal, asks for the password and runs a shell of the image or the built-in
//! prompt (applet `console-shell`). If a child ends without a request, as when its terminal hangs
//! up, it is started again after a delay.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use rustix::io::Errno;

use super::keyboards;
use super::request::Request;
use super::shell_access::ShellAccess;
use crate::sys::child::{self, ChildProcess};
use crate::sys::{BootTime, Error, Result, Root, procfs, signals};

/// Exit code of a child whose console is no terminal that can be opened.
pub(crate) const NO_TERMINAL: u8 = 3;
/// What a child is sent if no password is needed; a hash is never this text.
pub(crate) const NO_PASSWORD: &str = "-";
/// First word of a child that only sets its terminal back.
pub(crate) const RESET: &str = "reset";
/// The command that the children run.
const APPLET: &str = "console-shell";
/// Longest wait for children that were killed, and for those that set a terminal back.
const END_TIMEOUT: Duration = Duration::from_secs(1);
/// Interval between checks whether they have ended.
const END_INTERVAL: Duration = Duration::from_millis(10);
/// Interval between looks for requests and ended children.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Delay before a child is started again; it doubles with each child that ends soon.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Longest delay before a child is started again.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Why the boot offers a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The boot has failed.
    Failure,
    /// `coldplug.break=`.
    Breakpoint,
}

impl Occasion {
    /// Returns the word for the command line of the child.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Breakpoint => "breakpoint",
        }
    }
}

/// The shell on one console.
#[derive(Debug)]
struct ConsoleShell {
    console: String,
    child: Option<ChildProcess>,
    backoff: Backoff,
}

/// When a child that has ended is started again.
#[derive(Debug)]
pub(super) struct Backoff {
    /// Time at which the last child was started.
    started: BootTime,
    /// Time before which no other child is started.
    due: BootTime,
    /// Delay before the next child.
    delay: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        let now = BootTime::now();
        Self { started: now, due: now, delay: FIRST_DELAY }
    }

    /// Returns whether a child may be started.
    pub(super) fn is_due(&self) -> bool {
        BootTime::now() >= self.due
    }

    /// Notes that a child is being started.
    pub(super) fn note_start(&mut self) {
        self.started = BootTime::now();
    }

    /// Notes that the child has ended, or was not started.
    pub(super) fn postpone(&mut self) {
        let now = BootTime::now();
        if now - self.started > MAX_DELAY {
            self.delay = FIRST_DELAY;
        }
        self.due = now + self.delay;
        self.delay = (self.delay * 2).min(MAX_DELAY);
    }
}

/// Offers shells on all consoles until a person asks for something; `None` is Ctrl-Alt-Del.
///
/// # Errors
/// No console is a terminal.
pub(super) fn ask(dir: &Root, occasion: Occasion, access: &ShellAccess) -> Result<Option<Request>> {
    // One of an earlier shell, which came too late.
    let _ = Request::take(dir);
    let consoles = consoles(dir);
    if consoles.iter().any(|name| is_virtual_terminal(name)) {
        keyboards::load();
    }
    let mut shells: Vec<ConsoleShell> = consoles.into_iter().map(ConsoleShell::new).collect();
    let mut failure = Error::new("shell", "/dev/console", Errno::NOTTY);
    while !shells.is_empty() {
        shells.retain_mut(|shell| match shell.tend(occasion, access) {
            Ok(usable) => usable,
            Err(error) => {
                failure = error;
                false
            }
        });
        let request = Request::take(dir);
        if request.is_some() || signals::is_ctrl_alt_del_pressed() {
            end(shells);
            return Ok(request);
        }
        signals::sleep(POLL_INTERVAL);
    }
    Err(failure)
}

/// Ends all shells, and has their terminals set back for the programs that use them next.
fn end(shells: Vec<ConsoleShell>) {
    let (names, shells): (Vec<String>, Vec<_>) =
        shells.into_iter().map(|shell| (shell.console, shell.child)).unzip();
    let shells: Vec<ChildProcess> = shells.into_iter().flatten().collect();
    shells.iter().for_each(ChildProcess::kill);
    // The end of a session hangs its terminal up, which would undo the reset.
    wait_for(shells);
    let start = |name: &String| ChildProcess::start(APPLET, &[RESET, name].map(str::as_ref)).ok();
    wait_for(names.iter().filter_map(start).collect());
}

/// Waits until children have ended, for at most [`END_TIMEOUT`].
pub(super) fn wait_for(mut children: Vec<ChildProcess>) {
    let end = BootTime::now() + END_TIMEOUT;
    while BootTime::now() < end {
        children.retain(|child| child::exit_status(child.pid()).is_none());
        if children.is_empty() {
            return;
        }
        signals::sleep(END_INTERVAL);
    }
}

impl ConsoleShell {
    fn new(console: String) -> Self {
        Self { console, child: None, backoff: Backoff::new() }
    }

    /// Starts the child if it is due, and notes its end. Returns false if the console is no
    /// terminal.
    ///
    /// # Errors
    /// No child can be started, several times in a row.
    fn tend(&mut self, occasion: Occasion, access: &ShellAccess) -> Result<bool> {
        match &self.child {
            None if self.backoff.is_due() => self.start(occasion, access)?,
            None => {}
            Some(child) => {
                let Some(status) = child::exit_status(child.pid()) else { return Ok(true) };
                self.child = None;
                if status.code() == Some(i32::from(NO_TERMINAL)) {
                    return Ok(false);
                }
                self.backoff.postpone();
            }
        }
        Ok(true)
    }

    fn start(&mut self, occasion: Occasion, access: &ShellAccess) -> Result<()> {
        self.backoff.note_start();
        let password = match access {
            ShellAccess::Open => NO_PASSWORD,
            ShellAccess::Password(hash) => hash,
            ShellAccess::Refused(_) => return Ok(()),
        };
        match ChildProcess::start(APPLET, &[occasion.as_str(), &self.console].map(str::as_ref)) {
            Ok(child) => {
                // A child that is not sent this ends.
                child.send(password.as_bytes());
                self.child = Some(child);
            }
            Err(error) if self.backoff.delay >= MAX_DELAY => return Err(error),
            Err(_) => self.backoff.postpone(),
        }
        Ok(())
    }
}

/// Returns the names below /dev of the consoles that may be terminals. The child finds out whether
/// they are: opening one may block.
pub(super) fn consoles(dir: &Root) -> Vec<String> {
    let mut names = procfs::consoles(dir);
    names.retain(|name| {
        let node = fs::metadata(dir.join("dev").join(name));
        node.is_ok_and(|node| node.file_type().is_char_device())
    });
    if names.is_empty() {
        names.push("console".to_owned());
    }
    names
}

/// Returns whether a console is that of the screen and the keyboard.
pub(super) fn is_virtual_terminal(name: &str) -> bool {
    name.strip_prefix("tty").is_some_and(|rest| rest.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consoles_are_those_with_a_device_node() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Root::at(scratch.path());
        assert_eq!(consoles(&dir), ["console"]);
        fs::create_dir_all(scratch.path().join("proc")).unwrap();
        fs::create_dir_all(scratch.path().join("dev")).unwrap();
        let lines = "tty0                 -WU (EC p  )    4:7\n\
                     netcon0              -W- (E     )\n\
                     file                 -W- (E  p a)    4:64\n";
        fs::write(scratch.path().join("proc/consoles"), lines).unwrap();
        fs::write(scratch.path().join("dev/file"), "").unwrap();
        assert_eq!(consoles(&dir), ["console"]);
        std::os::unix::fs::symlink("/dev/null", scratch.path().join("dev/tty0")).unwrap();
        assert_eq!(consoles(&dir), ["tty0"]);
    }

    #[test]
    fn a_screen_has_a_number() {
        let names = ["tty0", "tty63", "ttyS0", "ttyAMA0", "tty", "hvc0", "console", "ttynull"];
        assert_eq!(
            names.map(is_virtual_terminal),
            [true, true, false, false, false, false, false, false]
        );
    }

    #[test]
    fn children_that_end_soon_are_started_less_and_less_often() {
        let mut backoff = Backoff::new();
        let delays: Vec<u64> = (0..7)
            .map(|_| {
                backoff.note_start();
                backoff.postpone();
                (backoff.due - backoff.started).as_secs()
            })
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30]);
        backoff.started = BootTime::default();
        backoff.postpone();
        assert_eq!(backoff.delay, FIRST_DELAY * 2);
    }
}
