//! Tokens of systemd-cryptenroll in the metadata of LUKS2.
//!
//! ```text
//! type                "systemd-tpm2"
//! keyslots            ["1"]: the slots whose passphrase is the sealed secret in base64
//! tpm2-blob           base64: private area, TPM2B │ public area, TPM2B │ [seed, TPM2B]
//! tpm2-pcrs           [7]: PCRs whose values the policy requires
//! tpm2-pcr-bank       "sha256"; missing before systemd 250
//! tpm2-primary-alg    "ecc" or "rsa"; missing before systemd 250
//! tpm2-policy-hash    hexadecimal: digest of the policy
//! tpm2-pin            whether a PIN is required
//! tpm2_salt           base64, since systemd 253: the PIN is hashed with it
//! tpm2_srk            base64, since systemd 254: the storage root key, as serialized by tpm2-tss
//! tpm2_pubkey         base64: the key in PEM that signs policies
//! tpm2_pubkey_pcrs    [11]: PCRs of the signed policy
//! tpm2_pcrlock        whether systemd-pcrlock manages the policy
//! ```
//!
//! ```text
//! storage root key: handle, u32 │ name, TPM2B │ kind, u32: 1 │ public area, TPM2B
//! ```

use std::fmt;

use serde_json::Value;
use zeroize::Zeroizing;

use super::Handle;
use super::bytes::{Parsed, Reader};
use super::hash::{Digest, Hash, pbkdf2, sha256};
use super::policy::{self, Selection};
use super::public::{self, Key, Primary};
use super::signed::PolicyKey;
use crate::disk::luks::base64::{decode, encode};

/// The type of these tokens.
const TYPE: &str = "systemd-tpm2";
/// Kind of the serialized key.
const KIND_KEY: u32 = 1;

/// A token with a key that a TPM has sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub(crate) sealed: Sealed,
    /// PCRs whose values the policy requires.
    pub(crate) selection: Selection,
    /// Digest of the policy.
    pub(crate) policy: Digest,
    pub(crate) primary: Primary,
    pub(crate) has_pin: bool,
    salt: Option<Vec<u8>>,
    pub(crate) root_key: Option<RootKey>,
    pub(crate) signed: Option<Signed>,
}

/// A sealed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) private: Vec<u8>,
    pub(crate) public: Vec<u8>,
    /// Set if the object was encrypted for the storage root key without the TPM.
    pub(crate) seed: Option<Vec<u8>>,
}

/// A storage root key that is kept in the TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootKey {
    pub(crate) handle: Handle,
    pub(crate) key: Key,
    pub(crate) public: Vec<u8>,
}

/// The part of a policy that is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) key: PolicyKey,
    pub(crate) selection: Selection,
}

/// Why a token cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// This field is missing or malformed.
    Field(&'static str),
    /// The token needs this.
    Unsupported(&'static str),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, "field {name} of the token is missing or malformed"),
            Self::Unsupported(what) => write!(f, "{what} is not supported"),
        }
    }
}

impl std::error::Error for TokenError {}

impl Token {
    /// Reports whether a token of LUKS2 is one of these.
    #[must_use]
    pub fn is_one(token: &Value) -> bool {
        token.get("type").and_then(Value::as_str) == Some(TYPE)
    }

    /// Parses a token of LUKS2.
    ///
    /// # Errors
    /// A field is missing or malformed, or the policy is not supported.
    pub fn parse(token: &Value) -> Result<Self, TokenError> {
        let is_set = |name| token.get(name).and_then(Value::as_bool).unwrap_or(false);
        if is_set("tpm2_pcrlock") {
            return Err(TokenError::Unsupported("a policy of systemd-pcrlock"));
        }
        let bank = text(token, "tpm2-pcr-bank")?.map_or(Some(Hash::Sha256), Hash::from_name);
        let bank = bank.ok_or(TokenError::Unsupported("the bank of PCRs of the token"))?;
        let pcrs = pcrs(token, "tpm2-pcrs")?.ok_or(TokenError::Field("tpm2-pcrs"))?;
        Ok(Self {
            sealed: field("tpm2-blob", text(token, "tpm2-blob")?.and_then(sealed))?,
            selection: Selection { bank, pcrs },
            policy: field("tpm2-policy-hash", text(token, "tpm2-policy-hash")?.and_then(digest))?,
            primary: match text(token, "tpm2-primary-alg")? {
                None | Some("ecc") => Primary::Ecc,
                Some("rsa") => Primary::Rsa,
                Some(_) => return Err(TokenError::Unsupported("the primary key of the token")),
            },
            has_pin: is_set("tpm2-pin"),
            salt: bytes(token, "tpm2_salt")?,
            root_key: match bytes(token, "tpm2_srk")? {
                Some(bytes) => Some(root_key(&bytes).map_err(|_| TokenError::Field("tpm2_srk"))?),
                None => None,
            },
            signed: signed(token, bank)?,
        })
    }

