//! Base64 with padding, RFC 4648: keys in the metadata of LUKS2, and sealed ones that are
//! passphrases.

use zeroize::Zeroizing;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Decodes a text; `None` if it is malformed.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = DIGITS.iter().position(|d| *d == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Returns the text for `bytes`, which may be secret.
pub(crate) fn encode(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len().div_ceil(3) * 4));
    for group in bytes.chunks(3) {
        let byte = |i| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit) & 63) as usize;
            let character = DIGITS.get(index).copied().unwrap_or(b'=');
            text.push(if digit > group.len() { b'=' } else { character });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_texts_are_refused() {
        for (text, want) in [
            ("", Some("")),
            ("Zg==", Some("f")),
            ("Zm8=", Some("fo")),
            ("Zm9v", Some("foo")),
            ("Zm9vYmFy", Some("foobar")),
            ("Zm9", None),
            ("Z===", None),
            ("Zm 9", None),
            ("Zg==Zg==", None),
        ] {
            assert_eq!(decode(text), want.map(|w| w.as_bytes().to_vec()), "{text}");
        }
        assert_eq!(decode("//79"), Some(vec![0xff, 0xfe, 0xfd]));
    }

    #[test]
    fn texts_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("\u{3ff}\u{7ff}", "z7/fvw=="),
        ] {
            assert_eq!(&**encode(bytes.as_bytes()), text.as_bytes());
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
    }
}
