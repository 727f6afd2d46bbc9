//! Without the feature `full` no saved record is read.

use super::Record;
use crate::kmod::name::ModuleName;

impl Record {
    /// Returns nothing about an earlier root.
    pub(crate) fn root_modules(_: &str) -> Option<(String, Vec<ModuleName>)> {
        None
    }

    /// Returns no order of an earlier boot.
    pub(crate) fn load_order(_: &str) -> Option<Vec<ModuleName>> {
        None
    }
}
