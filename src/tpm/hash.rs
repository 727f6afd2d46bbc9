//! Hash algorithms of the TPM, HMAC, and the functions that derive keys (part 1, 11.4.10).

use sha1::Sha1;
use sha2::digest::Digest as _;
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

/// A SHA-256 digest.
pub(crate) type Digest = [u8; 32];

/// Rounds of systemd's PBKDF2 of a PIN.
const PIN_ROUNDS: u32 = 10_000;

/// A hash algorithm, and its bank of PCRs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// Algorithm, number of part 2 (TPM_ALG_ID), name, length of a digest.
const ALGORITHMS: [(Hash, u16, &str, usize); 4] = [
    (Hash::Sha1, 0x0004, "sha1", 20),
    (Hash::Sha256, 0x000b, "sha256", 32),
    (Hash::Sha384, 0x000c, "sha384", 48),
    (Hash::Sha512, 0x000d, "sha512", 64),
];

impl Hash {
    pub(crate) fn from_id(id: u16) -> Option<Self> {
        ALGORITHMS.iter().find(|row| row.1 == id).map(|row| row.0)
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|row| row.2 == name).map(|row| row.0)
    }

    fn row(self) -> &'static (Self, u16, &'static str, usize) {
        ALGORITHMS.iter().find(|row| row.0 == self).unwrap_or(&ALGORITHMS[1])
    }

    pub(crate) fn id(self) -> u16 {
        self.row().1
    }

    pub(crate) fn name(self) -> &'static str {
        self.row().2
    }

    /// Returns the length of a digest.
    pub(crate) fn size(self) -> usize {
        self.row().3
    }

    /// Returns the digest of the concatenation of `parts`.
    fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha1 => digest::<Sha1>(parts),
            Self::Sha256 => digest::<Sha256>(parts),
            Self::Sha384 => digest::<Sha384>(parts),
            Self::Sha512 => digest::<Sha512>(parts),
        }
    }

    /// Returns the HMAC of the concatenation of `parts` (RFC 2104).
    pub(crate) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let block = if self.size() > 32 { 128 } else { 64 };
        let mut padded = Zeroizing::new(vec![0; block]);
        match padded.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            None => {
                let short = Zeroizing::new(self.digest(&[key]));
                padded.iter_mut().zip(&**short).for_each(|(to, from)| *to = *from);
            }
        }
        padded.iter_mut().for_each(|byte| *byte ^= 0x36);
        let inner: Vec<&[u8]> = std::iter::once(&padded[..]).chain(parts.iter().copied()).collect();
        let inner = Zeroizing::new(self.digest(&inner));
        padded.iter_mut().for_each(|byte| *byte ^= 0x36 ^ 0x5c);
        self.digest(&[&padded, &inner])
    }
}

fn digest<D: sha2::digest::Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut hasher = D::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().to_vec()
}

/// Returns the SHA-256 digest of the concatenation of `parts`.
pub(crate) fn sha256(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// Returns the HMAC-SHA256 of the concatenation of `parts`.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Zeroizing<Digest> {
    let vec = Zeroizing::new(Hash::Sha256.hmac(key, parts));
    let mut digest = Zeroizing::new(Digest::default());
    digest.iter_mut().zip(&**vec).for_each(|(to, from)| *to = *from);
    digest
}

/// KDFa: derives 32 bytes from a key, a label and two texts that both sides know.
pub(super) fn kdf_a(key: &[u8], label: &str, u: &[u8], v: &[u8]) -> Zeroizing<Digest> {
    let (counter, bits) = (1_u32.to_be_bytes(), 256_u32.to_be_bytes());
    hmac_sha256(key, &[&counter, label.as_bytes(), &[0], u, v, &bits])
}

/// KDFe: derives 32 bytes from a shared point and the X coordinates of both public keys.
pub(super) fn kdf_e(z: &[u8], label: &str, u: &[u8], v: &[u8]) -> Zeroizing<Digest> {
    Zeroizing::new(sha256(&[&1_u32.to_be_bytes(), z, label.as_bytes(), &[0], u, v]))
}

/// Returns 32 bytes of PBKDF2-HMAC-SHA256 with the number of rounds of systemd.
pub(super) fn pbkdf2(secret: &[u8], salt: &[u8]) -> Zeroizing<Digest> {
    let mut last = hmac_sha256(secret, &[salt, &1_u32.to_be_bytes()]);
    let mut key = last.clone();
    for _ in 1..PIN_ROUNDS {
        last = hmac_sha256(secret, &[&*last]);
        key.iter_mut().zip(&*last).for_each(|(to, from)| *to ^= *from);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// RFC 4231, case 2 and 6 (a key that is longer than a block); RFC 2202, case 2.
    #[test]
    fn hmac_of_the_documents() {
        let message = b"what do ya want for nothing?";
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        for (hash, key, message, want) in [
            (Hash::Sha1, &b"Jefe"[..], &message[..], "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (
                Hash::Sha256,
                b"Jefe",
                message,
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                Hash::Sha256,
                &[0xaa; 131],
                long,
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                Hash::Sha384,
                b"Jefe",
                message,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e\
                 8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                Hash::Sha512,
                &[0xaa; 131],
                long,
                "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352\
                 6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
            ),
        ] {
            let (start, rest) = message.split_at(5);
            assert_eq!(hex(&hash.hmac(key, &[start, rest])), want, "{hash:?}");
            assert_eq!(hash.size() * 2, want.len());
            assert_eq!(Hash::from_id(hash.id()), Some(hash));
            assert_eq!(Hash::from_name(hash.name()), Some(hash));
        }
    }

    /// Made by `openssl kdf -keylen 32 -kdfopt digest:SHA256 … -kdfopt iter:10000 PBKDF2`.
    #[test]
    fn pbkdf2_of_openssl() {
        assert_eq!(
            hex(&*pbkdf2(b"1234", b"salt")),
            "e9ea797ec1066395c8795abac6d448bb4e5088f7a5ced01497e86ae7de5bf45f"
        );
    }
}
