//! `finish`: loads in the real system the modules that `coldplug.settle=root` left, and prints what
//! became of each. Modules that other programs have loaded since count as done.

use std::ffi::OsString;

use rustix::io::Errno;

use super::message::{self, Error};
use super::out;
use super::usage::Usage;
use crate::boot;
use crate::load::Outcome;
use crate::sys::Root;

pub(super) static USAGE: Usage =
    Usage::new("finish", "load the modules that a boot with coldplug.settle=root left")
        .text("\n\nLoads the modules in /run/coldplug/remaining, and prints what became of each.");

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    if let Some(word) = args.get(1) {
        return Err(Error::unexpected(word));
    }
    let finished = match boot::finish(&Root::default()) {
        Ok(finished) => finished,
        Err(error) if error.cause == Errno::NOENT => {
            out::line(&format!("nothing left to load ({}: {})", error.object, error.cause));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    finished.warnings.iter().for_each(|warning| message::warn("finish", warning));
    finished.modules.iter().for_each(|module| out::line(&module.line()));
    Error::unless(!finished.modules.iter().any(|m| matches!(m.outcome, Outcome::Failed(_))))
}
