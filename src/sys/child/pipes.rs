//! Two pipes in place of the socket between PID 1 and a child: a kernel without CONFIG_NET or
//! CONFIG_UNIX has no sockets.
//!
//! The child reads from descriptor 0 and writes to descriptor 1. A pipe does not keep messages
//! apart, except those of 4096 bytes and less (O_DIRECT), so each has its length before it:
//!
//! ```text
//! LENGTH (u32 in the machine's byte order) MESSAGE
//! ```

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, fcntl_dupfd_cloexec, ioctl_fionread, read, write};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::stdio;

use super::{MAX_MESSAGE, Received, uninterrupted};

const HEAD: usize = size_of::<u32>();
/// Capacity of the pipe to a child, which the kernel grants to every process.
const CAPACITY: usize = 1 << 20;
/// The largest page of any machine.
const PAGE: usize = 64 << 10;

/// The descriptor to which a child writes, once it has taken descriptor 1 for that.
static TO_PARENT: Mutex<Option<File>> = Mutex::new(None);
/// Locked by the thread of a child that receives a message.
static RECEIVER: Mutex<()> = Mutex::new(());

/// The ends of PID 1.
#[derive(Debug)]
pub(super) struct Pipes {
    to_child: OwnedFd,
    from_child: OwnedFd,
    /// Start of a message that has not arrived as a whole. Also locked by who sends.
    partial: Mutex<Vec<u8>>,
}

impl Pipes {
    /// pipe2(2): returns the ends of PID 1, and descriptors 0 and 1 of the child.
    ///
    /// # Errors
    /// EMFILE, ENFILE or ENOMEM.
    pub(super) fn new() -> Result<(Self, OwnedFd, OwnedFd), Errno> {
        let (stdin, to_child) = pipe_with(PipeFlags::CLOEXEC)?;
        let (from_child, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setpipe_size(&to_child, CAPACITY)?;
        fcntl_setfl(&to_child, OFlags::NONBLOCK)?;
        fcntl_setfl(&from_child, OFlags::NONBLOCK)?;
        Ok((Self { to_child, from_child, partial: Mutex::default() }, stdin, stdout))
    }

    /// Sends a message without waiting. Returns false if the child has ended, or there is no room.
    pub(super) fn send(&self, message: &[u8]) -> bool {
        let _sender = lock(&self.partial);
        let frame = framed(message);
        // A page of the pipe may be half empty, because a message stays on one page if it can. The
        // first page may be read up to its last byte, and the last one be too full.
        let is_room = |waiting: u64| {
            let bytes = usize::try_from(waiting).unwrap_or(CAPACITY).saturating_add(frame.len());
            bytes.saturating_mul(2) <= CAPACITY - 2 * PAGE
        };
        ioctl_fionread(&self.to_child).is_ok_and(is_room)
            && uninterrupted(|| write(&self.to_child, &frame)) == Ok(frame.len())
    }

    /// Receives the next message without waiting.
    pub(super) fn try_receive(&self) -> Received {
        receive_into(&mut lock(&self.partial), &self.from_child)
    }
}

impl AsFd for Pipes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.from_child.as_fd()
    }
}

/// Waits for the next message from the parent, in a child.
pub(super) fn receive(from_parent: impl AsFd) -> Received {
    let _receiver = lock(&RECEIVER);
    // Before this process starts another one, which would inherit descriptor 1.
    let _ = to_parent(&mut lock(&TO_PARENT));
    receive_into(&mut Vec::new(), from_parent)
}

/// Sends a message to the parent, in a child. Returns whether it was sent.
pub(super) fn send(message: &[u8]) -> bool {
    let mut file = lock(&TO_PARENT);
    to_parent(&mut file).is_ok_and(|mut file| file.write_all(&framed(message)).is_ok())
}

/// Returns the descriptor to which this child writes. At first that is descriptor 1, which becomes
/// /dev/null like descriptor 2.
fn to_parent(file: &mut Option<File>) -> Result<&File, Errno> {
    if file.is_none() {
        let pipe = fcntl_dupfd_cloexec(stdio::stdout(), 3)?;
        stdio::dup2_stdout(stdio::stderr())?;
        *file = Some(pipe.into());
    }
    file.as_ref().ok_or(Errno::BADF)
}

fn framed(message: &[u8]) -> Vec<u8> {
    // No message is longer than MAX_MESSAGE.
    let length = u32::try_from(message.len()).unwrap_or(0);
    [&length.to_ne_bytes(), message].concat()
}

/// Reads until `partial` is a message, and no further.
fn receive_into(partial: &mut Vec<u8>, pipe: impl AsFd) -> Received {
    loop {
        let missing = match partial.first_chunk().map(|head| u32::from_ne_bytes(*head)) {
            None => HEAD - partial.len(),
            Some(length) => HEAD.saturating_add(length as usize).saturating_sub(partial.len()),
        };
        if missing == 0 {
            return Received::Message(std::mem::take(partial).split_off(HEAD));
        }
        let mut bytes = vec![0; missing.min(MAX_MESSAGE)];
        match uninterrupted(|| read(&pipe, &mut bytes[..])) {
            Err(Errno::AGAIN) => return Received::Pending,
            Ok(0) | Err(_) => return Received::Ended,
            Ok(count) => partial.extend_from_slice(&bytes[..count]),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_and_their_end_is_seen() {
        let (pipes, stdin, stdout) = Pipes::new().unwrap();
        assert_eq!(pipes.try_receive(), Received::Pending);
        assert!(pipes.send(b"one") && pipes.send(&[b'x'; MAX_MESSAGE]));
        for want in [b"one".to_vec(), vec![b'x'; MAX_MESSAGE]] {
            assert_eq!(receive_into(&mut Vec::new(), &stdin), Received::Message(want));
        }
        // A message that arrives in parts.
        let frame = framed(b"done");
        for part in [&frame[..2], &frame[2..7]] {
            write(&stdout, part).unwrap();
            assert_eq!(pipes.try_receive(), Received::Pending);
        }
        write(&stdout, &[&frame[7..], &framed(b"next")].concat()).unwrap();
        assert_eq!(pipes.try_receive(), Received::Message(b"done".to_vec()));
        assert_eq!(pipes.try_receive(), Received::Message(b"next".to_vec()));
        drop((stdin, stdout));
        assert_eq!(pipes.try_receive(), Received::Ended);
        assert!(!pipes.send(b"three"));
    }

    #[test]
    fn a_message_is_sent_as_a_whole_or_not_at_all() {
        for length in [1, 2046, 4092, 4093, 9000, MAX_MESSAGE] {
            let (pipes, stdin, _stdout) = Pipes::new().unwrap();
            // The first page is nearly used up, and the messages leave most of each page empty.
            assert!(pipes.send(&[b'y'; 4000]));
            assert_eq!(read(&stdin, &mut [0; 4003]).unwrap(), 4003);
            let message = vec![b'x'; length];
            let mut sent = 0;
            while pipes.send(&message) {
                sent += 1;
            }
            assert!(sent >= 5 && sent * length < CAPACITY, "{sent} of {length}");
            read(&stdin, &mut [0; 1]).unwrap();
            for _ in 0..sent {
                let got = receive_into(&mut Vec::new(), &stdin);
                assert!(got == Received::Message(message.clone()), "{length}");
            }
        }
    }
}
