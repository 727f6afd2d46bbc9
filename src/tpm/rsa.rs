//! Encryption with a public RSA key: OAEP with SHA-256 (PKCS #1, 7.1).
//!
//! The exponent is public and the padding is used once, so that the time that this takes tells
//! nothing. Numbers are little-endian limbs of 32 bits.

use zeroize::Zeroizing;

use super::hash::{Digest, sha256};

/// Longest modulus in bytes; the TPM has keys of 2048 or 3072 bits.
const MAX_MODULUS: usize = 512;

/// Returns `message` encrypted for the key, or `None` if the key is unusable.
pub(super) fn encrypt_oaep(
    modulus: &[u8],
    exponent: u32,
    label: &[u8],
    message: &Digest,
    seed: &Digest,
) -> Option<Vec<u8>> {
    let size = modulus.len();
    // The highest and the lowest bit of a modulus are set.
    if size > MAX_MODULUS || modulus.first()? & 0x80 == 0 || modulus.last()? & 1 == 0 {
        return None;
    }
    // 0 │ seed, 32, masked │ hash of the label, 32 │ zeros │ 1 │ message: masked
    let zeros = size.checked_sub(1 + 32 + 32 + 1 + message.len())?;
    let mut data = Zeroizing::new(sha256(&[label]).to_vec());
    data.resize(32 + zeros, 0);
    data.push(1);
    data.extend_from_slice(message);
    mask(&mut data, seed);
    let mut masked_seed = Zeroizing::new(*seed);
    mask(&mut masked_seed[..], &data);
    let block = Zeroizing::new([&[0], &masked_seed[..], &data].concat());
    // Who has the block, or a power of it, has the message.
    let power = power(&Zeroizing::new(limbs(&block)), exponent, &limbs(modulus));
    let bytes: Vec<u8> = power.iter().rev().flat_map(|limb| limb.to_be_bytes()).collect();
    bytes.get(bytes.len().checked_sub(size)?..).map(<[u8]>::to_vec)
}

/// MGF1 with SHA-256: changes `bytes` by what follows from `seed`.
fn mask(bytes: &mut [u8], seed: &[u8]) {
    for (chunk, counter) in bytes.chunks_mut(32).zip(0_u32..) {
        let mask = sha256(&[seed, &counter.to_be_bytes()]);
        chunk.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}

fn limbs(bytes: &[u8]) -> Vec<u32> {
    let limb = |chunk: &[u8]| chunk.iter().fold(0, |limb, byte| limb << 8 | u32::from(*byte));
    bytes.rchunks(4).map(limb).collect()
}

/// Returns `base` to the power of `exponent` modulo `modulus`; `base` is smaller than `modulus`.
fn power(base: &[u32], exponent: u32, modulus: &[u32]) -> Zeroizing<Vec<u32>> {
    let zero = || Zeroizing::new(vec![0; modulus.len()]);
    let (mut result, mut product, mut double) = (zero(), zero(), zero());
    if let Some(first) = result.first_mut() {
        *first = 1;
    }
    for bit in (0..32).rev() {
        multiply(&mut product, &mut double, (&result, &result), modulus);
        std::mem::swap(&mut result, &mut product);
        if exponent >> bit & 1 == 1 {
            multiply(&mut product, &mut double, (&result, base), modulus);
            std::mem::swap(&mut result, &mut product);
        }
    }
    result
}

/// Sets `product` to `a` times `b` modulo `modulus`, by doubling and adding.
fn multiply(product: &mut [u32], double: &mut [u32], (a, b): (&[u32], &[u32]), modulus: &[u32]) {
    product.fill(0);
    for limb in b.iter().rev() {
        for bit in (0..32).rev() {
            double.copy_from_slice(product);
            add(product, double, modulus);
            if limb >> bit & 1 == 1 {
                add(product, a, modulus);
            }
        }
    }
}

/// Adds `b` to `a` modulo `modulus`; both are smaller than `modulus`.
fn add(a: &mut [u32], b: &[u32], modulus: &[u32]) {
    let mut carry = 0;
    for (a, b) in a.iter_mut().zip(b) {
        let sum = u64::from(*a) + u64::from(*b) + carry;
        (*a, carry) = (low(sum), sum >> 32);
    }
    if carry == 1 || a.iter().rev().ge(modulus.iter().rev()) {
        let mut borrow = 0;
        for (a, m) in a.iter_mut().zip(modulus) {
            let difference = u64::from(*a).wrapping_sub(u64::from(*m)).wrapping_sub(borrow);
            (*a, borrow) = (low(difference), difference >> 63);
        }
    }
}

fn low(number: u64) -> u32 {
    let [.., a, b, c, d] = number.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
