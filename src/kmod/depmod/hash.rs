//! The hash that determines kmod's order of modules and symbols: Paul Hsieh's SuperFastHash with 32
//! bits, seeded with the length. Numbers are little-endian on every machine.

/// Number of buckets in kmod's table of modules.
pub(super) const MODULES: u32 = 512;
/// Number of buckets in kmod's table of symbols.
pub(super) const SYMBOLS: u32 = 2048;

/// Returns the bucket of `key` in a table of `buckets`.
pub(super) fn bucket(key: &[u8], buckets: u32) -> u32 {
    hash(key) % buckets
}

fn hash(key: &[u8]) -> u32 {
    let half = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]));
    let mut h = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut chunks = key.chunks_exact(4);
    for chunk in &mut chunks {
        h = h.wrapping_add(half(chunk[0], chunk[1]));
        let t = (half(chunk[2], chunk[3]) << 11) ^ h;
        h = (h << 16) ^ t;
        h = h.wrapping_add(h >> 11);
    }
    match *chunks.remainder() {
        [a, b, c] => {
            h = h.wrapping_add(half(a, b));
            h ^= h << 16;
            h ^= u32::from(c) << 18;
            h = h.wrapping_add(h >> 11);
        }
        [a, b] => {
            h = h.wrapping_add(half(a, b));
            h ^= h << 11;
            h = h.wrapping_add(h >> 17);
        }
        [a] => {
            h = h.wrapping_add(i32::from(a.cast_signed()).cast_unsigned());
            h ^= h << 10;
            h = h.wrapping_add(h >> 1);
        }
        _ => {}
    }
    finish(h)
}

/// Mixes all bits into the low bits.
fn finish(mut h: u32) -> u32 {
    h ^= h << 3;
    h = h.wrapping_add(h >> 5);
    h ^= h << 4;
    h = h.wrapping_add(h >> 17);
    h ^= h << 25;
    h.wrapping_add(h >> 6)
}
