//! `coldplug.persist=`: a failed boot is stored where it survives, and the next boot says what
//! ended it.
//!
//! A child (`coldplug persist`) finds the place, reads and writes it; PID 1 waits for its reply, up
//! to a deadline.

mod device;
mod reply;
mod worker;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::{Boot, BootError, seconds};
use crate::cmdline::store_name::StoreName;
use crate::sys::child::{self, ChildProcess, Received};
use crate::sys::{BootTime, Root, signals};
use reply::Reply;

/// Longest wait for the child.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Name of the command that the child runs.
const APPLET: &str = "persist";

/// The state of the stored boot.
#[derive(Debug, Default)]
pub(super) struct Persistence {
    name: Option<StoreName>,
    /// The child that reads, and its deadline.
    reading: Option<(ChildProcess, BootTime)>,
    /// Whether nothing is left to read.
    is_read: bool,
    /// Whether devices have appeared since the last attempt to read.
    is_due: bool,
}

/// Runs the child: `read NAME` or `store NAME SUMMARY`. Returns false if the words are others.
pub(crate) fn serve_persistence(root: &Root, words: &[&str], socket: impl AsFd) -> bool {
    let reply = match *words {
        ["read", name] => StoreName::parse(name).map(|name| worker::read(root, &name)),
        ["store", name, summary] => {
            StoreName::parse(name).map(|name| worker::store(root, &name, summary))
        }
        _ => None,
    };
    reply.is_some_and(|reply| child::send_to_parent(socket, &reply.encode()))
}

impl Persistence {
    pub(super) fn new(name: Option<StoreName>) -> Self {
        Self { is_read: name.is_none(), is_due: true, name, reading: None }
    }

    /// Returns the descriptor that is readable when the child has replied.
    pub(super) fn wake_fd(&self) -> Option<BorrowedFd<'_>> {
        self.reading.as_ref().map(|(child, _)| child.as_fd())
    }

    /// Returns the time at which the child's time is over.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        self.reading.as_ref().map(|(_, until)| *until)
    }

    /// Starts to read if the device may have appeared, and returns what the child has said.
    fn advance(&mut self, changed: bool) -> Option<Reply> {
        self.is_due |= changed;
        let name = self.name.as_ref().filter(|_| !self.is_read)?;
        if self.reading.is_none() && self.is_due {
            self.is_due = false;
            match start(&["read", &name.to_string()]) {
                Ok(reading) => self.reading = Some(reading),
                Err(reply) => return self.end_reading(reply),
            }
        }
        let (child, until) = self.reading.as_ref()?;
        let reply = receive(child, *until)?;
        self.end_reading(reply)
    }

    /// Notes the end of the child. Returns its reply, unless the device has not appeared.
    fn end_reading(&mut self, reply: Reply) -> Option<Reply> {
        self.reading = None;
        self.is_read = reply != Reply::Missing;
        Some(reply).filter(|_| self.is_read)
    }
}

/// Starts the child. An error is returned as its reply.
fn start(words: &[&str]) -> Result<(ChildProcess, BootTime), Reply> {
    match ChildProcess::start(APPLET, words) {
        Ok(child) => Ok((child, BootTime::now() + TIMEOUT)),
        Err(error) => Err(Reply::Failed(error.to_string())),
    }
}

/// Returns the reply of the child, or what takes its place once it has ended or its time is over;
/// `None` before that.
fn receive(child: &ChildProcess, until: BootTime) -> Option<Reply> {
    let failed = |text: String| Some(Reply::Failed(text));
    match child.try_receive() {
        Received::Message(message) => {
            Reply::decode(&message).or_else(|| failed("bad reply".to_owned()))
        }
        Received::Ended => failed("the child died".to_owned()),
        Received::Pending if BootTime::now() >= until => {
            failed(format!("no answer after {}", seconds(TIMEOUT)))
        }
        Received::Pending => None,
    }
}

/// Waits for the reply of the child.
fn wait(child: &ChildProcess, until: BootTime) -> Reply {
    loop {
        if let Some(reply) = receive(child, until) {
            return reply;
        }
        signals::sleep_unless_readable(Some(child.as_fd()), until - BootTime::now());
    }
}

impl Boot {
    /// Starts to read the stored boot if its device may have appeared, and reports what was read.
    pub(super) fn tend_persistence(&mut self, changed: bool) {
        if let Some(reply) = self.persistence.advance(changed) {
            self.report_stored(reply);
        }
    }

    /// Reads the stored boot to the end, and warns if its device has not appeared.
    pub(super) fn finish_persistence(&mut self) {
        self.tend_persistence(true);
        if let Some((child, until)) = &self.persistence.reading {
            let reply = wait(child, *until);
            if let Some(reply) = self.persistence.end_reading(reply) {
                self.report_stored(reply);
            }
        }
        if !self.persistence.is_read {
            self.report_stored(Reply::Missing);
        }
    }

    fn report_stored(&mut self, reply: Reply) {
        let Some(name) = &self.persistence.name else { return };
        match reply {
            Reply::Nothing => {}
            Reply::Previous(summary) => self.reporter.set_previous(summary),
            Reply::Stored(number) => {
                let text = format!("stored as number {number} at {name}");
                self.reporter.log().info(&text);
            }
            Reply::Missing => {
                self.reporter.warn(format!("coldplug.persist: {name} not found"));
            }
            Reply::Failed(text) => self.reporter.warn(format!("coldplug.persist: {name}: {text}")),
        }
    }

    /// Stores this boot, which `error` ends, before the verdict: that is the last line.
    pub(super) fn store_boot(&mut self, error: &BootError) {
        let Some(name) = &self.persistence.name else { return };
        if matches!(error, BootError::Interrupted(_)) {
            return;
        }
        self.persistence.reading = None;
        // The child reads it.
        self.reporter.save(&self.dir, error.verdict());
        let summary = format!("verdict={}: {error}", error.verdict());
        let reply = match start(&["store", &name.to_string(), &summary]) {
            Ok((child, until)) => wait(&child, until),
            Err(reply) => reply,
        };
        self.report_stored(reply);
    }
}
