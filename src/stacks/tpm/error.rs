//! Why the TPM does not unseal a key, in words.

use std::fmt;

use crate::sys::{self, tpm};
use crate::tpm::answer::Failure;
use crate::tpm::command::Command;
use crate::tpm::hash::Hash;
use crate::tpm::policy::{Difference, Pcr, Selection};

/// Why the TPM does not unseal a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TpmError {
    /// There is no TPM, or its driver has not bound yet.
    Absent,
    /// The TPM has this version.
    Version(String),
    /// The device of the TPM fails.
    Device(sys::Error),
    /// The command with this name fails.
    Command(&'static str, Failure),
    /// The TPM has no such bank of PCRs.
    NoBank(Hash),
    /// PCRs have other values than the policy requires.
    Policy { bank: Hash, difference: Difference, current: Vec<Pcr> },
    /// No file has signatures of policies.
    NoSignatures,
    /// The values of these PCRs are not signed.
    NotSigned(Selection),
    /// PCRs are extended all the time.
    PcrsChange,
    /// The key was sealed by another TPM, or the TPM has been cleared.
    OtherTpm,
    /// The storage root key cannot encrypt a salt.
    UnusableKey,
    /// The policy holds, and a PIN is needed.
    PinNeeded,
    /// The PIN is wrong.
    WrongPin,
    /// Too many wrong PINs.
    Lockout,
}

impl TpmError {
    /// Returns the error for a command that fails.
    pub(super) fn of(command: &Command, failure: Failure) -> Self {
        if failure.is("LOCKOUT") {
            return Self::Lockout;
        }
        Self::Command(command.name, failure)
    }

    /// Returns the error that the failure to load a sealed object means.
    pub(super) fn while_loading(self) -> Self {
        match self {
            Self::Command(_, failure) if failure.is("INTEGRITY") => Self::OtherTpm,
            other => other,
        }
    }

    /// Returns the error that the failure to unseal means.
    pub(super) fn while_unsealing(self) -> Self {
        match self {
            Self::Command(_, failure) if failure.is("AUTH_FAIL") => Self::WrongPin,
            other => other,
        }
    }
}

impl From<sys::Error> for TpmError {
    fn from(error: sys::Error) -> Self {
        Self::Device(error)
    }
}

impl std::error::Error for TpmError {}

impl fmt::Display for TpmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => write!(f, "no TPM (drivers: {})", tpm::MODULES.join(", ")),
            Self::Version(version) => write!(f, "TPM of version {version}, not 2"),
            Self::Device(error) => error.fmt(f),
            Self::Command(name, failure) => write!(f, "{name}: {failure}"),
            Self::NoBank(bank) => write!(f, "the TPM has no PCRs of bank {}", bank.name()),
            Self::Policy { bank, difference, current } => {
                policy(f, difference)?;
                write!(f, " differs from its value at enrolment (bank {})", bank.name())?;
                current
                    .iter()
                    .filter(|pcr| pcr.is_initial() && is_in(difference, pcr))
                    .try_for_each(|pcr| {
                        write!(f, "; nothing has been measured into PCR {}", pcr.number)
                    })
            }
            Self::NoSignatures => f.write_str("no usable tpm2-pcr-signature.json"),
            Self::NotSigned(selection) => {
                f.write_str("no signature for the value of ")?;
                pcrs(f, &selection.numbers().collect::<Vec<_>>(), " and ")?;
                write!(f, " (bank {})", selection.bank.name())
            }
            Self::PcrsChange => f.write_str("a PCR of the policy changes again and again"),
            Self::OtherTpm => f.write_str("sealed by another TPM, or the TPM has been cleared"),
            Self::UnusableKey => f.write_str("the storage root key of the TPM is unusable"),
            Self::PinNeeded => f.write_str("PIN needed"),
            Self::WrongPin => f.write_str("wrong PIN"),
            Self::Lockout => f.write_str("the TPM is locked after too many wrong PINs"),
        }
    }
}

fn is_in(difference: &Difference, pcr: &Pcr) -> bool {
    let (Difference::Known(numbers) | Difference::OneOf(numbers)) = difference;
    numbers.contains(&pcr.number)
}

fn policy(f: &mut fmt::Formatter<'_>, difference: &Difference) -> fmt::Result {
    match difference {
        Difference::Known(numbers) => pcrs(f, numbers, " and "),
        Difference::OneOf(numbers) => {
            f.write_str("at least one of ")?;
            pcrs(f, numbers, ", ")
        }
    }
}

/// Writes the numbers of PCRs with the names that systemd has for what is measured into them.
fn pcrs(f: &mut fmt::Formatter<'_>, numbers: &[u32], separator: &str) -> fmt::Result {
    for (index, number) in numbers.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write!(f, "PCR {number}")?;
        let name = match number {
            0 => "platform-code",
            1 => "platform-config",
            2 => "external-code",
            3 => "external-config",
            4 => "boot-loader-code",
            5 => "boot-loader-config",
            7 => "secure-boot-policy",
            9 => "kernel-initrd",
            10 => "ima",
            11 => "kernel-boot",
            12 => "kernel-config",
            13 => "sysexts",
            14 => "shim-policy",
            15 => "system-identity",
            _ => continue,
        };
        write!(f, " ({name})")?;
    }
    Ok(())
}
