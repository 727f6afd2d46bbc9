//! `monitor`: prints a line for each uevent of the kernel, or runs a command.
//!
//! ```text
//! ACTION DEVPATH SUBSYSTEM MODALIAS     a line, with - for a key that the event lacks
//! KEY=VALUE                             with --properties: every key, then an empty line
//! ```

mod filter;
mod queue;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, ExitStatus};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Map, Value};

use super::args::{Arg, Args};
use super::message::Error;
use super::out;
use super::tool::{Fail, Level, Tool};
use super::usage::{Opt, Usage, VERSION};
use crate::escape;
use crate::kmod::uevent::Uevent;
use crate::sys::process;
use crate::sys::uevent::{Received, Socket};
use filter::Filter;
use queue::Queue;

const SUBSYSTEM: char = '\u{1}';
const ACTION: char = '\u{2}';
const MODALIAS: char = '\u{3}';
const EXEC: char = '\u{4}';
const JSON: char = '\u{5}';
const COUNT: char = '\u{6}';

pub(super) static USAGE: Usage =
    Usage::new("monitor", "show uevents of the kernel, or run a command for each")
        .text("[option…]\n\nPrints each uevent of the kernel, or runs a command for it.")
        .options(&[
            Opt(SUBSYSTEM, "subsystem=NAME: select events of this subsystem; may be repeated"),
            Opt(ACTION, "action=add|remove|change|move|online|offline|bind|unbind: select events with this action; may be repeated"),
            Opt(MODALIAS, "modalias=GLOB: select devices whose modalias matches; may be repeated"),
            Opt(EXEC, "exec=COMMAND: run COMMAND with sh(1), the keys of the event in its environment"),
            Opt('j', "jobs=N: run up to N commands in parallel (4), in order for the same device"),
            Opt(JSON, "json: print one JSON object per line"),
            Opt('p', "properties: print all keys of each event"),
            Opt(COUNT, "count=N: exit after N events"),
            VERSION,
        ]);

/// Largest uevent with its header, in bytes.
const MAX_MESSAGE: usize = 8192;
/// Maximum number of queued commands. Further events stay in the socket; a warning is printed if
/// that overflows.
const MAX_QUEUED: usize = 4096;
/// Default number of commands that run in parallel.
const DEFAULT_JOBS: usize = 4;

/// Form in which events are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Line,
    Properties,
    Json,
}

/// A parsed command line.
struct Options {
    filter: Filter,
    form: Form,
    exec: Option<OsString>,
    jobs: usize,
    count: usize,
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let tool = Tool::coldplug(args);
    let options = parse(&tool, args)?;
    let socket = Socket::open(None)?;
    Ok(Monitor::new(&tool, &options).run(&socket)?)
}

fn parse(tool: &Tool, args: &[OsString]) -> Result<Options, Error> {
    let mut args = Args::new(args, Vec::new(), &USAGE);
    let mut options = Options {
        filter: Filter::default(),
        form: Form::Line,
        exec: None,
        jobs: DEFAULT_JOBS,
        count: usize::MAX,
    };
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Operand(word) => return Err(Error::unexpected(&word)),
            Arg::Opt(letter, value) => options.set(tool, letter, value)?,
        }
    }
    Ok(options)
}

impl Options {
    fn set(&mut self, tool: &Tool, letter: char, value: OsString) -> Result<(), Error> {
        let filter = &mut self.filter;
        match letter {
            SUBSYSTEM => filter.subsystems.push(value.as_bytes().to_vec()),
            ACTION if !filter.add_action(&value) => return Err(bad_value("action", &value)),
            ACTION => {}
            MODALIAS if !filter.add_modalias(value.as_bytes()) => {
                return Err(bad_value("modalias", &value));
            }
            MODALIAS => {}
            EXEC => self.exec = Some(value),
            'j' => self.jobs = number("jobs", &value)?,
            COUNT => self.count = number("count", &value)?,
            JSON => self.form = Form::Json,
            'p' => self.form = Form::Properties,
            _ => return Err(tool.version()),
        }
        Ok(())
    }
}

fn bad_value(option: &str, value: &OsStr) -> Error {
    Error::Usage(format!("unexpected --{option} value '{}'", escape::path(value)))
}

fn number(option: &str, value: &OsStr) -> Result<usize, Error> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.filter(|n| *n > 0).ok_or_else(|| bad_value(option, value))
}

/// Environment of a command.
type Environment = Vec<(OsString, OsString)>;

/// A running command.
struct Command {
    device: Vec<u8>,
    child: Child,
}

struct Monitor<'a> {
    tool: &'a Tool,
    options: &'a Options,
    queue: Queue<Environment>,
    commands: Vec<Command>,
    /// Number of events until the end.
    remaining: usize,
    failed: bool,
}

impl<'a> Monitor<'a> {
    fn new(tool: &'a Tool, options: &'a Options) -> Self {
        let queue = Queue::new(options.jobs);
        Self { tool, options, queue, commands: Vec::new(), remaining: options.count, failed: false }
    }

    /// Handles events until the count is reached and all commands have ended.
    fn run(mut self, socket: &Socket) -> Result<(), Fail> {
        while self.remaining > 0 || self.queue.len() > 0 || !self.commands.is_empty() {
            self.start_commands();
            if out::has_failed() {
                break;
            }
            let is_accepting = self.remaining > 0 && self.queue.len() < MAX_QUEUED;
            self.wait(is_accepting.then_some(socket))?;
            if is_accepting {
                self.drain(socket)?;
            }
            self.reap_commands();
        }
        if self.failed { Err(Fail::Continue) } else { Ok(()) }
    }

