//! Children of PID 1: this program again, with a socket to it, and who waits for which child. A
//! kernel without sockets gets two pipes ([`pipes`]).
//!
//! What may block or die is done by a child: PID 1 only reads its socket, and kills it at a
//! deadline. A child in uninterruptible sleep dies when that ends; PID 1 does not wait for it.

mod pipes;

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};

use pipes::Pipes;

use super::{Error, Result, process};

/// Longest message, in bytes.
pub(crate) const MAX_MESSAGE: usize = 64 << 10;

/// A child whose owner wants its exit status, and that status once the child has ended.
static OWNED: Mutex<Vec<(u32, Option<ExitStatus>)>> = Mutex::new(Vec::new());

/// Result of an attempt to receive from a child.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A whole message.
    Message(Vec<u8>),
    /// Nothing yet.
    Pending,
    /// The child has closed its end: it has ended, or is about to.
    Ended,
}

/// What carries whole messages to and from a child.
#[derive(Debug)]
enum Channel {
    Socket(OwnedFd),
    Pipes(Pipes),
}

/// A child that runs this program, and the channel to it.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    channel: Channel,
    pid: u32,
    /// Whether the child may go on when this is dropped.
    released: bool,
}

impl ChildProcess {
    /// Starts this program as `coldplug APPLET WORD...`. The child's end of the socket is its
    /// descriptor 0; those of pipes are 0 and 1.
    ///
    /// # Errors
    /// The kernel has no descriptor or no process for it.
    pub(crate) fn start(applet: &str, words: &[&OsStr]) -> Result<Self> {
        let pair =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (channel, stdin, stdout) = match pair {
            Ok((ours, theirs)) => (Channel::Socket(ours), theirs, None),
            Err(Errno::NOSYS | Errno::AFNOSUPPORT) => {
                let pipes = Pipes::new().map_err(|e| Error::new("pipe2", applet, e))?;
                let (ours, stdin, stdout) = pipes;
                (Channel::Pipes(ours), stdin, Some(File::from(stdout)))
            }
            Err(errno) => return Err(Error::new("socketpair", applet, errno)),
        };
        let pid = spawn(|| process::spawn_self(applet, words, File::from(stdin), stdout))?;
        Ok(Self { channel, pid, released: false })
    }

    /// Returns its process ID.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a message without waiting. Returns false if the child has ended, or does not read
    /// what it was sent before.
    pub(crate) fn send(&self, message: &[u8]) -> bool {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match &self.channel {
            Channel::Socket(socket) => uninterrupted(|| send(socket, message, flags)).is_ok(),
            Channel::Pipes(pipes) => pipes.send(message),
        }
    }

    /// Receives the next message without waiting.
    pub(crate) fn try_receive(&self) -> Received {
        let socket = match &self.channel {
            Channel::Socket(socket) => socket,
            Channel::Pipes(pipes) => return pipes.try_receive(),
        };
        // PID 1 looks hundreds of times in a boot, and mostly there is nothing to make room for.
        let peek = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        match uninterrupted(|| recv(socket, &mut [0; 0], peek)) {
            Err(Errno::AGAIN) => Received::Pending,
            _ => receive(socket, RecvFlags::DONTWAIT),
        }
    }

    /// Closes the channel and leaves the child to end what it is doing.
    pub(crate) fn release(mut self) {
        self.released = true;
    }

    /// Kills the child, unless it has been reaped: its process ID may be that of another process
    /// by then.
    pub(crate) fn kill(&self) {
        let Some(pid) = to_pid(self.pid) else { return };
        owned(|children| {
            if children.contains(&(self.pid, None)) {
                // It may have ended already.
                let _ = kill_process(pid, Signal::KILL);
            }
        });
    }
}

impl AsFd for ChildProcess {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.channel {
            Channel::Socket(socket) => socket.as_fd(),
            Channel::Pipes(pipes) => pipes.as_fd(),
        }
    }
}

impl Drop for ChildProcess {
    /// Kills the child, unless it is released, and leaves it to [`reap`].
    fn drop(&mut self) {
        if !self.released {
            self.kill();
        }
        forget(self.pid);
    }
}

/// Waits for the next message from the parent, in a child; returns `None` when the parent has
/// closed its end. `socket` is descriptor 0, or a duplicate.
pub(crate) fn receive_from_parent(socket: impl AsFd) -> Option<Vec<u8>> {
    match receive(socket, RecvFlags::empty()) {
        Received::Message(message) => Some(message),
        Received::Pending | Received::Ended => None,
    }
}

/// Waits for the next message from the parent, in a child, no longer than `timeout`; `None` means
/// without end.
pub(crate) fn receive_from_parent_within(socket: impl AsFd, timeout: Option<Duration>) -> Received {
    let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    // Interrupted or not: nothing may have arrived.
    let _ = poll(&mut fds, timeout.as_ref());
    receive(&socket, RecvFlags::DONTWAIT)
}

