//! The loading process: takes tasks from a socket, and sends back what became of each.
//!
//! Init loads nothing itself. A thread inside a module's init cannot be ended, and execve(2) waits for every
//! thread of the process: a module that takes seconds would hold up the real init for as long. So the loads are in a
//! process of their own, which goes on by itself where init has become another program. Nor does what goes
//! wrong there (a decoder that runs out of memory, a module that brings down its caller) bring down PID 1.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};

use super::act::Actor;
use super::graph::Done;
use super::images::Images;
use super::insert::Inserter;
use super::wire;
use crate::sys::{self, Error, Root, process};

/// Workers sleep in the kernel and keep little on their stacks; the decoders live on the heap.
pub(super) const STACK: usize = 256 << 10;

/// Init's end of the socket.
#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    /// The process at the other end.
    pub(super) process: u32,
}

impl Client {
    /// Starts this program once more as `coldplug load-server`, with `words` behind it.
    ///
    /// # Errors
    /// There is no socket or no process to be had.
    pub(super) fn start(words: &[&str]) -> sys::Result<Self> {
        let failed = |e| Error::new("socketpair", "loading process", e);
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(failed)?;
        let process = process::spawn_self("load-server", words, File::from(theirs))?;
        Ok(Self { socket: ours, process })
    }

    /// Hands over the message of a task. Where the other process is gone, [`Self::receive`] tells.
    pub(super) fn send(&self, message: &[u8]) {
        let _ = send_all(&self.socket, message);
    }

    /// Waits for the end of a task; `None` where the other process is gone.
    pub(super) fn receive(&self) -> Option<(usize, Done)> {
        wire::parse_done(&message(&self.socket)?)
    }
}

fn send_all(socket: impl AsFd, message: &[u8]) -> bool {
    loop {
        match send(&socket, message, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent.is_ok(),
        }
    }
}

/// The next message; `None` at the end of the connection.
fn message(socket: impl AsFd) -> Option<Vec<u8>> {
    let mut buffer = vec![0; wire::LONGEST];
    let len = loop {
        match recv(&socket, &mut *buffer, RecvFlags::empty()) {
            Err(Errno::INTR) => {}
            got => break got.ok()?.0,
        }
    };
    buffer.truncate(len);
    (len > 0).then_some(buffer)
}

struct Server {
    socket: OwnedFd,
    actor: Actor,
    /// Threads that wait for a task.
    idle: AtomicUsize,
}

/// Carries out the tasks that come through `socket` until its other end is closed and the last of them has ended.
/// How many there are at once, the other end decides.
pub fn serve(root: Root, inserter: Inserter, socket: OwnedFd) {
    let actor = Actor { root, inserter, images: Some(Images::new(sys::processors())) };
    let server = Arc::new(Server { socket, actor, idle: AtomicUsize::new(1) });
    server.work();
    // The end of the process would send a signal into loads that are under way, and some drivers give up then.
    while Arc::strong_count(&server) > 1 {
        thread::sleep(std::time::Duration::from_millis(10));
    }
}

impl Server {
    /// A thread's life. Each takes whole messages from the one socket; the one that takes the last free thread
    /// leaves another behind to listen.
    fn work(self: &Arc<Self>) {
        while let Some(message) = message(&self.socket) {
            let Some(task) = wire::parse_task(&message) else { continue };
            drop(message);
            if self.idle.fetch_sub(1, Ordering::SeqCst) == 1 {
                self.grow();
            }
            let done = self.actor.act(&task);
            if let Some(message) = wire::done(task.id, &done) {
                // Where nobody listens any more, nobody wants to know.
                let _ = send_all(&self.socket, &message);
            }
            self.idle.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn grow(self: &Arc<Self>) {
        self.idle.fetch_add(1, Ordering::SeqCst);
        let server = Arc::clone(self);
        let builder = thread::Builder::new().stack_size(STACK);
        if builder.spawn(move || server.work()).is_err() {
            // Tasks wait in the socket until this thread is free again.
            self.idle.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
