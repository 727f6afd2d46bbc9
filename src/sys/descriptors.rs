//! Descriptors 0, 1 and 2 of a process that the kernel started without them, as it starts its
//! usermode helper, and an init if there is no console.
//!
//! The runtime of the standard library opens /dev/null in their place before `main` and aborts if
//! that node does not exist, as before /dev is mounted. A function that runs earlier opens them.

use rustix::fs::{Mode, OFlags, major, minor, open};
use rustix::io::{Errno, fcntl_getfd};
use rustix::stdio;
use std::mem::forget;

/// Opens the closed ones of the descriptors 0, 1 and 2. Runs before `main` (raw.rs) and allocates
/// nothing.
pub(super) extern "C" fn open_missing() {
    for closed in
        [fcntl_getfd(stdio::stdin()), fcntl_getfd(stdio::stdout()), fcntl_getfd(stdio::stderr())]
    {
        if closed == Err(Errno::BADF) {
            // open(2) returns the lowest free number, which is the one just tested. A directory can
            // be neither read from nor written to.
            let null = open(c"/dev/null", OFlags::RDWR, Mode::empty());
            let _ = null.or_else(|_| open(c"/", OFlags::RDONLY, Mode::empty())).map(forget);
        }
    }
}

/// Returns whether a device number is that of /dev/null.
pub(super) fn is_null(number: u64) -> bool {
    (major(number), minor(number)) == (1, 3)
}
