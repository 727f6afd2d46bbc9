//! The lines of a modules.conf.
//!
//! ```text
//! physical line    TEXT [# COMMENT]        spaces at the end are ignored
//! TEXT ends in \   continues in the next line, whose leading spaces become one
//! TEXT ends in \\  one backslash, and the end of the line
//! ```

use crate::kmod::elf::until_nul;

/// A line with its continuations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Line {
    /// Number of its last physical line, from 1.
    pub(super) number: usize,
    /// The text, without comments.
    pub(super) text: String,
    /// The comments, without the `#`.
    pub(super) comments: Vec<String>,
}

/// Returns all lines of `bytes`, including empty ones.
pub(super) fn lines(bytes: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = Line::default();
    let mut continues = false;
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for (index, physical) in bytes.split(|b| *b == b'\n').enumerate() {
        // As in the other files, a NUL ends the line.
        let physical = decode(until_nul(physical));
        let (text, comment) = match physical.split_once('#') {
            Some((text, comment)) => (text, Some(comment)),
            None => (&*physical, None),
        };
        line.number = index + 1;
        line.comments.extend(comment.map(|c| c.trim_ascii_end().to_owned()));
        continues = append(&mut line.text, text.trim_ascii_end(), continues);
        if !continues {
            lines.push(std::mem::take(&mut line));
        }
    }
    if continues {
        lines.push(line);
    }
    lines
}

/// Appends a physical line to the line that it belongs to; `is_continuation` says whether it is not
/// the first. Returns whether the line continues.
fn append(line: &mut String, text: &str, is_continuation: bool) -> bool {
    let start = text.trim_ascii_start();
    if is_continuation && start.len() < text.len() {
        line.push(' ');
    }
    let text = if is_continuation { start } else { text };
    match text.strip_suffix('\\') {
        None => line.push_str(text),
        Some(escaped) if escaped.ends_with('\\') => line.push_str(escaped),
        Some(first) => {
            line.push_str(first);
            return true;
        }
    }
    false
}

/// Decodes a line as UTF-8, or else as Latin-1, the encoding of most files of that time.
fn decode(line: &[u8]) -> String {
    match std::str::from_utf8(line) {
        Ok(text) => text.to_owned(),
        Err(_) => line.iter().map(|byte| char::from(*byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_split_off_and_continuations_joined() {
        for (text, want) in [
            ("a b  \n\n c\n", "1:a b | 2: | 3: c"),
            ("a # b # c", "1:a{ b # c}"),
            ("# all \\\nb", "1:{ all \\} | 2:b"),
            ("a \\  \n\t b\\\nc", "3:a  bc"),
            ("a \\ # x\n  b # y", "2:a  b{ x}{ y}"),
            ("a\\\\\nb", "1:a\\ | 2:b"),
            ("a\\", "1:a"),
            ("\\\n\\\nx", "3:x"),
            ("a\r\nb\r\n", "1:a | 2:b"),
            ("caf\u{e9}", "1:caf\u{e9}"),
            ("a\0b # c\n\0\nd \\\0\ne", "1:a | 2: | 4:d e"),
            ("", "1:"),
        ] {
            let show = |l: &Line| {
                let comments = l.comments.iter().map(|c| format!("{{{c}}}"));
                format!("{}:{}{}", l.number, l.text.trim_end(), comments.collect::<String>())
            };
            let got: Vec<String> = lines(text.as_bytes()).iter().map(show).collect();
            assert_eq!(got.join(" | "), want, "{text:?}");
        }
        assert_eq!(lines(b"# caf\xe9")[0].comments, [" caf\u{e9}"]);
    }
}
