//! Answers of the TPM (part 3).
//!
//! ```text
//! 0x8001, u16 │ size of all, u32 │ response code, u32 │ [handle, u32] │ parameters
//! 0x8002, u16 │ size of all, u32 │ response code, u32 │ [handle, u32] │ size, u32: parameters
//!             │ nonce, TPM2B │ attributes, u8 │ HMAC, TPM2B
//! ```
//!
//! An answer with a response code other than 0 has nothing after it.

use std::fmt;

use super::Handle;
use super::bytes::{Malformed, Parsed, Reader};
use super::code::ResponseCode;
use super::hash::Hash;

/// Length of the part that every answer has.
pub(crate) const HEADER: usize = 10;
/// Most entries that a list of the TPM may have here.
const MAX_ENTRIES: u32 = 16;

/// A bank of PCRs: its algorithm, or the number of an unknown one, and its PCRs as bits.
pub(crate) type Bank = (Result<Hash, u16>, u32);

/// Why an answer has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The TPM reports an error.
    Code(ResponseCode),
    /// The answer is not as specified.
    Malformed(Malformed),
    /// The HMAC is wrong: the answer does not come from the TPM with which the session was started.
    BadHmac,
}

impl Failure {
    /// Reports whether the TPM returned the response code with this name, without TPM_RC_.
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Code(code) if code.is(name))
    }
}

impl From<Malformed> for Failure {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => code.fmt(f),
            Self::Malformed(error) => error.fmt(f),
            Self::BadHmac => f.write_str("the HMAC of the answer is wrong"),
        }
    }
}

impl std::error::Error for Failure {}

/// An answer without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The new object or session.
    pub handle: Handle,
    /// The parameters.
    pub parameters: &'a [u8],
    /// What a session adds.
    pub authorization: Option<Authorization<'a>>,
}

/// What a session adds to an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// Nonce of the TPM.
    pub nonce: &'a [u8],
    /// Attributes of the session.
    pub attributes: u8,
    /// HMAC of the answer.
    pub hmac: &'a [u8],
}

