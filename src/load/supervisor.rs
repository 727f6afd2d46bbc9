//! The supervisor of the worker process: a thread of PID 1 that receives the results of loads, and
//! starts a new worker process whenever one has died.
//!
//! PID 1 loads nothing itself. A thread inside a module's init cannot be ended, and execve(2) waits
//! for every thread of the process: a module that takes seconds would delay the real init by as
//! much. The loads are therefore in a process of their own, which goes on by itself when PID 1 has
//! become another program. A fault there (a decoder that runs out of memory, a module that kills
//! its caller) does not bring down PID 1 either.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::dispatcher::{Dispatcher, STACK_SIZE};
use super::error::LoadError;
use super::graph::{LookAhead, WorkerDeath};
use super::inserter::Inserter;
use super::protocol::Message;
use super::signature_hash::SignatureHashes;
use super::worker_main::task_of_thread;
use crate::kmod::name::ModuleName;
use crate::sys::child::{self, ChildProcess, Received};
use crate::sys::{self, BootTime, Error, threads};

/// Interval at which running tasks are looked at, if no message comes.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Longest wait until a process that has closed its socket has ended.
const END_TIMEOUT: Duration = Duration::from_millis(200);
/// Interval between two checks during that wait.
const END_POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Pause before the second start in a row of a worker process that does not answer, or cannot be
/// started. It doubles with each further start.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// Longest of these pauses.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// Time for which the start of a worker process is retried until the modules that wait for it fail.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for which loads wait for the answer which hash module signatures use.
const LOOK_AHEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// State of the supervisor.
struct Supervisor {
    dispatcher: Arc<Dispatcher>,
    /// Processes that are dead, except for threads that are still in the kernel.
    dying: Vec<Arc<ChildProcess>>,
    /// Pause before the next start.
    pause: Duration,
    /// Time of the last look at running tasks.
    checked: Instant,
}

impl Dispatcher {
    /// Starts the first worker process and its supervisor. If there is no process yet, the
    /// supervisor retries.
    ///
    /// # Errors
    /// There is no thread for the supervisor.
    pub(super) fn start_supervisor(self: &Arc<Self>) -> sys::Result<()> {
        self.replace_process(self.start_process().ok(), |_| ());
        let mut supervisor = Supervisor {
            dispatcher: Arc::clone(self),
            dying: Vec::new(),
            pause: Duration::ZERO,
            checked: Instant::now(),
        };
        let failed = |e: io::Error| Error::io("clone", Path::new("worker supervisor"), &e);
        let builder = thread::Builder::new().stack_size(STACK_SIZE);
        builder.spawn(move || supervisor.run()).map(drop).map_err(failed)
    }

    /// Asks the worker process which hash the signatures of module files use. Until it answers no
    /// module is loaded; then the modules that compute the hash are the first ones.
    pub(super) fn look_ahead(&self, hashes: SignatureHashes) {
        if hashes.files.is_empty() {
            return;
        }
        let question = Message::FindHash(hashes.files).encode();
        let (Some(process), Some(question)) = (self.process(), question) else { return };
        let until = BootTime::now() + LOOK_AHEAD_TIMEOUT;
        self.graph().begin_look_ahead(LookAhead { until, hashes: hashes.modules });
        if !process.send(&question) {
            self.graph().end_look_ahead("");
        }
    }

    fn start_process(&self) -> sys::Result<Arc<ChildProcess>> {
        let Inserter { dir, kernel, .. } = &self.worker().inserter;
        let decoder = if kernel.is_some() { "kernel" } else { "user" };
        ChildProcess::start("load-worker", &[dir.as_os_str(), decoder.as_ref()]).map(Arc::new)
    }
}

impl Supervisor {
    /// Serves one worker process after the other, until the loader is gone and nothing is left to
    /// do.
    fn run(&mut self) {
        while let Some(process) = self.process() {
            self.serve(&process);
            if !self.dispatcher.is_over() {
                self.replace(process);
            }
        }
        self.dispatcher.replace_process(None, |_| ());
    }

