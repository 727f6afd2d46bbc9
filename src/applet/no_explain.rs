//! Without the feature `host` a failed load has the message of kmod alone. The log of the kernel has
//! the cause.

use std::path::Path;

use super::tool::Tool;
use crate::load::InsertError;

/// Notes nothing.
pub(super) fn log_mark(_: &Tool) -> Option<()> {
    None
}

/// Explains nothing.
pub(super) fn load_failure(_: &Tool, _: &Path, _: &InsertError, _: Option<&()>) {}
