//! Standard output and standard error, written without panics. A reader that closed its end is no
//! failure. Output that could not be written, as to a full disk, is one.

use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;

use crate::escape;

/// First failure of a write to standard output.
static FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints one line on standard output.
pub(super) fn line(text: &str) {
    record(writeln!(io::stdout(), "{text}"));
}

/// Prints a part of a line on standard output immediately.
pub(super) fn part(text: &str) {
    record(write!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()));
}

/// Prints a text, without the lines that are empty at its end. An empty text prints nothing.
pub(super) fn text(text: &str) {
    if !text.is_empty() {
        line(text.trim_end());
    }
}

/// Returns whether a write to standard output has failed.
#[cfg(feature = "host")]
pub(super) fn has_failed() -> bool {
    FAILURE.lock().is_ok_and(|failure| failure.is_some())
}

/// Records the failure of a write to standard output for [`take_failure`].
pub(super) fn record(written: io::Result<()>) {
    if let (Err(error), Ok(mut failure)) = (written, FAILURE.lock()) {
        failure.get_or_insert(error);
    }
}

/// Flushes standard output and returns why a part of it was not written.
pub(super) fn take_failure() -> Option<io::Error> {
    record(io::stdout().flush());
    FAILURE.lock().ok()?.take().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}

/// Prints one line on standard error.
pub(super) fn error(text: &str) {
    let _ = writeln!(io::stderr(), "{}", escape::text(text));
}
