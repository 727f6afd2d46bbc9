//! Commands and answers of a TPM 2.0, as far as a sealed key needs them.
//!
//! Reference: TCG, Trusted Platform Module Library, parts 1 (sessions), 2 (structures) and 3 (commands);
//! for tokens, signatures and measurements systemd's tpm2-util.c. All numbers are big-endian.
//!
//! An answer comes from outside, over wires that anybody with a screwdriver can reach: parsers accept
//! any bytes, and what is secret goes through a session whose key only the right TPM can compute.

pub mod answer;
mod bytes;
pub(crate) mod code;
pub(crate) mod command;
pub(crate) mod hash;
pub(crate) mod measurement;
pub(crate) mod pcr_list;
pub(crate) mod policy;
pub mod public;
mod rsa;
mod salt;
pub(crate) mod session;
pub mod signed;
#[cfg(test)]
mod tests;
pub mod token;

pub use bytes::Malformed;

/// A handle of the TPM: an object, a session, a hierarchy or a PCR.
pub type Handle = u32;
