//! `free-initramfs`: deletes the files of the initramfs whose root is descriptor 0. `init` starts
//! it when the real root has taken over. It refuses any other directory.

use std::ffi::OsString;
use std::os::fd::AsFd;

use super::message::Error;
use crate::boot;
use crate::sys::errno;

pub(super) fn run(_args: &[OsString]) -> Result<(), Error> {
    match boot::free_initramfs(std::io::stdin().as_fd()) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Failed(format!(
            "standard input: not an initramfs that init left: {}",
            errno::text(error)
        ))),
    }
}
