//! `free-initramfs`: deletes the files of the initramfs whose root is descriptor 0. `init` starts it when the real
//! root has taken over; nobody else has a use for it, and it refuses any other folder.

use std::ffi::OsString;
use std::os::fd::AsFd;

use super::{Exit, out};
use crate::boot;
use crate::sys::errno;

pub(super) fn run(_args: &[OsString]) -> Exit {
    match boot::free_initramfs(std::io::stdin().as_fd()) {
        Ok(_) => Exit::Success,
        Err(error) => {
            out::error(&format!(
                "free-initramfs: standard input is no old initramfs: {}",
                errno::text(error)
            ));
            Exit::Failure
        }
    }
}
