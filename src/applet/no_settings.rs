//! Without the feature `host` the settings of modules are neither saved nor restored: they are those
//! of a running system, which has the whole program.

use crate::kmod::name::ModuleName;
use crate::sys::Root;

/// Saves nothing.
pub(super) fn save(_: &Root, _: &ModuleName) -> Vec<String> {
    Vec::new()
}

/// Restores nothing.
pub(super) fn restore(_: &Root, _: &ModuleName, _: &[u8]) -> Vec<String> {
    Vec::new()
}
