//! The only unsafe code: a file mapping, the ioctls of loop devices, the device mapper, btrfs
//! and watchdogs, init_module(2) on memory that others may write, signal handlers, execve(2) from a
//! signal handler, descriptors and variables that process 1 has inherited, the auxiliary vector, a
//! function that runs before `main`, and functions that replace larger ones of the C library and of
//! libunwind.

#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_ulong, c_void};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use super::{crash, descriptors, process, signals};
use rustix::io::Errno;
use rustix::ioctl::{Direction, Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A function that the C library calls before `main`.
// SAFETY: the section consists of functions without arguments. This one allocates nothing and uses
// nothing of the standard library that must be initialised first.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// Opens missing descriptors. In process 1 it also resets all signals: the standard library makes
/// alternate signal stacks, which [`crash`] needs, only if SIGSEGV has its default action.
extern "C" fn before_main() {
    descriptors::open_missing();
    if process::is_pid1() {
        reset_signals();
    }
}

unsafe extern "C" {
    fn getauxval(kind: c_ulong) -> c_ulong;
}

/// getauxval(3): returns whether the kernel gave this process rights that its caller lacks.
pub(super) fn is_secure_execution() -> bool {
    const AT_SECURE: c_ulong = 23;
    // SAFETY: the function reads the auxiliary vector of the process; it accepts any number.
    unsafe { getauxval(AT_SECURE) != 0 }
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
unsafe extern "C" {
    fn ioperm(from: c_ulong, number: c_ulong, on: c_int) -> c_int;
}

/// ioperm(2): lets the calling thread write to an I/O port.
///
/// # Errors
/// PERM if the kernel is locked down, NOSYS if it lacks the call.
#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
pub(super) fn allow_port(port: u16) -> Result<(), Errno> {
    // SAFETY: the call accepts any number, and reads no memory.
    match unsafe { ioperm(c_ulong::from(port), 1, 1) } {
        0 => Ok(()),
        _ => {
            let error = std::io::Error::last_os_error();
            Err(Errno::from_io_error(&error).unwrap_or(Errno::IO))
        }
    }
}

/// OUT: writes a byte to an I/O port that [`allow_port`] has opened to this thread. Without that the
/// kernel sends SIGSEGV.
#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
pub(super) fn write_port(port: u16, value: u8) {
    // SAFETY: the instruction touches no memory of the program. The user has
    // named this port as the exit port of the machine.
    unsafe {
        std::arch::asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack));
    }
}

/// SYS_EXIT of semihosting: ends the virtual machine with `status`. Without semihosting the kernel
/// sends SIGILL or SIGTRAP.
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
pub(crate) fn end_by_semihosting(status: usize) {
    const SYS_EXIT: usize = 0x18;
    /// ADP_Stopped_ApplicationExit.
    const APPLICATION_EXIT: usize = 0x20026;
    let reason = [APPLICATION_EXIT, status];
    // SAFETY: QEMU reads two words at the address, which are initialised, and changes the first
    // register at most.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "hlt #0xf000",
            inout("x0") SYS_EXIT => _,
            in("x1") reason.as_ptr(),
            options(readonly, nostack),
        );
    }
    // SAFETY: as above. The three instructions are the sign of semihosting; the outer ones have no
    // effect. All must be in one page.
    #[cfg(target_arch = "riscv64")]
    unsafe {
        std::arch::asm!(
            ".option push",
            ".option norvc",
            ".balign 16",
            "slli x0, x0, 0x1f",
            "ebreak",
            "srai x0, x0, 7",
            ".option pop",
            inout("a0") SYS_EXIT => _,
            in("a1") reason.as_ptr(),
            options(readonly, nostack),
        );
    }
}

/// The bytes of a file, mapped into memory: the kernel reads only the pages that are accessed.
pub(crate) struct Map {
    start: *mut c_void,
    len: usize,
}