    /// Waits until an event arrives or a command ends.
    fn wait(&self, socket: Option<&Socket>) -> Result<(), Fail> {
        self.tool.flush();
        // If pidfd_open fails (ENOSYS, no descriptors), the end of a command is polled for.
        let pidfd = |c: &Command| pidfd_open(Pid::from_child(&c.child), PidfdFlags::empty()).ok();
        let handles: Vec<_> = self.commands.iter().filter_map(pidfd).collect();
        let mut fds: Vec<PollFd<'_>> =
            handles.iter().map(|handle| PollFd::new(handle, PollFlags::IN)).collect();
        fds.extend(socket.map(|socket| PollFd::new(socket, PollFlags::IN)));
        let must_poll = handles.len() < self.commands.len();
        let limit = rustix::time::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        match poll(&mut fds, must_poll.then_some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => {
                Err(self.tool.error(&format!("poll: {}", crate::sys::errno::text(errno))))
            }
        }
    }

    /// Handles the events that have arrived.
    fn drain(&mut self, socket: &Socket) -> Result<(), Fail> {
        let mut buffer = vec![0; MAX_MESSAGE];
        while self.remaining > 0 && self.queue.len() < MAX_QUEUED {
            match socket.receive(&mut buffer) {
                Ok(Received::Empty) => break,
                Ok(Received::Message(message)) => self.handle(message),
                Ok(Received::Foreign) => {}
                Ok(Received::Lost | Received::Truncated) => {
                    self.tool.message(Level::Warning, "uevents lost: receive buffer overflow");
                }
                Err(error) => return Err(self.tool.error(&error.to_string())),
            }
        }
        Ok(())
    }

    fn handle(&mut self, message: &[u8]) {
        let Some(event) = Uevent::parse(message).filter(|e| self.options.filter.matches(e)) else {
            return;
        };
        self.remaining -= 1;
        match self.options.exec {
            Some(_) => self.queue.push(event.devpath, environment(&event)),
            None => self.tool.print(format_event(&event, self.options.form)),
        }
    }

    /// Starts the queued commands that may run now.
    fn start_commands(&mut self) {
        let Some(line) = &self.options.exec else { return };
        while let Some((device, environment)) = self.queue.pop() {
            match process::spawn_shell_command(line, &environment) {
                Ok(child) => self.commands.push(Command { device, child }),
                Err(error) => {
                    self.tool.error(&error.to_string());
                    self.failed = true;
                    self.queue.finish(&device);
                }
            }
        }
    }

    /// Removes the commands that have ended.
    fn reap_commands(&mut self) {
        let mut at = 0;
        while let Some(command) = self.commands.get_mut(at) {
            match command.child.try_wait() {
                Ok(None) => at += 1,
                ended => {
                    let device = self.commands.remove(at).device;
                    self.queue.finish(&device);
                    self.check_status(&device, ended.ok().flatten());
                }
            }
        }
    }

    fn check_status(&mut self, device: &[u8], status: Option<ExitStatus>) {
        if let Some(status) = status.filter(|status| !status.success()) {
            self.failed = true;
            let device = String::from_utf8_lossy(device);
            self.tool.error(&format!("{device}: command failed: {status}"));
        }
    }
}

fn environment(event: &Uevent<'_>) -> Environment {
    let os = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    event.pairs().map(|(key, value)| (os(key), os(value))).collect()
}

fn format_event(event: &Uevent<'_>, form: Form) -> Vec<u8> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if form == Form::Json {
        let object: Map<String, Value> =
            event.pairs().map(|(key, value)| (text(key), Value::String(text(value)))).collect();
        return format!("{}\n", Value::Object(object)).into_bytes();
    }
    // Names and labels come from devices.
    let escaped = |bytes: &[u8]| escape::line(&escape::bytes(bytes)).into_owned();
    let word = |key| event.get(key).unwrap_or(b"-");
    let words = [event.action, event.devpath, word("SUBSYSTEM"), word("MODALIAS")];
    let mut out = words.map(escaped).join(" ") + "\n";
    if form == Form::Properties {
        for (key, value) in event.pairs() {
            out += &format!("{}={}\n", escaped(key), escaped(value));
        }
        out.push('\n');
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_three_forms() {
        let message = b"add@/devices/x\0ACTION=add\0SUBSYSTEM=usb\0A=1=2\0junk\0SEQNUM=4\0";
        let event = Uevent::parse(message).unwrap();
        let show = |form| String::from_utf8(format_event(&event, form)).unwrap();
        assert_eq!(show(Form::Line), "add /devices/x usb -\n");
        let all = "ACTION=add\nSUBSYSTEM=usb\nA=1=2\nSEQNUM=4\n\n";
        assert_eq!(show(Form::Properties), format!("add /devices/x usb -\n{all}"));
        let json = "{\"A\":\"1=2\",\"ACTION\":\"add\",\"SEQNUM\":\"4\",\"SUBSYSTEM\":\"usb\"}\n";
        assert_eq!(show(Form::Json), json);
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let message = b"add@/devices/x\0ACTION=add\0NAME=a\x1b[2J\nB=\xf6\0MODALIAS=\t\0";
        let event = Uevent::parse(message).unwrap();
        let text = format_event(&event, Form::Properties);
        let want =
            "add /devices/x - \\x09\nACTION=add\nNAME=a\\x1b[2J\\x0aB=\\xf6\nMODALIAS=\\x09\n\n";
        assert_eq!(String::from_utf8(text).unwrap(), want);
    }
}
