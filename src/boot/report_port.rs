//! The port or file of `coldplug.report=`, and that of `coldplug.capture=`.
//!
//! A child (`coldplug report-writer`) writes it: a file may be on a disk or a server that does not
//! answer, and the close of a terminal waits until it has sent everything. PID 1 sends it the
//! record, in parts, because a record may be longer than a message. It makes the capture by itself.
//!
//! If the record goes to a port that is no console, the child starts with the boot, is sent each
//! milestone as it is reached, and keeps those that the port does not accept yet: the driver of the
//! port may come later, and so may its reader. The record is the last thing that it writes. PID 1
//! waits for it only then. If that child has not been able to open the port, another one gets the
//! milestones and the record: the first one may have kept the root of the initramfs, whose /dev is
//! empty after the switch.
//!
//! On a console, where other messages appear, only the record is written, in the lines of
//! machine/serial_lines.rs.
//!
//! After the switch the child's program is the one of the initramfs, which /proc/self/exe names
//! even when its file is deleted. In a root without /proc no child starts any more.

use std::mem;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use super::{reply, seconds};
use crate::machine::serial_lines::{self, Kind};
use crate::sys::child::{self, ChildProcess, MAX_MESSAGE, Received};
use crate::sys::console::{self, QuietKernel};
use crate::sys::port::Port;
use crate::sys::{self, BootTime, Root, machine, signals, virtio_port};

/// Name of the command that the child runs.
const APPLET: &str = "report-writer";
/// Longest wait for the child. A serial port that is read accepts a record of 50 KB within half a
/// minute at 19200 baud.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The same if a person waits for the restart.
const SHORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for which a port may accept nothing.
const STALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval of the attempts to write milestones that the port has not accepted.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// What the child writes: milestones and later the record, both at once, or a capture.
const MILESTONES: &str = "milestones";
const RECORD: &str = "record";
const CAPTURE: &str = "capture";
/// The message after the record.
const END: &[u8] = b"end";

/// What writes to the port.
#[derive(Debug, Default)]
pub(super) struct ReportPort {
    /// The port that gets milestones.
    path: Option<String>,
    /// The child that writes them.
    writer: Option<ChildProcess>,
    /// The lines of the milestones of this attempt to boot.
    milestones: String,
    /// Whether the port did not answer once. Then a second verdict of this boot does not wait for
    /// it again.
    is_given_up: bool,
}

impl ReportPort {
    /// Returns the port `path`, if it is one that may get milestones. A port that gets a capture
    /// first does not.
    pub(super) fn new(path: Option<&str>, capture: Option<&str>) -> Self {
        let path = path.filter(|path| path.starts_with("/dev/") && capture != Some(*path));
        Self { path: path.map(str::to_owned), ..Self::default() }
    }

    /// Prepares for the record of another attempt to boot.
    pub(super) fn reset(&mut self) {
        self.writer = None;
        self.milestones.clear();
        self.is_given_up = false;
    }

    /// Has the child write the line of a milestone, without waiting for that.
    pub(super) fn send(&mut self, line: &str) {
        let Some(path) = &self.path else { return };
        if self.writer.is_none() {
            // Without a child the attempt to write the record reports the error.
            self.writer = start(MILESTONES, path).ok();
        }
        self.milestones.push_str(line);
        // A child that does not read any more is noticed at the end.
        let _ = self.writer.as_ref().is_some_and(|child| child.send(line.as_bytes()));
    }

    /// Has a child write `record`, or a capture, to `path`, and waits for it, not as long if the
    /// boot has been interrupted.
    ///
    /// # Errors
    /// The text says why it is not written.
    pub(super) fn write(
        &mut self,
        path: &str,
        record: Option<&str>,
        is_interrupted: bool,
    ) -> Result<(), String> {
        if self.is_given_up {
            return Ok(());
        }
        let timeout = if is_interrupted { SHORT_TIMEOUT } else { TIMEOUT };
        let end = BootTime::now() + timeout;
        // The port gets each milestone once, also if this boot has a second verdict.
        let milestones = record.map(|_| mem::take(&mut self.milestones)).unwrap_or_default();
        let mut reply = None;
        if let Some(record) = record
            && let Some(child) = self.writer.take()
        {
            send_record(&child, record.as_bytes(), end);
            reply = Some(reply::wait(&child, timeout));
        }
        // The child of the milestones ends without a reply if the port is a console, or if it
        // cannot open the port.
        if reply.as_ref().is_none_or(|reply| *reply == Some(Err(reply::ENDED.to_owned()))) {
            let (kind, text) = match record {
                Some(record) => (RECORD, milestones + record),
                None => (CAPTURE, String::new()),
            };
            let child = start(kind, path).map_err(|error| error.to_string())?;
            send_record(&child, text.as_bytes(), end);
            reply = Some(reply::wait(&child, end - BootTime::now()));
        }
        reply.flatten().unwrap_or_else(|| {
            self.is_given_up = true;
            Err(match is_interrupted || !signals::is_ctrl_alt_del_pressed() {
                true => format!("write {path}: given up after {}", seconds(timeout)),
                false => format!("write {path}: given up: Ctrl-Alt-Del was pressed"),
            })
        })
    }
}

