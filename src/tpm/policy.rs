//! Policies: digests of what the TPM checks before it unseals a key (part 3, 23), and the search for
//! the PCR that differs.

use super::bytes::Writer;
use super::hash::{Digest, Hash, sha256};

/// TPM_CC_PolicyPCR, TPM_CC_PolicyAuthorize, TPM_CC_PolicyAuthValue.
const POLICY_PCR: [u8; 4] = 0x17f_u32.to_be_bytes();
const POLICY_AUTHORIZE: [u8; 4] = 0x16a_u32.to_be_bytes();
const POLICY_AUTH_VALUE: [u8; 4] = 0x16b_u32.to_be_bytes();

/// Most combinations of values that [`differing`] tries.
const MAX_COMBINATIONS: usize = 1 << 14;

/// PCRs of a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The bank.
    pub(crate) bank: Hash,
    /// Bit N is PCR N.
    pub(crate) pcrs: u32,
}

impl Selection {
    /// Returns a TPML_PCR_SELECTION of one bank.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let [a, b, c, _] = self.pcrs.to_le_bytes();
        Writer::default().u32(1).u16(self.bank.id()).u8(3).bytes(&[a, b, c]).0
    }

    /// Returns the numbers of the PCRs.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        let pcrs = self.pcrs;
        (0..24).filter(move |pcr| pcrs >> pcr & 1 == 1)
    }
}

/// The value of a PCR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pcr {
    pub(crate) number: u32,
    pub(crate) value: Vec<u8>,
}

impl Pcr {
    /// Reports whether nothing has been measured into the PCR: it is 0, or all ones from 17 on.
    pub(crate) fn is_initial(&self) -> bool {
        self.value.iter().all(|byte| *byte == 0)
            || (self.number >= 17 && self.value.iter().all(|byte| *byte == 0xff))
    }
}

/// Returns the policy that requires these values of the PCRs after `policy`.
pub(crate) fn pcr(policy: &Digest, selection: &Selection, values: &[&[u8]]) -> Digest {
    sha256(&[policy, &POLICY_PCR, &selection.bytes(), &sha256(values)])
}

/// Returns the policy that requires another one, signed by the key with this name.
pub(crate) fn authorize(key_name: &[u8]) -> Digest {
    sha256(&[&sha256(&[&Digest::default(), &POLICY_AUTHORIZE, key_name])])
}

/// Returns the policy that requires a PIN after `policy`.
pub(crate) fn auth_value(policy: &Digest) -> Digest {
    sha256(&[policy, &POLICY_AUTH_VALUE])
}

/// What is wrong with the PCRs of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// These PCRs have other values than the policy requires.
    Known(Vec<u32>),
    /// At least one of the PCRs of the policy, but the values that it requires are unknown.
    OneOf(Vec<u32>),
}

/// Returns which of the PCRs differ from what a policy requires. The policy holds only a digest of
/// all values. Hence values that a PCR may have had are put in place of the current ones until
/// `fits` accepts them all; one of them is that nothing had been measured.
pub(crate) fn differing(
    current: &[Pcr],
    remembered: &[Pcr],
    fits: impl Fn(&[&[u8]]) -> bool,
) -> Difference {
    let numbers = |pcrs: &[&Pcr]| pcrs.iter().map(|pcr| pcr.number).collect();
    if let [only] = current {
        return Difference::Known(numbers(&[only]));
    }
    let zero = [0; 64];
    let choices: Vec<Vec<&[u8]>> = current
        .iter()
        .map(|pcr| {
            let mut values = vec![&pcr.value[..]];
            let same = remembered.iter().filter(|other| other.number == pcr.number);
            values.extend(same.map(|other| &other.value[..]));
            values.extend(zero.get(..pcr.value.len()));
            values.retain(|value| value.len() == pcr.value.len());
            values
        })
        .collect();
    let combinations = choices.iter().try_fold(1_usize, |all, c| all.checked_mul(c.len()));
    for mut index in 0..combinations.unwrap_or(usize::MAX).min(MAX_COMBINATIONS) {
        let mut values = Vec::with_capacity(choices.len());
        for choice in &choices {
            values.extend(choice.get(index % choice.len().max(1)).copied());
            index /= choice.len().max(1);
        }
        if fits(&values) {
            let pairs = current.iter().zip(values);
            let other: Vec<&Pcr> =
                pairs.filter(|(pcr, value)| pcr.value != *value).map(|(pcr, _)| pcr).collect();
            return Difference::Known(numbers(&other));
        }
    }
    Difference::OneOf(numbers(&current.iter().collect::<Vec<_>>()))
}
