//! `modprobe -q -- NAME` as the kernel calls it, without the other options of modprobe(8): the
//! module tool of a program built without the feature `full`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::message::Error;
use super::usage::Usage;
use crate::boot;
use crate::escape;
use crate::sys::Root;

pub(super) static USAGE: Usage =
    Usage::tool("modprobe", "load modules for the kernel").text("-q -- MODULE");

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let mut names = Vec::new();
    let mut is_option = true;
    for word in &args[1..] {
        match word.as_bytes() {
            b"--" if is_option => is_option = false,
            b"-q" | b"--quiet" if is_option => {}
            [b'-', ..] if is_option => {
                let word = escape::path(word);
                return Err(Error::Failed(format!("{word}: this coldplug has only the option -q")));
            }
            name => names.push(name),
        }
    }
    let [name] = names[..] else {
        return Err(Error::Failed("not the name of one module".to_owned()));
    };
    // The kernel asks for whatever may exist, and reads the exit code alone.
    match boot::load_requested(&Root::default(), name)? {
        true => Ok(()),
        false => Err(Error::Reported),
    }
}
