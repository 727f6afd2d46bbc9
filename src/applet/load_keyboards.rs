//! `load-keyboards`: loads the drivers of keyboards. `init` starts it before it offers a shell.

use std::ffi::OsString;

use super::message::Error;
use crate::boot;
use crate::sys::Root;

pub(super) fn run(_args: &[OsString]) -> Result<(), Error> {
    Ok(boot::load_keyboard_drivers(&Root::default())?)
}
