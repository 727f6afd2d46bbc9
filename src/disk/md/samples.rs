//! Superblocks for tests.

use super::{checksum, version_0, version_1};

/// Size of the devices, in bytes.
const SIZE: usize = 1 << 20;

/// Writes the checksum at `place` of a superblock.
pub(crate) fn seal(block: &mut [u8], place: usize) {
    let sum = checksum(block, place, u32::from_le_bytes);
    block[place..place + 4].copy_from_slice(&sum.to_le_bytes());
}

/// Returns device `number` of a raid1 of two, with a superblock of version 1.2.
pub(crate) fn version_1(name: &str, number: u8, events: u64) -> Vec<u8> {
    let mut image = vec![0; SIZE];
    let block = &mut image[4096..4096 + 256 + 4];
    let sectors = 1024_u64;
    for (at, bytes) in [
        (0, &super::MAGIC.to_le_bytes()[..]),
        (4, &[1]),
        (16, &[0x5a; 16]),
        (32, name.as_bytes()),
        (64, &1_700_000_000_u64.to_le_bytes()),
        (72, &[1]),
        (80, &sectors.to_le_bytes()),
        (92, &[2]),
        (128, &1024_u64.to_le_bytes()),
        (136, &sectors.to_le_bytes()),
        (144, &[8]),
        (160, &[number]),
        (168, &[number + 1; 16]),
        (192, &1_700_000_001_u64.to_le_bytes()),
        (200, &events.to_le_bytes()),
        (208, &u64::MAX.to_le_bytes()),
        (220, &[2]),
        (256, &[0, 0, 1, 0]),
    ] {
        block[at..at + bytes.len()].copy_from_slice(bytes);
    }
    seal(block, version_1::CHECKSUM);
    image
}

/// Place of a superblock of version 0.90, in bytes.
pub(crate) const PLACE_0: usize = SIZE - 65536;

/// Returns device `number` of a raid1 of two, with a superblock of version 0.90.
pub(crate) fn version_0(number: u8) -> Vec<u8> {
    let mut image = vec![0; SIZE];
    let block = &mut image[PLACE_0..PLACE_0 + 4096];
    for (at, bytes) in [
        (0, &super::MAGIC.to_le_bytes()[..]),
        (8, &[90]),
        (20, &[4, 3, 2, 1]),
        (24, &1_600_000_000_u32.to_le_bytes()),
        (28, &[1]),
        (32, &512_u32.to_le_bytes()),
        (40, &[2]),
        (44, &[3]),
        (52, &[8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13]),
        (132, &[1]),
        (156, &[7]),
        (528, &[6]),
        (640, &[1, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 6]),
        (3968, &[number]),
    ] {
        block[at..at + bytes.len()].copy_from_slice(bytes);
    }
    seal(block, version_0::CHECKSUM);
    image
}
