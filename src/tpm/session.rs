//! A policy session with a salt: it authorizes one command, shows by HMAC that both sides know the
//! salt, and hides the first parameter of the answer (part 1, 19 and 21).
//!
//! ```text
//! session key   KDFa(salt, "ATH", nonce of the TPM, own nonce)
//! HMAC key      session key │ PIN
//! of a command  HMAC(digest of the command │ own nonce │ nonce of the TPM │ attributes)
//! of an answer  HMAC(digest of the answer │ nonce of the TPM │ own nonce │ attributes)
//! cipher        AES-128-CFB; key │ IV = KDFa(HMAC key, "CFB", nonce of the TPM, own nonce)
//! ```

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

use super::Handle;
use super::answer::{self, Answer, Failure};
use super::bytes::{Reader, Writer};
use super::command::{self, Command};
use super::hash::{Digest, hmac_sha256, kdf_a, sha256};
use super::public::Key;
use super::salt::{Salt, salt};

/// The session continues (1), and the TPM encrypts the first parameter of the answer (0x40).
const ATTRIBUTES: u8 = 0x41;

/// Random bytes for a session: two nonces, and two for the salt.
pub(crate) type Random = [Digest; 4];

/// A session that the TPM has not started yet.
#[derive(Debug)]
pub(crate) struct Opening {
    salt: Salt,
    nonces: [Digest; 2],
}

impl Opening {
    /// Prepares a session with the TPM that has the private part of `key`. Returns `None` if the key
    /// is unusable.
    pub(crate) fn new(key: &Key, random: &Random) -> Option<Self> {
        let [first, second, for_salt @ ..] = random;
        Some(Self { salt: salt(key, for_salt)?, nonces: [*first, *second] })
    }

    /// Returns the command that starts the session; the key has this handle.
    pub(crate) fn command(&self, key: Handle) -> Command {
        command::start_session(key, &self.nonces[0], &self.salt.encrypted)
    }

    /// Returns the session with this handle, from the parameters of the answer.
    ///
    /// # Errors
    /// The answer is malformed.
    pub(crate) fn started(self, handle: Handle, parameters: &[u8]) -> Result<Session, Failure> {
        let nonce_of_tpm = answer::first(parameters)?.to_vec();
        let [first, nonce] = self.nonces;
        let key = kdf_a(&*self.salt.secret, "ATH", &nonce_of_tpm, &first);
        Ok(Session { handle, key, nonce, nonce_of_tpm })
    }
}

/// A session that the TPM has started.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) handle: Handle,
    key: Zeroizing<Digest>,
    nonce: Digest,
    nonce_of_tpm: Vec<u8>,
}

impl Session {
    /// Returns the key of HMACs for an object with this PIN.
    fn hmac_key(&self, pin: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&self.key[..], pin].concat())
    }

    /// Returns the bytes of a command that this session authorizes, for the object with this name and
    /// PIN.
    pub(crate) fn authorize(&self, command: &Command, name: &[u8], pin: &[u8]) -> Vec<u8> {
        let digest = command.digest(name);
        let parts = [&digest[..], &self.nonce, &self.nonce_of_tpm, &[ATTRIBUTES]];
        let hmac = hmac_sha256(&self.hmac_key(pin), &parts);
        let writer = Writer::default().u32(self.handle).sized(&self.nonce);
        command.with_authorization(&writer.u8(ATTRIBUTES).sized(&*hmac).0)
    }

    /// Checks the answer to [`Self::authorize`], and returns its first parameter decrypted.
    ///
    /// # Errors
    /// The answer is malformed, or it does not come from the TPM.
    pub(crate) fn decrypt(
        &self,
        command: &Command,
        answer: &Answer<'_>,
        pin: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let authorization = answer.authorization.as_ref().ok_or(Failure::BadHmac)?;
        let hmac_key = self.hmac_key(pin);
        let digest = sha256(&[&[0; 4], &command.code.to_be_bytes(), answer.parameters]);
        let parts = [&digest[..], authorization.nonce, &self.nonce, &[authorization.attributes]];
        if !is_equal(&*hmac_sha256(&hmac_key, &parts), authorization.hmac) {
            return Err(Failure::BadHmac);
        }
        let mut reader = Reader::new("secret", answer.parameters);
        let encrypted = reader.sized()?;
        let key = kdf_a(&hmac_key, "CFB", authorization.nonce, &self.nonce);
        Ok(reader.end(decrypt_cfb(&key, encrypted))?)
    }
}

/// Compares without a hint at the place of a difference.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// Decrypts by AES-128-CFB; `key` is the key and the initialization vector.
fn decrypt_cfb(key: &Digest, encrypted: &[u8]) -> Zeroizing<Vec<u8>> {
    let ([key, vector], _) = key.as_chunks::<16>() else { return Zeroizing::default() };
    let cipher = Aes128::new(key.into());
    let mut plain = Zeroizing::new(encrypted.to_vec());
    let mut vector = Zeroizing::new(*vector);
    for (plain, encrypted) in plain.chunks_mut(16).zip(encrypted.chunks(16)) {
        cipher.encrypt_block((&mut *vector).into());
        plain.iter_mut().zip(&*vector).for_each(|(byte, key)| *byte ^= key);
        vector.iter_mut().zip(encrypted).for_each(|(to, from)| *to = *from);
    }
    plain
}
