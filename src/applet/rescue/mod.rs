//! `rescue [COMMAND...]`: the prompt for a person at the console of a boot that cannot go on, or
//! one of its commands, for the person who has a shell.
//!
//! Each command is a process of its own: a fault in it, and a mount that hangs, leave the prompt.

mod cat;
mod dmesg;
pub(super) mod line_reader;
mod mount;
mod words;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::Timespec;

use super::message::{self, Error};
use super::out;
use crate::boot::{self, Request};
use crate::byte_text;
use crate::escape;
use crate::sys::process::{self, SELF_EXE};
use crate::sys::terminal::Mode;
use crate::sys::{BootTime, Root};
use line_reader::LineReader;

/// What the prompt shows.
const PROMPT: &str = "coldplug> ";
/// Interval between checks whether a command has ended.
const POLL_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Longest wait for the end of a command that was killed, and for PID 1 to act on a request.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// A command of the prompt.
struct RescueCommand {
    name: &'static str,
    /// The operands, for the help.
    syntax: &'static str,
    help: &'static str,
    action: Action,
}

/// How a command is carried out.
enum Action {
    /// By this function. The first argument is the name of the command.
    Call(fn(&[OsString]) -> Result<(), Error>),
    /// By the applet of this name.
    Applet(&'static str),
    /// By PID 1.
    Ask(Request),
    /// By PID 1, with the words as kernel parameters.
    Retry,
}

static COMMANDS: [RescueCommand; 15] = [
    command("help", "", "show this list", Action::Call(help)),
    command("devices", "", "list the block devices and what they hold", Action::Call(devices)),
    command("lsmod", "", "show loaded modules", Action::Applet("lsmod")),
    command("modprobe", "MODULE...", "load modules, with -r remove", Action::Applet("modprobe")),
    command(
        "scan",
        "[--serial]",
        "show devices, drivers and modules, or print a capture for 'coldplug plan --from'",
        Action::Applet("scan"),
    ),
    command("plan", "", "show what a boot would load and why", Action::Applet("plan")),
    command(
        "mount",
        "DEVICE [DIRECTORY] [-t TYPE] [-o OPTION,OPTION]",
        "mount at /sysroot or DIRECTORY, read-only unless with -o rw",
        Action::Call(mount::run),
    ),
    command("cat", "FILE...", "show files", Action::Call(cat::run)),
    command("dmesg", "", "show the log of the kernel", Action::Call(dmesg::run)),
    command(
        "record",
        "[--serial]",
        "show the record of this boot, or print it for 'coldplug report'",
        Action::Applet("report"),
    ),
    command(
        "retry",
        "[root=NAME] [PARAMETER...]",
        "search for the root again, with these kernel parameters",
        Action::Retry,
    ),
    command(
        "continue",
        "",
        "switch to the filesystem at /sysroot; at coldplug.break= continue the boot",
        Action::Ask(Request::Continue),
    ),
    command("reboot", "", "restart the machine", Action::Ask(Request::Reboot)),
    command("poweroff", "", "power off", Action::Ask(Request::PowerOff)),
    command(
        "exit",
        "",
        "restart the machine; at coldplug.break= continue the boot",
        Action::Ask(Request::Exit),
    ),
];

const fn command(
    name: &'static str,
    syntax: &'static str,
    help: &'static str,
    action: Action,
) -> RescueCommand {
    RescueCommand { name, syntax, help, action }
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    match args.get(1..) {
        None | Some([]) => prompt(true),
        Some(words) => run_command(words),
    }
}

/// Carries out one command.
fn run_command(words: &[OsString]) -> Result<(), Error> {
    let Some(name) = words.first() else { return Ok(()) };
    let Some(command) = COMMANDS.iter().find(|command| *command.name == **name) else {
        let text = format!("unknown command '{}'", escape::line(&name.to_string_lossy()));
        return Err(Error::Hinted(text, "'help' lists the commands".to_owned()));
    };
    match &command.action {
        Action::Call(run) => run(words),
        Action::Applet(applet) => call_applet(applet, words),
        Action::Ask(_) if words.len() > 1 => Err(Error::unexpected(&words[1])),
        Action::Ask(request) => Ok(request.send(&Root::default())?),
        Action::Retry => retry(words),
    }
}

fn call_applet(name: &str, words: &[OsString]) -> Result<(), Error> {
    let Some(applet) = super::find(OsStr::new(name)) else {
        let text = format!("'{name}' is not in this image");
        return Err(Error::Hinted(text, "'scan' shows devices and their modules".to_owned()));
    };
    applet.answer_or_run(words)
}

fn help(_words: &[OsString]) -> Result<(), Error> {
    for command in &COMMANDS {
        out::line(format!("  {} {}", command.name, command.syntax).trim_end());
        out::line(&format!("        {}", command.help));
    }
    out::line("Ctrl-C ends a command. Words with spaces need quotes.");
    Ok(())
}

fn devices(words: &[OsString]) -> Result<(), Error> {
    if let Some(word) = words.get(1) {
        return Err(Error::unexpected(word));
    }
    let devices = boot::block_devices(&Root::default());
    devices.iter().for_each(|device| out::line(&device.line()));
    if devices.is_empty() {
        out::line("no block devices seen");
    }
    Ok(())
}

fn retry(words: &[OsString]) -> Result<(), Error> {
    let mut parameters = Vec::new();
    for word in &words[1..] {
        let text = byte_text::from_bytes(word.as_encoded_bytes());
        if text.contains('"') {
            return Err(Error::unexpected(word));
        }
        // The quotes of a shell are gone; those of the kernel command line are needed.
        parameters.push(if text.contains(' ') { format!("\"{text}\"") } else { text.into() });
    }
    Ok(Request::Retry(parameters.join(" ")).send(&Root::default())?)
}

/// Reads commands from the terminal and runs them, until PID 1 ends this process or the terminal
/// hangs up.
pub(super) fn prompt(is_failure: bool) -> Result<(), Error> {
    let mut lines = LineReader::new();
    out::line(match is_failure {
        true => "coldplug: the boot cannot go on; 'help' lists the commands",
        false => "coldplug: the boot is paused; 'help' lists the commands, 'exit' continues",
    });
    loop {
        out::part(PROMPT);
        let Some(line) = lines.next(Mode::Prompt) else { return Ok(()) };
        match line.as_deref().map(words::split) {
            // Ctrl-C, Ctrl-D, or a line that is too long.
            None => out::line(""),
            Some(Err(error)) => message::warn("rescue", &error.to_string()),
            Some(Ok(words)) if words.is_empty() => {}
            Some(Ok(words)) => run_in_child(&words, &mut lines),
        }
    }
}

/// Runs a command in a child process; Ctrl-C kills it.
fn run_in_child(words: &[OsString], lines: &mut LineReader) {
    let mut command = Command::new(SELF_EXE);
    command.arg("rescue").args(words).stdin(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return message::warn("rescue", &format!("exec {SELF_EXE}: {error}")),
    };
    while !has_ended(&mut child) {
        if lines.interrupted(&POLL_INTERVAL) {
            kill(&mut child);
            break;
        }
    }
    if is_request(words) && child.wait().is_ok_and(|status| status.success()) {
        wait_for_init(lines);
    }
}

/// Returns whether a command asks PID 1 for something.
fn is_request(words: &[OsString]) -> bool {
    let name = words.first().map(|name| name.as_bytes());
    let asks = |command: &&RescueCommand| matches!(command.action, Action::Ask(_) | Action::Retry);
    COMMANDS.iter().filter(asks).any(|command| name == Some(command.name.as_bytes()))
}

/// Waits for PID 1, which ends this process when it does what it was asked for.
fn wait_for_init(lines: &mut LineReader) {
    let end = BootTime::now() + END_TIMEOUT;
    while BootTime::now() < end {
        lines.interrupted(&POLL_INTERVAL);
    }
}

fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

/// Kills a command. One that is inside the kernel, such as a mount of a disk that does not answer,
/// dies when that ends; the prompt does not wait for it.
fn kill(child: &mut Child) {
    let _ = child.kill();
    if matches!(process::wait_for(child, END_TIMEOUT), Ok(None)) {
        message::warn("rescue", "command is blocked in the kernel; left running");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        words::split(line.as_bytes()).unwrap()
    }

    #[test]
    fn every_command_is_found_and_carried_out_by_one_that_exists() {
        for command in &COMMANDS {
            if let Action::Applet(name) = command.action {
                let exists = super::super::find(OsStr::new(name)).is_some();
                assert!(exists || name == "plan", "{name}");
            }
            let asks = matches!(command.action, Action::Ask(_)) || command.name == "retry";
            assert_eq!(is_request(&words(command.name)), asks, "{}", command.name);
        }
    }

    #[test]
    fn wrong_lines_are_answered_with_an_error() {
        for (line, want) in [
            ("frob", "unknown command 'frob'"),
            ("'a\\b'", "unknown command 'a\\b'"),
            ("reboot now", "unexpected argument 'now'"),
            ("continue x", "unexpected argument 'x'"),
            ("devices x", "unexpected argument 'x'"),
            ("retry 'root=\"x'", "unexpected argument 'root=\"x'"),
            ("cat", "FILE is missing"),
            ("dmesg x", "unexpected argument 'x'"),
            ("mount", "DEVICE is missing"),
            ("record a b", "unexpected argument 'b'"),
        ] {
            let error = run_command(&words(line)).unwrap_err();
            assert_eq!(error.to_string(), want, "{line}");
        }
        assert_eq!(run_command(&[]), Ok(()));
    }
}
