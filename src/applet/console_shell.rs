//! `console-shell`: /bin/sh in a session of its own on the terminal that is descriptor 0. `init` starts it for a
//! person at the console; PID 1 itself must not have a controlling terminal.

use std::ffi::OsString;
use std::path::Path;

use super::{Exit, out};
use crate::sys::process;

pub(super) fn run(_args: &[OsString]) -> Exit {
    let error = process::exec_shell_in_new_session(Path::new("/bin/sh"));
    out::error(&format!("console-shell: {error}"));
    Exit::Failure
}
