//! `assemble`: reads the metadata of LUKS, LVM and md, and makes the devices that it describes, for
//! the requests that arrive at the socket on descriptor 0. `init` starts it.

use std::ffi::OsString;

use super::message::Error;
use crate::stacks;
use crate::sys::{Root, key_memory, process};

pub(super) fn run(_: &[OsString]) -> Result<(), Error> {
    process::set_name(c"coldplug-dm");
    // Keys are in its memory.
    key_memory::hide_process();
    stacks::serve(Root::default(), std::io::stdin());
    Ok(())
}
