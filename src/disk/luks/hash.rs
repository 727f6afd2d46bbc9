//! SHA-1 and SHA-2, and PBKDF2 with them.
//!
//! Built on the compression functions: an iteration of PBKDF2 is two calls of one, on blocks that
//! are already padded. The general interface of the crates copies states and buffers as well.

use zeroize::{Zeroize, Zeroizing};

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// Longest digest in bytes.
pub(crate) const MAX_SIZE: usize = 64;
/// Longest block in bytes.
const MAX_BLOCK: usize = 128;

impl Hash {
    /// Returns the hash function that cryptsetup calls `name`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "sha1" => Self::Sha1,
            "sha224" => Self::Sha224,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    /// Returns the length of a digest in bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Writes the digest of the parts in sequence to the start of `out`, which has room for it.
    pub(crate) fn digest(self, parts: &[&[u8]], out: &mut [u8]) {
        match self {
            Self::Sha1 => digest(SHA1, self.size(), parts, out),
            Self::Sha224 => digest(SHA224, self.size(), parts, out),
            Self::Sha256 => digest(SHA256, self.size(), parts, out),
            Self::Sha384 => digest(SHA384, self.size(), parts, out),
            Self::Sha512 => digest(SHA512, self.size(), parts, out),
        }
    }

    /// Fills `out` with the key that PBKDF2 makes of a password.
    pub(crate) fn pbkdf2(self, password: &[u8], salt: &[u8], iterations: u32, out: &mut [u8]) {
        let size = self.size();
        match self {
            Self::Sha1 => pbkdf2(SHA1, size, password, salt, iterations, out),
            Self::Sha224 => pbkdf2(SHA224, size, password, salt, iterations, out),
            Self::Sha256 => pbkdf2(SHA256, size, password, salt, iterations, out),
            Self::Sha384 => pbkdf2(SHA384, size, password, salt, iterations, out),
            Self::Sha512 => pbkdf2(SHA512, size, password, salt, iterations, out),
        }
    }
}

/// A state of a hash function of the MD family.
trait State: Copy + Zeroize {
    /// Length of a block in bytes.
    const BLOCK: usize;

    /// Mixes whole blocks into the state.
    fn compress(&mut self, blocks: &[u8]);

    /// Writes the start of the state, big-endian, to `out`, whose length is that of whole words: copies
    /// of a length that the compiler does not know would take longer than the hash functions.
    fn write(&self, out: &mut [u8]);
}

/// First states: FIPS 180-4, 5.3.
const SHA1: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
const SHA224: [u32; 8] = [
    0xc105_9ed8,
    0x367c_d507,
    0x3070_dd17,
    0xf70e_5939,
    0xffc0_0b31,
    0x6858_1511,
    0x64f9_8fa7,
    0xbefa_4fa4,
];
const SHA256: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];
const SHA384: [u64; 8] = [
    0xcbbb_9d5d_c105_9ed8,
    0x629a_292a_367c_d507,
    0x9159_015a_3070_dd17,
    0x152f_ecd8_f70e_5939,
    0x6733_2667_ffc0_0b31,
    0x8eb4_4a87_6858_1511,
    0xdb0c_2e0d_64f9_8fa7,
    0x47b5_481d_befa_4fa4,
];
const SHA512: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

impl State for [u32; 5] {
    const BLOCK: usize = 64;

    fn compress(&mut self, blocks: &[u8]) {
        sha1::block_api::compress(self, blocks.as_chunks().0);
    }

    fn write(&self, out: &mut [u8]) {
        write(self, out);
    }
}

impl State for [u32; 8] {
    const BLOCK: usize = 64;

    fn compress(&mut self, blocks: &[u8]) {
        sha2::block_api::compress256(self, blocks.as_chunks().0);
    }

    fn write(&self, out: &mut [u8]) {
        write(self, out);
    }
}

impl State for [u64; 8] {
    const BLOCK: usize = 128;

    fn compress(&mut self, blocks: &[u8]) {
        sha2::block_api::compress512(self, blocks.as_chunks().0);
    }

