//! Hashes and ciphers that this program has or the kernel offers.

use std::fmt;

use super::hash::{Hash, MAX_SIZE};
use zeroize::Zeroizing;

/// Why a computation could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CryptoError {
    /// The kernel does not have the algorithm: `xts(serpent)`, `hmac(ripemd160)`.
    Missing(String),
    /// The kernel has returned an error.
    Failed(String),
}

impl fmt::Display for CryptoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the kernel has no {name} for programs"),
            Self::Failed(cause) => f.write_str(cause),
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, CryptoError>;

/// The kernel's algorithms.
pub(crate) trait KernelCrypto {
    /// Opens a hash: `ripemd160`, or with a key `hmac(ripemd160)`.
    ///
    /// # Errors
    /// The kernel does not have it.
    fn hash(&self, name: &str, key: Option<&[u8]>) -> Result<Box<dyn KernelHash>>;

    /// Opens a cipher with its mode: `xts(serpent)`.
    ///
    /// # Errors
    /// The kernel does not have it, or not with keys of this length.
    fn cipher(&self, name: &str, key: &[u8]) -> Result<Box<dyn KernelCipher>>;
}

/// A hash of the kernel.
pub(crate) trait KernelHash {
    /// Hashes the parts in sequence, writes the digest to the start of `out`, and returns its
    /// length.
    ///
    /// # Errors
    /// The errno of the call.
    fn digest(&mut self, parts: &[&[u8]], out: &mut [u8]) -> Result<usize>;
}

/// A cipher of the kernel, with a key.
pub(crate) trait KernelCipher {
    /// Encrypts or decrypts `data` in place.
    ///
    /// # Errors
    /// The errno of the call.
    fn crypt(&mut self, encrypt: bool, iv: &[u8], data: &mut [u8]) -> Result<()>;
}

/// A hash of this program or of the kernel.
pub(super) enum AnyHash<'a> {
    Own(Hash),
    Kernel { kernel: &'a dyn KernelCrypto, name: String, hash: Box<dyn KernelHash>, size: usize },
}

impl<'a> AnyHash<'a> {
    /// Opens the hash that cryptsetup calls `name`.
    ///
    /// # Errors
    /// Neither this program nor the kernel has it.
    pub(super) fn open(name: &str, kernel: &'a dyn KernelCrypto) -> Result<Self> {
        if let Some(hash) = Hash::from_name(name) {
            return Ok(Self::Own(hash));
        }
        let name = kernel_hash_name(name);
        let mut hash = kernel.hash(&name, None)?;
        let size = hash.digest(&[], &mut [0; MAX_SIZE])?;
        if !(1..=MAX_SIZE).contains(&size) {
            return Err(CryptoError::Missing(name));
        }
        Ok(Self::Kernel { kernel, name, hash, size })
    }

    /// Returns the length of a digest in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Own(hash) => hash.size(),
            Self::Kernel { size, .. } => *size,
        }
    }

    /// Writes the digest of the parts in sequence to the start of `out`, which has room for it.
    ///
    /// # Errors
    /// The kernel has returned an error.
    pub(super) fn digest(&mut self, parts: &[&[u8]], out: &mut [u8]) -> Result<()> {
        match self {
            Self::Own(hash) => {
                hash.digest(parts, out);
                Ok(())
            }
            Self::Kernel { hash, .. } => hash.digest(parts, out).map(drop),
        }
    }

    /// Fills `out` with the key that PBKDF2 makes of a password.
    ///
    /// # Errors
    /// The kernel has returned an error.
    pub(super) fn pbkdf2(
        &mut self,
        password: &[u8],
        salt: &[u8],
        iterations: u32,
        out: &mut [u8],
    ) -> Result<()> {
        match self {
            Self::Own(hash) => {
                hash.pbkdf2(password, salt, iterations, out);
                Ok(())
            }
            Self::Kernel { kernel, name, size, .. } => {
                let mut hmac = kernel.hash(&format!("hmac({name})"), Some(password))?;
                kernel_pbkdf2(&mut *hmac, *size, salt, iterations, out)
            }
        }
    }
}

fn kernel_pbkdf2(
    hmac: &mut dyn KernelHash,
    size: usize,
    salt: &[u8],
    iterations: u32,
    out: &mut [u8],
) -> Result<()> {
    let (mut last, mut next) = (Zeroizing::new([0; MAX_SIZE]), Zeroizing::new([0; MAX_SIZE]));
    for (number, chunk) in (1_u32..).zip(out.chunks_mut(size)) {
        hmac.digest(&[salt, &number.to_be_bytes()], &mut last[..])?;
        chunk.copy_from_slice(&last[..chunk.len()]);
        for _ in 1..iterations {
            hmac.digest(&[&last[..size]], &mut next[..])?;
            std::mem::swap(&mut last, &mut next);
            chunk.iter_mut().zip(&last[..]).for_each(|(sum, byte)| *sum ^= byte);
        }
    }
    Ok(())
}

/// Returns the kernel's name of a hash.
pub(crate) fn kernel_hash_name(name: &str) -> String {
    match name {
        "whirlpool" => "wp512",
        "stribog256" => "streebog256",
        "stribog512" => "streebog512",
        other => other,
    }
    .to_owned()
}

/// A kernel without algorithms.
pub(crate) struct NoKernel;

impl KernelCrypto for NoKernel {
    fn hash(&self, name: &str, _: Option<&[u8]>) -> Result<Box<dyn KernelHash>> {
        Err(CryptoError::Missing(name.to_owned()))
    }

    fn cipher(&self, name: &str, _: &[u8]) -> Result<Box<dyn KernelCipher>> {
        Err(CryptoError::Missing(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HMAC-SHA-1 by the hash of this program, as the kernel would compute it.
    struct Hmac(Vec<u8>);

    impl KernelHash for Hmac {
        fn digest(&mut self, parts: &[&[u8]], out: &mut [u8]) -> Result<usize> {
            let pad = |pad: u8| -> Vec<u8> {
                (0..64).map(|at| self.0.get(at).copied().unwrap_or(0) ^ pad).collect()
            };
            let mut inner = [0; 20];
            Hash::Sha1.digest(&[&[&pad(0x36)[..]], parts].concat(), &mut inner);
            Hash::Sha1.digest(&[&pad(0x5c), &inner], out);
            Ok(20)
        }
    }

    #[test]
    fn a_key_by_the_kernels_hash() {
        for (iterations, length) in [(1, 20), (2, 20), (100, 33)] {
            let (mut own, mut other) = (vec![0; length], vec![0; length]);
            Hash::Sha1.pbkdf2(b"password", b"salt", iterations, &mut own);
            let mut hmac = Hmac(b"password".to_vec());
            kernel_pbkdf2(&mut hmac, 20, b"salt", iterations, &mut other).unwrap();
            assert_eq!(own, other, "{iterations}");
        }
    }
}
