//! `init`: PID 1 of an initramfs. It takes no options: its arguments go to the real init, and what it
//! is to do stands on the kernel command line.

use std::ffi::OsString;

use super::{Exit, out};
use crate::boot;
use crate::sys::{Root, process};

pub(super) fn run(args: &[OsString]) -> Exit {
    if !process::is_pid1() {
        out::error("init: this is the first process of an initramfs; see 'coldplug image build'");
        return Exit::Failure;
    }
    boot::run(Root::default(), args.to_vec())
}
