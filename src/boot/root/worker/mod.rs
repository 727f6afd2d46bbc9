//! The mount worker: a child process that does what may block.
//!
//! mount(2) of a disk or of a server waits for it, and so do reads, device-mapper and loop ioctls,
//! umount(2) and the resume of a hibernated system. A network interface waits for its driver. PID 1
//! asks the worker and goes on; at its deadline it kills the worker and starts another one.
//!
//! The worker mounts at /run/coldplug/mounting-N, where N counts the workers of a boot, and moves
//! the mount to its place. After a failure the next worker unmounts what is there and removes the
//! directory. A mount(2) of a killed worker that ends later then fails with ENOENT: it cannot
//! appear anywhere.
//!
//! A blocked umount(2) has taken the mount out of the tree before it blocks. So an undo that does
//! not end is given to the next worker, which starts with what is left.

mod message;
mod serve;

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) use serve::serve;

pub(super) use message::{Mount, NfsMount, READY, Request};

use rustix::io::Errno;

use super::Progress;
use crate::boot::root_check::InitRequest;
use crate::sys::child::{ChildProcess, Received};
use crate::sys::{self, BootTime, Error, Root};

/// Longest wait for one worker to undo what others have set up.
const UNDO_TIMEOUT: Duration = Duration::from_secs(1);
/// Workers that try to undo it: one per mount point, and one for the mapped device.
const MAX_UNDO_WORKERS: u32 = 6;

/// Number of workers that this process has started. No two use the same directory: one that has
/// been killed may still be in mount(2) when another attempt to boot begins.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// What [`Progress::Working`] waits for while a failed attempt is undone.
pub(in crate::boot) const UNDO: &str = "undo of the failed attempt";

/// A request in words, and since when the worker is at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::boot) struct Operation {
    /// `mount of /dev/vda as ext4`
    pub(super) text: String,
    pub(super) since: BootTime,
}

/// Why a request has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::boot) enum WorkerError {
    /// An operation of the worker failed.
    System(Error),
    /// The worker died. The text is that of the request.
    Died(String),
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::Died(text) => write!(f, "{text}: the mount worker died"),
        }
    }
}

/// What the worker is doing.
#[derive(Debug)]
enum State {
    Idle,
    /// It has a request.
    Busy(Operation),
    /// It undoes what was set up, until this time.
    Undoing(BootTime),
}

/// The worker, and the requests to it.
#[derive(Debug)]
pub(in crate::boot) struct MountWorker {
    child: Option<ChildProcess>,
    /// Whether there may be something to undo.
    is_used: bool,
    state: State,
    /// A request that waits for the end of an undo.
    queued: Option<(Request, Operation)>,
    /// Number of workers that have been given the undo.
    undo_workers: u32,
    /// Whether the undo includes the mapped device.
    verity: bool,
    /// The result of a request, until a step takes it.
    result: Option<Result<Vec<u8>, WorkerError>>,
}

impl MountWorker {
    pub(in crate::boot) fn new() -> Self {
        Self {
            child: None,
            is_used: false,
            state: State::Idle,
            queued: None,
            undo_workers: 0,
            verity: false,
            result: None,
        }
    }

    /// Returns a worker that first undoes what an earlier attempt to boot, or a person, has set up.
    pub(super) fn after_failure() -> Self {
        let mut worker = Self::new();
        worker.is_used = true;
        worker.undo(true);
        worker
    }

    /// Removes the directories at which workers mount. A mount(2) of a killed worker that ends later
    /// then fails.
    pub(in crate::boot) fn abandon_mounts(dir: &Root) {
        for number in 1..=STARTED.load(Ordering::Relaxed) {
            let _ = std::fs::remove_dir(serve::staging(dir, number));
        }
    }

    /// Sends the worker a request; `text` stands for it in messages. If an undo is under way, the
    /// request waits for its end.
    ///
    /// # Errors
    /// The request is too long, or no worker can be started.
    pub(super) fn request(&mut self, request: Request, text: String) -> sys::Result<Progress> {
        let operation = Operation { text, since: BootTime::now() };
        self.result = None;
        if matches!(self.state, State::Undoing(_)) {
            self.queued = Some((request, operation.clone()));
        } else {
            self.send(&request)?;
            self.state = State::Busy(operation.clone());
        }
        Ok(Progress::Busy(operation))
    }