impl Map {
    /// mmap(2): maps `file`, private and read-only. An empty file is EINVAL.
    pub(super) fn new(file: impl AsFd) -> rustix::io::Result<Self> {
        let size = rustix::fs::fstat(&file)?.st_size;
        let len = usize::try_from(size).map_err(|_| Errno::FBIG)?;
        // SAFETY: the kernel chooses the address, so no memory of ours is replaced. The mapping is
        // private and read-only and lives until `drop`. Index files and
        // modules are replaced by rename and never written in place (the rule of depmod and of
        // package managers), so the bytes do not change under the slice.
        let start =
            unsafe { mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }?;
        Ok(Self { start, len })
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `start` is `len` mapped, readable, initialised bytes until `drop`.
        unsafe { std::slice::from_raw_parts(self.start.cast::<u8>(), self.len) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `new`, and nothing borrows it any more.
        // An error would mean a wrong address, which `new` excludes.
        let _ = unsafe { munmap(self.start, self.len) };
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({} bytes)", self.len)
    }
}

// SAFETY: the mapping is read-only and owned; reading it from any thread is as safe as from one.
unsafe impl Send for Map {}
// SAFETY: as above: shared reads only.
unsafe impl Sync for Map {}

/// An ioctl(2): the request, and a number or the address of the data that it reads and writes. The
/// output is the return value of the call.
struct Call(Opcode, *mut c_void);

// SAFETY: the call is marked as one that may write, and returns its result unchanged. The functions
// below make sure that the argument fits the request.
unsafe impl Ioctl for Call {
    type Output = c_int;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.0
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.1
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<c_int> {
        Ok(out)
    }
}

/// Length of `struct dm_ioctl` of linux/dm-ioctl.h in bytes, which is part of the request numbers.
pub(super) const DM_HEADER: usize = 312;

/// DM_* ioctl(2): sends a request of the device mapper. `message` is a `struct dm_ioctl` with its
/// data; its length field is set here. The answer overwrites it.
pub(super) fn dm(control: impl AsFd, request: u8, message: &mut [u8]) -> rustix::io::Result<()> {
    let length = u32::try_from(message.len()).map_err(|_| Errno::TOOBIG)?;
    if message.len() < DM_HEADER {
        return Err(Errno::INVAL);
    }
    message[12..16].copy_from_slice(&length.to_ne_bytes());
    let request = opcode::from_components(Direction::ReadWrite, 0xfd, request, DM_HEADER);
    // SAFETY: the kernel reads and writes at most the length in the header, which is the length of
    // the slice. No request of this group keeps the address.
    unsafe { ioctl(control, Call(request, message.as_mut_ptr().cast())) }.map(drop)
}

/// Length of `struct btrfs_ioctl_vol_args` of linux/btrfs.h in bytes, which is part of the request
/// numbers.
pub(super) const BTRFS_ARGUMENTS: usize = 4096;

/// BTRFS_IOC_SCAN_DEV: tells the kernel about the device whose path is at 8 of the arguments.
pub(super) fn btrfs_scan(
    control: impl AsFd,
    arguments: &mut [u8; BTRFS_ARGUMENTS],
) -> rustix::io::Result<()> {
    btrfs(control, Direction::Write, 4, arguments).map(drop)
}

/// BTRFS_IOC_DEVICES_READY: returns whether the kernel knows all devices of the filesystem on the
/// device whose path is at 8 of the arguments.
pub(super) fn btrfs_ready(
    control: impl AsFd,
    arguments: &mut [u8; BTRFS_ARGUMENTS],
) -> rustix::io::Result<bool> {
    btrfs(control, Direction::Read, 39, arguments).map(|answer| answer == 0)
}

fn btrfs(
    control: impl AsFd,
    direction: Direction,
    request: u8,
    arguments: &mut [u8; BTRFS_ARGUMENTS],
) -> rustix::io::Result<c_int> {
    let request = opcode::from_components(direction, 0x94, request, BTRFS_ARGUMENTS);
    // SAFETY: the structure has this size, and the kernel does not keep the address. It terminates
    // the path itself.
    unsafe { ioctl(control, Call(request, arguments.as_mut_ptr().cast())) }
}

/// LOOP_CTL_GET_FREE: returns the number of a free loop device, which the kernel creates if there
/// is none.
pub(super) fn loop_free(control: impl AsFd) -> rustix::io::Result<u32> {
    // SAFETY: the request takes no argument and returns a number.
    let number = unsafe { ioctl(control, Call(0x4c82, ptr::null_mut())) }?;
    u32::try_from(number).map_err(|_| Errno::INVAL)
}

/// LOOP_CONFIGURE: sets the backing file and the flags from a `struct loop_config`.
pub(super) fn loop_configure(device: impl AsFd, config: &mut [u8; 304]) -> rustix::io::Result<()> {
    // SAFETY: the structure has this size, and the kernel does not keep the address.
    unsafe { ioctl(device, Call(0x4c0a, config.as_mut_ptr().cast())) }.map(drop)
}

/// LOOP_SET_FD: sets the backing file.
pub(super) fn loop_set_file(device: impl AsFd, file: impl AsFd) -> rustix::io::Result<()> {
    let number = usize::try_from(file.as_fd().as_raw_fd()).map_err(|_| Errno::BADF)?;
    // SAFETY: the argument is the number of an open descriptor.
    unsafe { ioctl(device, Call(0x4c00, ptr::without_provenance_mut(number))) }.map(drop)
}

/// LOOP_SET_STATUS64: sets the flags and the name from a `struct loop_info64`.
pub(super) fn loop_set_status(device: impl AsFd, info: &mut [u8; 232]) -> rustix::io::Result<()> {
    // SAFETY: the structure has this size, and the kernel does not keep the address.
    unsafe { ioctl(device, Call(0x4c04, info.as_mut_ptr().cast())) }.map(drop)
}

/// LOOP_CLR_FD: detaches the backing file.
pub(super) fn loop_clear(device: impl AsFd) -> rustix::io::Result<()> {
    // SAFETY: the request takes no argument.
    unsafe { ioctl(device, Call(0x4c01, ptr::null_mut())) }.map(drop)
}

/// WDIOC_GETSUPPORT: returns the options and the identity in a watchdog's `struct watchdog_info`.
pub(super) fn watchdog_support(device: impl AsFd) -> rustix::io::Result<(u32, String)> {
    let mut info = [0_u8; 40];
    let request = opcode::read::<[u8; 40]>(b'W', 0);
    // SAFETY: the structure has this size, and the kernel does not keep the address.
    unsafe { ioctl(device, Call(request, info.as_mut_ptr().cast())) }?;
    let options = info.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    let identity = info[8..].split(|byte| *byte == 0).next().unwrap_or_default();
    Ok((options, String::from_utf8_lossy(identity).into_owned()))
}

/// WDIOC_GETTIMEOUT: returns the timeout of a watchdog in seconds.
pub(super) fn watchdog_timeout(device: impl AsFd) -> rustix::io::Result<u32> {
    let mut seconds = 0_u32;
    let request = opcode::read::<c_int>(b'W', 7);
    // SAFETY: the argument is an int, and the kernel does not keep the address.
    unsafe { ioctl(device, Call(request, ptr::from_mut(&mut seconds).cast())) }?;
    Ok(seconds)
}

/// WDIOC_SETTIMEOUT: sets the timeout of a watchdog in seconds, and returns what the driver has
/// made of it.
pub(super) fn watchdog_set_timeout(device: impl AsFd, seconds: u32) -> rustix::io::Result<u32> {
    let mut seconds = seconds;
    let request = opcode::read_write::<c_int>(b'W', 6);
    // SAFETY: the argument is an int, and the kernel does not keep the address.
    unsafe { ioctl(device, Call(request, ptr::from_mut(&mut seconds).cast())) }?;
    Ok(seconds)
}

/// KDSKBENT: sets the value of a key from a `struct kbentry` of linux/kd.h.
#[cfg(feature = "full")]
pub(super) fn set_keyboard_entry(
    terminal: impl AsFd,
    entry: &mut [u8; 4],
) -> rustix::io::Result<()> {
    // SAFETY: the structure has this size, and the kernel does not keep the address.
    unsafe { ioctl(terminal, Call(0x4b47, entry.as_mut_ptr().cast())) }.map(drop)
}

mod libc {
    use super::{SignalInfo, c_char, c_int, c_ulong, c_void};

