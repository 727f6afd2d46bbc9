//! `coldplug.break=`: a shell in the middle of a boot.

use super::consoles::{self, Occasion};
use super::reporter::Reporter;
use super::request::Request;
use super::rescue;
use super::shell_access::{self, ShellAccess};
use crate::cmdline::boot::Break;
use crate::sys::Root;
use crate::sys::process::Shutdown;

/// The place where the boot stops for a shell, until it has been reached.
#[derive(Debug)]
pub(super) struct Breakpoint(Option<Break>);

impl Breakpoint {
    pub(super) fn new(place: Option<Break>) -> Self {
        Self(place)
    }

    /// Offers a shell if `coldplug.break=` names this place and it is reached for the first time.
    pub(super) fn reach(&mut self, place: Break, dir: &Root, reporter: &mut Reporter) {
        if self.0 != Some(place) {
            return;
        }
        self.0 = None;
        let access = shell_access::current(dir);
        if let ShellAccess::Refused(reason) = &access {
            reporter.warn(format!("coldplug.break={place} ignored: shell refused: {reason}"));
            return;
        }
        // At this level the text goes straight to the console: the kernel may print its copy of a
        // message only after the shell has exited.
        let text = format!("stopped by coldplug.break={place}; exit the shell to continue");
        reporter.log().error(&text);
        loop {
            match consoles::ask(dir, Occasion::Breakpoint, &access) {
                Ok(Request::Exit | Request::Continue) => return,
                Ok(Request::Reboot) => rescue::leave(Shutdown::Reboot),
                Ok(Request::PowerOff) => rescue::leave(Shutdown::PowerOff),
                Ok(Request::Retry(_)) => {
                    reporter.log().error("this boot has not failed: use 'continue'");
                }
                Err(error) => {
                    reporter.warn(format!("coldplug.break: {error}"));
                    return;
                }
            }
        }
    }
}
