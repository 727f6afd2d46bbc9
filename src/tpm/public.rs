//! Public areas of keys (TPMT_PUBLIC), and names, which are digests of them.
//!
//! ```text
//! type, u16 │ hash of the name, u16 │ attributes, u32 │ policy, TPM2B │ parameters │ unique
//! RSA   0x01: symmetric │ scheme │ bits, u16 │ exponent, u32, 0 is 65537 │ modulus, TPM2B
//! ECC   0x23: symmetric │ scheme │ curve, u16 │ key derivation │ x, TPM2B │ y, TPM2B
//! symmetric: cipher, u16 [bits, u16 │ mode, u16]     scheme: algorithm, u16 [hash, u16]; 0x10: none
//! ```

use super::bytes::{Malformed, Parsed, Reader, Writer};
use super::hash::{Digest, sha256};

const RSA: u16 = 0x0001;
const SHA256: u16 = 0x000b;
const NULL: u16 = 0x0010;
const ECC: u16 = 0x0023;
const P256: u16 = 0x0003;
const DEFAULT_EXPONENT: u32 = 65_537;

/// AES-128 in CFB mode, as a symmetric definition.
pub(super) const AES_128_CFB: [u8; 6] = [0x00, 0x06, 0x00, 0x80, 0x00, 0x43];

/// FIXEDTPM, FIXEDPARENT, SENSITIVEDATAORIGIN, USERWITHAUTH, RESTRICTED, DECRYPT: a key for keys.
const STORAGE_KEY: u32 = 0x0003_0072;

/// SIGN_ENCRYPT, DECRYPT, USERWITHAUTH: the key of a signed policy, as systemd loads it.
const POLICY_KEY: u32 = 0x0006_0040;

/// A public key that a salt can be encrypted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// RSA.
    Rsa {
        /// Big-endian.
        modulus: Vec<u8>,
        /// 65537 as a rule.
        exponent: u32,
    },
    /// A point of the curve NIST P-256.
    P256 {
        /// X coordinate.
        x: [u8; 32],
        /// Y coordinate.
        y: [u8; 32],
    },
}

/// Algorithm of the primary key that systemd creates if no storage root key is in the TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Primary {
    /// NIST P-256.
    Ecc,
    /// 2048 bits.
    Rsa,
}

impl Primary {
    /// Returns the public area that the key is created from. The same area gives the same key, for as
    /// long as the TPM is not cleared.
    pub(super) fn template(self) -> Vec<u8> {
        let (kind, attributes) = (if self == Self::Ecc { ECC } else { RSA }, STORAGE_KEY);
        let head = Writer::default().u16(kind).u16(SHA256).u32(attributes).sized(&[]);
        let head = head.bytes(&AES_128_CFB).u16(NULL);
        match self {
            Self::Ecc => head.u16(P256).u16(NULL).sized(&[]).sized(&[]).0,
            Self::Rsa => head.u16(2048).u32(0).sized(&[]).0,
        }
    }
}

/// Returns the public area of an RSA key that signs policies.
pub(super) fn policy_key(modulus: &[u8], exponent: u32) -> Vec<u8> {
    let head =
        Writer::default().u16(RSA).u16(SHA256).u32(POLICY_KEY).sized(&[]).u16(NULL).u16(NULL);
    let bits = u16::try_from(modulus.len() * 8).unwrap_or(u16::MAX);
    head.u16(bits).u32(exponent).sized(modulus).0
}

/// Returns the name of the object with this public area.
pub(crate) fn name(area: &[u8]) -> Vec<u8> {
    [&SHA256.to_be_bytes()[..], &sha256(&[area])].concat()
}

/// Parses the public area of a storage key.
///
/// # Errors
/// It is malformed, or no key for keys that systemd or the TCG's provisioning guidance creates.
pub fn parse(area: &[u8]) -> Result<Key, Malformed> {
    let mut reader = Reader::new("public area", area);
    let kind = reader.u16()?;
    if reader.u16()? != SHA256 {
        return Err(reader.malformed());
    }
    reader.u32()?;
    reader.sized()?;
    algorithm(&mut reader, 4)?;
    algorithm(&mut reader, 2)?;
    match kind {
        RSA => {
            reader.u16()?;
            let exponent = match reader.u32()? {
                0 => DEFAULT_EXPONENT,
                exponent => exponent,
            };
            let modulus = reader.sized()?.to_vec();
            reader.end(Key::Rsa { modulus, exponent })
        }
        ECC if reader.u16()? == P256 => {
            algorithm(&mut reader, 2)?;
            let (x, y) = (coordinate(&mut reader)?, coordinate(&mut reader)?);
            reader.end(Key::P256 { x, y })
        }
        _ => Err(reader.malformed()),
    }
}

/// Skips an algorithm with `details` bytes, which the algorithm 0x10 does not have.
fn algorithm(reader: &mut Reader<'_>, details: usize) -> Parsed<()> {
    if reader.u16()? != NULL {
        reader.take(details)?;
    }
    Ok(())
}

/// Returns a coordinate, from which some TPMs strip leading zeros.
fn coordinate(reader: &mut Reader<'_>) -> Parsed<Digest> {
    let error = reader.malformed();
    let bytes = reader.sized()?;
    let mut coordinate = Digest::default();
    let start = coordinate.len().checked_sub(bytes.len()).ok_or(error)?;
    coordinate.get_mut(start..).ok_or(error)?.copy_from_slice(bytes);
    Ok(coordinate)
}
