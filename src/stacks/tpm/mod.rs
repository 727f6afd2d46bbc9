//! Keys of LUKS that the TPM has sealed: unseals them, and measures volume keys.
//!
//! The secret crosses the bus encrypted for this process. A PCR that differs is found before the TPM
//! is asked, so that a wrong policy costs no attempt at the PIN.

mod chip;
pub mod emulated;
mod error;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use serde_json::Value;
use zeroize::Zeroizing;

use self::chip::Chip;
pub(crate) use self::error::TpmError;
use crate::disk::luks::base64;
use crate::sys::{BootTime, Root};
use crate::tpm::answer;
use crate::tpm::hash::{Digest, Hash, sha256};
use crate::tpm::policy::{self, Pcr, Selection};
use crate::tpm::session::Session;
use crate::tpm::token::{Signed, Token};
use crate::tpm::{command, measurement, pcr_list, public};

type Result<T> = std::result::Result<T, TpmError>;

/// Attempts if a PCR is extended between the policy and its use.
const ATTEMPTS: usize = 10;
/// Directories that systemd searches for signatures, in this order; the last is that of systemd-stub.
const SIGNATURE_DIRS: [&str; 5] =
    ["etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd", ".extra"];
/// Values of PCRs that the image remembers, see [`pcr_list`].
const REMEMBERED: &str = "etc/coldplug/pcrs";
/// Event log of systemd.
const LOG: &str = "run/log/systemd/tpm2-measure.log";

/// An unsealed key.
#[derive(Debug)]
pub(crate) struct Unsealed {
    /// Passphrase of the key slots of the token.
    pub(crate) passphrase: Zeroizing<Vec<u8>>,
    /// Values of the PCRs of the policy, to be remembered.
    pub(crate) pcrs: String,
}

/// What [`measure`] has done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Banks whose PCR was extended.
    pub(crate) banks: Vec<&'static str>,
    /// Numbers of the algorithms of banks that could not be extended.
    pub(crate) unknown: Vec<u16>,
}

/// Unseals the key of a token. Without a PIN, a token that needs one returns
/// [`TpmError::PinNeeded`] only if the rest of its policy holds. `signatures` is the path of the file
/// with signed policies, or empty for the usual ones.
///
/// # Errors
/// There is no TPM, the policy does not hold, the PIN is wrong, or a command fails.
pub(crate) fn unseal(
    dir: &Root,
    token: &Token,
    pin: Option<&[u8]>,
    signatures: &str,
) -> Result<Unsealed> {
    Chip::open(dir)?.unseal(dir, token, pin, signatures)
}

/// Extends a PCR by the volume key of a device, in all banks or in those named, as
/// systemd-cryptsetup does.
///
/// # Errors
/// There is no TPM, or it refuses.
pub(crate) fn measure(
    dir: &Root,
    pcr: u32,
    banks: &[Hash],
    (name, uuid): (&str, &str),
    volume_key: &[u8],
) -> Result<Measured> {
    Chip::open(dir)?.measure(dir, pcr, banks, (name, uuid), volume_key)
}

/// Appends a record to the event log. Without it the PCR is what it is, and systemd ignores errors
/// here too.
fn log(dir: &Root, pcr: u32, digests: &[(Hash, Vec<u8>)], text: &str) {
    let boot_id = fs::read_to_string(dir.join("proc/sys/kernel/random/boot_id"));
    let boot_id: String = boot_id.unwrap_or_default().trim().replace('-', "");
    let time_us = BootTime::now().as_micros();
    let record = measurement::record(pcr, digests, text, &boot_id, time_us);
    let path = dir.join(LOG);
    let _ = path.parent().map(fs::create_dir_all);
    let file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let _ = file.and_then(|mut file| file.write_all(record.as_bytes()));
}

/// Checks the policy of the token against the values of its PCRs. Returns the public area of the key
/// of a signed policy.
fn fitting_policy(dir: &Root, token: &Token, pcrs: &[Pcr]) -> Result<Option<Vec<u8>>> {
    let areas = token.signed.iter().flat_map(|signed| signed.key.areas()).map(Some);
    let areas: Vec<Option<Vec<u8>>> = areas.chain(token.signed.is_none().then_some(None)).collect();
    let fitting = |values: &[&[u8]]| {
        areas.iter().find(|area| {
            let name = area.as_ref().map(|area| public::name(area));
            token.policy_for(name.as_deref(), values) == token.policy
        })
    };
    let values: Vec<&[u8]> = pcrs.iter().map(|pcr| &pcr.value[..]).collect();
    if let Some(area) = fitting(&values) {
        return Ok(area.clone());
    }
    let text = fs::read_to_string(dir.join(REMEMBERED)).unwrap_or_default();
    let remembered = pcr_list::parse(&text, token.selection.bank);
    let difference = policy::differing(pcrs, &remembered, |values| fitting(values).is_some());
    Err(TpmError::Policy { bank: token.selection.bank, difference, current: pcrs.to_vec() })
}

