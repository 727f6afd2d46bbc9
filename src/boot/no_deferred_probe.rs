//! Without the feature `full` deferred probes are not listed.

use super::Boot;
use crate::sys::BootTime;

impl Boot {
    /// Lists nothing.
    pub(super) fn report_deferred(&mut self, _: BootTime) {}
}
