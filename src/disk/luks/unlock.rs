//! The volume key, from the area of a key slot and a passphrase.

use argon2::Block;
use zeroize::Zeroizing;

use super::algorithms::{AnyHash, KernelCrypto, NoKernel, Result};
use super::anti_forensic;
use super::binary_header::read_exact;
use super::cipher::Cipher;
use super::header::{Digest, Header, KeySlot, MAX_KEY};
use super::sectors;
use crate::disk::Source;

impl Header {
    /// Returns the volume key that `secret` unlocks with the algorithms of this program, or `None`.
    ///
    /// For tests: to open a device, coldplug uses memory that is locked and zeroed, reads the key
    /// slot itself, and has the algorithms of the kernel too.
    #[must_use]
    pub fn volume_key(
        &self,
        source: &dyn Source,
        secret: &[u8],
        slot: Option<u32>,
    ) -> Option<Vec<u8>> {
        self.slots_to_try(slot).into_iter().find_map(|slot| {
            let mut area = vec![0; slot.area.length];
            read_exact(source, slot.area.offset, &mut area).ok()?;
            let mut memory = vec![Block::new(); slot.kdf.blocks()];
            let mut key = vec![0; slot.key_size];
            slot.open(secret, &mut area, &mut memory, &NoKernel, &mut key).ok()?;
            let digest = self.digest_of(slot.number)?;
            digest.is_of(&key, &NoKernel).ok()?.then_some(key)
        })
    }
}

impl KeySlot {
    /// Fills `key` with what `secret` makes of this key slot. [`Digest::is_of`] checks it. `area` is
    /// the content of the slot's area, which is decrypted in place.
    ///
    /// # Errors
    /// An algorithm is missing.
    pub(crate) fn open(
        &self,
        secret: &[u8],
        area: &mut [u8],
        memory: &mut [Block],
        kernel: &dyn KernelCrypto,
        key: &mut [u8],
    ) -> Result<()> {
        let mut hash = AnyHash::open(&self.split_hash, kernel)?;
        let mut slot_key = Zeroizing::new([0; MAX_KEY]);
        let slot_key = &mut slot_key[..self.area.key_size.min(MAX_KEY)];
        self.kdf.derive(secret, memory, kernel, slot_key)?;
        sectors::decrypt(&Cipher::parse(&self.area.cipher), slot_key, area, kernel)?;
        anti_forensic::merge(area, self.stripes, &mut hash, key)
    }
}

impl Digest {
    /// Returns whether `key` is the volume key of this digest.
    ///
    /// # Errors
    /// The hash is missing.
    pub(crate) fn is_of(&self, key: &[u8], kernel: &dyn KernelCrypto) -> Result<bool> {
        let mut value = Zeroizing::new(vec![0; self.value.len()]);
        let mut hash = AnyHash::open(&self.hash, kernel)?;
        hash.pbkdf2(key, &self.salt, self.iterations, &mut value)?;
        // All bytes are compared, however many differ.
        let difference = value.iter().zip(&self.value).fold(0, |all, (a, b)| all | (a ^ b));
        Ok(std::hint::black_box(difference) == 0)
    }
}
