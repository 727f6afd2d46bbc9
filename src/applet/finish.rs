//! `finish`: loads in the real system what `coldplug.settle=root` has left, and says what it did. What other programs
//! have loaded meanwhile counts as done.

use std::ffi::OsString;

use super::{Exit, out};
use crate::boot;
use crate::load::Outcome;
use crate::sys::{self, Root};

pub(super) fn run(args: &[OsString]) -> Exit {
    if let Some(word) = args.get(1) {
        out::error(&format!(
            "finish: '{}' is too much; it takes no arguments",
            word.to_string_lossy()
        ));
        return Exit::Failure;
    }
    let finished = match boot::finish(&Root::default()) {
        Ok(finished) => finished,
        Err(error) if error.cause == rustix::io::Errno::NOENT => {
            let sys::Error { object, cause, .. } = &error;
            out::line(&format!("nothing is left to load ({object}: {cause})"));
            return Exit::Success;
        }
        Err(error) => {
            out::error(&format!("finish: {error}"));
            return Exit::Failure;
        }
    };
    finished.warnings.iter().for_each(|warning| out::error(&format!("finish: {warning}")));
    finished.modules.iter().for_each(|module| out::line(&module.line()));
    let failed = finished.modules.iter().any(|m| matches!(m.outcome, Outcome::Failed(_)));
    if failed { Exit::Failure } else { Exit::Success }
}
