//! Command lines.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the applet that the arguments name and gives its exit code.
pub fn main(_args: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::FAILURE
}
