//! The TPM as the flows of this module use it: commands with their answers.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{Result, TpmError};
use crate::sys::Root;
use crate::sys::tpm::{self, Tpm};
use crate::tpm::Handle;
use crate::tpm::answer::{self, Answer, Failure};
use crate::tpm::command::{self, Command};
use crate::tpm::policy::{Pcr, Selection};
use crate::tpm::public::{self, Key};
use crate::tpm::session::{Opening, Random, Session};
use crate::tpm::token::Token;

/// Repetitions of a command that the TPM could not execute yet, and the time before each.
const REPETITIONS: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// An open TPM, and what has to be removed from its memory.
#[derive(Debug)]
pub(super) struct Chip {
    tpm: Tpm,
    handles: Vec<Handle>,
}

impl Drop for Chip {
    fn drop(&mut self) {
        for handle in std::mem::take(&mut self.handles) {
            self.flush(handle);
        }
    }
}

impl Chip {
    pub(super) fn open(dir: &Root) -> Result<Self> {
        if !tpm::is_present(dir) {
            return Err(TpmError::Absent);
        }
        if let Some(version) = tpm::version(dir).filter(|version| version != "2") {
            return Err(TpmError::Version(version));
        }
        Ok(Self { tpm: Tpm::open(dir)?, handles: Vec::new() })
    }

    /// Returns the TPM behind an open device.
    pub(super) fn on(tpm: Tpm) -> Self {
        Self { tpm, handles: Vec::new() }
    }

    /// Sends the bytes of a command until the TPM has executed it.
    fn send(&mut self, command: &Command, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let mut repetitions = 0..REPETITIONS;
        loop {
            let answer = self.tpm.transmit(bytes).inspect_err(|_| {
                // A TPM that does not answer cannot remove anything either.
                self.handles.clear();
            })?;
            match Answer::parse(&answer, command.returns_handle) {
                Ok(_) => return Ok(answer),
                Err(Failure::Code(code))
                    if code.asks_for_repetition() && repetitions.next().is_some() =>
                {
                    std::thread::sleep(PAUSE);
                }
                Err(failure) => return Err(TpmError::of(command, failure)),
            }
        }
    }

    /// Executes a command. Returns the handle and the parameters of the answer.
    pub(super) fn run(&mut self, command: &Command) -> Result<(Handle, Vec<u8>)> {
        let bytes = self.send(command, &command.bytes())?;
        let answer = Answer::parse(&bytes, command.returns_handle);
        let answer = answer.map_err(|failure| TpmError::of(command, failure))?;
        if command.returns_handle {
            self.handles.push(answer.handle);
        }
        Ok((answer.handle, answer.parameters.to_vec()))
    }

    /// Executes a command. Returns the handle and the first parameter of the answer.
    fn run_for_first(&mut self, command: &Command) -> Result<(Handle, Vec<u8>)> {
        let (handle, parameters) = self.run(command)?;
        let first = answer::first(&parameters).map_err(|e| TpmError::of(command, e.into()))?;
        Ok((handle, first.to_vec()))
    }

    /// Removes an object or session. It stays if the TPM refuses, and the kernel's resource manager
    /// removes it when the device is closed.
    pub(super) fn flush(&mut self, handle: Handle) {
        self.handles.retain(|other| *other != handle);
        let _ = self.tpm.transmit(&command::flush_context(handle).bytes());
    }

    /// Returns the values of PCRs in ascending order. One answer holds eight at most.
    pub(super) fn pcrs(&mut self, selection: &Selection) -> Result<Vec<Pcr>> {
        let (mut pcrs, mut left) = (Vec::new(), *selection);
        while left.pcrs != 0 {
            let command = command::pcr_read(&left);
            let (_, parameters) = self.run(&command)?;
            let values = answer::pcr_values(&parameters);
            let values = values.map_err(|e| TpmError::of(&command, e.into()))?;
            let before = left.pcrs;
            for (number, value) in values {
                left.pcrs &= !(1 << number);
                pcrs.push(Pcr { number, value: value.to_vec() });
            }
            if left.pcrs == before {
                return Err(TpmError::NoBank(selection.bank));
            }
        }
        pcrs.sort_by_key(|pcr| pcr.number);
        Ok(pcrs)
    }

    /// Returns the handle and the public part of the key that has encrypted the sealed object.
    pub(super) fn parent(&mut self, token: &Token) -> Result<(Handle, Key)> {
        let Some(root_key) = &token.root_key else {
            let command = command::create_primary(token.primary);
            let (handle, area) = self.run_for_first(&command)?;
            let key = public::parse(&area).map_err(|e| TpmError::of(&command, e.into()))?;
            return Ok((handle, key));
        };
        match self.run_for_first(&command::read_public(root_key.handle)) {
            Ok((_, area)) if area == root_key.public => Ok((root_key.handle, root_key.key.clone())),
            Ok(_) => Err(TpmError::OtherTpm),
            Err(TpmError::Command(_, failure)) if failure.is("HANDLE") => Err(TpmError::OtherTpm),
            Err(error) => Err(error),
        }
    }

    /// Loads the sealed object of the token.
    pub(super) fn load(&mut self, token: &Token, parent: Handle) -> Result<Handle> {
        let sealed = &token.sealed;
        let imported = match &sealed.seed {
            Some(seed) => {
                let command = command::import(parent, &sealed.private, &sealed.public, seed);
                Some(self.run_for_first(&command).map_err(TpmError::while_loading)?.1)
            }
            None => None,
        };
        let private = imported.as_ref().unwrap_or(&sealed.private);
        let loaded = self.run(&command::load(parent, private, &sealed.public));
        loaded.map(|(handle, _)| handle).map_err(TpmError::while_loading)
    }

    pub(super) fn start_session(&mut self, parent: Handle, key: &Key) -> Result<Session> {
        let mut random = Zeroizing::new(Random::default());
        tpm::fill_random(random.as_flattened_mut())?;
        let opening = Opening::new(key, &random).ok_or(TpmError::UnusableKey)?;
        let command = opening.command(parent);
        let (handle, parameters) = self.run(&command)?;
        opening.started(handle, &parameters).map_err(|failure| TpmError::of(&command, failure))
    }

    /// Returns the secret in a sealed object.
    pub(super) fn decrypt(
        &mut self,
        session: &Session,
        object: Handle,
        name: &[u8],
        auth: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        let command = command::unseal(object);
        let bytes = self.send(&command, &session.authorize(&command, name, auth));
        let bytes = bytes.map_err(TpmError::while_unsealing)?;
        let answer = Answer::parse(&bytes, false);
        answer
            .and_then(|answer| session.decrypt(&command, &answer, auth))
            .map_err(|failure| TpmError::of(&command, failure))
    }
}
