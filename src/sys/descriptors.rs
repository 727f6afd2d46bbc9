//! Descriptors 0, 1 and 2, where the kernel has started us without: so it calls its helper, and so it starts
//! an init where there is no console.
//!
//! The runtime of the standard library opens /dev/null in their place before `main`, and aborts where there
//! is no such node, as there is none before /dev is mounted. So a function that runs before it fills them.

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, fcntl_getfd};
use rustix::stdio;
use std::mem::forget;

/// Fills what is closed of 0, 1 and 2. Runs before `main` (raw.rs), and allocates nothing.
pub(super) extern "C" fn fill() {
    for closed in
        [fcntl_getfd(stdio::stdin()), fcntl_getfd(stdio::stdout()), fcntl_getfd(stdio::stderr())]
    {
        if closed == Err(Errno::BADF) {
            // The lowest free number, which is the one that was looked at. Nothing can be read from a directory, or
            // written to it.
            let null = open(c"/dev/null", OFlags::RDWR, Mode::empty());
            let _ = null.or_else(|_| open(c"/", OFlags::RDONLY, Mode::empty())).map(forget);
        }
    }
}
