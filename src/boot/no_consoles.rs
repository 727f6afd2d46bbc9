//! Without the feature `full` no shell is offered: [`super::shell_access`] refuses every one.

use rustix::io::Errno;

use super::request::Request;
use super::shell_access::ShellAccess;
use crate::sys::{Error, Result, Root};

/// Why a boot would offer a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The boot has failed.
    Failure,
    /// `coldplug.break=`.
    Breakpoint,
}

/// Offers nothing.
///
/// # Errors
/// Always.
pub(super) fn ask(_: &Root, _: Occasion, _: &ShellAccess) -> Result<Option<Request>> {
    Err(Error::new("shell", "/dev/console", Errno::NOSYS))
}
