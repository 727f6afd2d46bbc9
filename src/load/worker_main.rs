//! The main loop of the worker process: receives tasks from a socket and sends back their
//! completions.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::decode_buffers::DecodeBuffers;
use super::dispatcher::STACK_SIZE;
use super::error::LoadError;
use super::inserter::Inserter;
use super::outcome::Outcome;
use super::protocol::Message;
use super::task::Completion;
use super::worker::Worker;
use super::worker_process::{receive_message, send_message};
use crate::sys::{self, Root};

struct WorkerThreads {
    socket: OwnedFd,
    worker: Worker,
    /// Number of threads that wait for a task.
    idle: AtomicUsize,
}

/// Runs the tasks that arrive at `socket` until its other end is closed and the last of them has
/// ended. The other end decides how many run at the same time.
pub(crate) fn worker_main(root: Root, inserter: Inserter, socket: OwnedFd) {
    let buffers = Some(DecodeBuffers::new(sys::processors()));
    let worker = Worker { root, inserter, buffers };
    let threads = Arc::new(WorkerThreads { socket, worker, idle: AtomicUsize::new(1) });
    threads.worker_loop();
    // The end of the process would send a signal into loads that are under way, and some drivers
    // give up then.
    while Arc::strong_count(&threads) > 1 {
        thread::sleep(Duration::from_millis(10));
    }
}

impl WorkerThreads {
    /// Runs tasks until the connection ends. All threads receive whole messages from one socket;
    /// the last idle thread starts another one before it runs its task.
    fn worker_loop(self: &Arc<Self>) {
        while let Some(message) = receive_message(&self.socket) {
            let Some(Message::Run(task)) = Message::decode(&message) else { continue };
            drop(message);
            if self.idle.fetch_sub(1, Ordering::SeqCst) == 1 {
                self.spawn_thread();
            }
            let completion = Message::Completed(self.worker.run(&task));
            if let Some(message) = completion.encode().or_else(|| too_long(task.id).encode()) {
                // If the other end is closed, nobody needs the result.
                let _ = send_message(&self.socket, &message);
            }
            self.idle.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn spawn_thread(self: &Arc<Self>) {
        self.idle.fetch_add(1, Ordering::SeqCst);
        let threads = Arc::clone(self);
        let builder = thread::Builder::new().stack_size(STACK_SIZE);
        if builder.spawn(move || threads.worker_loop()).is_err() {
            // Tasks wait in the socket until this thread is free again.
            self.idle.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Returns the completion of a task whose error, such as a long install command, does not fit into
/// a message.
fn too_long(id: usize) -> Message {
    let error = LoadError::Reported("failed, with an error too long to report".to_owned());
    Message::Completed(Completion::immediate(id, Outcome::Failed(error)))
}
