//! Without the feature `host` modules that were loaded on demand are marked, and not removed.

use super::message::Error;
use super::tool::Tool;

/// Nothing.
#[derive(Debug, Default)]
pub(super) struct Policy {
    pub(super) idle_s: u64,
    pub(super) dry_run: bool,
    pub(super) verbose: bool,
}

/// Removes nothing.
///
/// # Errors
/// Always.
pub(super) fn run_pass(tool: &Tool, _: &Policy) -> Result<(), Error> {
    Err(tool.error("-a: this coldplug has no autoclean").into())
}
