//! Without the feature `full` no LED is set: [`crate::cmdline`] warns about `coldplug.led=`.

use super::Boot;
use crate::load::Loader;
use crate::report::Verdict;

/// Ends nothing.
pub(super) fn end() {}

impl Boot {
    pub(super) fn start_led(&mut self) {}

    pub(super) fn request_led_trigger(&self, _: &Loader) {}

    pub(super) fn show_search(&self) {}

    pub(super) fn show_verdict(&self, _: Verdict) {}

    pub(super) fn report_led(&mut self) {}
}
