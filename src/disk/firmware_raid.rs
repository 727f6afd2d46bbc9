//! Members of arrays that the firmware of the machine knows: Intel's (IMSM) and those of SNIA's
//! format (DDF). They are recognised, so that a message can name them; coldplug does not assemble
//! them.
//!
//! ```text
//! type             superblock         magic                              also required
//! isw_raid_member  last sector but 1  +0 "Intel Raid ISM Cfg Sig. "
//! ddf_raid_member  last sector        +0 de11de11 in either byte order   the same magic at sector
//!                                     +8 GUID, 24, a text                  +96, u64, if not 0
//! ```
//!
//! Sectors of 512 bytes; Intel's superblock has the sectors of the disk. blkid(8) also searches for
//! a second DDF header, for disks whose last sector is damaged.

use super::bytes::{array, has};
use super::device::Device;
use super::{Superblock, Usage, text};

const ISW: &[u8] = b"Intel Raid ISM Cfg Sig. ";
const DDF: u32 = 0xde11_de11;

/// Size of the end of the device in which both superblocks are, in bytes. It is read once.
const TAIL: usize = 8192;
/// Minimum size of a member of a DDF array, in bytes.
const MIN_DDF: u64 = 0x30000;

pub(super) fn probe(device: &Device<'_>) -> Option<Superblock> {
    let start = device.size().checked_sub(TAIL as u64)? & !511;
    let tail = device.bytes(start, TAIL)?;
    let ddf = || ddf(device, &tail).filter(|_| device.size() >= MIN_DDF);
    ddf().or_else(|| isw(device.size(), start, &tail))
}

fn isw(size: u64, start: u64, tail: &[u8]) -> Option<Superblock> {
    let has_magic = |sector: u64| {
        let at = (size / sector).checked_sub(2)? * sector;
        has(tail, usize::try_from(at.checked_sub(start)?).ok()?, ISW).then_some(())
    };
    has_magic(512).or_else(|| has_magic(4096))?;
    Some(Superblock::new("isw_raid_member", Usage::Raid))
}

fn ddf(device: &Device<'_>, tail: &[u8]) -> Option<Superblock> {
    let header = tail.get(TAIL - 512..)?;
    let magic = array(header, 0)?;
    let sector = array(header, 96)?;
    let primary = match magic {
        _ if magic == DDF.to_be_bytes() => u64::from_be_bytes(sector),
        _ if magic == DDF.to_le_bytes() => u64::from_le_bytes(sector),
        _ => return None,
    };
    if primary > 0 && !has(&device.bytes(primary.checked_mul(512)?, 4)?, 0, &magic) {
        return None;
    }
    let guid = text::label(header.get(8..32));
    Some(Superblock::new("ddf_raid_member", Usage::Raid).with_names(guid, None))
}
