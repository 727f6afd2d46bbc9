//! Logical lines and words, as modprobe.d(5) defines them.

use std::borrow::Cow;

/// Splits a text into logical lines with their backslashes resolved, each with the number of its
/// last physical line.
pub(crate) fn logical_lines(text: &[u8]) -> Vec<(usize, Cow<'_, [u8]>)> {
    if text.contains(&b'\\') {
        return unescaped_lines(text);
    }
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|b| *b == b'\n');
    lines.enumerate().map(|(at, line)| (at + 1, Cow::Borrowed(line))).collect()
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
pub(super) fn next_word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let text = *rest;
    let start = text.bytes().position(|b| !is_space(b)).unwrap_or(text.len());
    let len = text[start..].bytes().position(is_space).unwrap_or(text.len() - start);
    let (word, after) = text[start..].split_at(len);
    *rest = after;
    (!word.is_empty()).then_some(word)
}

/// Returns the words of `text`.
pub(crate) fn words(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || next_word(&mut text))
}
