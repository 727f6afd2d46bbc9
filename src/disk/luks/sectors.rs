//! Decryption of the sectors of a key slot: AES in XTS and CBC here, everything else by the kernel.
//!
//! Every sector has 512 bytes and its own IV, made of its number in the area.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256, Block};
use zeroize::Zeroizing;

use super::algorithms::{AnyHash, CryptoError, KernelCipher, KernelCrypto, Result};
use super::cipher::{Cipher, Iv};
use super::hash::MAX_SIZE;

const SECTOR: usize = 512;
/// Longest IV in bytes.
const MAX_IV: usize = 32;

/// Decrypts `data`, which begins with sector 0.
///
/// # Errors
/// The kernel does not have the cipher, or the key does not fit it.
pub(super) fn decrypt(
    cipher: &Cipher,
    key: &[u8],
    data: &mut [u8],
    kernel: &dyn KernelCrypto,
) -> Result<()> {
    if cipher.is_null() {
        return Ok(());
    }
    let mut mode = Mode::open(cipher, key, kernel)?;
    let mut ivs = Ivs::open(cipher, key, kernel)?;
    for (number, sector) in (0_u64..).zip(data.chunks_mut(SECTOR)) {
        let iv = ivs.of(number)?;
        mode.decrypt(&iv[..cipher.iv_size()], sector)?;
    }
    Ok(())
}

/// AES with a key of any of its lengths.
enum Aes {
    Aes128(Box<Aes128>),
    Aes192(Box<Aes192>),
    Aes256(Box<Aes256>),
}

impl Aes {
    /// Returns the cipher, or `None` if AES has no keys of this length.
    fn new(key: &[u8]) -> Option<Self> {
        Some(match key.len() {
            16 => Self::Aes128(Box::new(Aes128::new_from_slice(key).ok()?)),
            24 => Self::Aes192(Box::new(Aes192::new_from_slice(key).ok()?)),
            32 => Self::Aes256(Box::new(Aes256::new_from_slice(key).ok()?)),
            _ => return None,
        })
    }

    fn encrypt(&self, block: &mut Block) {
        match self {
            Self::Aes128(aes) => aes.encrypt_block(block),
            Self::Aes192(aes) => aes.encrypt_block(block),
            Self::Aes256(aes) => aes.encrypt_block(block),
        }
    }

    fn decrypt(&self, blocks: &mut [Block]) {
        match self {
            Self::Aes128(aes) => aes.decrypt_blocks(blocks),
            Self::Aes192(aes) => aes.decrypt_blocks(blocks),
            Self::Aes256(aes) => aes.decrypt_blocks(blocks),
        }
    }
}

/// A cipher with its mode and a key.
enum Mode {
    Xts { data: Aes, tweak: Aes },
    Cbc(Aes),
    Kernel(Box<dyn KernelCipher>),
}

impl Mode {
    fn open(cipher: &Cipher, key: &[u8], kernel: &dyn KernelCrypto) -> Result<Self> {
        let wrong_key = || failed(&format!("a key of {} bytes", key.len()), cipher);
        match cipher.kernel_name.as_str() {
            "xts(aes)" => {
                let (data, tweak) = key.split_at(key.len() / 2);
                let pair = Aes::new(data).zip(Aes::new(tweak));
                pair.map(|(data, tweak)| Self::Xts { data, tweak }).ok_or_else(wrong_key)
            }
            "cbc(aes)" => Aes::new(key).map(Self::Cbc).ok_or_else(wrong_key),
            name => kernel.cipher(name, key).map(Self::Kernel),
        }
    }

    fn decrypt(&mut self, iv: &[u8], sector: &mut [u8]) -> Result<()> {
        match self {
            Self::Xts { data, tweak } => decrypt_xts(data, tweak, iv, sector),
            Self::Cbc(aes) => decrypt_cbc(aes, iv, sector),
            Self::Kernel(cipher) => return cipher.crypt(false, iv, sector),
        }
        Ok(())
    }
}