/// Starts a child that writes to `path`.
fn start(kind: &str, path: &str) -> sys::Result<ChildProcess> {
    ChildProcess::start(APPLET, &[kind, path].map(str::as_ref))
}

/// Sends the record to the child, which reads all the time unless a disk blocks it.
fn send_record(child: &ChildProcess, record: &[u8], end: BootTime) {
    for part in record.chunks(MAX_MESSAGE / 2).chain([END]) {
        while !child.send(part) {
            let received = signals::receive_from(child, BootTime::now() + RETRY_INTERVAL);
            if received != Received::Pending || BootTime::now() >= end {
                return;
            }
        }
    }
}

/// Runs the child: writes what PID 1 sends to `path`, or a capture. Then it replies.
pub(crate) fn serve_report(root: &Root, kind: &str, path: &str, socket: impl AsFd) {
    let mut port = LazyPort { root, path, port: None, lines: Vec::new() };
    let (kind, result) = match kind {
        CAPTURE => {
            let capture = machine::capture(root);
            (Kind::Capture, capture.map(|capture| port.lines = capture.to_text().into_bytes()))
        }
        _ if port.forward(&socket, kind == RECORD) => (Kind::Record, Ok(())),
        _ => return,
    };
    let result = result.and_then(|()| port.finish(kind));
    reply::send(socket, result.map_err(|error| error.to_string()));
}

/// A port that may appear later.
struct LazyPort<'a> {
    root: &'a Root,
    path: &'a str,
    /// The open port, and whether it is a console.
    port: Option<(Port, bool)>,
    /// Milestones that it has not accepted yet.
    lines: Vec<u8>,
}

impl LazyPort<'_> {
    /// Writes what PID 1 sends, as far as the port accepts it. Returns false if PID 1 goes on
    /// without the record, or if another child has to write it: without `is_record`, if the port is
    /// a console or cannot be opened.
    fn forward(&mut self, socket: impl AsFd, is_record: bool) -> bool {
        loop {
            let retry = (!self.lines.is_empty()).then_some(RETRY_INTERVAL);
            match child::receive_from_parent_within(&socket, retry) {
                Received::Message(message) if message == END => {
                    return is_record || self.open().is_ok();
                }
                Received::Message(part) => self.lines.extend(part),
                Received::Pending => {}
                Received::Ended => return false,
            }
            // An error may pass: the port is not there yet, or another process has it.
            let _ = self.open();
            match &mut self.port {
                Some((_, true)) if !is_record => return false,
                Some((port, false)) => drop(self.lines.drain(..port.try_write(&self.lines))),
                _ => {}
            }
        }
    }

    /// Writes what is left; on a console the last line alone, in numbered lines.
    fn finish(mut self, kind: Kind) -> sys::Result<()> {
        self.open()?;
        let Some((mut port, is_console)) = self.port else { return Ok(()) };
        let quiet = is_console.then(|| QuietKernel::new(self.root));
        if quiet.is_some() {
            let text = match kind {
                Kind::Record => self.lines.split_inclusive(|byte| *byte == b'\n').next_back(),
                Kind::Capture => None,
            };
            let text = text.unwrap_or(&self.lines);
            self.lines = serial_lines::encode(kind, text).into_bytes();
        }
        port.write_all(&self.lines, STALL_TIMEOUT)
    }

    /// Opens the port, unless it is open. A file is created, unless its place is /dev: there it is
    /// a port that does not exist.
    fn open(&mut self) -> sys::Result<()> {
        if self.port.is_none() {
            let is_device = Path::new(self.path.trim_start_matches('/')).starts_with("dev");
            let port = Port::open(virtio_port::resolve(self.root, self.path), !is_device)?;
            let is_console = console::is_console(self.root, port.file());
            self.port = Some((port, is_console));
        }
        Ok(())
    }
}
