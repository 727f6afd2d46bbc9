//! What the TPM has to do with a LUKS device: its tokens are tried one after the other, and the volume
//! key is measured.

use std::fs;
use std::time::Duration;

use super::luks::{self, Inspected, UnlockError, VolumeKey};
use super::message::LuksRequest;
use super::tpm;
use crate::disk::luks::header::Header;
use crate::sys::tpm::{TIMEOUT, is_announced, is_present};
use crate::sys::{BootTime, Root};
use crate::tpm::hash::Hash;
use crate::tpm::token::{Token, TokenError};

/// Interval of the looks for it.
const INTERVAL: Duration = Duration::from_millis(20);
/// Where the values of PCRs are left for the next image.
const PCRS: &str = "run/coldplug/pcrs";

/// The tokens of a LUKS device that a TPM can use.
pub(super) struct Tokens {
    entries: Vec<Entry>,
    /// Path of the signatures of PCR policies; empty for the usual ones.
    signature: String,
    driver_timeout: Duration,
}

struct Entry {
    number: u32,
    key_slots: Vec<u32>,
    token: Result<Token, TokenError>,
}

impl Entry {
    fn has_pin(&self) -> bool {
        self.token.as_ref().is_ok_and(|token| token.has_pin)
    }
}

impl Tokens {
    /// Returns the tokens of a header, only those of one key slot if the request names one.
    pub(super) fn of(header: &Header, request: &LuksRequest) -> Self {
        let slot = request.slot;
        let of_tpm = header.tokens.iter().filter(|token| Token::is_one(&token.json));
        let entries = of_tpm.map(|token| {
            let slots = token.key_slots.iter().copied();
            let key_slots = slots.filter(|own| slot.is_none_or(|slot| *own == slot)).collect();
            Entry { number: token.number, key_slots, token: Token::parse(&token.json) }
        });
        Self {
            entries: entries.filter(|entry| !entry.key_slots.is_empty()).collect(),
            signature: request.signature.clone(),
            driver_timeout: Duration::from_secs(request.token_timeout),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns whether there are tokens, and all of them need a PIN.
    pub(super) fn need_pin(&self) -> bool {
        !self.is_empty() && self.entries.iter().all(Entry::has_pin)
    }

    /// Returns whether a token needs a PIN.
    pub(super) fn take_pin(&self) -> bool {
        self.entries.iter().any(Entry::has_pin)
    }

    /// Unlocks a device by the tokens that need a PIN, or by those that need none.
    ///
    /// # Errors
    /// No token does: the reasons.
    pub(super) fn unlock(
        &self,
        dir: &Root,
        device: &Inspected,
        pin: Option<&[u8]>,
    ) -> Result<VolumeKey, String> {
        let mut reasons = Vec::new();
        self.wait_for_driver(dir);
        let start = BootTime::now();
        for entry in self.entries.iter().filter(|entry| entry.has_pin() == pin.is_some()) {
            match entry.unlock(dir, device, pin, &self.signature) {
                Ok(key) => return Ok(key),
                Err(reason) => reasons.push(format!("TPM2 token {}: {reason}", entry.number)),
            }
            if start.elapsed() >= TIMEOUT {
                break;
            }
        }
        Err(reasons.join("; "))
    }

    /// Waits until the driver of a TPM that the firmware announces has bound.
    fn wait_for_driver(&self, dir: &Root) {
        let start = BootTime::now();
        while is_announced(dir) && !is_present(dir) && start.elapsed() < self.driver_timeout {
            std::thread::sleep(INTERVAL);
        }
    }
}

impl Entry {
    fn unlock(
        &self,
        dir: &Root,
        device: &Inspected,
        pin: Option<&[u8]>,
        signature: &str,
    ) -> Result<VolumeKey, String> {
        let token = self.token.as_ref().map_err(ToString::to_string)?;
        let unsealed = tpm::unseal(dir, token, pin, signature);
        let unsealed = unsealed.map_err(|error| error.to_string())?;
        let mut failure = UnlockError::WrongKey;
        for slot in &self.key_slots {
            match luks::unlock(dir, device, &unsealed.passphrase, Some(*slot)) {
                Ok(key) => {
                    remember(dir, &unsealed.pcrs);
                    return Ok(key);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure.to_string())
    }
}

/// Leaves the values of PCRs in /run. An image that holds them as /etc/coldplug/pcrs can say which PCR
/// differs; without them it can only list the PCRs.
fn remember(dir: &Root, pcrs: &str) {
    let path = dir.join(PCRS);
    let earlier = fs::read_to_string(&path).unwrap_or_default();
    let _ = path.parent().map(fs::create_dir_all);
    let _ = fs::write(&path, earlier + pcrs);
}

/// Measures the volume key of a device if `wanted` says so: `15`, or `15:sha1:sha256` with banks.
/// Returns the outcome in words.
pub(super) fn measure(
    dir: &Root,
    wanted: &str,
    name: &str,
    device: &Inspected,
    key: &VolumeKey,
) -> Option<String> {
    let mut words = wanted.split(':');
    let pcr = words.next()?.parse().ok()?;
    let Some(banks) = words.map(Hash::from_name).collect::<Option<Vec<Hash>>>() else {
        return Some(format!("volume key not measured: no such bank in {wanted}"));
    };
    let text = match tpm::measure(dir, pcr, &banks, (name, &device.header.uuid), &key.bytes) {
        Err(error) => format!("volume key not measured: {error}"),
        Ok(measured) => {
            let mut text = format!("measured into PCR {pcr} ({})", measured.banks.join(", "));
            for id in measured.unknown {
                text.push_str(&format!("; bank {id:#x} not extended"));
            }
            text
        }
    };
    Some(text)
}
