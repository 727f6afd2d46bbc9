//! Text that comes from a disk, a device, a server or a command line, made safe for a terminal and
//! for the kernel log.
//!
//! A label may hold a newline, and then a line that looks like one of ours; or an escape sequence,
//! which the terminal obeys. Such characters become the bytes of their UTF-8, as in the names that
//! udev encodes: `\x1b`.

use std::borrow::Cow;
use std::ffi::OsStr;

use crate::byte_text;

/// Returns `line` without any character that is not printable. Every sink of messages calls this,
/// so that no caller can forget it. Text that is escaped already stays as it is.
pub(crate) fn line(line: &str) -> Cow<'_, str> {
    replace(line, "\\x", |c| !is_printable(c))
}

/// Returns `text`, of one or several lines, as [`line()`] does. Its line feeds and tabs stay.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    replace(text, "\\x", |c| !is_printable(c) && !matches!(c, '\n' | '\t'))
}

/// Returns bytes as text for people: each byte that is not UTF-8 becomes `\xf6`.
pub(crate) fn bytes(bytes: &[u8]) -> Cow<'_, str> {
    match byte_text::from_bytes(bytes) {
        Cow::Borrowed(text) => Cow::Borrowed(text),
        Cow::Owned(text) => Cow::Owned(shown(&text).into_owned()),
    }
}

/// Returns a text that keeps bytes as text for people, as [`bytes`] does.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    replace(text, "\\x", is_byte)
}

/// Returns a path as text for people, as [`bytes`] does.
pub(crate) fn path(path: &(impl AsRef<OsStr> + ?Sized)) -> Cow<'_, str> {
    bytes(path.as_ref().as_encoded_bytes())
}

/// Returns a value from a device as it stands in a message. Its backslashes are escaped too, so
/// that the value can be told from one that is escaped.
pub(crate) fn value(value: &str) -> Cow<'_, str> {
    replace(value, "\\x", |c| c == '\\' || !is_printable(c))
}

/// Replaces characters by their bytes in hexadecimal, each after `prefix`.
fn replace<'a>(text: &'a str, prefix: &str, is_bad: fn(char) -> bool) -> Cow<'a, str> {
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_bad(c) {
            let bytes = byte_text::to_bytes(c.encode_utf8(&mut [0; 4])).into_owned();
            bytes.iter().for_each(|byte| safe.push_str(&format!("{prefix}{byte:02x}")));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

fn is_byte(c: char) -> bool {
    byte_text::byte_of(c).is_some()
}

/// Returns whether a character is shown as itself: it is no control character, no separator of
/// lines, and does not change the direction or the place of others.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !is_byte(c)
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        && !matches!(c, '\u{ad}' | '\u{61c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf_8_are_shown() {
        for (raw, shown) in [
            (&b""[..], ""),
            (b"id=M\xf6b", "id=M\\xf6b"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("Möb".as_bytes(), "Möb"),
            (b"M\xc3\xb6b \xc3", "Möb \\xc3"),
            (b"\xe2\x82", "\\xe2\\x82"),
        ] {
            assert_eq!(bytes(raw), shown, "{raw:?}");
            let text = byte_text::from_bytes(raw);
            assert_eq!((&*line(&text), &*value(&text)), (shown, shown));
        }
    }

    #[test]
    fn only_printable_text_is_left() {
        for (text, in_line, as_value) in [
            ("", "", ""),
            ("Größe 名 \u{fffd}", "Größe 名 \u{fffd}", "Größe 名 \u{fffd}"),
            ("x\nverdict=ok", "x\\x0averdict=ok", "x\\x0averdict=ok"),
            ("\r\t\0", "\\x0d\\x09\\x00", "\\x0d\\x09\\x00"),
            ("a\u{1b}[2J\u{7f}", "a\\x1b[2J\\x7f", "a\\x1b[2J\\x7f"),
            ("\u{9b}31m", "\\xc2\\x9b31m", "\\xc2\\x9b31m"),
            ("a\\x0ab", "a\\x0ab", "a\\x5cx0ab"),
            (
                "\u{202e}\u{2028}",
                "\\xe2\\x80\\xae\\xe2\\x80\\xa8",
                "\\xe2\\x80\\xae\\xe2\\x80\\xa8",
            ),
        ] {
            assert_eq!(line(text), in_line, "{text:?}");
            assert_eq!(value(text), as_value, "{text:?}");
            assert_eq!(line(&value(text)), as_value, "{text:?}");
        }
    }
}