impl Chip {
    /// See [`unseal`].
    fn unseal(
        &mut self,
        dir: &Root,
        token: &Token,
        pin: Option<&[u8]>,
        signatures: &str,
    ) -> Result<Unsealed> {
        let signed = match &token.signed {
            Some(signed) => Some(self.signature(dir, signed, signatures)?),
            None => None,
        };
        let pcrs = self.pcrs(&token.selection)?;
        let key_area = fitting_policy(dir, token, &pcrs)?;
        let auth = match (token.has_pin, pin) {
            (true, None) => return Err(TpmError::PinNeeded),
            (true, Some(pin)) => token.auth_value(pin),
            (false, _) => Zeroizing::default(),
        };
        let (parent, key) = self.parent(token)?;
        let object = self.load(token, parent)?;
        for _ in 0..ATTEMPTS {
            let session = self.start_session(parent, &key)?;
            if let (Some(signed), Some(area)) = (&signed, &key_area) {
                self.authorize(&session, signed, area)?;
            }
            if token.selection.pcrs != 0 {
                self.run(&command::policy_pcr(session.handle, &token.selection))?;
            }
            if token.has_pin {
                self.run(&command::policy_auth_value(session.handle))?;
            }
            let name = public::name(&token.sealed.public);
            match self.decrypt(&session, object, &name, &auth) {
                Ok(secret) => {
                    let pcrs = pcr_list::format(token.selection.bank, &pcrs);
                    return Ok(Unsealed { passphrase: base64::encode(&secret), pcrs });
                }
                Err(TpmError::Command(_, failure)) if failure.is("PCR_CHANGED") => {
                    self.flush(session.handle);
                }
                Err(error) => return Err(error),
            }
        }
        Err(TpmError::PcrsChange)
    }

    /// See [`measure`].
    fn measure(
        &mut self,
        dir: &Root,
        pcr: u32,
        banks: &[Hash],
        (name, uuid): (&str, &str),
        volume_key: &[u8],
    ) -> Result<Measured> {
        let (mut hashes, mut unknown) = (banks.to_vec(), Vec::new());
        if banks.is_empty() {
            let command = command::get_banks();
            let (_, parameters) = self.run(&command)?;
            let all = answer::banks(&parameters).map_err(|e| TpmError::of(&command, e.into()))?;
            // A bank without all PCRs is one that firmware does not use.
            for (bank, _) in all.into_iter().filter(|(_, pcrs)| pcrs & 0xff_ffff == 0xff_ffff) {
                match bank {
                    Ok(hash) => hashes.push(hash),
                    Err(id) => unknown.push(id),
                }
            }
        }
        let text = measurement::text(name, uuid);
        let digests = measurement::digests(&hashes, &text, volume_key);
        self.run(&command::pcr_extend(pcr, &digests))?;
        log(dir, pcr, &digests, &text);
        Ok(Measured { banks: hashes.into_iter().map(Hash::name).collect(), unknown })
    }
}

/// A signature for the current values of the PCRs of a signed policy.
#[derive(Debug)]
struct Signature {
    selection: Selection,
    approved: Digest,
    signature: Vec<u8>,
}

impl Chip {
    /// Searches for a signature for the current values of the PCRs, in the file `path` unless that is
    /// empty.
    fn signature(&mut self, dir: &Root, signed: &Signed, path: &str) -> Result<Signature> {
        let selection = signed.selection;
        let pcrs = self.pcrs(&selection)?;
        let values: Vec<&[u8]> = pcrs.iter().map(|pcr| &pcr.value[..]).collect();
        let approved = policy::pcr(&Digest::default(), &selection, &values);
        let usual = SIGNATURE_DIRS.map(|parent| format!("{parent}/tpm2-pcr-signature.json"));
        let own = [path.to_owned()];
        let paths = if path.is_empty() { &usual[..] } else { &own };
        let file = paths.iter().find_map(|path| fs::read(dir.join(path)).ok());
        let file = serde_json::from_slice(&file.unwrap_or_default());
        let file: Value = file.map_err(|_| TpmError::NoSignatures)?;
        match signed.key.signature(&file, &selection, &approved) {
            Some(signature) => Ok(Signature { selection, approved, signature }),
            None => Err(TpmError::NotSigned(selection)),
        }
    }

    /// Adds a signed policy to the session. The key has this public area.
    fn authorize(&mut self, session: &Session, signed: &Signature, area: &[u8]) -> Result<()> {
        let Signature { selection, approved, signature } = signed;
        let (key, _) = self.run(&command::load_external(area))?;
        let verify = command::verify_signature(key, &sha256(&[approved]), signature);
        let (_, ticket) = self.run(&verify)?;
        self.run(&command::policy_pcr(session.handle, selection))?;
        let name = public::name(area);
        self.run(&command::policy_authorize(session.handle, approved, &name, &ticket))?;
        self.flush(key);
        Ok(())
    }
}