    /// sigset_t of glibc and musl: 1024 bits.
    pub(super) type SignalSet = [c_ulong; 1024 / c_ulong::BITS as usize];

    /// The function of [`Action`].
    pub(super) type Handler = extern "C" fn(c_int, *const SignalInfo, *const c_void);

    /// struct sigaction of glibc and musl, on every architecture but MIPS and SPARC.
    #[repr(C)]
    pub(super) struct Action {
        /// `None` is SIG_DFL.
        pub(super) handler: Option<Handler>,
        pub(super) mask: SignalSet,
        pub(super) flags: c_int,
        pub(super) restorer: usize,
    }

    // SAFETY: the signatures are those of the manual pages. Every libc for Linux has init_module
    // without declaring it. environ(7) is a variable.
    unsafe extern "C" {
        pub(super) fn init_module(image: *const c_void, len: c_ulong, args: *const c_char)
        -> c_int;
        pub(super) fn sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int;
        pub(super) fn sigprocmask(how: c_int, new: *const SignalSet, old: *mut SignalSet) -> c_int;
        pub(super) fn execve(
            path: *const c_char,
            args: *const *const c_char,
            environment: *const *const c_char,
        ) -> c_int;
        pub(super) fn close(descriptor: c_int) -> c_int;
        pub(super) static environ: *const *const c_char;
    }
}

/// The highest signal number.
const MAX_SIGNAL: c_int = 64;
/// SIG_SETMASK of sigprocmask(2).
const SIG_SETMASK: c_int = 2;
/// Flags of sigaction(2).
const SA_SIGINFO: c_int = 4;
const SA_ONSTACK: c_int = 0x0800_0000;
const SA_RESTART: c_int = 0x1000_0000;
const SA_NODEFER: c_int = 0x4000_0000;

/// The start of siginfo_t.
#[repr(C)]
pub(super) struct SignalInfo {
    _signal: c_int,
    _errno: c_int,
    /// Positive if the kernel has sent the signal.
    code: c_int,
    origin: SignalOrigin,
}

/// The member of siginfo_t that [`SignalInfo::code`] selects.
#[repr(C)]
union SignalOrigin {
    /// Address of the fault.
    address: usize,
    /// Process ID of the sender.
    sender: c_int,
}

/// sigaction(2), sigprocmask(2): sets every signal to its default action and blocks none.
fn reset_signals() {
    let action = libc::Action { handler: None, mask: [0; _], flags: 0, restorer: 0 };
    for signal in 1..=MAX_SIGNAL {
        // SAFETY: the structure is complete and is copied. The calls for SIGKILL, SIGSTOP and the
        // signals of the C library fail, which changes nothing.
        let _ = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    }
    let none: libc::SignalSet = [0; _];
    // SAFETY: the set is copied.
    let _ = unsafe { libc::sigprocmask(SIG_SETMASK, &raw const none, ptr::null_mut()) };
}

/// sigaction(2): has [`crash::handle`] called for a signal, on the alternate stack of its thread.
/// The signal is not blocked meanwhile: a fault in the handler comes to the handler again.
pub(super) fn handle_crash(signal: c_int) {
    handle(signal, on_crash, SA_SIGINFO | SA_ONSTACK | SA_NODEFER);
}

/// sigaction(2): has [`signals::note`] called for a signal. Interrupted calls go on.
pub(super) fn handle_signal(signal: c_int) {
    handle(signal, on_signal, SA_SIGINFO | SA_ONSTACK | SA_RESTART);
}

fn handle(signal: c_int, handler: libc::Handler, flags: c_int) {
    let action = libc::Action { handler: Some(handler), mask: [0; _], flags, restorer: 0 };
    // SAFETY: the structure is complete and is copied. Both handlers call only functions that are
    // safe in a signal handler: they allocate nothing, take no lock, and make system calls.
    let _ = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
}

extern "C" fn on_crash(signal: c_int, info: *const SignalInfo, _: *const c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a siginfo_t, which is valid until the return. The
    // code says which member of the union the kernel has set.
    let (code, origin) = unsafe {
        let info = &*info;
        let sender = || usize::try_from(info.origin.sender).unwrap_or(0);
        (info.code, if info.code > 0 { info.origin.address } else { sender() })
    };
    if !crash::handle(signal, code, origin) {
        // A child between fork(2) and execve(2): when the handler returns, the fault recurs and
        // ends it.
        let action = libc::Action { handler: None, mask: [0; _], flags: 0, restorer: 0 };
        // SAFETY: as in `reset_signals`.
        let _ = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    }
}

extern "C" fn on_signal(signal: c_int, _: *const SignalInfo, _: *const c_void) {
    signals::note(signal);
}

/// execve(2): replaces this process with `program`, in its present environment. Allocates nothing:
/// a signal handler may call it. Returns only on failure.
pub(super) fn execute<const N: usize>(program: &CStr, args: [&CStr; N]) {
    let mut pointers = [ptr::null(); 8];
    for (pointer, arg) in pointers.iter_mut().take(7).zip(args) {
        *pointer = arg.as_ptr();
    }
    // SAFETY: the pointers are to texts that outlive the call and end with a null pointer, and so
    // is the environment, which this program changes only in `keep_variables`.
    let _ = unsafe { libc::execve(program.as_ptr(), pointers.as_ptr(), libc::environ) };
}

/// close(2): closes the inherited descriptors `numbers`.
pub(super) fn close_inherited(numbers: impl Iterator<Item = c_int>) {
    for number in numbers {
        // SAFETY: `inheritance` calls this in process 1 before anything in it has opened a
        // descriptor that is still open, so that none of them has an owner. One that is closed
        // already is an error without consequence.
        let _ = unsafe { libc::close(number) };
    }
}

/// Removes the environment variables that `keep` does not accept.
pub(super) fn keep_variables(keep: impl Fn(&OsStr, &OsStr) -> bool) {
    for (name, value) in std::env::vars_os() {
        if !keep(&name, &value) {
            // SAFETY: `inheritance` calls this in process 1 before it has a second thread, so that
            // nobody reads the environment meanwhile.
            unsafe { std::env::remove_var(name) };
        }
    }
}

/// init_module(2) with an image that the caller may overwrite or free as soon as the kernel has
/// copied it, while the call still runs. A slice would have to stay unchanged until the call
/// returns.
pub(super) fn init_module(image: *const [u8], args: &CStr) -> Result<(), Errno> {
    let len = c_ulong::try_from(image.len()).map_err(|_| Errno::FBIG)?;
    // SAFETY: this process does not read through the pointer. The kernel does, and checks it:
    // unmapped memory is EFAULT, and it refuses an image that changes. `args` ends with a NUL and
    // outlives the call.
    let answer = unsafe { libc::init_module(image.cast(), len, args.as_ptr()) };
    match answer {
        0 => Ok(()),
        _ => {
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or_default();
            Err(Errno::from_raw_os_error(errno))
        }
    }
}

/// The two functions of libunwind that a backtrace of the standard library calls. In the release
/// build a panic aborts with its message, and a backtrace would have no symbol names. With these
/// functions the backtrace ends before its first frame, and 60 KB of libunwind are not linked.
#[cfg(all(target_env = "musl", panic = "abort"))]
mod no_backtrace {
    use super::{c_int, c_void};

