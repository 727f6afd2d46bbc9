//! Parser for the signature that is appended to a module. It reports the signer and verifies
//! nothing; the kernel does that.
//!
//! ```text
//! … module … | signer | key id | signature
//!   | algo u8, hash u8, id_type u8, signer_len u8, key_id_len u8, 3 zero bytes
//!   | sig_len u32 big-endian
//!   | "~Module signature appended~\n"
//! ```
//!
//! If id_type is 2, signer and key id are empty and the signature is a PKCS#7 message (RFC 2315,
//! DER):
//!
//! ```text
//! ContentInfo   SEQ { OID signedData, [0] SignedData }
//! SignedData    SEQ { INT, SET digests, SEQ content, [0] certificates?, [1] crls?,
//!                     SET of SignerInfo }
//! SignerInfo    SEQ { INT, SEQ { SEQ issuer, INT serial }, SEQ { OID digest }, [0] attributes?,
//!                     SEQ algorithm, OCTETS signature }
//! issuer        SEQ of SET of SEQ { OID, value }
//! ```

use std::borrow::Cow;

const MAGIC: &[u8] = b"~Module signature appended~\n";
const TRAILER_SIZE: usize = 12;
const ID_TYPES: [&str; 3] = ["PGP", "X509", "PKCS#7"];
const HASHES: [&str; 9] =
    ["md4", "md5", "sha1", "rmd160", "sha256", "sha384", "sha512", "sha224", "sm3"];

/// Digest algorithms by their object identifier, with the long names of OpenSSL, which kmod 34
/// prints.
const DIGESTS: [(&str, &str); 17] = [
    ("1.2.840.113549.2.2", "md2"),
    ("1.2.840.113549.2.4", "md4"),
    ("1.2.840.113549.2.5", "md5"),
    ("1.3.14.3.2.18", "sha"),
    ("1.3.14.3.2.26", "sha1"),
    ("2.5.8.3.101", "mdc2"),
    ("1.3.36.3.2.1", "ripemd160"),
    ("1.0.10118.3.0.55", "whirlpool"),
    ("1.2.156.10197.1.401", "sm3"),
    ("1.3.6.1.4.1.1722.12.2.1.16", "blake2b512"),
    ("1.3.6.1.4.1.1722.12.2.2.8", "blake2s256"),
    ("1.2.643.2.2.9", "GOST R 34.11-94"),
    ("1.2.643.7.1.1.2.2", "GOST R 34.11-2012 with 256 bit hash"),
    ("1.2.643.7.1.1.2.3", "GOST R 34.11-2012 with 512 bit hash"),
    ("2.16.840.1.101.3.4.2.19", "kmac128"),
    ("2.16.840.1.101.3.4.2.20", "kmac256"),
    ("1.2.804.2.1.1.1.1.2.1", "DSTU Gost 34311-95"),
];
/// Object identifier that is followed by the number of a digest algorithm of NIST, from 1.
const NIST: &str = "2.16.840.1.101.3.4.2.";
const NIST_DIGESTS: [&str; 16] = [
    "sha256",
    "sha384",
    "sha512",
    "sha224",
    "sha512-224",
    "sha512-256",
    "sha3-224",
    "sha3-256",
    "sha3-384",
    "sha3-512",
    "shake128",
    "shake256",
    "hmac-sha3-224",
    "hmac-sha3-256",
    "hmac-sha3-384",
    "hmac-sha3-512",
];

/// An appended signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Format: `PGP`, `X509` or `PKCS#7`.
    pub(crate) id_type: &'static str,
    /// Name of the signer; empty if unknown.
    pub signer: &'a [u8],
    /// Identifier of the key; for PKCS#7 the serial number of the certificate.
    pub key_id: &'a [u8],
    /// Digest algorithm; one without a name by its object identifier in numbers.
    pub(crate) hash: Cow<'static, str>,
    /// The signature proper.
    pub bytes: &'a [u8],
}

/// Parses the signature at the end of a decoded module. Returns `None` if there is none, or if its
/// trailer is damaged.
pub fn parse(image: &[u8]) -> Option<Signature<'_>> {
    let rest = image.strip_suffix(MAGIC)?;
    let (rest, trailer) = rest.split_at_checked(rest.len().checked_sub(TRAILER_SIZE)?)?;
    let &[algo, hash, id_type, signer_len, key_id_len, _, _, _, ref len @ ..] = trailer else {
        return None;
    };
    let len = u32::from_be_bytes(len.try_into().ok()?);
    let (rest, bytes) = split_end(rest, usize::try_from(len).ok()?)?;
    let (rest, key_id) = split_end(rest, usize::from(key_id_len))?;
    let (_, signer) = split_end(rest, usize::from(signer_len))?;
    let (id_type, hash) = (*ID_TYPES.get(usize::from(id_type))?, *HASHES.get(usize::from(hash))?);
    let hash = Cow::Borrowed(hash);
    if algo >= 2 {
        return None;
    }
    if id_type == "PKCS#7" {
        let hash = Cow::Borrowed("unknown");
        let unknown = Signature { id_type, signer: b"", key_id: b"", hash, bytes: b"" };
        return Some(pkcs7(bytes).unwrap_or(unknown));
    }
    Some(Signature { id_type, signer, key_id, hash, bytes })
}