    /// Returns the worker process; `None` if it has nothing to do any more. If there is none, it is
    /// started; while that fails, the modules that wait for it fail after a time.
    fn process(&mut self) -> Option<Arc<ChildProcess>> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.dispatcher.is_over() {
            if let Some(process) = self.dispatcher.process() {
                return Some(process);
            }
            self.lengthen_pause();
            thread::sleep(self.pause);
            match self.dispatcher.start_process() {
                Ok(process) => self.dispatcher.replace_process(Some(process), |_| ()),
                Err(error) if Instant::now() >= deadline => {
                    self.dispatcher.graph().fail_ready(&LoadError::NoWorker(error));
                }
                Err(_) => continue,
            }
            self.dispatcher.dispatch();
            self.dispatcher.notify();
        }
        None
    }

    /// Receives the messages of a worker process until it has died or has nothing to do any more.
    fn serve(&mut self, process: &ChildProcess) {
        loop {
            match process.try_receive() {
                Received::Message(message) => self.receive(&message),
                Received::Pending => {
                    wait_for_message(process);
                }
                Received::Ended => return,
            }
            if self.checked.elapsed() >= CHECK_INTERVAL {
                self.checked = Instant::now();
                self.check();
                if self.dispatcher.is_over() {
                    return;
                }
                // A thread inside a module's init keeps the socket of a killed process open.
                let runs = self.dispatcher.graph().running() > 0;
                if runs && threads::is_dead(&self.dispatcher.worker().root, process.pid()) {
                    return self.receive_rest(process);
                }
            }
        }
    }

    fn receive(&mut self, message: &[u8]) {
        self.pause = Duration::ZERO;
        match Message::decode(message) {
            Some(Message::Completed(completion)) => self.dispatcher.finish(completion),
            Some(Message::Hash(hash)) => {
                self.dispatcher.graph().end_look_ahead(&hash);
                self.dispatcher.dispatch();
                self.dispatcher.notify();
            }
            Some(Message::Run(_) | Message::FindHash(_)) | None => {}
        }
    }

    /// Receives what a dead process has sent.
    fn receive_rest(&mut self, process: &ChildProcess) {
        while let Received::Message(message) = process.try_receive() {
            self.receive(&message);
        }
    }

    /// Looks at the tasks that take long, and at those of dead processes.
    fn check(&mut self) {
        let has_orphans = self.dispatcher.graph().has_orphans();
        let in_kernel = if has_orphans { self.tasks_in_kernel() } else { Vec::new() };
        let state = |module: &ModuleName| self.dispatcher.worker().state(module);
        let now = BootTime::now();
        let death = WorkerDeath { status: None, in_kernel: &in_kernel, state: &state, now };
        let mut graph = self.dispatcher.graph();
        let changed = graph.tick(now) | graph.check_orphans(&death);
        drop(graph);
        // Tasks that found no room in the socket wait for this too.
        self.dispatcher.dispatch();
        if changed {
            self.dispatcher.notify();
        }
    }

    /// Starts a new worker process for one that has died, and ends or retries its tasks.
    fn replace(&mut self, process: Arc<ChildProcess>) {
        let status = wait_for_end(process.pid());
        self.dying.push(process);
        let in_kernel = self.tasks_in_kernel();
        thread::sleep(self.pause);
        self.lengthen_pause();
        let next = self.dispatcher.start_process().ok();
        let state = |module: &ModuleName| self.dispatcher.worker().state(module);
        let now = BootTime::now();
        let death = WorkerDeath { status, in_kernel: &in_kernel, state: &state, now };
        self.dispatcher.replace_process(next, |graph| graph.worker_died(&death));
        self.dispatcher.dispatch();
        self.dispatcher.notify();
    }

    /// Returns the tasks of dead processes whose threads are still in the kernel.
    fn tasks_in_kernel(&mut self) -> Vec<usize> {
        let root = &self.dispatcher.worker().root;
        let mut tasks = Vec::new();
        self.dying.retain(|process| {
            let before = tasks.len();
            let names = threads::names(root, process.pid());
            tasks.extend(names.iter().filter_map(|name| task_of_thread(name)));
            tasks.len() > before
        });
        tasks
    }

    fn lengthen_pause(&mut self) {
        self.pause = (self.pause * 2).clamp(MIN_PAUSE, MAX_PAUSE);
    }
}

/// Waits until a message can be received or the process has died, but not for long.
fn wait_for_message(process: &ChildProcess) {
    let mut fds = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    // Interrupted or not: the caller looks again.
    let _ = poll(&mut fds, Timespec::try_from(CHECK_INTERVAL).ok().as_ref());
}

/// Returns the exit status of a process that is about to end; `None` if that takes too long.
fn wait_for_end(pid: u32) -> Option<ExitStatus> {
    let end = Instant::now() + END_TIMEOUT;
    loop {
        let status = child::exit_status(pid);
        if status.is_some() || Instant::now() >= end {
            return status;
        }
        thread::sleep(END_POLL_INTERVAL);
    }
}
