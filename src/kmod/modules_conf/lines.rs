//! The lines of a modules.conf.
//!
//! ```text
//! physical line    TEXT [# COMMENT]        blanks at the end do not count
//! TEXT ends in \   goes on in the next line, whose blanks at the start come to one
//! TEXT ends in \\  one backslash, and the end
//! ```

/// A line with its continuations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Line {
    /// The number of its last physical line, from 1.
    pub(super) number: usize,
    /// What it says, without comments.
    pub(super) text: String,
    /// The comments in it, without the `#`.
    pub(super) comments: Vec<String>,
}

/// All lines of `bytes`, empty ones included.
pub(super) fn lines(bytes: &[u8]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = Line::default();
    let mut goes_on = false;
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for (index, physical) in bytes.split(|b| *b == b'\n').enumerate() {
        let physical = decode(physical);
        let (text, comment) = match physical.split_once('#') {
            Some((text, comment)) => (text, Some(comment)),
            None => (&*physical, None),
        };
        line.number = index + 1;
        line.comments.extend(comment.map(|c| c.trim_ascii_end().to_owned()));
        goes_on = append(&mut line.text, text.trim_ascii_end(), goes_on);
        if !goes_on {
            lines.push(std::mem::take(&mut line));
        }
    }
    if goes_on {
        lines.push(line);
    }
    lines
}

/// Adds a physical line to the one it belongs to; gives whether there is more to come.
fn append(line: &mut String, text: &str, continues: bool) -> bool {
    let start = text.trim_ascii_start();
    if continues && start.len() < text.len() {
        line.push(' ');
    }
    let text = if continues { start } else { text };
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

/// As UTF-8, else as Latin-1, in which files of that time were written.
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
    fn comments_go_and_continuations_join() {
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
