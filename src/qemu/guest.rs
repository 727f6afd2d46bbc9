//! A guest that runs: QEMU as a child, and the streams between it and this process.
//!
//! QEMU inherits ends of pipes and files in memory, so nothing has a name and nothing is left
//! behind. It reopens them by /proc/self/fd and thus has flags of its own; standard input is that
//! of QEMU, because only so does the guest see its end.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::io::FdFlags;

use super::command_line::{Descriptors, GuestSpec};
use super::shared_root::{self, SharedFilesystem};
use crate::sys::{self, BootTime, process};

/// Bytes of the console, the record and QEMU's messages that are kept: their end.
const KEPT: usize = 1 << 20;
/// Interval of the looks whether a stream has failed.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Longest wait for QEMU whose streams have ended.
const GRACE: Duration = Duration::from_secs(1);
/// Longest wait for the end of a process that was asked to end, or killed.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A running guest.
#[derive(Debug)]
pub(crate) struct Guest {
    processes: Processes,
    /// Threads that pass on standard output and standard error.
    streams: [JoinHandle<io::Result<()>>; 2],
    /// Threads that collect the record, the console and QEMU's messages.
    texts: [JoinHandle<Vec<u8>>; 3],
}

/// QEMU, and the server of its root. They are killed when this is dropped.
#[derive(Debug)]
struct Processes {
    qemu: Child,
    virtiofsd: Option<Child>,
}

/// How a guest has ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// QEMU's exit status; `None` if it was killed.
    pub(crate) status: Option<ExitStatus>,
    /// Whether it was killed at the deadline.
    pub(crate) is_timeout: bool,
    /// What came over the port of the record.
    pub(crate) report: Vec<u8>,
    /// The end of the console.
    pub(crate) console: Vec<u8>,
    /// Messages of QEMU.
    pub(crate) messages: Vec<u8>,
    /// Why standard output or standard error is not complete.
    pub(crate) failure: Option<io::Error>,
}

impl Guest {
    /// Starts a guest, whose /init and script are in `image`, a file in memory. Standard input, output
    /// and error of this process become those of the command, or the console.
    ///
    /// # Errors
    /// A program is not installed or cannot be started; there are no more descriptors.
    pub(crate) fn start(spec: &GuestSpec, image: &OwnedFd) -> sys::Result<Self> {
        let socket = format!("coldplug-run-{}", std::process::id());
        let messages = Pipe::new()?;
        close_on_exec(&messages.read)?;
        // It comes first: it must not inherit the pipes of the command.
        let virtiofsd = match spec.filesystem {
            SharedFilesystem::NineP => None,
            SharedFilesystem::Virtiofs => {
                Some(start_virtiofsd(&spec.root, &socket, &messages.write)?)
            }
        };
        let [input, output, error, report, console] =
            [Pipe::new()?, Pipe::new()?, Pipe::new()?, Pipe::new()?, Pipe::new()?];
        for own in [&input.write, &output.read, &error.read, &report.read, &console.read] {
            close_on_exec(own)?;
        }
        let ends = [&output.write, &error.write, &report.write, &console.write];
        let fds = Descriptors { image: image.as_raw_fd(), outputs: ends.map(AsRawFd::as_raw_fd) };
        let mut command = process::tied_command(spec.emulator.program);
        if !spec.is_interactive {
            command.stdin(Stdio::from(input.read)).stdout(Stdio::null());
            let typed = File::from(input.write);
            thread::spawn(move || copy(io::stdin(), typed));
        }
        let qemu = command
            .args(spec.arguments(&fds, &socket))
            .stderr(Stdio::from(messages.write))
            .spawn()
            .map_err(|e| sys::Error::io("exec", Path::new(process::SELF_EXE), &e))?;
        // Otherwise the streams would never end.
        drop([output.write, error.write, report.write, console.write]);
        let (output, error) = (File::from(output.read), File::from(error.read));
        let streams = [
            thread::spawn(move || copy(output, io::stdout())),
            thread::spawn(move || copy(error, io::stderr())),
        ];
        let texts = [report.read, console.read, messages.read]
            .map(|end| thread::spawn(move || collect(File::from(end))));
        Ok(Self { processes: Processes { qemu, virtiofsd }, streams, texts })
    }