/// Splits off the last `len` bytes.
fn split_end(bytes: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(bytes.len().checked_sub(len)?)
}

const SEQ: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 2;
const OCTETS: u8 = 4;
const OID: u8 = 6;
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0xa1;

/// Reader of consecutive DER values.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Returns the next tag and content. Lengths must be definite and of at most four bytes.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, short], rest) = self.0.split_first_chunk()?;
        let (len, rest) = match short {
            0..=0x7f => (usize::from(short), rest),
            0x81..=0x84 => {
                let (len, rest) = rest.split_at_checked(usize::from(short - 0x80))?;
                (len.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// Returns the content of the next value, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(t, _)| *t == tag).map(|(_, content)| content)
    }

    /// Returns a reader of the content of the next value, which must have this tag.
    fn inside(&mut self, tag: u8) -> Option<Der<'a>> {
        self.take(tag).map(Der)
    }

    /// Skips the next value if it has this tag.
    fn skip_optional(&mut self, tag: u8) {
        if self.0.first() == Some(&tag) {
            self.next();
        }
    }
}

/// Parses the first SignerInfo of a message. As in kmod, one that identifies its signer by key
/// identifier is not supported.
fn pkcs7(message: &[u8]) -> Option<Signature<'_>> {
    let mut content = Der(message).inside(SEQ)?;
    content.take(OID)?;
    let mut data = content.inside(CONTEXT_0)?.inside(SEQ)?;
    data.take(INTEGER)?;
    data.take(SET)?;
    data.take(SEQ)?;
    data.skip_optional(CONTEXT_0);
    data.skip_optional(CONTEXT_1);
    let mut info = data.inside(SET)?.inside(SEQ)?;
    info.take(INTEGER)?;
    let mut identity = info.inside(SEQ)?;
    let signer = common_name(identity.inside(SEQ)?)?;
    let serial = identity.take(INTEGER)?;
    let digest = info.inside(SEQ)?.take(OID)?;
    info.skip_optional(CONTEXT_0);
    info.take(SEQ)?;
    let bytes = info.take(OCTETS)?;
    // A leading zero only keeps the number positive, so it is removed.
    let key_id =
        if serial.len() > 1 { serial.strip_prefix(&[0]).unwrap_or(serial) } else { serial };
    let hash = digest_name(numbers(digest)?);
    Some(Signature { id_type: "PKCS#7", signer, key_id, hash, bytes })
}

/// Returns the numbers of an object identifier, with dots between them. `None` if it is malformed,
/// or a number exceeds 64 bits.
fn numbers(identifier: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut number: u64 = 0;
    for byte in identifier {
        number = number.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if text.is_empty() {
            let first = (number / 40).min(2);
            text = format!("{first}.{}", number - 40 * first);
        } else {
            text.push_str(&format!(".{number}"));
        }
        number = 0;
    }
    let is_whole = identifier.last().is_some_and(|byte| byte & 0x80 == 0);
    is_whole.then_some(text)
}

/// Returns the name of the digest algorithm with this object identifier, or the identifier if it
/// has none.
fn digest_name(identifier: String) -> Cow<'static, str> {
    let nist = identifier.strip_prefix(NIST).and_then(|number| number.parse::<usize>().ok());
    let nist = nist.and_then(|number| NIST_DIGESTS.get(number.checked_sub(1)?));
    let other = || DIGESTS.iter().find(|(known, _)| *known == identifier).map(|(_, name)| name);
    match nist.or_else(other) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(identifier),
    }
}

