//! Text that comes from a disk, a device, a server or a command line, made safe for a terminal and
//! for the kernel log.
//!
//! A label may hold a newline, and then a line that looks like one of ours; or an escape sequence,
//! which the terminal obeys. Such characters become the bytes of their UTF-8, as in the names that
//! udev encodes: `\x1b`.

use std::borrow::Cow;
use std::ffi::OsStr;

/// Returns `line` without any character that is not printable. Every sink of messages calls this,
/// so that no caller can forget it. Text that is escaped already stays as it is.
pub(crate) fn line(line: &str) -> Cow<'_, str> {
    replace(line, |c| !is_printable(c))
}

/// Returns `text`, of one or several lines, as [`line`] does. Its line feeds and tabs stay.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    replace(text, |c| !is_printable(c) && !matches!(c, '\n' | '\t'))
}

/// Returns bytes as text for people: each byte that is not UTF-8 becomes `\xf6`.
pub(crate) fn bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        push_escapes(&mut text, chunk.invalid());
    }
    Cow::Owned(text)
}

/// Returns a path as text for people, as [`bytes`] does.
pub(crate) fn path(path: &(impl AsRef<OsStr> + ?Sized)) -> Cow<'_, str> {
    bytes(path.as_ref().as_encoded_bytes())
}

fn push_escapes(text: &mut String, bytes: &[u8]) {
    bytes.iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
}

/// Returns a value from a device as it stands in a message. Its backslashes are escaped too, so
/// that the value can be told from one that is escaped.
pub(crate) fn value(value: &str) -> Cow<'_, str> {
    replace(value, |c| c == '\\' || !is_printable(c))
}

fn replace(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_bad(c) {
            let mut bytes = [0; 4];
            push_escapes(&mut safe, c.encode_utf8(&mut bytes).as_bytes());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Returns whether a character is shown as itself: it is no control character, no separator of
/// lines, and does not change the direction or the place of others.
fn is_printable(c: char) -> bool {
    !c.is_control()
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
