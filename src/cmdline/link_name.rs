//! Names of udev's links in /dev/disk/by-…, which `root=` may contain.

use crate::byte_text;

/// Returns the label that a link name stands for: `\x20` and the like become their byte again. Any
/// other backslash stands for itself.
#[must_use]
pub fn decode(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let name = byte_text::to_bytes(name);
    let mut rest = &*name;
    while let Some((first, after)) = rest.split_first() {
        match escaped(rest) {
            Some(byte) => {
                bytes.push(byte);
                rest = rest.get(4..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    byte_text::from_bytes(&bytes).into_owned()
}

fn escaped(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"\\x")?.get(..2)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn escapes_are_decoded() {
        for (name, label) in [
            ("root", "root"),
            ("my\\x20disk", "my disk"),
            ("a\\x2fb\\x5cc", "a/b\\c"),
            ("Größe", "Größe"),
            ("#+-.:=@_", "#+-.:=@_"),
            ("tab\\x09here", "tab\there"),
            ("odd\\xef\\xbf\\xbf", "odd\u{ffff}"),
            ("a\\x2", "a\\x2"),
            ("\\xzz", "\\xzz"),
            ("\\x+1", "\\x+1"),
            ("M\\xf6b", "M\u{10fff6}b"),
            ("M\u{10fff6}b", "M\u{10fff6}b"),
            ("M\\xc3\u{10ffb6}b", "Möb"),
        ] {
            assert_eq!(decode(name), label);
        }
    }
}
