//! `persist read NAME`, `persist mark NAME NUMBER`, `persist store NAME SUMMARY NUMBER`: reads or
//! writes the boot that is stored at NAME, and replies at the socket on descriptor 0. `init` starts
//! it, because a disk may block.

use std::ffi::OsString;

use super::message::Error;
use crate::boot;
use crate::sys::{Root, process};

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    process::set_name(c"coldplug-store");
    let words: Vec<&str> = args.iter().skip(1).filter_map(|arg| arg.to_str()).collect();
    match boot::serve_persistence(&Root::default(), &words, std::io::stdin()) {
        true => Ok(()),
        false => Err(Error::Failed("wrong arguments: only init starts this command".into())),
    }
}
