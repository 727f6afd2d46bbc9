//! Standard output and error that cannot panic. That a reader has gone is no failure; that what was written is not
//! there, as on a full disk, is one.

use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;

/// The first failure of standard output.
static FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// One line on standard output.
pub(super) fn line(text: &str) {
    note(writeln!(io::stdout(), "{text}"));
}

/// Whether nobody gets any more of what is written to standard output.
#[cfg(feature = "host")]
pub(super) fn is_gone() -> bool {
    FAILURE.lock().is_ok_and(|failure| failure.is_some())
}

/// Keeps the failure of a write to standard output for [`failure`].
pub(super) fn note(written: io::Result<()>) {
    if let (Err(error), Ok(mut failure)) = (written, FAILURE.lock()) {
        failure.get_or_insert(error);
    }
}

/// Why standard output has not all that was written to it.
pub(super) fn failure() -> Option<io::Error> {
    note(io::stdout().flush());
    FAILURE.lock().ok()?.take().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}

/// One line on standard error.
pub(super) fn error(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