/// Returns the size of the answer that begins with `header`, or `None` if it has no header yet.
pub(crate) fn size(header: &[u8]) -> Option<usize> {
    let bytes: [u8; 4] = header.get(2..HEADER)?.first_chunk().copied()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

impl<'a> Answer<'a> {
    /// Parses an answer to a command that creates an object or session if `has_handle`.
    ///
    /// # Errors
    /// The TPM reports an error, or the answer is malformed.
    pub fn parse(bytes: &'a [u8], has_handle: bool) -> Result<Self, Failure> {
        let mut reader = Reader::new("answer of the TPM", bytes);
        let tag = reader.u16()?;
        let size = reader.u32()?;
        let code = reader.u32()?;
        if code != 0 {
            return Err(Failure::Code(ResponseCode(code)));
        }
        if usize::try_from(size) != Ok(bytes.len()) {
            return Err(Malformed { what: "size of an answer of the TPM", at: 2 }.into());
        }
        let handle = if has_handle { reader.u32()? } else { 0 };
        match tag {
            0x8001 => Ok(Self { handle, parameters: reader.rest(), authorization: None }),
            0x8002 => {
                let size = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
                let parameters = reader.take(size)?;
                let nonce = reader.sized()?;
                let attributes = reader.u8()?;
                let authorization = Authorization { nonce, attributes, hmac: reader.sized()? };
                let answer = Self { handle, parameters, authorization: Some(authorization) };
                Ok(reader.end(answer)?)
            }
            _ => Err(Malformed { what: "tag of an answer of the TPM", at: 0 }.into()),
        }
    }
}

/// Returns the first parameter, a TPM2B: the public area of TPM2_ReadPublic and
/// TPM2_CreatePrimary, the nonce of TPM2_StartAuthSession, the name of TPM2_Load, the private
/// area of TPM2_Import.
///
/// # Errors
/// It is truncated.
pub fn first(parameters: &[u8]) -> Result<&[u8], Malformed> {
    Reader::new("parameters of an answer", parameters).sized()
}

/// Returns numbers and values of the PCRs of TPM2_PCR_Read in ascending order.
///
/// # Errors
/// The answer is malformed.
pub fn pcr_values(parameters: &[u8]) -> Result<Vec<(u32, &[u8])>, Malformed> {
    let mut reader = Reader::new("PCR values", parameters);
    reader.u32()?; // counter of updates
    let pcrs = selections(&mut reader)?.iter().fold(0, |all, (_, pcrs)| all | pcrs);
    let count = count(&mut reader)?;
    if count != pcrs.count_ones() {
        return Err(reader.malformed());
    }
    let mut values = Vec::new();
    for pcr in (0..32).filter(|pcr| pcrs >> pcr & 1 == 1) {
        values.push((pcr, reader.sized()?));
    }
    reader.end(values)
}

/// Returns the banks of TPM2_GetCapability that have a PCR, in its order.
///
/// # Errors
/// The answer is malformed.
pub(crate) fn banks(parameters: &[u8]) -> Result<Vec<Bank>, Malformed> {
    let mut reader = Reader::new("banks of PCRs", parameters);
    reader.u8()?; // whether there is more
    reader.u32()?; // the capability
    let all = selections(&mut reader)?;
    let active = all.into_iter().filter(|(_, pcrs)| *pcrs != 0);
    let named = active.map(|(id, pcrs)| (Hash::from_id(id).ok_or(id), pcrs));
    reader.end(named.collect())
}

fn count(reader: &mut Reader<'_>) -> Parsed<u32> {
    let error = reader.malformed();
    Ok(reader.u32()?).and_then(|n| if n <= MAX_ENTRIES { Ok(n) } else { Err(error) })
}

/// Returns the entries of a TPML_PCR_SELECTION: algorithm, PCRs as bits.
fn selections(reader: &mut Reader<'_>) -> Parsed<Vec<(u16, u32)>> {
    let mut all = Vec::new();
    for _ in 0..count(reader)? {
        let algorithm = reader.u16()?;
        let size = usize::from(reader.u8()?);
        let bits = reader.take(size)?;
        if size > 4 {
            return Err(reader.malformed());
        }
        all.push((algorithm, bits.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte))));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::bytes::Writer;
    use super::*;

    fn answer(tag: u16, body: Writer) -> Vec<u8> {
        let size = u32::try_from(body.0.len() + HEADER).unwrap();
        Writer::default().u16(tag).u32(size).u32(0).bytes(&body.0).0
    }

    #[test]
    fn values_of_pcrs_have_their_numbers() {
        let body = Writer::default().u32(9).u32(1).u16(0xb).u8(3).bytes(&[0x81, 0, 0]);
        let bytes = answer(0x8001, body.clone().u32(2).sized(b"zero").sized(b"seven"));
        let values = pcr_values(Answer::parse(&bytes, false).unwrap().parameters).unwrap();
        assert_eq!(values, [(0, &b"zero"[..]), (7, b"seven")]);
        let bytes = answer(0x8001, body.u32(1).sized(b"zero"));
        let error = pcr_values(Answer::parse(&bytes, false).unwrap().parameters).unwrap_err();
        assert_eq!(error.to_string(), "malformed PCR values at byte 18");
    }

    #[test]
    fn banks_without_a_pcr_are_left_out() {
        let body = Writer::default().u8(0).u32(5).u32(3);
        let body = body.u16(4).u8(3).bytes(&[0, 0, 0]).u16(0xb).u8(3).bytes(&[255, 255, 255]);
        let bytes = answer(0x8001, body.u16(0x12).u8(3).bytes(&[1, 0, 0]));
        let banks = banks(Answer::parse(&bytes, false).unwrap().parameters);
        assert_eq!(banks, Ok(vec![(Ok(Hash::Sha256), 0xff_ffff), (Err(0x12), 1)]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let text = |bytes: &[u8]| Answer::parse(bytes, true).unwrap_err().to_string();
        assert_eq!(text(&[0x80]), "malformed answer of the TPM at byte 0");
        let error = Writer::default().u16(0x8001).u32(10).u32(0x99d).0;
        assert_eq!(text(&error), "TPM_RC_POLICY_FAIL (0x99d)");
        let short = answer(0x8001, Writer::default().u16(3));
        assert_eq!(text(&short), "malformed answer of the TPM at byte 10");
        let mut long = answer(0x8001, Writer::default().u32(3));
        long.push(0);
        assert_eq!(text(&long), "malformed size of an answer of the TPM at byte 2");
        let tag = answer(0xc4, Writer::default().u32(3));
        assert_eq!(text(&tag), "malformed tag of an answer of the TPM at byte 0");
        let body = Writer::default().u32(3).u32(u32::MAX).u16(0);
        assert_eq!(text(&answer(0x8002, body)), "malformed answer of the TPM at byte 18");
    }
}
