//! `coldplug.persist=`: a failed boot is stored where it survives, and the next boot says what
//! ended it.
//!
//! A child (`coldplug persist`) finds the place, reads and writes it; PID 1 waits for its reply, up
//! to a deadline.
//!
//! ```text
//! read    a device once the resume is over; a file once the root is mounted too, or the boot has
//!         failed: its filesystem may be the one that is being checked or mounted
//! mark    as reported, before the switch to the root: a boot that fails may not be the last
//! store   a boot that fails; in a file only if the resume is over
//! ```
//!
//! While the kernel may still resume a hibernated system (`resume=`), a mount could change a
//! filesystem that this system has in use.

mod device;
mod reply;
mod vacancy;
mod worker;

#[cfg(feature = "host")]
pub(crate) use device::find as find_device;

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::root::RootSearch;
use super::{Boot, BootError, seconds};
use crate::cmdline::store_name::StoreName;
use crate::report::stored_boot::HEAD;
use crate::sys::child::{self, ChildProcess, Received};
use crate::sys::{BootTime, Root, signals};
use reply::Reply;

/// Longest wait for the child.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What separates the text of a failure from the hint about it.
const HINT: &str = "\nhint: ";
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
    /// Whether the kernel will resume no hibernated system any more.
    is_resume_over: bool,
    /// Whether the root is mounted, or will not be.
    is_root_settled: bool,
    /// Number of the stored boot that this boot has reported or stored, until it is marked.
    unmarked: Option<u64>,
}

/// Runs the child: `read NAME`, `mark NAME NUMBER` or `store NAME SUMMARY NUMBER`. Returns false if
/// the words are others.
pub(crate) fn serve_persistence(root: &Root, words: &[&str], socket: impl AsFd) -> bool {
    let reply = match *words {
        ["read", name] => StoreName::parse(name).map(|name| worker::read(root, &name)),
        ["mark", name, number] => {
            numbered(name, number).map(|(name, number)| worker::mark(root, &name, number))
        }
        ["store", name, summary, known] => {
            numbered(name, known).map(|(name, known)| worker::store(root, &name, summary, known))
        }
        _ => None,
    };
    reply.is_some_and(|reply| child::send_to_parent(socket, &reply.encode()))
}

fn numbered(name: &str, number: &str) -> Option<(StoreName, u64)> {
    Some((StoreName::parse(name)?, number.parse().ok()?))
}

impl Persistence {
    /// Returns the state at the start of a boot. Without `resume=`, `is_resume_over` is set.
    pub(super) fn new(name: Option<StoreName>, is_resume_over: bool) -> Self {
        Self { is_read: name.is_none(), is_due: true, name, is_resume_over, ..Self::default() }
    }

