//! `coldplug.break=`: a shell in the middle of a boot.

use super::consoles::{self, Occasion};
use super::error::Interruption;
use super::reporter::Reporter;
use super::request::Request;
use super::shell_access::{self, ShellAccess};
use crate::cmdline::boot::Break;
use crate::sys::Root;

/// The place where the boot stops for a shell, until it has been reached.
#[derive(Debug)]
pub(super) struct Breakpoint(Option<Break>);

impl Breakpoint {
    pub(super) fn new(place: Option<Break>) -> Self {
        Self(place)
    }

    /// Offers a shell if `coldplug.break=` names this place and it is reached for the first time.
    ///
    /// # Errors
    /// The person ends the boot there.
    pub(super) fn reach(
        &mut self,
        place: Break,
        dir: &Root,
        reporter: &mut Reporter,
    ) -> Result<(), Interruption> {
        if self.0 != Some(place) {
            return Ok(());
        }
        self.0 = None;
        let access = shell_access::current(dir);
        if let ShellAccess::Refused(reason) = &access {
            reporter.warn(format!("coldplug.break={place} ignored: shell refused: {reason}"));
            return Ok(());
        }
        // At this level the text goes straight to the console: the kernel may print its copy of a
        // message only after the shell has exited.
        let text = format!("stopped by coldplug.break={place}; exit the shell to continue");
        reporter.log().error(&text);
        loop {
            match consoles::ask(dir, Occasion::Breakpoint, &access) {
                Ok(Some(Request::Exit | Request::Continue)) => return Ok(()),
                Ok(Some(Request::Reboot)) => return Err(Interruption::Reboot),
                Ok(Some(Request::PowerOff)) => return Err(Interruption::PowerOff),
                Ok(None) => return Err(Interruption::CtrlAltDel),
                Ok(Some(Request::Retry(_))) => {
                    reporter.log().error("this boot has not failed: use 'continue'");
                }
                Err(error) => {
                    reporter.warn(format!("coldplug.break: {error}"));
                    return Ok(());
                }
            }
        }
    }
}
