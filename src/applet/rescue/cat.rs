//! `cat FILE...`: the start of text files, without control characters for the terminal.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use super::super::message::Error;
use super::super::out;
use crate::escape;
use crate::sys::{self, regular_file};

/// Number of bytes that are shown of a file.
const MAX_SHOWN: u64 = 64 << 10;

pub(super) fn run(words: &[OsString]) -> Result<(), Error> {
    if words.len() < 2 {
        return Err(Error::Usage("FILE is missing".to_owned()));
    }
    words[1..].iter().try_for_each(|file| show(Path::new(file)))
}

fn show(path: &Path) -> Result<(), Error> {
    let mut bytes = Vec::new();
    let file = regular_file::open(path)?;
    let read = file.take(MAX_SHOWN + 1).read_to_end(&mut bytes);
    read.map_err(|e| sys::Error::io("read", path, &e))?;
    let limit = usize::try_from(MAX_SHOWN).unwrap_or(usize::MAX);
    let shown = &bytes[..bytes.len().min(limit)];
    for line in String::from_utf8_lossy(shown).lines() {
        out::line(&escaped(line));
    }
    if bytes.len() > limit {
        out::line(&format!(
            "({}: only the first {} KiB are shown)",
            escape::path(&path),
            limit >> 10
        ));
    }
    Ok(())
}

/// Returns a line with its control characters escaped, except for tabs.
fn escaped(line: &str) -> String {
    let fields: Vec<String> =
        line.split('\t').map(|field| escape::line(field).into_owned()).collect();
    fields.join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escaped("a\tb\u{1b}[2J\u{7f}\r"), "a\tb\\x1b[2J\\x7f\\x0d");
    }

    #[test]
    fn only_regular_files_are_shown() {
        let scratch = tempfile::tempdir().unwrap();
        for path in [scratch.path(), Path::new("/dev/zero"), Path::new("/nonexistent")] {
            assert!(show(path).is_err(), "{}", path.display());
        }
    }
}