    /// Returns the policy that the token requires if the PCRs have these values; the key of a signed
    /// policy has this name.
    pub(crate) fn policy_for(&self, key_name: Option<&[u8]>, values: &[&[u8]]) -> Digest {
        let mut digest = key_name.map_or_else(Digest::default, policy::authorize);
        if self.selection.pcrs != 0 {
            digest = policy::pcr(&digest, &self.selection, values);
        }
        if self.has_pin { policy::auth_value(&digest) } else { digest }
    }

    /// Returns the authorization value for a PIN.
    pub(crate) fn auth_value(&self, pin: &[u8]) -> Zeroizing<Vec<u8>> {
        let digest = match &self.salt {
            Some(salt) => sha256(&[&encode(&*pbkdf2(pin, salt))]),
            None => sha256(&[pin]),
        };
        let digest = Zeroizing::new(digest);
        // The TPM removes trailing zeros.
        let zeros = digest.iter().rev().take_while(|byte| **byte == 0).count();
        Zeroizing::new(digest.iter().take(digest.len() - zeros).copied().collect())
    }
}

fn field<T>(name: &'static str, value: Option<T>) -> Result<T, TokenError> {
    value.ok_or(TokenError::Field(name))
}

/// Returns the text in a field. It may stand in an array alone; several texts belong to the policies
/// of systemd-pcrlock.
fn text<'a>(token: &'a Value, name: &'static str) -> Result<Option<&'a str>, TokenError> {
    match token.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Array(texts)) => match texts.as_slice() {
            [Value::String(text)] => Ok(Some(text)),
            _ => Err(TokenError::Unsupported("a key in several parts")),
        },
        Some(_) => Err(TokenError::Field(name)),
    }
}

fn bytes(token: &Value, name: &'static str) -> Result<Option<Vec<u8>>, TokenError> {
    text(token, name)?.map(|text| field(name, decode(text))).transpose()
}

/// Returns a list of PCRs as bits.
pub(super) fn pcr_bits(list: &Value) -> Option<u32> {
    let numbers = list.as_array()?.iter();
    numbers
        .map(|number| number.as_u64().filter(|n| *n < 24))
        .try_fold(0, |all, n| Some(all | 1 << n?))
}

fn pcrs(token: &Value, name: &'static str) -> Result<Option<u32>, TokenError> {
    token.get(name).map(|list| field(name, pcr_bits(list))).transpose()
}

/// Returns the bytes of a hexadecimal text.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

fn digest(text: &str) -> Option<Digest> {
    hex(text)?.try_into().ok()
}

fn sealed(text: &str) -> Option<Sealed> {
    let blob = decode(text)?;
    let mut reader = Reader::new("tpm2-blob", &blob);
    let (private, public) = (reader.sized().ok()?.to_vec(), reader.sized().ok()?.to_vec());
    let seed = if reader.is_at_end() { None } else { Some(reader.sized().ok()?) };
    let seed = seed.filter(|seed| !seed.is_empty()).map(<[u8]>::to_vec);
    reader.end(Sealed { private, public, seed }).ok()
}

fn root_key(bytes: &[u8]) -> Parsed<RootKey> {
    let mut reader = Reader::new("tpm2_srk", bytes);
    let handle = reader.u32()?;
    reader.sized()?;
    if reader.u32()? != KIND_KEY {
        return Err(reader.malformed());
    }
    let public = reader.sized()?.to_vec();
    let key = public::parse(&public)?;
    reader.end(RootKey { handle, key, public })
}

fn signed(token: &Value, bank: Hash) -> Result<Option<Signed>, TokenError> {
    let Some(pcrs) = pcrs(token, "tpm2_pubkey_pcrs")?.filter(|pcrs| *pcrs != 0) else {
        return Ok(None);
    };
    let pem = bytes(token, "tpm2_pubkey")?.and_then(|pem| String::from_utf8(pem).ok());
    let key = field("tpm2_pubkey", pem.as_deref().and_then(PolicyKey::parse))?;
    Ok(Some(Signed { key, selection: Selection { bank, pcrs } }))
}
