//! The TPM behind the socket of an emulator, for tests.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::chip::Chip;
use crate::sys::Root;
use crate::sys::tpm::Tpm;
use crate::tpm::token::Token;

/// An emulator of a TPM, and the directory that stands for the root of the filesystem.
#[derive(Debug)]
pub struct Emulated {
    socket: PathBuf,
    dir: Root,
}

impl Emulated {
    /// Returns the emulator that listens on `socket`.
    #[must_use]
    pub fn new(socket: PathBuf, dir: &Path) -> Self {
        Self { socket, dir: Root::at(dir) }
    }

    /// Returns the passphrase that a token holds, and the values of the PCRs of its policy.
    ///
    /// # Errors
    /// The text for a person: the policy does not hold, or the PIN is wrong.
    pub fn unseal(&self, token: &Value, pin: Option<&[u8]>) -> Result<(Vec<u8>, String), String> {
        let token = Token::parse(token).map_err(|error| error.to_string())?;
        let unsealed = self.chip()?.unseal(&self.dir, &token, pin, "");
        let unsealed = unsealed.map_err(|error| error.to_string())?;
        Ok((unsealed.passphrase.to_vec(), unsealed.pcrs))
    }

    /// Extends a PCR by a volume key, in all banks. Returns the names of the banks.
    ///
    /// # Errors
    /// The TPM refuses.
    pub fn measure(
        &self,
        pcr: u32,
        device: (&str, &str),
        volume_key: &[u8],
    ) -> Result<Vec<&'static str>, String> {
        let measured = self.chip()?.measure(&self.dir, pcr, &[], device, volume_key);
        measured.map(|measured| measured.banks).map_err(|error| error.to_string())
    }

    fn chip(&self) -> Result<Chip, String> {
        let tpm = Tpm::connect(&self.socket).map_err(|error| error.to_string())?;
        Ok(Chip::on(tpm))
    }
}
