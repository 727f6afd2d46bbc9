//! A child that assembles, as PID 1 sees it: it has a request, or waits for modules, or for PID 1.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::boot::seconds;
use crate::kmod::name::ModuleName;
use crate::load::{Loader, Rank};
use crate::stacks::message::{Reply, Request};
use crate::sys::BootTime;
use crate::sys::child::{ChildProcess, Received};

/// Name of the command that the child runs.
const APPLET: &str = "assemble";
/// Longest time that the child may take for a request, except for the derivation of a key.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// What a job waits for.
#[derive(Debug)]
enum State {
    /// The child works on a request, until this time at the latest.
    Busy(BootTime),
    /// Modules are being loaded; then the child gets this request, if there is one.
    LoadingModules(Vec<ModuleName>, Option<Request>),
    /// PID 1 has no request at present.
    Idle,
}

/// A child and what it is doing.
#[derive(Debug)]
pub(super) struct Job {
    child: ChildProcess,
    state: State,
    /// The request in words, for messages: `reading the volume groups`.
    text: String,
    timeout: Duration,
    /// Whether the child has died, or was killed because it was late.
    is_lost: bool,
    is_late: bool,
}

impl Job {
    /// Starts a child with a request.
    ///
    /// # Errors
    /// No child can be started: a text that says why.
    pub(super) fn start(request: &Request, text: String) -> Result<Self, String> {
        Self::start_within(request, text, TIMEOUT)
    }

    /// Starts a child with a request that may take until `timeout`.
    ///
    /// # Errors
    /// No child can be started: a text that says why.
    pub(super) fn start_within(
        request: &Request,
        text: String,
        timeout: Duration,
    ) -> Result<Self, String> {
        let child = ChildProcess::start(APPLET, &[]).map_err(|error| format!("{text}: {error}"))?;
        let (state, none) = (State::Idle, String::new());
        let mut job = Self { child, state, text: none, timeout, is_lost: false, is_late: false };
        job.send(request, text, timeout)?;
        Ok(job)
    }

    /// Sends the child a request. It may take until `timeout`.
    ///
    /// # Errors
    /// The child has ended, or the request is too long for a message: a text that says so.
    pub(super) fn send(
        &mut self,
        request: &Request,
        text: String,
        timeout: Duration,
    ) -> Result<(), String> {
        // It may be a passphrase.
        let bytes = request.encode().map(Zeroizing::new);
        let is_sent = bytes.is_some_and(|bytes| self.child.send(&bytes));
        (self.text, self.timeout) = (text, timeout);
        self.state = State::Busy(BootTime::now() + timeout);
        if is_sent { Ok(()) } else { Err(format!("{}: cannot be requested", self.text)) }
    }

    /// Has modules loaded and sends the request after that. Names that no module has are left to the
    /// kernel: it may have them built in, and says so otherwise.
    pub(super) fn send_after(&mut self, modules: &[String], request: Request, loader: &Loader) {
        self.state = State::LoadingModules(wanted(modules, loader), Some(request));
    }

    /// Has modules loaded, as [`Self::send_after`] does, without a request after that.
    pub(super) fn load(&mut self, modules: &[String], loader: &Loader) {
        self.state = State::LoadingModules(wanted(modules, loader), None);
    }

    /// Returns the modules that the job waits for.
    pub(super) fn modules(&self) -> &[ModuleName] {
        match &self.state {
            State::LoadingModules(modules, _) => modules,
            _ => &[],
        }
    }

    /// Returns the answer to the last request, once it is there.
    ///
    /// # Errors
    /// The child died or did not answer in time: a text that says so.
    pub(super) fn poll(&mut self, loader: &Loader) -> Option<Result<Reply, String>> {
        if let State::LoadingModules(modules, Some(request)) = &self.state {
            if !loader.is_done(modules) {
                return None;
            }
            let (request, text) = (request.clone(), std::mem::take(&mut self.text));
            if let Err(error) = self.send(&request, text, self.timeout) {
                self.state = State::Idle;
                return Some(Err(error));
            }
        }
        let State::Busy(until) = self.state else { return None };
        let result = match self.child.try_receive() {
            Received::Message(bytes) => Reply::decode(&bytes)
                .ok_or_else(|| format!("{}: the answer makes no sense", self.text)),
            Received::Ended => {
                self.is_lost = true;
                Err(format!("{}: the child died", self.text))
            }
            Received::Pending if BootTime::now() < until => return None,
            Received::Pending => {
                self.child.kill();
                (self.is_lost, self.is_late) = (true, true);
                let waited = seconds(self.timeout);
                Err(format!("{}: did not end within {waited}", self.text))
            }
        };
        self.state = State::Idle;
        Some(match result {
            Ok(Reply::Failed(cause)) => Err(format!("{}: {cause}", self.text)),
            result => result,
        })
    }

    /// Returns whether the child can take no request any more.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Returns whether the child was killed because it was late.
    pub(super) fn is_late(&self) -> bool {
        self.is_late
    }

    /// Returns whether the child is at work, which ends at its deadline at the latest.
    pub(super) fn is_working(&self) -> bool {
        matches!(self.state, State::Busy(_))
    }

    /// Returns whether the child is at work, or has its modules and goes on.
    pub(super) fn is_advancing(&self, loader: &Loader) -> bool {
        match &self.state {
            State::Busy(_) => true,
            State::LoadingModules(modules, request) => request.is_some() && loader.is_done(modules),
            State::Idle => false,
        }
    }

    /// Returns whether the child, or the loader for it, is at work.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Returns the time at which [`Self::poll`] is due even if the child says nothing.
    pub(super) fn wakeup(&self) -> Option<BootTime> {
        match self.state {
            State::Busy(until) => Some(until),
            _ => None,
        }
    }

    /// Returns the descriptor that becomes readable when the child has answered.
    pub(super) fn wake_fd(&self) -> Option<BorrowedFd<'_>> {
        matches!(self.state, State::Busy(_)).then(|| self.child.as_fd())
    }

    /// Lets the child end what it is doing, without an answer.
    pub(super) fn release(self) {
        self.child.release();
    }
}

/// Requests modules by name or alias. Returns those that are not built in.
fn wanted(names: &[String], loader: &Loader) -> Vec<ModuleName> {
    let found = names.iter().filter_map(|name| loader.want_name(name, Rank::Root));
    found.flatten().collect()
}
