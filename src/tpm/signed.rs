//! Signed policies: the key in PEM, and the signatures of systemd-measure.
//!
//! ```text
//! key          -----BEGIN PUBLIC KEY----- base64 of DER -----END PUBLIC KEY-----
//! DER          SEQUENCE { SEQUENCE { OID of RSA, NULL }, BIT STRING { SEQUENCE { modulus, exponent } } }
//! signatures   {"sha256": [{"pcrs": [11], "pkfp": hexadecimal, "pol": hexadecimal, "sig": base64}]}
//! pkfp         SHA-256 of the inner SEQUENCE        pol: digest of the policy        sig: RSASSA with SHA-256
//! ```

use serde_json::Value;

use super::hash::{Digest, sha256};
use super::policy::Selection;
use super::public;
use super::token::{hex, pcr_bits};
use crate::disk::luks::base64;

/// Object identifier of RSA, with tag and length.
const OID_RSA: [u8; 11] = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;
const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// The RSA key that signs policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyKey {
    fingerprint: Digest,
    modulus: Vec<u8>,
    exponent: u32,
}

impl PolicyKey {
    /// Parses a key in PEM, or returns `None` if it is malformed or no RSA key.
    #[must_use]
    pub fn parse(pem: &str) -> Option<Self> {
        let (_, rest) = pem.split_once(BEGIN)?;
        let text: String = rest.split_once(END)?.0.split_whitespace().collect();
        let der = base64::decode(&text)?;
        let (key, _) = element(&der, SEQUENCE)?;
        let (algorithm, key) = element(key, SEQUENCE)?;
        if !algorithm.starts_with(&OID_RSA) {
            return None;
        }
        let (bits, _) = element(key, BIT_STRING)?;
        let numbers = bits.strip_prefix(&[0])?;
        let fingerprint = sha256(&[numbers]);
        let (numbers, _) = element(numbers, SEQUENCE)?;
        let (modulus, rest) = element(numbers, INTEGER)?;
        let (exponent, _) = element(rest, INTEGER)?;
        let start = modulus.iter().position(|byte| *byte != 0)?;
        let exponent = exponent.iter().try_fold(0_u32, |number, byte| {
            number.checked_mul(256).map(|number| number | u32::from(*byte))
        });
        let modulus = modulus.get(start..)?.to_vec();
        Some(Self { fingerprint, modulus, exponent: exponent? })
    }

    /// Returns the public areas that versions of systemd have made of the key: some write the usual
    /// exponent as 0.
    pub(crate) fn areas(&self) -> [Vec<u8>; 2] {
        [self.exponent, 0].map(|exponent| public::policy_key(&self.modulus, exponent))
    }

    /// Returns the signature of this policy in a file of signatures.
    pub(crate) fn signature(
        &self,
        file: &Value,
        selection: &Selection,
        policy: &Digest,
    ) -> Option<Vec<u8>> {
        let is = |entry: &Value, name, want: &[u8]| {
            entry.get(name).and_then(Value::as_str).and_then(hex).is_some_and(|got| got == want)
        };
        let mut entries = file.get(selection.bank.name())?.as_array()?.iter();
        let entry = entries.find(|entry| {
            entry.get("pcrs").and_then(pcr_bits) == Some(selection.pcrs)
                && is(entry, "pkfp", &self.fingerprint)
                && is(entry, "pol", policy)
        });
        base64::decode(entry?.get("sig")?.as_str()?)
    }
}

/// Returns the content of an element of DER with this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = bytes.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match usize::from(length) {
        short @ ..0x80 => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long - 0x80)?;
            let length = digits.iter().try_fold(0_usize, |length, digit| {
                length.checked_mul(256).map(|length| length | usize::from(*digit))
            });
            (length?, rest)
        }
    };
    rest.split_at_checked(length)
}