fn failed(what: &str, cipher: &Cipher) -> CryptoError {
    CryptoError::Failed(format!("{what} does not fit {}", cipher.kernel_name))
}

/// IEEE 1619: each block is masked before and after by the encrypted IV, doubled for each block.
fn decrypt_xts(data: &Aes, tweak: &Aes, iv: &[u8], sector: &mut [u8]) {
    let (blocks, _) = Block::slice_as_chunks_mut(sector);
    let mut first = block(iv);
    tweak.encrypt(&mut first);
    let first = u128::from_le_bytes(first.into());
    mask(blocks, first);
    data.decrypt(blocks);
    mask(blocks, first);
}

fn mask(blocks: &mut [Block], first: u128) {
    let mut mask = first;
    for block in blocks {
        xor(block, &mask.to_le_bytes());
        // Doubling in GF(2^128).
        let carry = mask >> 127;
        mask = (mask << 1) ^ (carry * 0x87);
    }
}

fn decrypt_cbc(aes: &Aes, iv: &[u8], sector: &mut [u8]) {
    let mut encrypted = [0; SECTOR];
    encrypted[..sector.len()].copy_from_slice(sector);
    let (blocks, _) = Block::slice_as_chunks_mut(sector);
    aes.decrypt(blocks);
    let previous = std::iter::once(iv).chain(encrypted.chunks_exact(16));
    for (block, previous) in blocks.iter_mut().zip(previous) {
        xor(block, previous);
    }
}

fn xor(block: &mut [u8], other: &[u8]) {
    block.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
}

/// Returns a block that begins with `bytes`.
fn block(bytes: &[u8]) -> Block {
    let mut block = Block::default();
    block.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    block
}

/// Source of the IVs.
enum Ivs {
    Plain(Iv),
    Essiv(Aes),
    KernelEssiv { cipher: Box<dyn KernelCipher>, size: usize },
}

impl Ivs {
    fn open(cipher: &Cipher, key: &[u8], kernel: &dyn KernelCrypto) -> Result<Self> {
        let hash = match &cipher.iv {
            Iv::Essiv(hash) => hash,
            Iv::Other(name) => return Err(CryptoError::Missing(format!("IV '{name}'"))),
            plain => return Ok(Self::Plain(plain.clone())),
        };
        let mut hash = AnyHash::open(hash, kernel)?;
        let mut salt = Zeroizing::new([0; MAX_SIZE]);
        hash.digest(&[key], &mut salt[..])?;
        let salt = &salt[..hash.size()];
        match cipher.base() {
            "aes" => match Aes::new(salt) {
                Some(aes) => Ok(Self::Essiv(aes)),
                None => Err(failed("the hash of the IV", cipher)),
            },
            base => Ok(Self::KernelEssiv {
                cipher: kernel.cipher(&format!("ecb({base})"), salt)?,
                size: cipher.iv_size(),
            }),
        }
    }

    /// Returns the IV of a sector, in the first bytes.
    fn of(&mut self, sector: u64) -> Result<[u8; MAX_IV]> {
        let mut iv = [0; MAX_IV];
        iv[..8].copy_from_slice(&sector.to_le_bytes());
        match self {
            Self::Plain(Iv::Zero) => iv.fill(0),
            Self::Plain(Iv::Plain) => iv[4..].fill(0),
            Self::Plain(Iv::Plain64Be) => {
                iv.fill(0);
                iv[8..16].copy_from_slice(&sector.to_be_bytes());
            }
            Self::Plain(_) => {}
            Self::Essiv(aes) => {
                let mut first = block(&iv);
                aes.encrypt(&mut first);
                iv[..16].copy_from_slice(&first);
            }
            Self::KernelEssiv { cipher, size } => cipher.crypt(true, &[], &mut iv[..*size])?,
        }
        Ok(iv)
    }
}
