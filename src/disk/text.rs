//! UUIDs and labels in the text forms of blkid.

use crate::byte_text;

/// Formats 16 bytes in their order, lower case with dashes. Returns `None` if all are zero.
pub(super) fn uuid(bytes: Option<[u8; 16]>) -> Option<String> {
    let bytes = bytes.filter(|bytes| bytes.iter().any(|byte| *byte != 0))?;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Some(text)
}

/// Formats a GUID as stored by EFI: the first three fields are little-endian.
pub(super) fn guid(bytes: Option<[u8; 16]>) -> Option<String> {
    uuid(bytes.map(|mut bytes| {
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        bytes
    }))
}

/// Formats a serial number of FAT or exFAT: `XXXX-XXXX`.
pub(super) fn serial(bytes: Option<[u8; 4]>) -> Option<String> {
    let number = u32::from_le_bytes(bytes?);
    (number != 0).then(|| format!("{:04X}-{:04X}", number >> 16, number & 0xffff))
}

/// Returns a label up to its first NUL, without trailing white space, or `None` if the rest is
/// empty.
pub(super) fn label(bytes: Option<&[u8]>) -> Option<String> {
    let bytes = bytes?.split(|byte| *byte == 0).next()?;
    trim(&byte_text::from_bytes(bytes))
}

/// Returns a label in UTF-16LE, as [`label`] does.
pub(super) fn utf16le(bytes: Option<&[u8]>) -> Option<String> {
    utf16(bytes?, u16::from_le_bytes)
}

/// Returns a label in UTF-16BE, as [`label`] does.
pub(super) fn utf16be(bytes: Option<&[u8]>) -> Option<String> {
    utf16(bytes?, u16::from_be_bytes)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).take_while(|u| *u != 0);
    let mut text = Vec::new();
    for c in char::decode_utf16(units) {
        match c {
            Ok(c) => text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            // Like blkid, encodes half a pair as UTF-8 would if it were a character.
            Err(half) => {
                let [high, low] = half.unpaired_surrogate().to_be_bytes();
                text.extend([0xed, 0x80 | (high & 15) << 2 | low >> 6, 0x80 | low & 63]);
            }
        }
    }
    trim(&byte_text::from_bytes(&text))
}

/// Removes trailing white space, as defined by isspace(3) in the C locale.
fn trim(text: &str) -> Option<String> {
    let text = text.trim_end_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_formatted() {
        let bytes: [u8; 16] = std::array::from_fn(|i| u8::try_from(i * 17).unwrap());
        assert_eq!(uuid(Some(bytes)).as_deref(), Some("00112233-4455-6677-8899-aabbccddeeff"));
        assert_eq!(guid(Some(bytes)).as_deref(), Some("33221100-5544-7766-8899-aabbccddeeff"));
        assert_eq!(uuid(Some([0; 16])), None);
        assert_eq!(serial(Some([0xef, 0xbe, 0x0d, 0])).as_deref(), Some("000D-BEEF"));
        assert_eq!(serial(Some([0; 4])), None);
    }

    #[test]
    fn labels_are_trimmed_and_decoded() {
        for (raw, want) in [
            (&b"root"[..], Some("root")),
            (b"  a b \t\0junk", Some("  a b")),
            (b"   ", None),
            (b"", None),
            (b"\xe4x", Some("\u{10ffe4}x")),
            ("Größe".as_bytes(), Some("Größe")),
        ] {
            assert_eq!(label(Some(raw)).as_deref(), want, "{raw:?}");
        }
        assert_eq!(utf16le(Some(b"a\0\xe4\0\x3d\xd8\x00\xde \0\0\0b\0")).as_deref(), Some("aä😀"));
        let half = byte_text::from_bytes(b"a\xed\xa0\xbd");
        assert_eq!(utf16be(Some(b"\0a\xd8\x3d")).as_deref(), Some(&*half));
    }
}
