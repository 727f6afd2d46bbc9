//! `console-shell OCCASION CONSOLE`: the shell on one console, in a session of its own, because
//! PID 1 must have no controlling terminal. `init` starts it, and sends the hash of the password to
//! descriptor 0.
//!
//! A shell of the image is used if it works, else the built-in prompt. The end of the shell is a
//! request to PID 1, unless the terminal has hung up. With the word `reset` it only sets the
//! terminal back.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::message::Error;
use super::out;
use super::rescue::{self, line_reader::LineReader};
use crate::boot::{NO_PASSWORD, NO_TERMINAL, Occasion, RECORD, RESET, Request};
use crate::report::Record;
use crate::sys::crypt::PasswordHash;
use crate::sys::regular_file::{self, RECORD_LIMIT};
use crate::sys::terminal::{self, Mode};
use crate::sys::{Root, child, process, procfs};

/// Shells with the arguments that make them interactive, the first that works is used.
const SHELLS: [(&str, &[&str]); 5] = [
    ("/bin/sh", &["-i"]),
    ("/bin/busybox", &["sh", "-i"]),
    ("/bin/bash", &["-i"]),
    ("/usr/bin/bash", &["-i"]),
    ("/bin/ash", &["-i"]),
];
/// Exit code that a shell which works returns.
const CHECK: i32 = 42;
/// Longest time for that.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Wrong passwords before the longer pause.
const ATTEMPTS: usize = 3;
/// Pause after a wrong password.
const WRONG_DELAY: Duration = Duration::from_secs(1);
/// Pause after the last of [`ATTEMPTS`].
const LOCKED_DELAY: Duration = Duration::from_secs(10);
/// Exit code of a shell that SIGHUP ended.
const HUNG_UP: i32 = 128 + 1;

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let [_, occasion, console] = args else {
        return Err(Error::Usage("OCCASION or CONSOLE is missing".to_owned()));
    };
    let terminal = Root::default().join("dev").join(console);
    if occasion == RESET {
        return Ok(terminal::reset(&terminal)?);
    }
    let password = child::receive_from_parent(rustix::stdio::stdin());
    terminal::attach(&terminal).map_err(|_| Error::Code(NO_TERMINAL))?;
    let is_failure = occasion == Occasion::Failure.as_str();
    if is_failure && procfs::consoles(&Root::default()).first().is_some_and(|c| **c != **console) {
        show_failure();
    }
    admit(password.as_deref())?;
    match SHELLS.iter().find(|(path, args)| works(Path::new(path), args)) {
        Some((path, args)) => run_shell(Path::new(path), args, is_failure),
        None => rescue::prompt(is_failure),
    }
}

/// Prints the warnings and the verdict of the record. PID 1 prints them on /dev/console, which is
/// the first console of /proc/consoles.
fn show_failure() {
    let record = regular_file::read_text(&Root::default().join(RECORD), RECORD_LIMIT);
    let table = record.ok().and_then(|record| Record::table(&record)).unwrap_or_default();
    let is_shown = |line: &&str| line.starts_with("warning: ") || line.starts_with("verdict: ");
    table.lines().filter(is_shown).for_each(|line| out::line(&format!("coldplug: {line}")));
}

/// Asks for the password until it is right. `sent` is what PID 1 has sent: the hash, or that none
/// is needed. Anything else admits nobody.
fn admit(sent: Option<&[u8]>) -> Result<(), Error> {
    let refused = || Error::Failed("no shell without the hash of the password".to_owned());
    let text = sent.and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or_else(refused)?;
    if text == NO_PASSWORD {
        return Ok(());
    }
    let hash = PasswordHash::parse(text).map_err(|_| refused())?;
    let mut lines = LineReader::new();
    for attempt in 1.. {
        // Echo is off before the person is asked.
        terminal::set_mode(Mode::Password);
        out::part("coldplug: password for a shell: ");
        let line = lines.next(Mode::Password);
        out::line("");
        let Some(line) = line else { break };
        if line.is_some_and(|password| hash.is_of(&password)) {
            return Ok(());
        }
        thread::sleep(WRONG_DELAY);
        out::line("coldplug: wrong password");
        if attempt % ATTEMPTS == 0 {
            out::line(&format!("coldplug: next attempt in {} s", LOCKED_DELAY.as_secs()));
            thread::sleep(LOCKED_DELAY);
        }
    }
    Err(Error::Reported)
}

/// Returns whether a shell can be executed and runs a command: it may be for another processor, or
/// lack a library.
fn works(path: &Path, args: &[&str]) -> bool {
    let applet: Vec<&&str> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let mut command = Command::new(path);
    command.args(applet).args(["-c", &format!("exit {CHECK}")]);
    let null = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = null.spawn() else { return false };
    match process::wait_for(&mut child, CHECK_TIMEOUT) {
        Ok(Some(status)) => return status.code() == Some(CHECK),
        Ok(None) => {}
        Err(_) => return false,
    }
    let _ = child.kill();
    false
}

/// Runs a shell in the foreground until the person exits it.
fn run_shell(path: &Path, args: &[&str], is_failure: bool) -> Result<(), Error> {
    terminal::set_mode(Mode::Shell);
    if is_failure {
        out::line("coldplug: 'coldplug rescue help' lists the commands of the rescue prompt");
    }
    let failed = |e: std::io::Error| crate::sys::Error::io("exec", path, &e);
    // A group of its own: Ctrl-C must not end this process.
    let mut child = Command::new(path).args(args).process_group(0).spawn().map_err(failed)?;
    terminal::set_foreground(child.id());
    let status: ExitStatus = child.wait().map_err(failed)?;
    if status.code().is_some_and(|code| code != HUNG_UP) && terminal::is_alive() {
        Request::Exit.send(&Root::default())?;
    }
    Ok(())
}
