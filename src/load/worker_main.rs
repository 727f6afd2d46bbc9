//! The main loop of the worker process: receives tasks from a socket and sends back their
//! completions.
//!
//! The first thread runs no tasks. It watches the others: after an oops in a module's init the
//! kernel ends the thread that ran it, and nothing else tells.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::decode_buffers::DecodeBuffers;
use super::dispatcher::STACK_SIZE;
use super::error::LoadError;
use super::inserter::Inserter;
use super::lock;
use super::outcome::Outcome;
use super::protocol::Message;
use super::task::{Completion, Task};
use super::worker::Worker;
use crate::kmod::name::ModuleName;
use crate::sys::child::{receive_from_parent, send_to_parent};
use crate::sys::threads::{self, OwnThreads};
use crate::sys::{self, BootTime, Root};

/// Interval at which tasks that take longer than this are looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);
/// Interval between checks for the end of the last tasks.
const END_POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Name of a thread without a task, and start of the names of the others.
const IDLE_NAME: &str = "coldplug-load";
const TASK_NAME: &str = "load-";

struct WorkerThreads {
    socket: OwnedFd,
    worker: Worker,
    /// Number of threads that wait for a task.
    idle: AtomicUsize,
    /// Tasks that run.
    running: Mutex<Vec<RunningTask>>,
    /// Number of threads that the kernel has ended.
    crashed: AtomicUsize,
}

struct RunningTask {
    id: usize,
    module: ModuleName,
    /// Number of the thread.
    thread: u32,
    start: BootTime,
}

/// Runs the tasks that arrive at `socket` until its other end is closed and the last of them has
/// ended. The other end decides how many run at the same time.
pub(crate) fn worker_main(root: Root, inserter: Inserter, socket: OwnedFd) {
    let own_threads = OwnThreads::open(&root).ok();
    let buffers = Some(DecodeBuffers::new(sys::processors(), sys::total_memory()));
    let worker = Worker { root, inserter, buffers };
    let threads = Arc::new(WorkerThreads {
        socket,
        worker,
        idle: AtomicUsize::new(0),
        running: Mutex::default(),
        crashed: AtomicUsize::new(0),
    });
    if threads.spawn_thread() {
        threads.watch(own_threads.as_ref());
    } else {
        threads.idle.fetch_add(1, Ordering::SeqCst);
        threads.worker_loop();
    }
    // The end of the process would send a signal into loads that are under way, and some drivers
    // give up then.
    while Arc::strong_count(&threads) > 1 + threads.crashed.load(Ordering::SeqCst) {
        thread::sleep(END_POLL_INTERVAL);
        threads.report_crashes(own_threads.as_ref());
    }
}

/// Returns the task that a thread of this name runs.
pub(super) fn task_of_thread(name: &str) -> Option<usize> {
    name.strip_prefix(TASK_NAME)?.parse().ok()
}

impl WorkerThreads {
    /// Runs tasks until the connection ends. All threads receive whole messages from one socket;
    /// the last idle thread starts another one before it runs its task.
    fn worker_loop(self: &Arc<Self>) {
        while let Some(message) = receive_from_parent(&self.socket) {
            let Some(message) = Message::decode(&message) else { continue };
            if self.idle.fetch_sub(1, Ordering::SeqCst) == 1 {
                // Without another thread, tasks wait in the socket until this one is free again.
                self.spawn_thread();
            }
            match message {
                Message::Run(task) => self.run(&task),
                Message::FindHash(paths) => {
                    let hash = self.worker.inserter.signature_hash(&paths).unwrap_or_default();
                    self.send(&Message::Hash(hash.into_owned()));
                }
                Message::Completed(_) | Message::Hash(_) => {}
            }
            self.idle.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Runs one task. The thread's name tells PID 1 which one, should this process be killed.
    fn run(&self, task: &Task) {
        threads::set_own_name(&format!("{TASK_NAME}{}", task.id));
        let thread = threads::own_number();
        let (module, start) = (task.module.clone(), BootTime::now());
        lock(&self.running).push(RunningTask { id: task.id, module, thread, start });
        let completion = self.worker.run(task);
        lock(&self.running).retain(|running| running.thread != thread);
        threads::set_own_name(IDLE_NAME);
        self.complete(completion);
    }

    fn complete(&self, completion: Completion) {
        let id = completion.id;
        if !self.send(&Message::Completed(completion)) {
            self.send(&too_long(id));
        }
    }

    /// Sends a message. Returns false if it is too long.
    fn send(&self, message: &Message) -> bool {
        let encoded = message.encode();
        if let Some(message) = &encoded {
            // If the other end is closed, nobody needs the result.
            let _ = send_to_parent(&self.socket, message);
        }
        encoded.is_some()
    }

    /// Starts a thread that waits for tasks. Returns whether there is one.
    fn spawn_thread(self: &Arc<Self>) -> bool {
        self.idle.fetch_add(1, Ordering::SeqCst);
        let threads = Arc::clone(self);
        let builder = thread::Builder::new().stack_size(STACK_SIZE);
        let spawned = builder.spawn(move || threads.worker_loop()).is_ok();
        if !spawned {
            self.idle.fetch_sub(1, Ordering::SeqCst);
        }
        spawned
    }

    /// Looks for crashes until the other end of the socket is closed.
    fn watch(&self, own_threads: Option<&OwnThreads>) {
        let interval = Timespec::try_from(WATCH_INTERVAL).ok();
        loop {
            // POLLHUP is always polled for.
            let mut fds = [PollFd::new(&self.socket, PollFlags::empty())];
            if poll(&mut fds, interval.as_ref()).is_ok() && !fds[0].revents().is_empty() {
                return;
            }
            self.report_crashes(own_threads);
        }
    }

    /// Sends the completions of tasks whose threads have ended.
    fn report_crashes(&self, own_threads: Option<&OwnThreads>) {
        let Some(own_threads) = own_threads else { return };
        let mut crashed = Vec::new();
        lock(&self.running).retain_mut(|task| {
            let ended =
                task.start.elapsed() >= WATCH_INTERVAL && own_threads.has_ended(task.thread);
            if ended {
                crashed.push((task.id, task.module.clone(), task.start));
            }
            !ended
        });
        for (id, module, start) in crashed {
            self.crashed.fetch_add(1, Ordering::SeqCst);
            let outcome = match self.worker.is_live(&module) {
                true => Outcome::Loaded,
                false => Outcome::Failed(LoadError::InitCrashed),
            };
            let end = BootTime::now();
            self.complete(Completion { start, end, ..Completion::immediate(id, outcome) });
        }
    }
}

/// Returns the completion of a task whose error, such as a long install command, does not fit into
/// a message.
fn too_long(id: usize) -> Message {
    let error = LoadError::Reported("failed, with an error too long to report".to_owned());
    Message::Completed(Completion::immediate(id, Outcome::Failed(error)))
}