    fn write(&self, out: &mut [u8]) {
        for (bytes, word) in out.as_chunks_mut().0.iter_mut().zip(self) {
            *bytes = word.to_be_bytes();
        }
    }
}

fn write(words: &[u32], out: &mut [u8]) {
    for (bytes, word) in out.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_be_bytes();
    }
}

/// Writes the digest of `size` bytes of the parts to the start of `out`.
fn digest<S: State>(start: S, size: usize, parts: &[&[u8]], out: &mut [u8]) {
    finish(start, 0, parts, &mut out[..size]);
}

/// Hashes the parts after `done` bytes that are in `state` already, and writes the result.
fn finish<S: State>(mut state: S, done: usize, parts: &[&[u8]], out: &mut [u8]) {
    let mut buffer = Zeroizing::new([0_u8; MAX_BLOCK]);
    let (mut filled, mut length) = (0, done as u128);
    for part in parts {
        let mut rest = *part;
        length += rest.len() as u128;
        while !rest.is_empty() {
            if filled == 0 && rest.len() >= S::BLOCK {
                let whole = rest.len() / S::BLOCK * S::BLOCK;
                state.compress(&rest[..whole]);
                rest = &rest[whole..];
                continue;
            }
            let count = rest.len().min(S::BLOCK - filled);
            buffer[filled..filled + count].copy_from_slice(&rest[..count]);
            (filled, rest) = ((filled + count) % S::BLOCK, &rest[count..]);
            if filled == 0 {
                state.compress(&buffer[..S::BLOCK]);
            }
        }
    }
    buffer[filled] = 0x80;
    buffer[filled + 1..].fill(0);
    // The length takes 8 bytes of a block of 64, and 16 of one of 128.
    if filled + 1 + S::BLOCK / 8 > S::BLOCK {
        state.compress(&buffer[..S::BLOCK]);
        buffer.fill(0);
    }
    put_length(&mut buffer[..S::BLOCK], length);
    state.compress(&buffer[..S::BLOCK]);
    state.write(out);
    state.zeroize();
}

/// Writes the length of the hashed bytes, in bits, to the end of the last block.
fn put_length(block: &mut [u8], bytes: u128) {
    let end = block.len() - 8;
    let bits = u64::try_from(bytes * 8).unwrap_or(u64::MAX);
    block[end..].copy_from_slice(&bits.to_be_bytes());
}

/// The two states of HMAC after the block of the key.
struct Hmac<S: State> {
    inner: S,
    outer: S,
}

impl<S: State> Hmac<S> {
    fn new(start: S, size: usize, key: &[u8]) -> Self {
        let mut block = Zeroizing::new([0_u8; MAX_BLOCK]);
        match block.get_mut(..key.len()).filter(|_| key.len() <= S::BLOCK) {
            Some(place) => place.copy_from_slice(key),
            None => digest(start, size, &[key], &mut block[..]),
        }
        let mut padded = |pad: u8| {
            let mut state = start;
            block.iter_mut().for_each(|byte| *byte ^= pad);
            state.compress(&block[..S::BLOCK]);
            block.iter_mut().for_each(|byte| *byte ^= pad);
            state
        };
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }
}