    /// Returns the descriptor that is readable when the child has replied.
    pub(super) fn wake_fd(&self) -> Option<BorrowedFd<'_>> {
        self.reading.as_ref().map(|(child, _)| child.as_fd())
    }

    /// Returns the deadline of the child.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        self.reading.as_ref().map(|(_, until)| *until)
    }

    /// Returns whether the place is a file, whose filesystem must be mounted.
    fn is_file(&self) -> bool {
        self.name.as_ref().is_some_and(|name| name.path.is_some())
    }

    /// Returns whether the place may be read now.
    fn may_read(&self) -> bool {
        self.is_resume_over && (self.is_root_settled || !self.is_file())
    }

    /// Returns whether the place may be written now.
    fn may_store(&self) -> bool {
        self.is_resume_over || !self.is_file()
    }

    /// Starts to read if the device may have appeared, and returns the reply of the child. `is_last`
    /// tells that there is no later opportunity.
    fn advance(&mut self, changed: bool, is_last: bool) -> Option<Reply> {
        self.is_due |= changed;
        let name = self.name.as_ref().filter(|_| !self.is_read)?;
        if self.reading.is_none() && self.is_due && self.may_read() {
            self.is_due = false;
            match start(&["read", &name.to_string()].map(str::as_ref)) {
                Ok(reading) => self.reading = Some(reading),
                // The next device, or the end of the boot, is another opportunity.
                Err(reply) => return is_last.then(|| self.end_reading(reply))?,
            }
        }
        let (child, until) = self.reading.as_ref()?;
        let reply = reply(child.try_receive(), *until)?;
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
fn start(words: &[&OsStr]) -> Result<(ChildProcess, BootTime), Reply> {
    match ChildProcess::start(APPLET, words) {
        Ok(child) => Ok((child, BootTime::now() + TIMEOUT)),
        Err(error) => Err(Reply::Failed(error.to_string())),
    }
}

/// Returns the reply of the child, or what takes its place once it has ended or its time is over;
/// `None` before that.
fn reply(received: Received, until: BootTime) -> Option<Reply> {
    let failed = |text: String| Some(Reply::Failed(text));
    match received {
        Received::Message(message) => Reply::decode(&message)
            .or_else(|| failed("invalid reply of the child process".to_owned())),
        Received::Ended => failed("the child process ended without a reply".to_owned()),
        Received::Pending if BootTime::now() >= until => {
            failed(format!("no reply within {}", seconds(TIMEOUT)))
        }
        Received::Pending => None,
    }
}

/// Runs the child to its end.
fn run(words: &[&OsStr]) -> Reply {
    match start(words) {
        Ok((child, until)) => wait(&child, until),
        Err(reply) => reply,
    }
}

/// Waits for the reply of the child, unless Ctrl-Alt-Del is pressed.
fn wait(child: &ChildProcess, until: BootTime) -> Reply {
    reply(signals::receive_from(child, until), until)
        .unwrap_or_else(|| Reply::Failed("given up: Ctrl-Alt-Del was pressed".to_owned()))
}

impl Boot {
    /// Starts to read the stored boot if its device may have appeared, and reports what was read.
    pub(super) fn tend_persistence(&mut self, changed: bool, search: &RootSearch) {
        self.persistence.is_resume_over = search.is_resume_over();
        self.persistence.is_root_settled = search.is_mounted();
        self.advance_persistence(changed, false);
    }

    fn advance_persistence(&mut self, changed: bool, is_last: bool) {
        if let Some(reply) = self.persistence.advance(changed, is_last) {
            self.report_stored(reply);
        }
    }

    /// Reads the stored boot to the end, and warns if its device has not appeared.
    pub(super) fn finish_persistence(&mut self) {
        self.persistence.is_root_settled = true;
        self.advance_persistence(true, true);
        if let Some((child, until)) = &self.persistence.reading {
            let reply = wait(child, *until);
            if let Some(reply) = self.persistence.end_reading(reply) {
                self.report_stored(reply);
            }
        }
        if !self.persistence.is_read && self.persistence.may_read() {
            self.report_stored(Reply::Missing);
        }
    }

    /// Marks the stored boot as reported: this boot is about to succeed.
    pub(super) fn mark_stored(&mut self) {
        let Persistence { name: Some(name), unmarked: Some(number), .. } = &self.persistence else {
            return;
        };
        let reply = run(&["mark", &name.to_string(), &number.to_string()].map(str::as_ref));
        self.report_stored(reply);
    }

    fn report_stored(&mut self, reply: Reply) {
        let Some(name) = &self.persistence.name else { return };
        match reply {
            Reply::Nothing => {}
            Reply::Previous(number, summary) => {
                self.persistence.unmarked = Some(number);
                self.reporter.set_previous(summary);
            }
            Reply::Marked => self.persistence.unmarked = None,
            Reply::Stored(number, lost) => {
                let text = format!("stored as number {number} at {name}");
                self.persistence.unmarked = Some(number);
                if !lost.is_empty() {
                    self.reporter.set_previous(lost);
                }
                self.reporter.log().info(&text);
            }
            Reply::Missing => {
                self.reporter.warn_once(format!("coldplug.persist: {name} not found"));
            }
            Reply::Failed(text) => {
                let (text, hint) = text.split_once(HINT).unwrap_or((&text, ""));
                self.reporter.warn(format!("coldplug.persist: {name}: {text}"));
                if !hint.is_empty() {
                    self.reporter.log().warn(&format!("hint: {hint}"));
                }
            }
        }
    }

    /// Stores this boot, which `error` ends, before the verdict: that is the last line.
    pub(super) fn store_boot(&mut self, error: &BootError) {
        let Some(name) = &self.persistence.name else { return };
        if matches!(error, BootError::Interrupted(_)) {
            return;
        }
        self.persistence.reading = None;
        if !self.persistence.may_store() {
            let text = format!("coldplug.persist: {name}: not stored: resume= has not ended");
            self.reporter.warn(text);
            return;
        }
        // The child reads it.
        self.reporter.save(&self.dir, error.verdict());
        let mut summary = format!("verdict={}: {error}", error.verdict());
        // More than a head holds, and less than the kernel allows for an argument.
        while summary.len() > HEAD {
            summary.pop();
        }
        let known = self.persistence.unmarked.unwrap_or(0).to_string();
        let reply = run(&["store", &name.to_string(), &summary, &known].map(str::as_ref));
        // What is stored now is this boot, which another attempt must not report as the last.
        self.persistence.is_read |= reply != Reply::Missing;
        self.report_stored(reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_mounted_before_the_resume_or_beside_the_root() {
        for (name, is_resume_over, is_root_settled, may_read, may_store) in [
            ("LABEL=x", false, false, false, true),
            ("LABEL=x", true, false, true, true),
            ("LABEL=x:/f", false, false, false, false),
            ("LABEL=x:/f", false, true, false, false),
            ("LABEL=x:/f", true, false, false, true),
            ("LABEL=x:/f", true, true, true, true),
        ] {
            let mut state = Persistence::new(StoreName::parse(name), is_resume_over);
            state.is_root_settled = is_root_settled;
            let found = (state.may_read(), state.may_store());
            assert_eq!(found, (may_read, may_store), "{name} {is_resume_over} {is_root_settled}");
            if !may_read {
                assert_eq!(state.advance(true, true), None);
                assert!(state.reading.is_none() && state.is_due);
            }
        }
    }
}
