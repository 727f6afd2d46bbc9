//! `init`: PID 1 of an initramfs. It has no options: its arguments go to the real init, and its
//! settings are on the kernel command line.

use std::ffi::OsString;

use super::message::Error;
use super::usage::Usage;
use crate::boot;
use crate::sys::{Root, process};

pub(super) static USAGE: Usage =
    Usage::new("init", "run as PID 1 of an initramfs: load modules, mount the root, switch to it");

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    if !process::is_pid1() {
        return Err(Error::Hinted(
            "not PID 1: the kernel starts this as /init of an initramfs".into(),
            "'coldplug image build' makes such an initramfs".into(),
        ));
    }
    boot(args)
}

/// Boots the machine. Never returns.
pub(super) fn boot(args: &[OsString]) -> ! {
    boot::run(Root::default(), args.to_vec())
}
