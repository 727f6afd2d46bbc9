//! The words of a line at the prompt.
//!
//! ```text
//! mount LABEL='my root' /sysroot -o ro     words; quotes, "…" and '…', keep spaces together
//! cat a\ b                                 a backslash outside '…' keeps the next character
//! # text                                   a comment
//! ```

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;

/// The fault of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineError {
    /// A quote or a backslash without its end.
    Unfinished,
    /// A control character, as an arrow key sends.
    ControlCharacter,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unfinished => "unterminated quote or backslash",
            Self::ControlCharacter => "line ignored: it holds a control character",
        })
    }
}

impl std::error::Error for LineError {}

/// Splits a line into words; bytes that are not UTF-8 stay as they are.
///
/// # Errors
/// The line is unfinished or holds a control character.
pub(super) fn split(line: &[u8]) -> Result<Vec<OsString>, LineError> {
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(LineError::ControlCharacter);
    }
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (b' ' | b'\t', None) => words.extend(word.take().map(OsString::from_vec)),
            (b'#', None) if word.is_none() => break,
            (b'"' | b'\'', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (byte, Some(open)) if byte == open => quote = None,
            (b'\\', None | Some(b'"')) => {
                let next = bytes.next().ok_or(LineError::Unfinished)?;
                word.get_or_insert_default().push(next);
            }
            (byte, _) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word.map(OsString::from_vec));
    if quote.is_some() { Err(LineError::Unfinished) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_into_words() {
        let cases: [(&str, &[&str]); 11] = [
            ("", &[]),
            (" \t ", &[]),
            ("# comment", &[]),
            ("help", &["help"]),
            ("  modprobe\text4  # why", &["modprobe", "ext4"]),
            ("cat /a#b", &["cat", "/a#b"]),
            ("mount 'LABEL=my root' /x", &["mount", "LABEL=my root", "/x"]),
            ("retry root=\"LABEL=a b\"", &["retry", "root=LABEL=a b"]),
            ("cat a\\ b \\\\ \"\\\"\"", &["cat", "a b", "\\", "\""]),
            ("cat 'a\\b' '' \"\"", &["cat", "a\\b", "", ""]),
            ("cat é", &["cat", "é"]),
        ];
        for (line, want) in cases {
            assert_eq!(split(line.as_bytes()).unwrap(), *want, "{line}");
        }
        let raw = split(b"cat \xff\xfe").unwrap();
        assert_eq!(raw[1], OsString::from_vec(vec![0xff, 0xfe]));
    }

    #[test]
    fn unfinished_lines_and_control_characters_are_refused() {
        for line in ["a 'b", "a \"b", "a \"b'", "a\\", "\"\\\""] {
            assert_eq!(split(line.as_bytes()), Err(LineError::Unfinished), "{line}");
        }
        for line in ["\u{1b}[A", "a\0", "a\u{7f}", "\u{4}", "'\u{1b}'", "\\\u{1b}"] {
            assert_eq!(split(line.as_bytes()), Err(LineError::ControlCharacter), "{line:?}");
        }
    }
}