    /// _URC_END_OF_STACK, of the Itanium C++ ABI.
    const END_OF_STACK: c_int = 5;

    // SAFETY: name, arguments and result are those of libunwind. Nothing is called or read.
    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _argument: *mut c_void) -> c_int {
        END_OF_STACK
    }

    // SAFETY: as above. It is called for the frames of a backtrace, and there are none.
    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_GetIP(_context: *const c_void) -> usize {
        0
    }
}

/// The function that names the threads of the standard library. musl's version needs printf, which
/// nothing else does: 9 KB. coldplug names its own threads with prctl(2).
#[cfg(target_env = "musl")]
mod no_thread_names {
    use super::{c_char, c_int, c_void};

    // SAFETY: name, arguments and result are those of pthread_setname_np(3). Nothing is called or
    // read.
    #[unsafe(no_mangle)]
    extern "C" fn pthread_setname_np(_thread: *const c_void, _name: *const c_char) -> c_int {
        0
    }
}

/// The CRC64 of liblzma, whose tables are 8 KB.
#[cfg(all(target_env = "musl", feature = "full", not(feature = "host")))]
mod small_crc64 {
    use std::slice;

    use crate::kmod::compress::crc64::crc64;

    // SAFETY: name, arguments and result are those of lzma/check.h. `bytes` has this length.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn lzma_crc64(bytes: *const u8, len: usize, crc: u64) -> u64 {
        // liblzma may have no buffer for no bytes.
        let bytes = match len {
            0 => &[],
            // SAFETY: as above.
            _ => unsafe { slice::from_raw_parts(bytes, len) },
        };
        crc64(bytes, crc)
    }
}

