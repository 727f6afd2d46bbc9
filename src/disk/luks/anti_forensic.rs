//! The anti-forensic split: a key is stored as many stripes, all of which are needed to merge it.
//!
//! ```text
//! key = stripe[n-1] ^ d(stripe[n-2] ^ d(… ^ d(stripe[0])))
//! d(block): each part of the length of a digest becomes hash(number of the part, u32 ‖ part)
//! ```

use super::algorithms::{AnyHash, Result};
use super::hash::MAX_SIZE;
use zeroize::Zeroizing;

/// Returns the length of a split key in bytes: whole sectors.
pub(super) fn split_length(key_size: usize, stripes: usize) -> usize {
    key_size.saturating_mul(stripes).saturating_add(511) / 512 * 512
}

/// Fills `key` with the key that is split in `material`, which has at least `stripes` of its length.
///
/// # Errors
/// The kernel's hash failed.
pub(super) fn merge(
    material: &[u8],
    stripes: usize,
    hash: &mut AnyHash<'_>,
    key: &mut [u8],
) -> Result<()> {
    key.fill(0);
    for (number, stripe) in material.chunks_exact(key.len()).take(stripes).enumerate() {
        if number > 0 {
            diffuse(hash, key)?;
        }
        key.iter_mut().zip(stripe).for_each(|(byte, other)| *byte ^= other);
    }
    Ok(())
}

fn diffuse(hash: &mut AnyHash<'_>, block: &mut [u8]) -> Result<()> {
    let mut digest = Zeroizing::new([0; MAX_SIZE]);
    for (number, part) in (0_u32..).zip(block.chunks_mut(hash.size())) {
        hash.digest(&[&number.to_be_bytes(), part], &mut digest[..])?;
        part.copy_from_slice(&digest[..part.len()]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::luks::algorithms::NoKernel;

    #[test]
    fn one_stripe_is_the_key_itself() {
        let mut hash = AnyHash::open("sha256", &NoKernel).unwrap();
        let mut key = [9; 4];
        merge(&[1, 2, 3, 4, 5, 6, 7, 8], 1, &mut hash, &mut key).unwrap();
        assert_eq!(key, [1, 2, 3, 4]);
    }

    /// The stripes as cryptsetup makes them: random ones, and the last one from the key.
    #[test]
    fn a_split_key_is_merged() {
        for (name, size) in [("sha1", 32), ("sha256", 64), ("sha512", 32), ("sha256", 33)] {
            let mut hash = AnyHash::open(name, &NoKernel).unwrap();
            let want: Vec<u8> = (1..).take(size).collect();
            let mut material: Vec<u8> = (0..=255).cycle().take(size * 6).collect();
            let mut block = vec![0; size];
            merge(&material, 6, &mut hash, &mut block).unwrap();
            diffuse(&mut hash, &mut block).unwrap();
            material.extend(block.iter().zip(&want).map(|(a, b)| a ^ b));
            let mut key = vec![0; size];
            merge(&material, 7, &mut hash, &mut key).unwrap();
            assert_eq!(key, want, "{name} {size}");
        }
    }

    #[test]
    fn lengths_are_whole_sectors() {
        for (size, stripes, want) in [(32, 4000, 128_000), (64, 4000, 256_000), (33, 1, 512)] {
            assert_eq!(split_length(size, stripes), want);
        }
    }
}