    /// Requests the check of the mounted root; `text` stands for it in messages.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub(in crate::boot) fn check_init(
        &mut self,
        request: InitRequest,
        text: String,
    ) -> sys::Result<Progress> {
        self.request(Request::Init(request), text)
    }

    /// Returns the result of the request once the worker has ended it.
    pub(in crate::boot) fn poll(&mut self) -> Option<Result<Vec<u8>, WorkerError>> {
        self.receive();
        self.result.take()
    }

    /// Returns the progress of a request that has not ended.
    pub(super) fn progress(&self) -> Progress {
        match (&self.state, &self.queued) {
            (State::Busy(operation), _) | (_, Some((_, operation))) => {
                Progress::Busy(operation.clone())
            }
            _ => Progress::Working(UNDO),
        }
    }

    /// Returns whether the worker undoes what was set up.
    pub(super) fn is_undoing(&self) -> bool {
        matches!(self.state, State::Undoing(_))
    }

    /// Receives what the worker has sent.
    pub(super) fn receive(&mut self) {
        let received = match (&self.state, &self.child) {
            (State::Idle, _) => return,
            (_, Some(child)) => child.try_receive(),
            (_, None) => Received::Ended,
        };
        match (std::mem::replace(&mut self.state, State::Idle), received) {
            (State::Undoing(_), Received::Message(_)) => self.end_undo(),
            (State::Undoing(until), Received::Pending) if BootTime::now() < until => {
                self.state = State::Undoing(until);
            }
            (State::Undoing(_), _) => self.continue_undo(),
            (State::Busy(operation), Received::Message(bytes)) => {
                let reply = message::decode_reply(&bytes).map(|r| r.map_err(WorkerError::System));
                self.result = Some(reply.unwrap_or_else(|| self.died(operation)));
            }
            (State::Busy(operation), Received::Ended) => {
                self.result = Some(self.died(operation));
            }
            (state, _) => self.state = state,
        }
    }

    /// Returns the result of an operation whose worker has died or does not make sense.
    fn died(&mut self, operation: Operation) -> Result<Vec<u8>, WorkerError> {
        self.child = None;
        Err(WorkerError::Died(operation.text))
    }

    /// Kills the worker. [`Self::poll`] returns an error once it is dead.
    pub(super) fn kill(&self) {
        if let Some(child) = &self.child {
            child.kill();
        }
    }

    /// Kills the worker and forgets it. The next request goes to another one. Nothing that it may
    /// have set up is undone.
    pub(super) fn abandon(&mut self) {
        *self = Self::new();
    }

    /// Ends the request, if there is one, and undoes what earlier requests have set up; with
    /// `verity` the mapped device too.
    pub(super) fn undo(&mut self, verity: bool) {
        if !self.is_used {
            return;
        }
        if !matches!(self.state, State::Idle) {
            self.child = None;
        }
        self.queued = None;
        self.result = None;
        self.verity = verity;
        self.undo_workers = 0;
        self.start_undo();
    }

    /// Passes the undo on to the next worker.
    fn continue_undo(&mut self) {
        self.child = None;
        if self.undo_workers < MAX_UNDO_WORKERS { self.start_undo() } else { self.end_undo() }
    }

    fn start_undo(&mut self) {
        self.undo_workers += 1;
        match self.send(&Request::Undo { verity: self.verity }) {
            Ok(()) => self.state = State::Undoing(BootTime::now() + UNDO_TIMEOUT),
            // Without a worker nothing can be mounted either.
            Err(_) => self.end_undo(),
        }
    }

    /// Sends the request that has waited for the end of the undo.
    fn end_undo(&mut self) {
        self.state = State::Idle;
        if let Some((request, operation)) = self.queued.take() {
            match self.send(&request) {
                Ok(()) => self.state = State::Busy(operation),
                Err(error) => self.result = Some(Err(WorkerError::System(error))),
            }
        }
    }

    /// Sends a request; starts a worker if there is none.
    fn send(&mut self, request: &Request) -> sys::Result<()> {
        let failed = |errno| Error::new("send", "a request to the mount worker", errno);
        let bytes = request.encode().ok_or_else(|| failed(Errno::MSGSIZE))?;
        if self.child.as_ref().is_some_and(|child| child.send(&bytes)) {
            return Ok(());
        }
        let number = STARTED.fetch_add(1, Ordering::Relaxed) + 1;
        let child = ChildProcess::start("mount-worker", &[number.to_string().as_ref()])?;
        self.is_used = true;
        let sent = child.send(&bytes);
        self.child = Some(child);
        if sent { Ok(()) } else { Err(failed(Errno::PIPE)) }
    }

    /// Returns the descriptor that becomes readable when the worker has sent something.
    pub(in crate::boot) fn wake_fd(&self) -> Option<BorrowedFd<'_>> {
        let waits = !matches!(self.state, State::Idle);
        self.child.as_ref().filter(|_| waits).map(ChildProcess::as_fd)
    }

    /// Returns the time at which [`Self::receive`] is due even if the worker sends nothing.
    pub(super) fn wakeup(&self) -> Option<BootTime> {
        match self.state {
            State::Undoing(until) => Some(until),
            _ => None,
        }
    }
}

impl Drop for MountWorker {
    /// Lets a worker finish its undo; any other one is killed.
    fn drop(&mut self) {
        if let Some(child) = self.child.take().filter(|_| self.is_undoing()) {
            child.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_worker_is_named_with_its_request() {
        let text = "mount of /dev/vda as ext4".to_owned();
        let died = WorkerError::Died(text).to_string();
        assert_eq!(died, "mount of /dev/vda as ext4: the mount worker died");
    }

    #[test]
    fn without_a_request_nothing_is_undone() {
        let mut worker = MountWorker::new();
        worker.undo(true);
        assert!(!worker.is_undoing() && worker.wake_fd().is_none() && worker.poll().is_none());
    }
}
