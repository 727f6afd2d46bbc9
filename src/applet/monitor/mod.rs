//! `monitor`: the kernel's uevents, as they come; a line for each, or a command.
//!
//! ```text
//! ACTION DEVPATH SUBSYSTEM MODALIAS     a line, - for what an event does not have
//! KEY=VALUE                             with --properties: all keys below it, and an empty line
//! ```

mod filter;
mod queue;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, ExitStatus};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Map, Value};

use super::args::{Arg, Args, Opt};
use super::tool::{Fail, Level, Tool};
use super::{Exit, out};
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

const OPTIONS: &[Opt] = &[
    Opt(SUBSYSTEM, "subsystem", true),
    Opt(ACTION, "action", true),
    Opt(MODALIAS, "modalias", true),
    Opt(EXEC, "exec", true),
    Opt('j', "jobs", true),
    Opt(JSON, "json", false),
    Opt('p', "properties", false),
    Opt(COUNT, "count", true),
    Opt('V', "version", false),
    Opt('h', "help", false),
];

const HELP: &str = "[options]
Options:
\t    --subsystem=NAME  only events of this subsystem; may be given again
\t    --action=NAME     only this: add remove change move online offline bind unbind; may be given again
\t    --modalias=GLOB   only devices whose modalias matches; may be given again
\t    --exec=COMMAND    run it by sh(1) for each event, the event's keys in its environment
\t-j, --jobs=N          so many commands at once (4); those of one device run in order
\t    --json            one JSON object a line
\t-p, --properties      all keys of each event
\t    --count=N         end after N events
\t-V, --version         show version
\t-h, --help            show this help
";

/// What an event may hold, and its header.
const MESSAGE: usize = 8192;
/// Commands that may wait. Then events wait in the socket, and where that runs over it is told.
const WAITING: usize = 4096;
/// How many commands run at once unless told.
const JOBS: usize = 4;

/// How events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Line,
    Properties,
    Json,
}

/// What was asked for.
struct Options {
    filter: Filter,
    form: Form,
    exec: Option<OsString>,
    jobs: usize,
    count: usize,
}

pub(super) fn run(args: &[OsString]) -> Exit {
    let tool = Tool::new(args, Level::Warning);
    let options = match read(&tool, args) {
        Ok(options) => options,
        Err(exit) => return exit,
    };
    let watched = Socket::open(None)
        .map_err(|error| tool.error(&error.to_string()))
        .and_then(|socket| Monitor::new(&tool, &options).watch(&socket));
    if watched.is_ok() { Exit::Success } else { Exit::Failure }
}

fn read(tool: &Tool, args: &[OsString]) -> Result<Options, Exit> {
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let mut options = Options {
        filter: Filter::default(),
        form: Form::Line,
        exec: None,
        jobs: JOBS,
        count: usize::MAX,
    };
    while let Some(arg) = args.next().map_err(|text| tool.bad_option(&text))? {
        let (letter, value) = match arg {
            Arg::Opt(letter, value) => (letter, value),
            Arg::Operand(word) => {
                tool.error(&format!("'{}' is too much. See -h.", word.to_string_lossy()));
                return Err(Exit::Failure);
            }
        };
        let filter = &mut options.filter;
        match letter {
            SUBSYSTEM => filter.subsystems.push(value.as_bytes().to_vec()),
            ACTION if !filter.add_action(&value) => return Err(bad(tool, "action", &value)),
            ACTION => {}
            MODALIAS if !filter.add_modalias(value.as_bytes()) => {
                return Err(bad(tool, "modalias", &value));
            }
            MODALIAS => {}
            EXEC => options.exec = Some(value),
            'j' => options.jobs = number(tool, "jobs", &value)?,
            COUNT => options.count = number(tool, "count", &value)?,
            JSON => options.form = Form::Json,
            'p' => options.form = Form::Properties,
            'V' => return Err(tool.version()),
            _ => return Err(tool.help(HELP)),
        }
    }
    Ok(options)
}

fn bad(tool: &Tool, what: &str, value: &OsStr) -> Exit {
    tool.error(&format!("unexpected {what} value '{}'.", value.to_string_lossy()));
    Exit::Failure
}

fn number(tool: &Tool, what: &str, value: &OsStr) -> Result<usize, Exit> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.filter(|n| *n > 0).ok_or_else(|| bad(tool, what, value))
}

/// A command's environment.
type Keys = Vec<(OsString, OsString)>;

/// One that runs.
struct Command {
    device: Vec<u8>,
    child: Child,
}

struct Monitor<'a> {
    tool: &'a Tool,
    options: &'a Options,
    queue: Queue<Keys>,
    commands: Vec<Command>,
    /// Events that are still to come.
    left: usize,
    failed: bool,
}

impl<'a> Monitor<'a> {
    fn new(tool: &'a Tool, options: &'a Options) -> Self {
        let queue = Queue::new(options.jobs);
        Self { tool, options, queue, commands: Vec::new(), left: options.count, failed: false }
    }

