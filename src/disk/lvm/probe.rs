//! LVM2 physical volumes, little-endian. Reference: lvm2's lib/format_text/layout.h.
//!
//! ```text
//! one of sectors 0 to 3:
//!   0 LABELONE │ 8 own sector, u64 │ 16 crc from 20 to the end of the sector, u32
//!  20 offset of contents, u32
//!  24 LVM2 001 │ 32 UUID, 32 characters
//! ```

use super::super::bytes::{has, le32, le64};
use super::super::device::Device;
use super::super::{Superblock, Usage, crc};

/// Initial value of LVM's CRC-32, whose result is not inverted.
pub(super) const CRC_SEED: u32 = 0xf597_a6cf;
/// Lengths of the groups in a printed UUID.
const GROUPS: [usize; 7] = [6, 4, 4, 4, 4, 4, 6];

pub(in crate::disk) fn probe(device: &Device<'_>) -> Option<Superblock> {
    let uuid = (0..4u8).find_map(|sector| label(device, sector))?;
    Some(Superblock::new("LVM2_member", Usage::Raid).with_names(Some(uuid), None))
}

fn label(device: &Device<'_>, number: u8) -> Option<String> {
    let sector = device.head().get(usize::from(number) * 512..)?.get(..512)?;
    let is_valid = has(sector, 0, b"LABELONE")
        && has(sector, 24, b"LVM2 001")
        && le64(sector, 8)? == u64::from(number)
        && le32(sector, 16)? == crc::update(CRC_SEED, &sector[20..]);
    is_valid.then(|| format_uuid(&sector[32..64]))
}

pub(super) fn format_uuid(mut id: &[u8]) -> String {
    let mut groups = Vec::with_capacity(GROUPS.len());
    for length in GROUPS {
        let (group, rest) = id.split_at(length.min(id.len()));
        groups.push(String::from_utf8_lossy(group));
        id = rest;
    }
    groups.join("-")
}
