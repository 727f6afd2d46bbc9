//! Without the feature `full` a root has no slots: [`super::lacks`] ends the boot for
//! `coldplug.slots=`.

use super::root::RootCandidate;
use super::root_name::RootName;

/// The place of an environment, which no parameter names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EnvironmentPlace {}

impl EnvironmentPlace {
    /// Is never called.
    pub(crate) fn name(&self) -> RootName {
        match *self {}
    }
}

/// Returns nothing: the parameter has been refused.
pub(crate) fn environment(_: &str) -> Option<Vec<EnvironmentPlace>> {
    None
}

/// Returns nothing: the parameter has been refused.
pub(super) fn slots(_: &str) -> Option<Vec<(String, RootCandidate)>> {
    None
}