    /// Takes events until there have been enough, and waits for the end of the commands.
    fn watch(mut self, socket: &Socket) -> Result<(), Fail> {
        while self.left > 0 || self.queue.waiting() > 0 || !self.commands.is_empty() {
            self.start();
            if out::is_gone() {
                break;
            }
            let is_open = self.left > 0 && self.queue.waiting() < WAITING;
            self.wait(is_open.then_some(socket))?;
            if is_open {
                self.drain(socket)?;
            }
            self.end_commands();
        }
        if self.failed { Err(Fail::GoOn) } else { Ok(()) }
    }

    /// Waits until an event is there, or a command has ended.
    fn wait(&self, socket: Option<&Socket>) -> Result<(), Fail> {
        self.tool.flush();
        // Without it (ENOSYS, no descriptors) the end of a command is only looked for now and then.
        let handle = |c: &Command| pidfd_open(Pid::from_child(&c.child), PidfdFlags::empty()).ok();
        let handles: Vec<_> = self.commands.iter().filter_map(handle).collect();
        let mut fds: Vec<PollFd<'_>> =
            handles.iter().map(|handle| PollFd::new(handle, PollFlags::IN)).collect();
        fds.extend(socket.map(|socket| PollFd::new(socket, PollFlags::IN)));
        let blind = handles.len() < self.commands.len();
        let limit = rustix::time::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        match poll(&mut fds, blind.then_some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => {
                Err(self.tool.error(&format!("poll: {}", crate::sys::errno::text(errno))))
            }
        }
    }

    fn drain(&mut self, socket: &Socket) -> Result<(), Fail> {
        let mut buffer = vec![0; MESSAGE];
        while self.left > 0 && self.queue.waiting() < WAITING {
            match socket.receive(&mut buffer) {
                Ok(Received::Empty) => break,
                Ok(Received::Message(message)) => self.message(message),
                Ok(Received::Foreign) => {}
                Ok(Received::Lost | Received::Truncated) => {
                    self.tool
                        .say(Level::Warning, "events have been lost: there were too many at once.");
                }
                Err(error) => return Err(self.tool.error(&error.to_string())),
            }
        }
        Ok(())
    }

    fn message(&mut self, message: &[u8]) {
        let Some(event) = Uevent::parse(message).filter(|e| self.options.filter.takes(e)) else {
            return;
        };
        self.left -= 1;
        match self.options.exec {
            Some(_) => self.queue.push(event.devpath, keys(&event)),
            None => self.tool.print(shown(&event, self.options.form)),
        }
    }

    /// Starts what may run.
    fn start(&mut self) {
        let Some(line) = &self.options.exec else { return };
        while let Some((device, keys)) = self.queue.take() {
            match process::spawn_shell_command(line, &keys) {
                Ok(child) => self.commands.push(Command { device, child }),
                Err(error) => {
                    self.tool.error(&error.to_string());
                    self.failed = true;
                    self.queue.end(&device);
                }
            }
        }
    }

    fn end_commands(&mut self) {
        let mut at = 0;
        while let Some(command) = self.commands.get_mut(at) {
            match command.child.try_wait() {
                Ok(None) => at += 1,
                ended => {
                    let device = self.commands.remove(at).device;
                    self.queue.end(&device);
                    self.tell_end(&device, ended.ok().flatten());
                }
            }
        }
    }

    fn tell_end(&mut self, device: &[u8], status: Option<ExitStatus>) {
        if let Some(status) = status.filter(|status| !status.success()) {
            self.failed = true;
            let device = String::from_utf8_lossy(device);
            self.tool.error(&format!("the command for {device}: {status}"));
        }
    }
}

fn keys(event: &Uevent<'_>) -> Keys {
    let os = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    event.pairs().map(|(key, value)| (os(key), os(value))).collect()
}

fn shown(event: &Uevent<'_>, form: Form) -> Vec<u8> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if form == Form::Json {
        let object: Map<String, Value> =
            event.pairs().map(|(key, value)| (text(key), Value::String(text(value)))).collect();
        return format!("{}\n", Value::Object(object)).into_bytes();
    }
    let word = |key| event.get(key).unwrap_or(b"-");
    let mut out = [event.action, event.devpath, word("SUBSYSTEM"), word("MODALIAS")].join(&b' ');
    out.push(b'\n');
    if form == Form::Properties {
        for (key, value) in event.pairs() {
            out.extend([key, b"=", value, b"\n"].concat());
        }
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_shown_in_three_ways() {
        let message = b"add@/devices/x\0ACTION=add\0SUBSYSTEM=usb\0A=1=2\0junk\0SEQNUM=4\0";
        let event = Uevent::parse(message).unwrap();
        let show = |form| String::from_utf8(shown(&event, form)).unwrap();
        assert_eq!(show(Form::Line), "add /devices/x usb -\n");
        let all = "ACTION=add\nSUBSYSTEM=usb\nA=1=2\nSEQNUM=4\n\n";
        assert_eq!(show(Form::Properties), format!("add /devices/x usb -\n{all}"));
        let json = "{\"A\":\"1=2\",\"ACTION\":\"add\",\"SEQNUM\":\"4\",\"SUBSYSTEM\":\"usb\"}\n";
        assert_eq!(show(Form::Json), json);
    }
}
