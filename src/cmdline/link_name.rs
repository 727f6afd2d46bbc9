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

/// Returns the name of the link to a label: every byte that udev does not allow there becomes
/// `\x20` and the like.
#[cfg(feature = "host")]
pub(crate) fn encode(label: &str) -> String {
    let mut name = String::with_capacity(label.len());
    for c in label.chars() {
        if is_allowed(c) {
            name.push(c);
        } else {
            let bytes = byte_text::to_bytes(c.encode_utf8(&mut [0; 4])).into_owned();
            name.extend(bytes.iter().map(|byte| format!("\\x{byte:02x}")));
        }
    }
    name
}

/// Returns whether udev leaves a character as it is: some of ASCII, and all of Unicode except for
/// noncharacters.
#[cfg(feature = "host")]
fn is_allowed(c: char) -> bool {
    let is_noncharacter = matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe;
    match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c),
        false => byte_text::byte_of(c).is_none() && !is_noncharacter,
    }
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
    use super::*;

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

    #[test]
    #[cfg(feature = "host")]
    fn labels_are_encoded() {
        for (label, name) in [
            ("root", "root"),
            ("my disk", "my\\x20disk"),
            ("a/b\\c", "a\\x2fb\\x5cc"),
            ("R&D (1),~", "R\\x26D\\x20\\x281\\x29\\x2c\\x7e"),
            ("tab\there", "tab\\x09here"),
            ("Größe", "Größe"),
            ("#+-.:=@_", "#+-.:=@_"),
            ("odd\u{ffff}", "odd\\xef\\xbf\\xbf"),
            ("M\u{10fff6}b", "M\\xf6b"),
        ] {
            assert_eq!(encode(label), name);
            assert_eq!(decode(name), label);
        }
    }
}
