//! Values of PCRs as text, which the image remembers to say later which PCR differs.
//!
//! ```text
//! BANK NUMBER VALUE     sha256 7 b5710bf5…, one PCR a line
//! ```

use super::hash::Hash;
use super::policy::Pcr;
use super::token::hex;

/// Returns the lines for PCRs of a bank.
pub(crate) fn format(bank: Hash, pcrs: &[Pcr]) -> String {
    let line = |pcr: &Pcr| {
        let value: String = pcr.value.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {} {value}\n", bank.name(), pcr.number)
    };
    pcrs.iter().map(line).collect()
}

/// Returns the PCRs of a bank in `text`. Malformed lines are ignored: the values only help to find a
/// difference.
pub(crate) fn parse(text: &str, bank: Hash) -> Vec<Pcr> {
    let pcr = |line: &str| {
        let mut words = line.split_whitespace();
        let number = (words.next()? == bank.name()).then(|| words.next()?.parse().ok())??;
        let value = hex(words.next()?).filter(|value| value.len() == bank.size())?;
        Some(Pcr { number, value })
    };
    text.lines().filter_map(pcr).collect()
}