/// Returns the common name (2.5.4.3) among the attributes of an issuer, or the last attribute if
/// there is none.
fn common_name(mut issuer: Der<'_>) -> Option<&[u8]> {
    let mut last = None;
    while let Some(mut attribute) = issuer.inside(SET).and_then(|mut set| set.inside(SEQ)) {
        let oid = attribute.take(OID)?;
        let (_, value) = attribute.next()?;
        if oid == [0x55, 4, 3] {
            return Some(value);
        }
        last = Some(value);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let mut out = vec![tag];
        match u8::try_from(content.len()) {
            Ok(len @ ..0x80) => out.push(len),
            _ => {
                out.push(0x82);
                out.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
            }
        }
        out.extend(content);
        out
    }

    fn message() -> Vec<u8> {
        let oid = |bytes: &[u8]| der(OID, &[bytes]);
        let name = |id: u8, text: &str| {
            der(SET, &[&der(SEQ, &[&oid(&[0x55, 4, id]), &der(12, &[text.as_bytes()])])])
        };
        let issuer = der(SEQ, &[&name(10, "Org"), &name(3, "The Signer"), &name(11, "Unit")]);
        let info = der(
            SEQ,
            &[
                &der(INTEGER, &[&[1]]),
                &der(SEQ, &[&issuer, &der(INTEGER, &[&[0, 0xab, 0xcd]])]),
                &der(SEQ, &[&oid(&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1])]),
                &der(SEQ, &[&oid(&[1, 2])]),
                &der(OCTETS, &[&[7; 300]]),
            ],
        );
        let signed = der(
            SEQ,
            &[
                &der(INTEGER, &[&[1]]),
                &der(SET, &[]),
                &der(SEQ, &[]),
                &der(CONTEXT_0, &[]),
                &der(SET, &[&info]),
            ],
        );
        der(SEQ, &[&oid(&[1]), &der(CONTEXT_0, &[&signed])])
    }

    fn signed(head: &[u8], trailer: [u8; 8], signature: &[u8]) -> Vec<u8> {
        let len = u32::try_from(signature.len()).unwrap().to_be_bytes();
        [head, signature, &trailer, &len, MAGIC].concat()
    }

    #[test]
    fn the_old_form_names_signer_and_key() {
        let image = signed(b"ELF..MeKID", [1, 4, 1, 2, 3, 0, 0, 0], b"sig");
        let sig = parse(&image).unwrap();
        assert_eq!((sig.id_type, sig.signer, sig.key_id), ("X509", &b"Me"[..], &b"KID"[..]));
        assert_eq!((&*sig.hash, sig.bytes), ("sha256", &b"sig"[..]));
    }

    #[test]
    fn pkcs7_names_issuer_serial_and_digest() {
        let image = signed(b"ELF", [0, 0, 2, 0, 0, 0, 0, 0], &message());
        let sig = parse(&image).unwrap();
        assert_eq!(
            (sig.id_type, sig.signer, sig.key_id),
            ("PKCS#7", &b"The Signer"[..], &[0xab, 0xcd][..])
        );
        assert_eq!((&*sig.hash, sig.bytes), ("sha256", &[7; 300][..]));
    }

    #[test]
    fn digests_have_openssls_names() {
        for (identifier, want) in [
            (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 8][..], Some("sha3-256")),
            (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 12], Some("shake256")),
            (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 17], Some("2.16.840.1.101.3.4.2.17")),
            (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 0], Some("2.16.840.1.101.3.4.2.0")),
            (&[0x2b, 0x24, 3, 2, 1], Some("ripemd160")),
            (&[0x2b, 6, 1, 4, 1, 0x8d, 0x3a, 12, 2, 1, 16], Some("blake2b512")),
            (&[0x2a, 0x85, 3, 2, 2, 9], Some("GOST R 34.11-94")),
            (&[0x55, 8, 3, 0x65], Some("mdc2")),
            (&[0x2a, 3, 4], Some("1.2.3.4")),
            (&[0x88, 0x37, 1], Some("2.999.1")),
            (&[0x2a, 0x83], None),
            (&[0xff; 12], None),
            (&[], None),
        ] {
            assert_eq!(numbers(identifier).map(digest_name).as_deref(), want, "{identifier:x?}");
        }
    }

    #[test]
    fn a_damaged_signature_is_none_or_unknown() {
        for trailer in
            [[2, 0, 2, 0, 0, 0, 0, 0], [0, 9, 2, 0, 0, 0, 0, 0], [0, 0, 3, 0, 0, 0, 0, 0]]
        {
            assert_eq!(parse(&signed(b"ELF", trailer, b"x")), None);
        }
        assert_eq!(parse(b"ELF"), None);
        assert_eq!(parse(MAGIC), None);
        assert_eq!(parse(&[&[0xff; 12], MAGIC].concat()), None);
        let whole = message();
        for cut in 0..whole.len() {
            let image = signed(b"", [0, 0, 2, 0, 0, 0, 0, 0], &whole[..cut]);
            assert_eq!(parse(&image).unwrap().hash, "unknown", "cut to {cut}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            assert!(parse(&signed(b"", [0, 0, 2, 0, 0, 0, 0, 0], &damaged)).is_some());
        }
    }
}