/// Sends a message to the parent, in a child. Returns whether it was sent.
pub(crate) fn send_to_parent(socket: impl AsFd, message: &[u8]) -> bool {
    match uninterrupted(|| send(&socket, message, SendFlags::NOSIGNAL)) {
        Err(Errno::NOTSOCK | Errno::NOSYS) => pipes::send(message),
        result => result.is_ok(),
    }
}

/// Starts a child by `start`, which returns its process ID, and notes that its owner wants its exit
/// status, which [`exit_status`] returns. Meanwhile no other thread reaps: the status of a child that
/// ends soon would be lost.
///
/// # Errors
/// Those of `start`.
pub(crate) fn spawn<E>(
    start: impl FnOnce() -> std::result::Result<u32, E>,
) -> std::result::Result<u32, E> {
    owned(|children| start().inspect(|pid| children.push((*pid, None))))
}

/// Notes that nobody wants the exit status of child `pid` any more.
pub(crate) fn forget(pid: u32) {
    owned(|children| children.retain(|(child, _)| *child != pid));
}

/// Returns the exit status of the registered child `pid` and forgets it; `None` while it runs.
pub(crate) fn exit_status(pid: u32) -> Option<ExitStatus> {
    reap();
    let find = |(child, status): &(u32, Option<ExitStatus>)| status.filter(|_| *child == pid);
    let status = owned(|children| children.iter().find_map(find));
    status.inspect(|_| forget(pid))
}

/// wait(2) with WNOHANG, until no ended child is left: reaps what process 1 has inherited, and its
/// own children. Keeps the exit statuses of registered ones. Nothing else in PID 1 may wait for any
/// child, except for one that it has just started and waits for immediately.
pub(crate) fn reap() {
    owned(|children| {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get().unsigned_abs();
            if let Some(child) = children.iter_mut().find(|child| **child == (pid, None)) {
                child.1 = Some(ExitStatus::from_raw(status.as_raw()));
            }
        }
    });
}

fn owned<T>(change: impl FnOnce(&mut Vec<(u32, Option<ExitStatus>)>) -> T) -> T {
    change(&mut OWNED.lock().unwrap_or_else(PoisonError::into_inner))
}

fn to_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

fn receive(socket: impl AsFd, flags: RecvFlags) -> Received {
    // Not cleared before: most messages are short. Room for the longest one, because several threads of
    // a child receive from one socket, so that none knows the length of its next message.
    let mut buffer = Vec::with_capacity(MAX_MESSAGE);
    match uninterrupted(|| recv(&socket, spare_capacity(&mut buffer), flags)) {
        Err(Errno::AGAIN) => Received::Pending,
        Err(Errno::NOTSOCK | Errno::NOSYS) => pipes::receive(socket),
        // An empty message is the end of the connection; no message of ours is empty.
        Ok((0, _)) | Err(_) => Received::Ended,
        Ok(_) => Received::Message(buffer),
    }
}

fn uninterrupted<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_if_several_threads_receive_them() {
        let (a, b) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let mut sent: Vec<usize> = (0..2000).map(|n| if n % 2 == 0 { 1 } else { 1 + n }).collect();
        let mut received: Vec<usize> = std::thread::scope(|scope| {
            let receive = || {
                std::iter::from_fn(|| receive_from_parent(&b)).map(|m| m.len()).collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(receive)).collect();
            for length in &sent {
                assert!(send_to_parent(&a, &vec![b'x'; *length]));
            }
            drop(a);
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        sent.sort_unstable();
        received.sort_unstable();
        assert_eq!(received, sent);
    }

    #[test]
    fn messages_are_whole_and_their_end_is_seen() {
        let (a, b) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let child = ChildProcess { channel: Channel::Socket(a), pid: 0, released: false };
        assert_eq!(child.try_receive(), Received::Pending);
        assert!(child.send(b"one") && child.send(b"two"));
        assert_eq!(receive_from_parent(&b).as_deref(), Some(&b"one"[..]));
        assert!(send_to_parent(&b, b"done"));
        assert_eq!(child.try_receive(), Received::Message(b"done".to_vec()));
        drop(b);
        assert_eq!(child.try_receive(), Received::Ended);
        assert!(!child.send(b"three"));
        let long = vec![b'x'; MAX_MESSAGE];
        let mut sent = 0;
        let (a, b) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let child = ChildProcess { channel: Channel::Socket(a), pid: 0, released: false };
        while sent < 1000 && child.send(&long) {
            sent += 1;
        }
        assert!(sent < 1000, "a child that does not read blocks its parent");
        drop(b);
    }
}
