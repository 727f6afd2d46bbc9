//! Text that keeps every byte.
//!
//! Names, labels, paths and mount options are bytes to the kernel, and nearly always UTF-8. Here
//! they are texts, in which a byte that is not UTF-8 is one character of a private use area. So two
//! texts are equal if their bytes are, and what the kernel receives are the bytes that it gave.
//! [`crate::escape`] shows such a character as its byte: `\xf6`.
//!
//! ```text
//! byte that is not UTF-8, 80 to ff           U+10FF80 to U+10FFFF
//! one of these characters, in UTF-8          its four bytes, each as above
//! ```

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Character of the byte 0, which is never used: ASCII is UTF-8.
const BASE: u32 = 0x10_ff00;

/// Returns bytes as a text that keeps them.
pub(crate) fn from_bytes(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(is_byte) => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
            for c in chunk.valid().chars() {
                match is_byte(c) {
                    true => text.extend(c.encode_utf8(&mut [0; 4]).bytes().map(char_of)),
                    false => text.push(c),
                }
            }
            text.extend(chunk.invalid().iter().copied().map(char_of));
            text
        })),
    }
}

/// Returns the bytes that a text keeps.
pub(crate) fn to_bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(is_byte) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// Returns a path as a text that keeps its bytes.
pub(crate) fn from_path(path: &(impl AsRef<OsStr> + ?Sized)) -> Cow<'_, str> {
    from_bytes(path.as_ref().as_bytes())
}

/// Returns the path whose bytes a text keeps.
pub(crate) fn to_path(text: &str) -> Cow<'_, Path> {
    match to_bytes(text) {
        Cow::Borrowed(bytes) => Cow::Borrowed(Path::new(OsStr::from_bytes(bytes))),
        Cow::Owned(bytes) => Cow::Owned(OsStr::from_bytes(&bytes).into()),
    }
}

/// Returns the byte that a character stands for; `None` if it is an ordinary one.
pub(crate) fn byte_of(c: char) -> Option<u8> {
    u8::try_from(u32::from(c).checked_sub(BASE)?).ok().filter(|byte| !byte.is_ascii())
}

fn is_byte(c: char) -> bool {
    byte_of(c).is_some()
}

fn char_of(byte: u8) -> char {
    char::from_u32(BASE + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Returns a field of fstab(5), crypttab(5) or /proc/mounts as a text, with `\040` and the like
/// replaced by their byte.
#[cfg(any(feature = "host", feature = "stacks"))]
pub(crate) fn from_octal(field: &str) -> String {
    let bytes = to_bytes(field);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = &*bytes;
    while let Some((first, after)) = rest.split_first() {
        let escaped = rest.strip_prefix(b"\\").and_then(|rest| octal(rest.get(..3)?));
        decoded.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { rest.get(4..).unwrap_or_default() } else { after };
    }
    from_bytes(&decoded).into_owned()
}

#[cfg(any(feature = "host", feature = "stacks"))]
fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok().filter(|byte| *byte != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_become_characters() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"root", "root"),
            ("Größe \u{10ff7f}\u{fffd}".as_bytes(), "Größe \u{10ff7f}\u{fffd}"),
            (b"M\xf6b", "M\u{10fff6}b"),
            (b"\x80\xff", "\u{10ff80}\u{10ffff}"),
            (b"\xc3\xb6\xc3", "\u{f6}\u{10ffc3}"),
            // U+10FFF6 itself
            (b"\xf4\x8f\xbf\xb6", "\u{10fff4}\u{10ff8f}\u{10ffbf}\u{10ffb6}"),
            (b"\xed\xa0\xbd", "\u{10ffed}\u{10ffa0}\u{10ffbd}"),
        ] {
            assert_eq!(from_bytes(bytes), text, "{bytes:?}");
            assert_eq!(&*to_bytes(text), bytes, "{text:?}");
            assert_eq!(from_path(&*to_path(text)), text);
        }
    }

    proptest! {
        #[test]
        fn every_byte_returns(bytes: Vec<u8>, text: String) {
            for bytes in [bytes, text.into_bytes()] {
                let text = from_bytes(&bytes);
                prop_assert_eq!(&*to_bytes(&text), &*bytes);
            }
        }
    }

    #[test]
    #[cfg(any(feature = "host", feature = "stacks"))]
    fn octal_digits_become_bytes() {
        for (field, want) in [
            ("a\\040b", "a b"),
            ("\\134", "\\"),
            ("\\", "\\"),
            ("\\04", "\\04"),
            ("\\000x", "\\000x"),
            ("\\999", "\\999"),
            ("\\366", "\u{10fff6}"),
        ] {
            assert_eq!(from_octal(field), want, "{field}");
        }
    }
}
