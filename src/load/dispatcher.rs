//! The dispatcher: sends ready tasks of the graph to the executor and takes their completions back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use super::error::LoadError;
use super::executor::Executor;
use super::graph::Graph;
use super::inserter::Inserter;
use super::lock;
use super::outcome::Outcome;
use super::protocol::Message;
use super::settings::{Concurrency, ExecutorKind, Settings};
use super::task::{Completion, Task};
use super::worker::Worker;
use crate::sys::child::ChildProcess;
use crate::sys::{self, BootTime, Error, Root, procfs};

/// Stack size of worker threads. They sleep in the kernel and keep little on their stacks; the
/// decoders live on the heap.
pub(super) const STACK_SIZE: usize = 256 << 10;
/// Interval at which a wait checks whether the caller's thread can start a task.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The state that the loader, its executor and its shutdown handle share.
#[derive(Debug)]
pub(super) struct Dispatcher {
    concurrency: Concurrency,
    executor: Mutex<Executor>,
    worker: Worker,
    graph: Mutex<Graph>,
    /// Notified when steps become ready.
    ready: Condvar,
    /// Notified when a task has ended.
    ended: Condvar,
    /// Eventfd that is readable when a task has ended.
    wake: OwnedFd,
    /// Whether the loader is gone: nobody requests modules any more.
    is_retired: AtomicBool,
}

