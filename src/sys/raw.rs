//! What has no safe form, and nothing else: a file mapping, and a function that runs before `main`.

#![allow(unsafe_code)]

use std::fmt;
use std::os::fd::AsFd;
use std::ptr;

use super::descriptors;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// What the C library calls before `main`.
// SAFETY: the section is made of functions without arguments; this one allocates nothing and uses nothing of
// the standard library that has to be set up first.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = descriptors::fill;

/// The bytes of a file, mapped: only the pages that are looked at are read.
pub(super) struct Map {
    start: *mut std::ffi::c_void,
    len: usize,
}

impl Map {
    /// mmap(2): `len` bytes of `file`, private and read-only.
    pub(super) fn new(file: impl AsFd, len: usize) -> rustix::io::Result<Self> {
        // SAFETY: the kernel chooses the address, so no memory of ours is replaced. The mapping is
        // private and read-only and lives until `drop`. Index files are replaced by rename and never
        // written in place (depmod's rule), so the bytes do not change under the slice.
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
        // An error would mean a wrong address; there is nothing to do about it here.
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

/// The two functions of libunwind that a backtrace of the standard library calls. In the released program a panic aborts with
/// its message, and a backtrace would have no names: it ends before its first frame, and 60 KB of libunwind can go.
#[cfg(all(target_env = "musl", panic = "abort"))]
mod no_backtrace {
    use std::ffi::{c_int, c_void};

    /// _URC_END_OF_STACK, of the Itanium C++ ABI.
    const END_OF_STACK: c_int = 5;

    // SAFETY: the name is libunwind's, and so are arguments and result; nothing is called or looked at.
    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _argument: *mut c_void) -> c_int {
        END_OF_STACK
    }

    // SAFETY: as above. It is asked for frames of a backtrace, of which there are none.
    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_GetIP(_context: *const c_void) -> usize {
        0
    }
}
