//! A LUKS device from its header to its mapped device: the state between the requests of PID 1.

use std::fs::File;

use super::luks::{self, Inspected, UnlockError, VolumeKey};
use super::luks_tpm::{self, Tokens};
use super::message::{Luks, LuksRequest, Reply, Request};
use super::place::open;
use crate::disk::luks::table::Options;
use crate::sys::{Root, tpm};

/// A LUKS device whose header was read.
pub(super) struct LuksSession {
    request: LuksRequest,
    device: Inspected,
    tokens: Tokens,
    key: Option<VolumeKey>,
    /// Keeps a file open whose filesystem is not mounted any more.
    _header: Option<File>,
}

impl LuksSession {
    /// Reads the header of a device.
    ///
    /// # Errors
    /// It cannot be read, or is not usable: the reason.
    pub(super) fn open(dir: &Root, request: LuksRequest) -> Result<(Self, Luks), String> {
        let header = request.header.as_ref().map(|place| open(dir, place)).transpose()?;
        let (file, path) = header.unzip();
        let device = luks::inspect(&request.node, path.as_deref()).map_err(|e| e.to_string())?;
        let tokens = Tokens::of(&device.header, &request);
        let mut modules = device.modules();
        if !tokens.is_empty() {
            modules.extend(tpm::MODULES.map(str::to_owned));
        }
        let found = Luks {
            uuid: device.header.uuid.clone(),
            label: device.header.label.clone().unwrap_or_default(),
            has_token: !tokens.is_empty(),
            needs_pin: tokens.need_pin(),
            damage: device.header.damage().map(ToString::to_string).unwrap_or_default(),
            modules,
        };
        Ok((Self { request, device, tokens, key: None, _header: file.flatten() }, found))
    }

    /// Tries a key.
    ///
    /// # Errors
    /// The key cannot be read, or no key slot can be tried: the reason.
    pub(super) fn try_key(&mut self, dir: &Root, request: Request) -> Result<Reply, String> {
        let slot = self.request.slot;
        let unlocked = match request {
            Request::Passphrase(secret) => match luks::unlock(dir, &self.device, &secret, slot) {
                Err(error) if self.tokens.take_pin() => match self.try_tokens(dir, &secret) {
                    Reply::WrongKey(reasons) if error != UnlockError::WrongKey => {
                        return Ok(Reply::WrongKey(format!("{reasons}; {error}")));
                    }
                    reply => return Ok(reply),
                },
                unlocked => unlocked,
            },
            Request::Token(pin) => return Ok(self.try_tokens(dir, &pin)),
            Request::KeyFile { place, offset, size } => {
                let (_file, path) = open(dir, &place)?;
                let key = luks::read_key(&path, offset, size).map_err(|e| e.to_string())?;
                luks::unlock(dir, &self.device, &key, slot)
            }
            _ => return Err("no such key".to_owned()),
        };
        match unlocked {
            Ok(key) => {
                self.key = Some(key);
                Ok(Reply::Unlocked)
            }
            Err(UnlockError::WrongKey) => Ok(Reply::WrongKey(String::new())),
            Err(error @ UnlockError::WrongKeyOfSome(_)) => Ok(Reply::WrongKey(error.to_string())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Tries what the TPM unseals, with this PIN unless it is empty.
    fn try_tokens(&mut self, dir: &Root, pin: &[u8]) -> Reply {
        let pin = Some(pin).filter(|pin| !pin.is_empty());
        match self.tokens.unlock(dir, &self.device, pin) {
            Ok(key) => {
                self.key = Some(key);
                Reply::Unlocked
            }
            Err(reasons) => Reply::WrongKey(reasons),
        }
    }

    /// Creates the mapped device. Returns it in words.
    ///
    /// # Errors
    /// No key was found, or the kernel refuses the device: the reason.
    pub(super) fn map(&self, dir: &Root) -> Result<String, String> {
        let key = self.key.as_ref().ok_or("locked")?;
        let name = match self.request.name.as_str() {
            "" => format!("luks-{}", self.device.header.uuid),
            name => name.to_owned(),
        };
        let LuksRequest { read_only, flags, measure, .. } = self.request.clone();
        let options = Options { read_only, flags };
        let made = luks::map(dir, &self.device, key, &name, &options).map_err(|e| e.to_string())?;
        let slot = key.slot;
        let mut text = format!("/dev/mapper/{} (key slot {slot})", made.name);
        if let Some(measured) = luks_tpm::measure(dir, &measure, &made.name, &self.device, key) {
            text.push_str(&format!(", {measured}"));
        }
        Ok(text)
    }
}
