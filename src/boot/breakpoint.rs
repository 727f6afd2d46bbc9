//! `coldplug.break=`: a shell in the middle of a boot.

use super::reporter::Reporter;
use super::rescue;
use crate::cmdline::boot::Break;
use crate::sys::Root;

/// The place where the boot stops for a shell, until it has been reached.
#[derive(Debug)]
pub(super) struct Breakpoint(Option<Break>);

impl Breakpoint {
    pub(super) fn new(place: Option<Break>) -> Self {
        Self(place)
    }

    /// Runs a shell if `coldplug.break=` names this place and it is reached for the first time.
    pub(super) fn reach(&mut self, place: Break, dir: &Root, reporter: &mut Reporter) {
        if self.0 != Some(place) {
            return;
        }
        self.0 = None;
        // At this level the text goes straight to the console: the kernel may print its copy of a
        // message only after the shell has exited.
        let text = format!("stopped by coldplug.break={place}; exit the shell to continue");
        reporter.log().error(&text);
        if let Err(error) = rescue::shell(dir) {
            reporter.warn(format!("coldplug.break: {error}"));
        }
    }
}
