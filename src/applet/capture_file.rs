//! A capture in a file: as `scan --save` has written it, or in the log of a serial line.

use std::path::Path;

use super::message::Error;
use crate::escape;
use crate::machine::capture::Capture;
use crate::machine::serial_lines::{self, Kind};
use crate::sys::regular_file;

/// Longest log of a serial line.
pub(super) const LOG_LIMIT: usize = 256 << 20;

/// Reads the capture in the file at `path`.
///
/// # Errors
/// The file cannot be read, or holds no capture, or not the whole.
pub(super) fn read(path: &Path) -> Result<Capture, Error> {
    let failed = |text: String| Error::Failed(format!("{} {text}", escape::path(&path)));
    let bytes = regular_file::read(path, LOG_LIMIT)?;
    let text = match serial_lines::decode(Kind::Capture, &bytes) {
        None => bytes,
        Some(Ok(text)) => text,
        Some(Err(error)) => {
            let hint = "print the capture once more, and keep both in the log".to_owned();
            return Err(Error::Hinted(format!("{}: {error}", escape::path(&path)), hint));
        }
    };
    Capture::parse(&text).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_found_in_a_log() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        let text = "coldplug-capture 2\ndevice a\n  modalias b\n\nend\n";
        let lines = serial_lines::encode(Kind::Capture, text.as_bytes());
        let log = format!("[ 1.0] x\r\n{}coldplug: y\r\n", lines.replace('\n', "\r\n"));
        for text in [text, &text.replace('\n', "\r\n"), &log] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path).unwrap().devices[0].path, "a", "{text}");
        }
        let second = lines.lines().nth(1).unwrap();
        for (text, want) in [
            (log.replace(second, "[ 2.0] z"), ": lines 2 of 2 are missing or damaged"),
            (log.replace('@', ""), " line 1: not a capture"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
