//! Without the feature `full` there are no scripts: the parser refuses them.

use super::Boot;
use super::error::BootError;

impl Boot {
    /// Fetches nothing.
    pub(super) fn fetch_script(&mut self) -> Result<(), BootError> {
        Ok(())
    }
}
