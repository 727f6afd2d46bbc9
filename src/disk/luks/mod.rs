//! LUKS1 and LUKS2: the header of an encrypted device, its key slots, and its table for dm-crypt.
//! Reference: the on-disk format documents of cryptsetup.
//!
//! ```text
//! passphrase ─ kdf ─→ key of the slot ─ decrypts ─→ area of the slot ─ anti_forensic ─→ volume key
//!                                                                     digest of the header ─ checks ┘
//! ```
//!
//! LUKS1 is read into the same values as LUKS2: one digest, one segment, at most eight key slots.
//! Ciphers and hashes that this program does not have are the kernel's ([`algorithms`]).

pub(crate) mod probe;

#[cfg(feature = "stacks")]
pub(crate) mod algorithms;
#[cfg(feature = "stacks")]
mod anti_forensic;
#[cfg(feature = "stacks")]
pub(crate) mod base64;
#[cfg(feature = "stacks")]
mod binary_header;
#[cfg(feature = "stacks")]
pub(crate) mod cipher;
#[cfg(feature = "stacks")]
pub(crate) mod hash;
#[cfg(feature = "stacks")]
pub mod header;
#[cfg(feature = "stacks")]
mod json_field;
#[cfg(feature = "stacks")]
pub(crate) mod kdf;
#[cfg(feature = "stacks")]
mod luks1;
#[cfg(feature = "stacks")]
mod metadata;
#[cfg(all(test, feature = "stacks"))]
pub(crate) mod sample;
#[cfg(feature = "stacks")]
mod sectors;
#[cfg(feature = "stacks")]
pub(crate) mod table;
#[cfg(feature = "stacks")]
pub(crate) mod unlock;
