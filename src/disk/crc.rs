//! CRC-32 of GPT, LVM, stored boots, environments and texts on serial lines: the reflected polynomial 0xEDB88320, four bits per step.
//!
//! Implemented here because a table of sixteen words is less than a dependency, and at most 16 KiB
//! of a disk and 1 MiB of a stored boot are checked.

const TABLE: [u32; 16] = [
    0x0000_0000,
    0x1db7_1064,
    0x3b6e_20c8,
    0x26d9_30ac,
    0x76dc_4190,
    0x6b6b_51f4,
    0x4db2_6158,
    0x5005_713c,
    0xedb8_8320,
    0xf00f_9344,
    0xd6d6_a3e8,
    0xcb61_b38c,
    0x9b64_c2b0,
    0x86d3_d2d4,
    0xa00a_e278,
    0xbdbd_f21c,
];

/// Returns the CRC register after `bytes`, starting at `seed`. Neither seed nor result is inverted.
pub(crate) fn update(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |crc, byte| nibble(nibble(crc ^ u32::from(*byte))))
}

fn nibble(crc: u32) -> u32 {
    (crc >> 4) ^ TABLE[(crc & 15) as usize]
}

/// Computes the usual CRC-32 (zlib, EFI): starts with ones and inverts the result.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !update(!0, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_has_the_standard_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