impl Dispatcher {
    /// Creates a dispatcher with an empty graph and starts its executor.
    ///
    /// # Errors
    /// eventfd(2) fails, or there is no thread for the supervisor of the worker process.
    pub(super) fn start(
        root: Root,
        inserter: Inserter,
        settings: Settings,
    ) -> sys::Result<Arc<Self>> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| Error::new("eventfd", "loader", e))?;
        let concurrency = settings.executor.concurrency();
        let executor = match settings.executor {
            ExecutorKind::Threads(limit) => Executor::Threads { started: 0, limit },
            ExecutorKind::WorkerProcess(_) => Executor::WorkerProcess(None),
            #[cfg(feature = "host")]
            ExecutorKind::Inline => Executor::Inline,
        };
        let dispatcher = Arc::new(Self {
            concurrency,
            executor: Mutex::new(executor),
            worker: Worker { root, inserter, buffers: None },
            graph: Mutex::new(Graph::new(settings.policy, concurrency)),
            ready: Condvar::new(),
            ended: Condvar::new(),
            wake,
            is_retired: AtomicBool::new(false),
        });
        if let ExecutorKind::WorkerProcess(_) = settings.executor {
            dispatcher.start_supervisor()?;
        }
        Ok(dispatcher)
    }

    pub(super) fn graph(&self) -> MutexGuard<'_, Graph> {
        lock(&self.graph)
    }

    /// Returns the graph if no other thread has it locked.
    pub(super) fn try_graph(&self) -> Option<MutexGuard<'_, Graph>> {
        self.graph.try_lock().ok()
    }

    /// Notes that the loader is gone.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    /// Returns whether the loader is gone and nothing is left to do.
    pub(super) fn is_over(&self) -> bool {
        self.is_retired() && self.graph().is_idle()
    }

    fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Relaxed)
    }

    pub(super) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Has the executor start the tasks that are ready. If loads are sequential, that is left to
    /// [`super::Loader::drive`] as long as there is a loader: its caller has then seen the result of
    /// the last load.
    pub(super) fn dispatch(self: &Arc<Self>) {
        let load = self.graph().load();
        let mut executor = lock(&self.executor);
        match &mut *executor {
            Executor::Threads { started, limit } => {
                self.spawn_threads(started, limit.get().min(load));
            }
            Executor::WorkerProcess(_)
                if self.concurrency != Concurrency::Sequential || self.is_retired() =>
            {
                drop(executor);
                self.send_ready();
            }
            Executor::WorkerProcess(_) => {}
            #[cfg(feature = "host")]
            Executor::Inline => {}
        }
    }

    /// Starts threads until `wanted` have been started.
    fn spawn_threads(self: &Arc<Self>, started: &mut usize, wanted: usize) {
        self.ready.notify_all();
        while *started < wanted {
            let dispatcher = Arc::clone(self);
            let builder = thread::Builder::new().stack_size(STACK_SIZE);
            if builder.spawn(move || dispatcher.worker_loop()).is_err() {
                // Fewer threads are only slower; without any the caller's thread runs the tasks.
                return;
            }
            *started += 1;
        }
    }

    /// Runs ready tasks, forever.
    fn worker_loop(self: &Arc<Self>) {
        loop {
            let mut graph = self.graph();
            let task = loop {
                match graph.take(BootTime::now()) {
                    Some(task) => break task,
                    None => graph = self.ready.wait(graph).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(graph);
            self.finish(self.worker.run(&task));
        }
    }

    /// Runs one task on the caller's thread if no other executor does. Returns whether there was
    /// one.
    pub(super) fn run_inline(self: &Arc<Self>) -> bool {
        let executor = lock(&self.executor);
        let task = if executor.is_inline() { self.graph().take(BootTime::now()) } else { None };
        drop(executor);
        task.inspect(|task| self.finish(self.worker.run(task))).is_some()
    }

    /// Enters a completion into the graph, starts what it makes ready, and notifies all who wait.
    pub(super) fn finish(self: &Arc<Self>, completion: Completion) {
        self.graph().finish(completion);
        self.dispatch();
        self.notify();
    }

    pub(super) fn notify(&self) {
        self.ended.notify_all();
        // A full counter is readable already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Waits until a task ends, `left` has passed or [`POLL_INTERVAL`] has passed, unless `is_done`
    /// holds already. Returns what `is_done` returned before the wait.
    pub(super) fn wait_unless(&self, is_done: impl Fn(&Graph) -> bool, left: Duration) -> bool {
        let graph = self.graph();
        let done = is_done(&graph);
        if !done && !left.is_zero() {
            drop(self.ended.wait_timeout(graph, left.min(POLL_INTERVAL)));
        }
        done
    }

    /// Starts no more tasks, and waits for those that run in threads of this process.
    pub(super) fn close(&self) {
        self.graph().close();
        if matches!(*lock(&self.executor), Executor::Threads { .. }) {
            let running = |graph: &mut Graph| graph.running() > 0;
            drop(self.ended.wait_while(self.graph(), running));
        }
    }

    pub(super) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    pub(super) fn clear_wake(&self) {
        // The count has no meaning, and the read fails only if the descriptor is unreadable
        // already.
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
    }

    /// Returns the peak memory of the worker process in bytes.
    pub(super) fn peak_memory(&self) -> Option<u64> {
        match &*lock(&self.executor) {
            Executor::WorkerProcess(Some(process)) => {
                procfs::peak_memory(&self.worker.root, &process.pid().to_string())
            }
            _ => None,
        }
    }

    /// Returns the worker process, if there is one.
    pub(super) fn process(&self) -> Option<Arc<ChildProcess>> {
        match &*lock(&self.executor) {
            Executor::WorkerProcess(process) => process.clone(),
            _ => None,
        }
    }

    /// Replaces the worker process and calls `change` before the new one gets its first task: the
    /// tasks that run then are those of the old one.
    pub(super) fn replace_process(
        &self,
        process: Option<Arc<ChildProcess>>,
        change: impl FnOnce(&mut Graph),
    ) {
        let mut executor = lock(&self.executor);
        *executor = Executor::WorkerProcess(process);
        change(&mut self.graph());
    }

    /// Sends the worker process the next task if loads are sequential.
    pub(super) fn send_next_sequential(&self) {
        if self.concurrency == Concurrency::Sequential {
            self.send_ready();
        }
    }

    /// Sends ready tasks to the worker process unless another thread has the executor locked.
    pub(super) fn try_send_ready(&self) {
        if self.executor.try_lock().is_ok() {
            self.send_ready();
        }
    }

    /// Sends ready tasks to the worker process, as far as the concurrency allows and its socket has
    /// room. The supervisor sends the rest.
    fn send_ready(&self) {
        let executor = lock(&self.executor);
        let Executor::WorkerProcess(Some(process)) = &*executor else { return };
        while let Some(task) = self.take_within_limit() {
            let id = task.id;
            match encode(task) {
                Ok(message) if process.send(&message) => {}
                Ok(_) => return self.graph().put_back(id),
                Err(outcome) => {
                    self.graph().finish(Completion::immediate(id, outcome));
                    self.notify();
                }
            }
        }
    }

    fn take_within_limit(&self) -> Option<Task> {
        let mut graph = self.graph();
        if graph.has_room() { graph.take(BootTime::now()) } else { None }
    }
}

/// Returns the message for a task, or the outcome of a task that needs no worker.
fn encode(task: Task) -> Result<Vec<u8>, Outcome> {
    task.work()?;
    Message::Run(task).encode().ok_or(Outcome::Failed(LoadError::OptionsTooLong))
}
