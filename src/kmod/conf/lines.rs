//! Logical lines and words, as modprobe.d(5) defines them.

use std::borrow::Cow;

use crate::kmod::Warning;
use crate::kmod::elf::until_nul;

/// Splits a text into logical lines with their backslashes resolved, each with the number of its
/// last physical line.
pub(crate) fn logical_lines(text: &[u8]) -> Vec<(usize, Cow<'_, [u8]>)> {
    if text.contains(&b'\\') {
        return unescaped_lines(text);
    }
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|b| *b == b'\n');
    lines.enumerate().map(|(at, line)| (at + 1, Cow::Borrowed(line))).collect()
}

/// Splits the text of `file` as [`logical_lines`] does. As in kmod a line ends at its first NUL: a
/// crash of the machine may leave a file whose last blocks are zero. The first such line is a
/// warning; so are the marks of editors of other systems, which kmod takes for a part of a word
/// without saying so.
pub(crate) fn text_lines<'t>(
    file: &str,
    text: &'t [u8],
    warnings: &mut Vec<Warning>,
) -> Vec<(usize, Cow<'t, [u8]>)> {
    const NUL: &str = "NUL byte: what follows it on its line is ignored; is the file damaged?";
    const BYTE_ORDER_MARK: &str = "byte order mark: it is a part of the first word";
    const RETURN: &str = "carriage return at the end of the line: it is a part of the last word";
    let mut lines = logical_lines(text);
    let (mut first, mut first_return) = (None, None);
    for (number, line) in &mut lines {
        if line.ends_with(b"\r") {
            first_return.get_or_insert(*number);
        }
        let end = until_nul(line).len();
        if end < line.len() {
            first.get_or_insert(*number);
            match line {
                Cow::Borrowed(line) => *line = &line[..end],
                Cow::Owned(line) => line.truncate(end),
            }
        }
    }
    let first_mark = text.starts_with(b"\xef\xbb\xbf").then_some(1);
    for (number, text) in [(first_mark, BYTE_ORDER_MARK), (first_return, RETURN), (first, NUL)] {
        warnings.extend(number.map(|number| Warning::new(file, number, text)));
    }
    lines
}

/// Does the work of [`logical_lines`] for a text with backslashes.
fn unescaped_lines(text: &[u8]) -> Vec<(usize, Cow<'static, [u8]>)> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let mut number = 1;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                Some(b'\n') => number += 1,
                Some(literal) => line.push(literal),
                None => {}
            },
            b'\n' => {
                lines.push((number, std::mem::take(&mut line).into()));
                number += 1;
            }
            _ => line.push(byte),
        }
    }
    if !line.is_empty() {
        lines.push((number, line.into()));
    }
    lines
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Removes the first word from `rest` and returns it; the separator after it remains.
pub(super) fn next_word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let start = rest.iter().position(|b| !is_space(*b)).unwrap_or(rest.len());
    let (_, text) = rest.split_at(start);
    let len = text.iter().position(|b| is_space(*b)).unwrap_or(text.len());
    let (word, after) = text.split_at(len);
    *rest = after;
    (!word.is_empty()).then_some(word)
}

/// Returns the words of `text`.
#[cfg(feature = "host")]
pub(crate) fn words(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || next_word(&mut text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_its_first_nul_and_the_first_such_line_is_reported() {
        for (text, want, warned) in [
            ("a b\nc\n", "1:a b|2:c", None),
            ("blacklist x\0\0\0\nc", "1:blacklist x|2:c", Some(1)),
            ("a\n\0\0\nb\0c\n\0", "1:a|2:|3:b|4:", Some(2)),
            ("a \\\nb\0 c\nd", "2:a b|3:d", Some(2)),
            ("a\0 \\\nb\nd", "2:a|3:d", Some(2)),
            ("\0", "1:", Some(1)),
            ("", "1:", None),
            ("a\nb\r\nc\r\n", "1:a|2:b\r|3:c\r", Some(2)),
            ("a \\\r\nb\\\nc\r", "1:a \r|3:bc\r", Some(1)),
            ("a\rb\n\r", "1:a\rb|2:\r", Some(2)),
            ("\u{feff}a\n\u{feff}b", "1:\u{feff}a|2:\u{feff}b", Some(1)),
        ] {
            let mut warnings = Vec::new();
            let lines = text_lines("f", text.as_bytes(), &mut warnings);
            let shown = lines.iter().map(|(n, l)| format!("{n}:{}", String::from_utf8_lossy(l)));
            let shown: Vec<_> = shown.collect();
            assert_eq!(shown.join("|"), want, "{text:?}");
            assert_eq!(warnings.first().map(|w| w.line), warned, "{text:?}");
            assert!(warnings.len() < 2, "{text:?}");
        }
    }
}
