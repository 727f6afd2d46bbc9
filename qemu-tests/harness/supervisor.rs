//! Runs a line of shell in a chroot, and answers its system calls about modules in place of the
//! kernel.
//!
//! ```text
//! thread          has a seccomp(2) filter; the listener is a file descriptor of the whole process
//!   └ /bin/sh     inherits the filter, in the chroot
//!       └ tool    uname, init_module, finit_module and delete_module block until they are answered
//! ```
//!
//! See seccomp_unotify(2). This needs CAP_SYS_CHROOT. No call reaches the modules of the real
//! kernel.
#![allow(unsafe_code, reason = "a seccomp listener has no safe interface")]

use crate::transcript;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::ffi::{CStr, CString, c_int};
use std::fs::{self, File};
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

/// A system call about modules.
#[derive(Debug)]
pub enum Call {
    /// finit_module(2).
    File {
        /// Path of the file outside of the fake root.
        path: PathBuf,
        /// Parameters of the module.
        args: String,
        /// `MODULE_INIT_…`
        flags: u64,
    },
    /// init_module(2).
    Image {
        /// The module.
        bytes: Vec<u8>,
        /// Parameters of the module.
        args: String,
    },
    /// delete_module(2).
    Delete {
        /// Name of the module.
        name: String,
        /// `O_NONBLOCK`, `O_TRUNC`
        flags: u64,
    },
}

/// Longest time without a call. No tool waits that long.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

const SYSCALLS: [libc::c_long; 4] =
    [libc::SYS_uname, libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module];

/// Runs `line` with the shell of `root`, in which `uname -r` prints `release`. `answer` returns the
/// errno of each call about modules, 0 for success.
///
/// # Panics
///
/// If the shell cannot be run, or hangs.
pub fn run(root: &Path, line: &str, release: &str, answer: &mut dyn FnMut(Call) -> i32) -> Output {
    let (sender, receiver) = mpsc::channel();
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line).env_clear().env("PATH", "/sbin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let inside = CString::new(root.as_os_str().as_bytes()).unwrap();
    // SAFETY: between fork and exec only async-signal-safe calls are made, without allocation.
    unsafe { command.pre_exec(move || enter(&inside)) };
    let thread = thread::spawn(move || {
        sender.send(listener().expect("seccomp: no listener")).unwrap();
        command.spawn().expect("no shell in the root").wait_with_output().unwrap()
    });
    let listener = receiver.recv().expect("no listener");
    while let Some(request) = next(&listener) {
        let errno = match decode(&request) {
            None => {
                write_uname(request.pid, request.data.args[0], release);
                0
            }
            Some(call) => answer(call),
        };
        respond(&listener, request.id, errno);
    }
    thread.join().expect("the line could not be run")
}

/// Enters the chroot, with its top as the current directory.
fn enter(root: &CStr) -> io::Result<()> {
    // SAFETY: both take a C string and nothing else.
    let done = unsafe { libc::chroot(root.as_ptr()) == 0 && libc::chdir(c"/".as_ptr()) == 0 };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Installs the filter on this thread: [`SYSCALLS`] are sent to the listener, all others pass.
fn listener() -> io::Result<OwnedFd> {
    const NR: u32 = 0; // offset in struct seccomp_data
    let op = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt,
        jf,
        k,
    };
    let mut program = vec![op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, NR)];
    for (index, number) in (0u8..).zip(SYSCALLS) {
        // On a match, jumps over the other comparisons and over the `allow`.
        let code = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        program.push(op(code, 4 - index, 0, u32::try_from(number).unwrap()));
    }
    program.push(op(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    program.push(op(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap(),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: `filter` and the program that it points to outlive the call, which returns a new file
    // descriptor or -1.
    unsafe {
        // Without PR_SET_NO_NEW_PRIVS the filter needs CAP_SYS_ADMIN, which containers do not have.
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let fd = libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const filter,
        );
        let fd = c_int::try_from(fd).unwrap();
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// Returns the next call, `None` if no process is left that could make one.
fn next(listener: &OwnedFd) -> Option<libc::seccomp_notif> {
    const RECEIVE: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl; // SECCOMP_IOCTL_NOTIF_RECV
    loop {
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        let ready = poll(&mut fds, Some(&PATIENCE)).unwrap();
        assert!(ready > 0, "nothing has happened for {} s", PATIENCE.tv_sec);
        if !fds[0].revents().contains(PollFlags::IN) {
            return None;
        }
        // SAFETY: the kernel fills the structure, which must be zeroed first and is plain data.
        let (request, got) = unsafe {
            let mut request: libc::seccomp_notif = zeroed();
            let got = libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut request);
            (request, got)
        };
        // ENOENT: the caller has died meanwhile.
        if got == 0 {
            return Some(request);
        }
    }
}

fn respond(listener: &OwnedFd, id: u64, errno: i32) {
    const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl; // SECCOMP_IOCTL_NOTIF_SEND
    let answer = libc::seccomp_notif_resp { id, val: 0, error: -errno, flags: 0 };
    // SAFETY: the kernel only reads the structure. An error means that the caller has died, which
    // is fine.
    unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const answer) };
}

/// Decodes the call, `None` for uname.
fn decode(request: &libc::seccomp_notif) -> Option<Call> {
    let [a, b, c, ..] = request.data.args;
    let memory = memory(request.pid);
    match libc::c_long::from(request.data.nr) {
        libc::SYS_finit_module => {
            let path = fs::read_link(format!("/proc/{}/fd/{a}", request.pid)).unwrap();
            Some(Call::File { path, args: text(&memory, b), flags: c })
        }
        libc::SYS_init_module => {
            let mut bytes = vec![0; usize::try_from(b).unwrap()];
            memory.read_exact_at(&mut bytes, a).unwrap();
            Some(Call::Image { bytes, args: text(&memory, c) })
        }
        libc::SYS_delete_module => Some(Call::Delete { name: text(&memory, a), flags: b }),
        _ => None,
    }
}

fn memory(pid: u32) -> File {
    fs::OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem")).unwrap()
}

/// Reads the C string at `address`, which may end with the last mapped byte.
fn text(memory: &File, mut address: u64) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 512];
        let got = memory.read_at(&mut part, address).expect("a string outside of the memory");
        if let Some(end) = part[..got].iter().position(|b| *b == 0) {
            bytes.extend(&part[..end]);
            return transcript::shown(&bytes);
        }
        bytes.extend(&part[..got]);
        address += got as u64;
    }
}

/// Writes a `struct utsname` to `address`: six fields of 65 bytes, the third is the release.
fn write_uname(pid: u32, address: u64, release: &str) {
    let mut bytes = [0; 6 * 65];
    for (field, text) in
        bytes.chunks_exact_mut(65).zip(["Linux", "host", release, "#1", "x86_64", "(none)"])
    {
        field[..text.len()].copy_from_slice(text.as_bytes());
    }
    memory(pid).write_all_at(&bytes, address).unwrap();
}
