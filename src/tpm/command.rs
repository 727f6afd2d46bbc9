//! Commands, as bytes for the TPM (part 3).
//!
//! ```text
//! 0x8001, u16 │ size of all, u32 │ code, u32 │ handles, u32 each │ parameters
//! 0x8002, u16 │ size of all, u32 │ code, u32 │ handles │ size, u32: authorizations │ parameters
//! authorization: session, u32 │ nonce, TPM2B │ attributes, u8 │ HMAC or password, TPM2B
//! ```

use super::Handle;
use super::bytes::Writer;
use super::hash::{Hash, sha256};
use super::policy::Selection;
use super::public::{AES_128_CFB, Primary};

/// The hierarchy of the machine's owner.
const OWNER: Handle = 0x4000_0001;
/// No entity.
const NULL: Handle = 0x4000_0007;
/// The session that carries a password, here an empty one.
const PASSWORD: Handle = 0x4000_0009;
/// Session type of a policy.
const POLICY: u8 = 1;
/// The capability that lists the banks of PCRs.
const CAPABILITY_PCRS: u32 = 5;

/// A command without its authorizations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// TPM_CC.
    pub(super) code: u32,
    /// Name of the command in error messages.
    pub(crate) name: &'static str,
    handles: Vec<Handle>,
    pub(super) parameters: Vec<u8>,
    /// Whether an entity with an empty password is used.
    has_password: bool,
    /// Whether the answer has a handle.
    pub(crate) returns_handle: bool,
}

impl Command {
    fn new(code: u32, name: &'static str, handles: &[Handle], parameters: Writer) -> Self {
        let (handles, parameters) = (handles.to_vec(), parameters.0);
        Self { code, name, handles, parameters, has_password: false, returns_handle: false }
    }

    fn with_password(self) -> Self {
        Self { has_password: true, ..self }
    }

    fn returning_handle(self) -> Self {
        Self { returns_handle: true, ..self }
    }

    /// Returns the bytes of the command, for the entities that need no other authorization than an
    /// empty password.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let password = Writer::default().u32(PASSWORD).sized(&[]).u8(0).sized(&[]).0;
        self.with_authorization(if self.has_password { &password } else { &[] })
    }

    /// Returns the bytes of the command with this authorization.
    pub(super) fn with_authorization(&self, authorization: &[u8]) -> Vec<u8> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut body = Writer::default().u32(self.code);
        for handle in &self.handles {
            body = body.u32(*handle);
        }
        if !authorization.is_empty() {
            body = body.u32(length(authorization)).bytes(authorization);
        }
        let body = body.bytes(&self.parameters).0;
        let tag = if authorization.is_empty() { 0x8001 } else { 0x8002 };
        Writer::default().u16(tag).u32(length(&body) + 6).bytes(&body).0
    }

    /// Returns the digest of the command for its HMAC, where `name` is that of its one handle.
    pub(super) fn digest(&self, name: &[u8]) -> [u8; 32] {
        sha256(&[&self.code.to_be_bytes(), name, &self.parameters])
    }
}

/// Asks for the public area of a key.
pub(crate) fn read_public(key: Handle) -> Command {
    Command::new(0x173, "TPM2_ReadPublic", &[key], Writer::default())
}

/// Creates a primary key.
pub(crate) fn create_primary(primary: Primary) -> Command {
    let sensitive = Writer::default().sized(&[]).sized(&[]).0;
    let parameters = Writer::default().sized(&sensitive).sized(&primary.template());
    let parameters = parameters.sized(&[]).u32(0);
    let command = Command::new(0x131, "TPM2_CreatePrimary", &[OWNER], parameters);
    command.with_password().returning_handle()
}

/// Loads an object that `parent` has encrypted.
pub(crate) fn load(parent: Handle, private: &[u8], public: &[u8]) -> Command {
    let parameters = Writer::default().sized(private).sized(public);
    Command::new(0x157, "TPM2_Load", &[parent], parameters).with_password().returning_handle()
}

/// Converts an object that was encrypted for `parent` outside of the TPM to one for [`load`].
pub(crate) fn import(parent: Handle, private: &[u8], public: &[u8], seed: &[u8]) -> Command {
    let parameters = Writer::default().sized(&[]).sized(public).sized(private).sized(seed);
    let parameters = parameters.u16(0x0010);
    Command::new(0x156, "TPM2_Import", &[parent], parameters).with_password()
}

