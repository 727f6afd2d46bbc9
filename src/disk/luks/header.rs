//! The header of a LUKS device, of either version.

use std::fmt;

use serde_json::Value;

use super::super::device::Source;
use super::super::text;
use super::binary_header::{self, BinaryHeader};
use super::hash::Hash;
use super::luks1;

/// Largest key in bytes: two of AES-256 and an HMAC key are 128.
pub(crate) const MAX_KEY: usize = 512;

/// A header.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// 1 or 2.
    pub(crate) version: u16,
    /// UUID in text form.
    pub(crate) uuid: String,
    /// Label; LUKS1 has none.
    pub(crate) label: Option<String>,
    /// The key slots that hold a key, by number.
    pub(crate) key_slots: Vec<KeySlot>,
    /// What volume keys are checked against.
    pub(crate) digests: Vec<Digest>,
    /// The encrypted data.
    pub(crate) segment: Segment,
    /// The tokens, by number.
    pub(crate) tokens: Vec<Token>,
    /// The flags of `config`: `allow-discards`, `no-read-workqueue`.
    pub(crate) flags: Vec<String>,
    /// Why the primary header is not used; the second one is.
    pub(crate) damage: Option<Error>,
}

/// A key slot: the volume key, encrypted by a key that is made from a passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySlot {
    pub(crate) number: u32,
    pub(crate) priority: Priority,
    /// Length of the volume key in bytes.
    pub(crate) key_size: usize,
    /// Number of parts into which the volume key is split.
    pub(crate) stripes: usize,
    /// Hash of the anti-forensic split.
    pub(crate) split_hash: String,
    pub(crate) area: Area,
    pub(crate) kdf: Kdf,
}

/// When a key slot is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Only if it is asked for by number.
    Ignored,
    Normal,
    /// Before the others.
    Preferred,
}

/// Where the split volume key of a [`KeySlot`] is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Area {
    /// Offset in bytes from the start of the header.
    pub(crate) offset: u64,
    /// Length of the part that holds the split key, in bytes: whole sectors.
    pub(crate) length: usize,
    /// Cipher in dm-crypt's form: `aes-xts-plain64`.
    pub(crate) cipher: String,
    /// Length of the key of this cipher in bytes.
    pub(crate) key_size: usize,
}

/// How the key of a [`KeySlot`] is made from a passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kdf {
    Pbkdf2 { hash: String, iterations: u32, salt: Vec<u8> },
    Argon2(Argon2),
}

/// Parameters of Argon2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Argon2 {
    /// Whether it is Argon2id rather than Argon2i.
    pub(crate) is_id: bool,
    pub(crate) passes: u32,
    pub(crate) memory_kib: u32,
    pub(crate) lanes: u32,
    pub(crate) salt: Vec<u8>,
}

/// PBKDF2 of a volume key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) number: u32,
    /// The key slots that hold this volume key.
    pub(crate) key_slots: Vec<u32>,
    pub(crate) hash: String,
    pub(crate) iterations: u32,
    pub(crate) salt: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// The encrypted data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Number of the segment.
    pub(crate) number: u32,
    /// Start in bytes.
    pub(crate) offset: u64,
    /// Length in bytes; `None`: to the end of the device.
    pub(crate) size: Option<u64>,
    /// Number that is added to the sector for its IV.
    pub(crate) iv_tweak: u64,
    /// Cipher in dm-crypt's form.
    pub(crate) cipher: String,
    /// Size of the encrypted sectors in bytes.
    pub(crate) sector_size: u32,
}

/// A token: another way to get a passphrase.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) number: u32,
    /// Type: `systemd-tpm2`.
    pub(crate) kind: String,
    /// The key slots that it unlocks.
    pub(crate) key_slots: Vec<u32>,
    /// The whole token.
    pub(crate) json: Value,
}

/// A header that cannot be used: where, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    text: Box<str>,
    /// Whether the header is valid, but needs something that is not supported.
    pub(super) is_unsupported: bool,
}

impl Error {
    /// Returns the error in a part of the header: `LUKS2 header at 16384`, `keyslots/0/kdf/salt`.
    #[cold]
    pub(crate) fn new(place: &str, cause: &str) -> Self {
        Self { text: format!("{place}: {cause}").into(), is_unsupported: false }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl Header {
    /// Reads the header at the start of a device or file.
    ///
    /// # Errors
    /// It is damaged, or needs something that is not supported.
    pub fn read(source: &dyn Source) -> Result<Self, Error> {
        let header = match luks1::read(source) {
            Some(header) => header?,
            None => Self::read_luks2(source)?,
        };
        // It becomes part of names.
        let is_uuid = header.uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        match is_uuid && !header.uuid.is_empty() {
            true => Ok(header),
            false => Err(Error::new("LUKS header", "UUID is invalid")),
        }
    }

    fn read_luks2(source: &dyn Source) -> Result<Self, Error> {
        let BinaryHeader { fields, metadata, damage, .. } = binary_header::read(source)?;
        let metadata = metadata?;
        Ok(Self {
            version: 2,
            uuid: text::label(fields.get(168..208)).unwrap_or_default(),
            label: text::label(fields.get(24..72)),
            key_slots: metadata.key_slots,
            digests: metadata.digests,
            segment: metadata.segment,
            tokens: metadata.tokens,
            flags: metadata.flags,
            damage,
        })
    }

    /// Returns the UUID in text form.
    #[must_use]
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Returns why the primary header is not used, if the second one is.
    #[must_use]
    pub fn damage(&self) -> Option<&Error> {
        self.damage.as_ref()
    }

    /// Returns the numbers of the key slots in the order in which they are tried.
    #[must_use]
    pub fn slot_order(&self) -> Vec<u32> {
        self.slots_to_try(None).iter().map(|slot| slot.number).collect()
    }

    /// Returns whether opening the key slots takes no more than a moment, for tests.
    #[must_use]
    pub fn is_cheap(&self) -> bool {
        let is_cheap = |iterations: u32| iterations < 100;
        self.digests.iter().all(|digest| is_cheap(digest.iterations))
            && self.key_slots.iter().all(|slot| match &slot.kdf {
                Kdf::Pbkdf2 { iterations, .. } => is_cheap(*iterations),
                Kdf::Argon2(argon2) => {
                    is_cheap(argon2.passes) && argon2.memory_kib < 1024 && argon2.lanes < 4
                }
            })
    }

    /// Returns the key slots to try, best first: one by its number, or all that are not ignored.
    pub(crate) fn slots_to_try(&self, number: Option<u32>) -> Vec<&KeySlot> {
        let of = |wanted: Priority| self.key_slots.iter().filter(move |s| s.priority == wanted);
        let mut slots: Vec<_> = match number {
            Some(number) => self.key_slots.iter().filter(|s| s.number == number).collect(),
            None => of(Priority::Preferred).chain(of(Priority::Normal)).collect(),
        };
        slots.retain(|slot| self.digest_of(slot.number).is_some());
        slots
    }

    /// Returns what the volume key in a key slot is checked against.
    pub(crate) fn digest_of(&self, slot: u32) -> Option<&Digest> {
        self.digests.iter().find(|digest| digest.key_slots.contains(&slot))
    }
}

/// Returns the SHA-256 of `bytes`, for tests that make headers.
#[must_use]
pub fn checksum(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    Hash::Sha256.digest(&[bytes], &mut digest);
    digest
}