impl<S: State> Drop for Hmac<S> {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// Fills `out` with the key that PBKDF2 makes with a hash of `size` bytes.
fn pbkdf2<S: State>(
    start: S,
    size: usize,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    out: &mut [u8],
) {
    let hmac = Hmac::new(start, size, password);
    // The last block of both hashes: a digest and the padding.
    let mut block = Zeroizing::new([0_u8; MAX_BLOCK]);
    let mut sum = Zeroizing::new([0_u8; MAX_SIZE]);
    for (number, chunk) in (1_u32..).zip(out.chunks_mut(size)) {
        finish(hmac.inner, S::BLOCK, &[salt, &number.to_be_bytes()], &mut block[..size]);
        block[size] = 0x80;
        block[size + 1..].fill(0);
        put_length(&mut block[..S::BLOCK], (S::BLOCK + size) as u128);
        step(hmac.outer, size, &mut block[..S::BLOCK]);
        sum[..size].copy_from_slice(&block[..size]);
        for _ in 1..iterations {
            step(hmac.inner, size, &mut block[..S::BLOCK]);
            step(hmac.outer, size, &mut block[..S::BLOCK]);
            for (sum, byte) in sum[..size].iter_mut().zip(&block[..size]) {
                *sum ^= byte;
            }
        }
        chunk.copy_from_slice(&sum[..chunk.len()]);
    }
}

/// Replaces the digest at the start of a padded block by that of the block after `state`.
#[inline]
fn step<S: State>(mut state: S, size: usize, block: &mut [u8]) {
    state.compress(block);
    state.write(&mut block[..size]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    fn digest_of(name: &str, parts: &[&[u8]]) -> String {
        let hash = Hash::from_name(name).unwrap();
        let mut out = [0; MAX_SIZE];
        hash.digest(parts, &mut out);
        hex(&out[..hash.size()])
    }

    #[test]
    fn digests_of_fips_180() {
        for (name, text, want) in [
            ("sha1", "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("sha224", "abc", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
            ("sha256", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("sha256", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "sha384",
                "abc",
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                 8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                "sha512",
                "abc",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            assert_eq!(digest_of(name, &[text.as_bytes()]), want, "{name}");
        }
        assert_eq!(Hash::from_name("whirlpool"), None);
    }

    /// The crate's own interface is the oracle.
    #[test]
    fn lengths_around_blocks_and_parts_do_not_matter() {
        use sha2::Digest;
        let bytes: Vec<u8> = (0..=255).cycle().take(300).collect();
        for length in (0..300).step_by(1) {
            let all = &bytes[..length];
            let want = [hex(&sha2::Sha256::digest(all)), hex(&sha2::Sha512::digest(all))];
            for cut in [0, 1, 63, 64, 65, 127, 128, 200] {
                let (a, b) = all.split_at(cut.min(length));
                assert_eq!(digest_of("sha256", &[a, b]), want[0], "{length} {cut}");
                assert_eq!(digest_of("sha512", &[a, &[], b]), want[1], "{length} {cut}");
            }
        }
    }

    /// RFC 6070, and values of Python's hashlib.
    #[test]
    fn keys_of_pbkdf2() {
        let long = "x".repeat(200);
        for (name, password, salt, iterations, want) in [
            ("sha1", "password", "salt", 1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
            ("sha1", "password", "salt", 4096, "4b007901b765489abead49d926f721d065a429c1"),
            (
                "sha1",
                "passwordPASSWORDpassword",
                "saltSALTsaltSALTsaltSALTsaltSALTsalt",
                4096,
                "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038",
            ),
            ("sha1", "pass\0word", "sa\0lt", 4096, "56fa6aa75548099dcc37d7f03425e0c3"),
            ("sha224", &long, "salt", 3, SHA224_LONG),
            ("sha256", "password", "salt", 2, SHA256_2),
            ("sha384", &long, "salt", 3, SHA384_LONG),
            ("sha512", &long, "salt", 3, SHA512_LONG),
        ] {
            let mut out = vec![0; want.len() / 2];
            let hash = Hash::from_name(name).unwrap();
            hash.pbkdf2(password.as_bytes(), salt.as_bytes(), iterations, &mut out);
            assert_eq!(hex(&out), want, "{name}");
        }
    }

    const SHA224_LONG: &str = "60a8d691d97a30932d7368f6382222edda93a811ef5a47250f92f0fdae0057730153e641eefb5183\
        b8a3d64c0eb0d27ec4847e4ac60836ae047ba8d0d7419311db80c5b87ab4";
    const SHA256_2: &str =
        "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43830651afcb5c862f";
    const SHA384_LONG: &str = "69fd6e5663f09b879a2c3d920db6a24fc7d333bafcc346ffc34427f58ff9d81e5bc6bd1766166024\
        949078066962c6f657c097ced579ba108c923ed0c4a4e5b3";
    const SHA512_LONG: &str = "7e06f7557aae6057f38260ec33f67b9675bebccb8b17931386629a07d32149d2378b0cb294a15217\
        3818b94281c3db47d169e538b02deb3f2457884f1a3e04d9bb1483b5d4b099a9cd7dc62ecd1571c5\
        202ef332fa3d60725bf6bff97d490638";
}