/// Loads a public key.
pub(crate) fn load_external(public: &[u8]) -> Command {
    let parameters = Writer::default().sized(&[]).sized(public).u32(OWNER);
    Command::new(0x167, "TPM2_LoadExternal", &[], parameters).returning_handle()
}

/// Starts a policy session with a salt that is encrypted for `key`.
pub(super) fn start_session(key: Handle, nonce: &[u8], encrypted_salt: &[u8]) -> Command {
    let parameters = Writer::default().sized(nonce).sized(encrypted_salt).u8(POLICY);
    let parameters = parameters.bytes(&AES_128_CFB).u16(Hash::Sha256.id());
    Command::new(0x176, "TPM2_StartAuthSession", &[key, NULL], parameters).returning_handle()
}

/// Requires that the PCRs are as they are now.
pub(crate) fn policy_pcr(session: Handle, selection: &Selection) -> Command {
    let parameters = Writer::default().sized(&[]).bytes(&selection.bytes());
    Command::new(0x17f, "TPM2_PolicyPCR", &[session], parameters)
}

/// Requires the PIN of the object.
pub(crate) fn policy_auth_value(session: Handle) -> Command {
    Command::new(0x16b, "TPM2_PolicyAuthValue", &[session], Writer::default())
}

/// Verifies an RSASSA signature of `digest`.
pub(crate) fn verify_signature(key: Handle, digest: &[u8], signature: &[u8]) -> Command {
    let parameters = Writer::default().sized(digest).u16(0x0014).u16(Hash::Sha256.id());
    Command::new(0x177, "TPM2_VerifySignature", &[key], parameters.sized(signature))
}

/// Replaces the policy of the session, which has been signed, by one that names the key.
pub(crate) fn policy_authorize(
    session: Handle,
    approved: &[u8],
    key_name: &[u8],
    ticket: &[u8],
) -> Command {
    let parameters = Writer::default().sized(approved).sized(&[]).sized(key_name).bytes(ticket);
    Command::new(0x16a, "TPM2_PolicyAuthorize", &[session], parameters)
}

/// Asks for the secret in a sealed object.
pub(crate) fn unseal(object: Handle) -> Command {
    Command::new(0x15e, "TPM2_Unseal", &[object], Writer::default())
}

/// Asks for the values of at most eight PCRs.
pub(crate) fn pcr_read(selection: &Selection) -> Command {
    let parameters = Writer::default().bytes(&selection.bytes());
    Command::new(0x17e, "TPM2_PCR_Read", &[], parameters)
}

/// Extends a PCR in several banks.
pub(crate) fn pcr_extend(pcr: Handle, digests: &[(Hash, Vec<u8>)]) -> Command {
    let mut parameters = Writer::default().u32(u32::try_from(digests.len()).unwrap_or(0));
    for (hash, digest) in digests {
        parameters = parameters.u16(hash.id()).bytes(digest);
    }
    Command::new(0x182, "TPM2_PCR_Extend", &[pcr], parameters).with_password()
}

/// Asks for the banks of PCRs.
pub(crate) fn get_banks() -> Command {
    let parameters = Writer::default().u32(CAPABILITY_PCRS).u32(0).u32(1);
    Command::new(0x17a, "TPM2_GetCapability", &[], parameters)
}

/// Removes an object or session from the memory of the TPM.
pub(crate) fn flush_context(handle: Handle) -> Command {
    Command::new(0x165, "TPM2_FlushContext", &[], Writer::default().u32(handle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Bytes by the tables of part 3.
    #[test]
    fn commands_have_the_bytes_of_the_specification() {
        let selection = Selection { bank: Hash::Sha256, pcrs: 1 << 7 };
        for (command, want) in [
            (read_public(0x8100_0001), "80010000000e0000017381000001"),
            (pcr_read(&selection), "8001000000140000017e00000001000b03800000"),
            (flush_context(0x8000_0000), "80010000000e0000016580000000"),
            (get_banks(), "8001000000160000017a000000050000000000000001"),
            (
                pcr_extend(15, &[(Hash::Sha256, vec![0xab; 32])]),
                &("800200000041000001820000000f0000000940000009000000000000000001000b".to_owned()
                    + &"ab".repeat(32)),
            ),
        ] {
            assert_eq!(hex(&command.bytes()), want, "{}", command.name);
        }
    }
}
