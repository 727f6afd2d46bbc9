//! The key of a key slot, from a passphrase.

use argon2::{Algorithm, Block, Params, Version};

use super::algorithms::{AnyHash, CryptoError, KernelCrypto, Result};
use super::header::{Argon2, Kdf};

impl Kdf {
    /// Returns the number of blocks of memory that [`Self::derive`] needs.
    pub(crate) fn blocks(&self) -> usize {
        match self {
            Self::Argon2(argon2) => argon2.params().map_or(0, |params| params.block_count()),
            Self::Pbkdf2 { .. } => 0,
        }
    }

    /// Fills `key` with the key that `secret` makes. `memory` has [`Self::blocks`] blocks, which
    /// hold secrets afterwards.
    ///
    /// # Errors
    /// The hash is missing.
    pub(super) fn derive(
        &self,
        secret: &[u8],
        memory: &mut [Block],
        kernel: &dyn KernelCrypto,
        key: &mut [u8],
    ) -> Result<()> {
        match self {
            Self::Pbkdf2 { hash, iterations, salt } => {
                AnyHash::open(hash, kernel)?.pbkdf2(secret, salt, *iterations, key)
            }
            Self::Argon2(argon2) => argon2
                .params()
                .and_then(|params| argon2.derive(params, secret, memory, key))
                .map_err(|e| CryptoError::Failed(format!("Argon2: {e}"))),
        }
    }
}

impl Argon2 {
    fn params(&self) -> argon2::Result<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, None)
    }

    fn derive(
        &self,
        params: Params,
        secret: &[u8],
        memory: &mut [Block],
        key: &mut [u8],
    ) -> argon2::Result<()> {
        let algorithm = if self.is_id { Algorithm::Argon2id } else { Algorithm::Argon2i };
        argon2::Argon2::new(algorithm, Version::V0x13, params)
            .hash_password_into_with_memory(secret, &self.salt, key, memory)
    }
}