/// Memory of its own pages, and the system calls of the keyring and of AF_ALG sockets.
#[cfg(feature = "stacks")]
pub(super) mod secrets {
    use std::ffi::{CStr, c_int, c_long, c_uint, c_void};
    use std::mem::size_of;
    use std::os::fd::{AsFd, AsRawFd};
    use std::{fmt, ptr, slice};

    use ::libc::{self, iovec, msghdr, sockaddr_alg};
    use rustix::io::{Errno, Result};
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};

    /// The family of sockets for the kernel's algorithms.
    pub(in crate::sys) const AF_ALG: u16 = 38;

    /// Pages that begin as zeros, and are zeros again before they are freed.
    pub(in crate::sys) struct Pages {
        start: *mut c_void,
        len: usize,
    }

    impl Pages {
        /// mmap(2): maps at least `len` bytes.
        pub(in crate::sys) fn new(len: usize) -> Result<Self> {
            let len = len.max(1);
            let access = ProtFlags::READ | ProtFlags::WRITE;
            // SAFETY: the kernel chooses the address, so no memory of ours is replaced. The mapping
            // is private and lives until `drop`.
            let start = unsafe { mmap_anonymous(ptr::null_mut(), len, access, MapFlags::PRIVATE) }?;
            Ok(Self { start, len })
        }

        /// mlock(2): keeps the pages out of swap.
        pub(in crate::sys) fn lock(&self) -> Result<()> {
            // SAFETY: the call changes no content.
            unsafe { mlock(self.start, self.len) }
        }

        /// madvise(2) with MADV_DONTDUMP: keeps the pages out of core dumps.
        pub(in crate::sys) fn exclude_from_dumps(&self) -> Result<()> {
            // SAFETY: this advice changes no content.
            unsafe { madvise(self.start, self.len, Advice::LinuxDontDump) }
        }

        /// madvise(2) with MADV_HUGEPAGE: has large pages used.
        pub(in crate::sys) fn use_huge_pages(&self) -> Result<()> {
            // SAFETY: this advice changes no content.
            unsafe { madvise(self.start, self.len, Advice::LinuxHugepage) }
        }

        /// Returns the bytes.
        pub(in crate::sys) fn bytes(&self) -> &[u8] {
            // SAFETY: `start` is `len` mapped, readable, initialised bytes until `drop`.
            unsafe { slice::from_raw_parts(self.start.cast(), self.len) }
        }

        /// Returns the bytes for writing.
        pub(in crate::sys) fn bytes_mut(&mut self) -> &mut [u8] {
            // SAFETY: as in `bytes`; the mapping is writable, and `self` is borrowed exclusively.
            unsafe { slice::from_raw_parts_mut(self.start.cast(), self.len) }
        }

        /// Returns the whole blocks of Argon2 in these pages.
        pub(in crate::sys) fn blocks_mut(&mut self) -> &mut [argon2::Block] {
            let count = self.len / size_of::<argon2::Block>();
            // SAFETY: as in `bytes_mut`. A page is aligned as a block must be, and any bytes are a
            // block, which is an array of numbers.
            unsafe { slice::from_raw_parts_mut(self.start.cast(), count) }
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            self.bytes_mut().fill(0);
            // SAFETY: this is the mapping made in `new`, and nothing borrows it any more. The call
            // receives the address, so the zeros are written.
            let _ = unsafe { munmap(self.start, self.len) };
        }
    }

    impl fmt::Debug for Pages {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "Pages({} bytes)", self.len)
        }
    }

    // SAFETY: the mapping is owned; a shared borrow can only read it.
    unsafe impl Send for Pages {}
    // SAFETY: as above.
    unsafe impl Sync for Pages {}

    fn check(result: c_long) -> Result<c_long> {
        match result {
            0.. => Ok(result),
            _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        }
    }

    /// add_key(2): adds a key to a keyring and returns its number.
    pub(in crate::sys) fn add_key(
        kind: &CStr,
        description: &CStr,
        payload: &[u8],
        keyring: c_int,
    ) -> Result<c_long> {
        let (kind, description, bytes) = (kind.as_ptr(), description.as_ptr(), payload.as_ptr());
        // SAFETY: the kernel copies the texts and `payload`, which outlive the call.
        check(unsafe {
            libc::syscall(libc::SYS_add_key, kind, description, bytes, payload.len(), keyring)
        })
    }

    /// keyctl(2) with KEYCTL_UNLINK: removes a key from a keyring.
    pub(in crate::sys) fn unlink_key(key: c_long, keyring: c_int) -> Result<()> {
        const UNLINK: c_int = 9;
        // SAFETY: all arguments are numbers.
        check(unsafe { libc::syscall(libc::SYS_keyctl, UNLINK, key, keyring) }).map(drop)
    }

    /// bind(2): chooses the algorithm of an AF_ALG socket.
    pub(in crate::sys) fn bind_algorithm(socket: impl AsFd, kind: &str, name: &str) -> Result<()> {
        let mut address = sockaddr_alg {
            salg_family: AF_ALG,
            salg_type: [0; 14],
            salg_feat: 0,
            salg_mask: 0,
            salg_name: [0; 64],
        };
        put(&mut address.salg_type, kind)?;
        put(&mut address.salg_name, name)?;
        let pointer = ptr::from_ref(&address).cast();
        let length =
            libc::socklen_t::try_from(size_of::<sockaddr_alg>()).map_err(|_| Errno::INVAL)?;
        // SAFETY: the address is a structure of this length, which the kernel copies.
        check(unsafe { libc::bind(socket.as_fd().as_raw_fd(), pointer, length) }.into()).map(drop)
    }

    /// Writes `text` and a NUL at the start of `place`.
    fn put(place: &mut [u8], text: &str) -> Result<()> {
        let room = place.get_mut(..=text.len()).ok_or(Errno::NAMETOOLONG)?;
        room[..text.len()].copy_from_slice(text.as_bytes());
        Ok(())
    }

    /// setsockopt(2) with ALG_SET_KEY: sets the key of an algorithm.
    pub(in crate::sys) fn set_algorithm_key(socket: impl AsFd, key: &[u8]) -> Result<()> {
        let length = libc::socklen_t::try_from(key.len()).map_err(|_| Errno::INVAL)?;
        let socket = socket.as_fd().as_raw_fd();
        // SAFETY: the kernel copies `key`.
        check(
            unsafe {
                libc::setsockopt(
                    socket,
                    libc::SOL_ALG,
                    libc::ALG_SET_KEY,
                    key.as_ptr().cast(),
                    length,
                )
            }
            .into(),
        )
        .map(drop)
    }

    /// Room for two control messages: an operation, and an IV of 32 bytes with its length.
    #[repr(C, align(8))]
    struct Control([u8; 96]);

    /// sendmsg(2): sends data with the operation and the IV of a cipher.
    pub(in crate::sys) fn send_to_cipher(
        socket: impl AsFd,
        encrypt: bool,
        iv: &[u8],
        data: &[u8],
    ) -> Result<usize> {
        let operation = if encrypt { libc::ALG_OP_ENCRYPT } else { libc::ALG_OP_DECRYPT };
        let mut control = Control([0; 96]);
        let mut used = 0;
        let iv_length = c_uint::try_from(iv.len()).map_err(|_| Errno::INVAL)?;
        let iv = [&iv_length.to_ne_bytes(), iv].concat();
        add_control(&mut control, &mut used, libc::ALG_SET_OP, &operation.to_ne_bytes())?;
        if iv.len() > size_of::<c_uint>() {
            add_control(&mut control, &mut used, libc::ALG_SET_IV, &iv)?;
        }
        let mut part = iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
        // SAFETY: all fields of the structure are numbers and pointers, for which zero is valid.
        let mut message: msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = used as _;
        // SAFETY: the kernel reads the data and the control messages, which outlive the call, and
        // writes neither.
        let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, 0) };
        check(sent as c_long).map(|sent| usize::try_from(sent).unwrap_or(0))
    }

    /// Appends a control message of the level SOL_ALG: its length, level, type and data.
    fn add_control(
        control: &mut Control,
        used: &mut usize,
        kind: c_int,
        data: &[u8],
    ) -> Result<()> {
        let header = size_of::<libc::cmsghdr>();
        let length = header + data.len();
        let end = *used + length.next_multiple_of(size_of::<usize>());
        let place = control.0.get_mut(*used..end).ok_or(Errno::INVAL)?;
        // `cmsg_len` is a size_t, or in musl a socklen_t with its padding after or before it, which
        // has the same bytes.
        place[..size_of::<usize>()].copy_from_slice(&length.to_ne_bytes());
        place[header - 8..header - 4].copy_from_slice(&libc::SOL_ALG.to_ne_bytes());
        place[header - 4..header].copy_from_slice(&kind.to_ne_bytes());
        place[header..length].copy_from_slice(data);
        *used = end;
        Ok(())
    }
}
