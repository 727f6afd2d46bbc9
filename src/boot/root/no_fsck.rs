//! Without the feature `full` no filesystem is checked: [`crate::cmdline`] warns about the
//! parameters that ask for a check.

use std::process::ExitStatus;

use super::devices::Candidate;
use super::{StepContext, StepError};
use crate::boot::reporter::Reporter;

/// Returns false: there is no check.
pub(super) fn left_errors(_: ExitStatus) -> bool {
    false
}

/// A check that is never made.
#[derive(Debug)]
pub(super) enum Fsck {}

impl Fsck {
    /// Starts nothing.
    pub(super) fn start(_: &Candidate, _: Option<&str>, _: &mut StepContext<'_>) -> Option<Self> {
        None
    }

    /// Is never called.
    pub(super) fn poll(&mut self, _: &mut Reporter) -> Result<bool, StepError> {
        match *self {}
    }
}
