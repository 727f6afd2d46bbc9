//! The worker process, as PID 1 sees it.
//!
//! PID 1 loads nothing itself. A thread inside a module's init cannot be ended, and execve(2) waits
//! for every thread of the process: a module that takes seconds would delay the real init by as
//! much. The loads are therefore in a process of their own, which goes on by itself when PID 1 has
//! become another program. A fault there (a decoder that runs out of memory, a module that brings
//! down its caller) does not bring down PID 1 either.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};

use super::protocol::{MAX_LEN, Message};
use super::task::Completion;
use crate::sys::{self, Error, process};

/// A worker process and PID 1's end of the socket to it.
#[derive(Debug)]
pub(super) struct WorkerProcess {
    socket: OwnedFd,
    /// Process ID.
    pub(super) pid: u32,
}

impl WorkerProcess {
    /// Starts this program as `coldplug load-worker WORD...`.
    ///
    /// # Errors
    /// The kernel has no socket or no process for it.
    pub(super) fn start(words: &[&str]) -> sys::Result<Self> {
        let failed = |e| Error::new("socketpair", "worker process", e);
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(failed)?;
        let pid = process::spawn_self("load-worker", words, File::from(theirs))?;
        Ok(Self { socket: ours, pid })
    }

    /// Sends an encoded message. If the process has died, [`Self::receive`] reports that.
    pub(super) fn send(&self, message: &[u8]) {
        let _ = send_message(&self.socket, message);
    }

    /// Waits for the next completion; returns `None` if the process has died.
    pub(super) fn receive(&self) -> Option<Completion> {
        match Message::decode(&receive_message(&self.socket)?)? {
            Message::Completed(completion) => Some(completion),
            Message::Run(_) => None,
        }
    }
}

/// Sends a message; returns whether it was sent.
pub(super) fn send_message(socket: impl AsFd, message: &[u8]) -> bool {
    loop {
        match send(&socket, message, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent.is_ok(),
        }
    }
}

/// Waits for the next message; returns `None` at the end of the connection.
pub(super) fn receive_message(socket: impl AsFd) -> Option<Vec<u8>> {
    let mut buffer = vec![0; MAX_LEN];
    let len = loop {
        match recv(&socket, &mut *buffer, RecvFlags::empty()) {
            Err(Errno::INTR) => {}
            received => break received.ok()?.0,
        }
    };
    buffer.truncate(len);
    (len > 0).then_some(buffer)
}
