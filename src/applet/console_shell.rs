//! `console-shell`: runs /bin/sh in its own session on the terminal that is descriptor 0. `init`
//! starts it for the user at the console, because PID 1 must have no controlling terminal.

use std::ffi::OsString;
use std::path::Path;

use super::message::Error;
use crate::sys::process;

pub(super) fn run(_args: &[OsString]) -> Result<(), Error> {
    Err(process::exec_shell_in_new_session(Path::new("/bin/sh")).into())
}