    /// Waits until the guest ends. It is killed after `timeout`, and if standard output or standard
    /// error cannot be written: then nobody reads what the command writes.
    ///
    /// # Errors
    /// The answer of waitpid(2).
    pub(crate) fn wait(mut self, timeout: Option<Duration>) -> io::Result<Outcome> {
        let end = timeout.map(|timeout| BootTime::now() + timeout);
        let status = loop {
            let status = process::wait_for(&mut self.processes.qemu, POLL_INTERVAL)?;
            let is_over = end.is_some_and(|end| BootTime::now() >= end);
            if status.is_some() || is_over || self.streams.iter().any(JoinHandle::is_finished) {
                break status;
            }
        };
        // A stream that has ended with QEMU has ended before QEMU can be waited for.
        let status = match status {
            None => process::wait_for(&mut self.processes.qemu, GRACE)?,
            status => status,
        };
        let is_timeout = status.is_none() && end.is_some_and(|end| BootTime::now() >= end);
        // The streams end with QEMU.
        drop(self.processes);
        let failure = self.streams.map(|stream| joined(stream, Ok(()))).into_iter();
        let failure = failure.filter_map(Result::err).next();
        let [report, console, messages] = self.texts.map(|text| joined(text, Vec::new()));
        Ok(Outcome { status, is_timeout, report, console, messages, failure })
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for process in [Some(&mut self.qemu), self.virtiofsd.as_mut()].into_iter().flatten() {
            // QEMU gives the terminal back only if it ends by itself. They may have ended already.
            process::ask_to_end(process);
            if !matches!(process::wait_for(process, END_TIMEOUT), Ok(Some(_))) {
                let _ = process.kill();
                let _ = process::wait_for(process, END_TIMEOUT);
            }
        }
    }
}

/// A pipe; execve(2) closes neither end.
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    fn new() -> sys::Result<Self> {
        let ends = rustix::pipe::pipe();
        let (read, write) = ends.map_err(|errno| sys::Error::new("pipe", "a stream", errno))?;
        Ok(Self { read, write })
    }
}

fn close_on_exec(fd: impl AsFd) -> sys::Result<()> {
    let set = rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC);
    set.map_err(|errno| sys::Error::new("fcntl", "a stream", errno))
}

/// Starts virtiofsd, which serves `root` to whoever connects first to the abstract socket.
/// Its messages go to `messages`.
fn start_virtiofsd(root: &Path, socket: &str, messages: &OwnedFd) -> sys::Result<Child> {
    let name = Path::new(shared_root::SERVER);
    let failed = |e: io::Error| sys::Error::io("exec", name, &e);
    let program = shared_root::server().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let listener = SocketAddr::from_abstract_name(socket)
        .and_then(|address| UnixListener::bind_addr(&address))
        .map_err(|e| sys::Error::io("bind", Path::new(socket), &e))?;
    rustix::io::fcntl_setfd(&listener, FdFlags::empty())
        .map_err(|errno| sys::Error::new("fcntl", socket, errno))?;
    let messages = messages.try_clone().map_err(failed)?;
    let mut source = OsString::from("source=");
    source.push(root);
    let mut command = process::tied_command(program);
    if rustix::process::geteuid().is_root() {
        // Its own root, as namespaces give it, cannot be changed to / itself.
        command.args(["-o", "sandbox=chroot"]);
    }
    command
        .arg(format!("--fd={}", listener.as_raw_fd()))
        .arg("-o")
        .arg(source)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::from(messages))
        .spawn()
        .map_err(failed)
}

/// Copies everything at once as it comes.
fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all(&buffer[..count])?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads everything; returns its end.
fn collect(mut from: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return kept,
            Ok(count) => {
                kept.extend_from_slice(&buffer[..count]);
                let surplus = kept.len().saturating_sub(2 * KEPT);
                if surplus > 0 {
                    kept.drain(..kept.len() - KEPT);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return kept,
        }
    }
}

/// Returns the result of a thread; `other` if it has panicked.
fn joined<T>(thread: JoinHandle<T>, other: T) -> T {
    thread.join().unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_text_is_kept() {
        let mut text = vec![b'a'; 5 * KEPT];
        text.extend(b"the end");
        let kept = collect(&text[..]);
        assert!(kept.len() >= KEPT && kept.len() <= 2 * KEPT + 7);
        assert!(kept.ends_with(b"the end"));
        assert_eq!(collect(&b"short"[..]), b"short");
    }

    #[test]
    fn a_stream_is_copied_as_it_comes() {
        let mut copied = Vec::new();
        copy(&b"abc"[..], &mut copied).unwrap();
        assert_eq!(copied, b"abc");
    }
}
