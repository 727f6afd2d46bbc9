//! Superblocks of version 0.90, at the last 64 KiB boundary with 64 KiB after it.
//!
//! ```text
//! 4096 bytes; words of 32 bits in the byte order of the machine that made the array
//!   0 a92b4efc          40 raid_disks        152 checksum         176 reshape position, u64
//!   4 major version: 0  44 number of the     156 events, u64      256 layout
//!   8 minor: 90, or 91     device: md0       164 events at the    260 chunk size, bytes
//!     in a reshape      52 56 60 uuid            checkpoint, u64  512 devices 0 to 26, 128 each:
//!  20 uuid                 words 1 to 3      172 resync               +0 number  +12 slot
//!    word 0            128 utime                 checkpoint           +16 state: 1 faulty,
//!  24 ctime            132 state: 1 clean,                                2 active, 4 in sync
//!  28 level                256 bitmap                             3968 this device, as above
//!  32 size, KiB
//! ```
//!
//! Kernel: include/uapi/linux/raid/md_p.h, super_90_load of drivers/md/md.c.

use super::super::bytes::array;
use super::{Features, Level, MAGIC, MdError, Metadata, Role, SUPERBLOCK_SIZE, Version, checksum};

pub(super) const CHECKSUM: usize = 152;
const DEVICES: usize = 512;
const DEVICE_SIZE: usize = 128;
const MAX_DEVICES: u32 = 27;
const THIS_DEVICE: usize = 3968;

const FAULTY: u32 = 1;
const IN_SYNC: u32 = 4;
/// Bit of a journal in the state of a device.
const JOURNAL: u32 = 1 << 18;
const CLEAN: u32 = 1;
const BITMAP: u32 = 256;

/// Parses the superblock `block`, which was read from `sector`.
pub(super) fn parse(block: &[u8], sector: u64) -> Result<Metadata, MdError> {
    let word = |at| array(block, at).map(u32::from_ne_bytes).ok_or(MdError::Missing);
    // The words of a number of 64 bits have the byte order too.
    let long = |at| array(block, at).map(u64::from_ne_bytes).ok_or(MdError::Missing);
    match word(0)? {
        MAGIC => {}
        magic if magic == MAGIC.swap_bytes() => return Err(MdError::ByteOrder),
        _ => return Err(MdError::Missing),
    }
    if word(4)? != 0 || !matches!(word(8)?, 90 | 91) || block.len() != SUPERBLOCK_SIZE {
        return Err(MdError::Missing);
    }
    if short(word(CHECKSUM)?) != short(checksum(block, CHECKSUM, u32::from_ne_bytes)) {
        return Err(MdError::Checksum);
    }
    let raid_disks = word(40)?;
    if raid_disks == 0 || raid_disks > MAX_DEVICES {
        return Err(MdError::Invalid("number of devices"));
    }
    let size = u64::from(word(32)?) * 2;
    let level = Level::from_number(word(28)?)?;
    let mut uuid = [0; 16];
    for (bytes, at) in uuid.chunks_exact_mut(4).zip([20, 52, 56, 60]) {
        bytes.copy_from_slice(&word(at)?.to_be_bytes());
    }
    Ok(Metadata {
        version: Version::V0_90,
        uuid,
        name: word(44)?.to_string(),
        minor: Some(word(44)?),
        created: u64::from(word(24)?),
        updated: u64::from(word(128)?),
        level,
        layout: word(256)?,
        chunk: word(260)? >> 9,
        raid_disks,
        size,
        data_offset: 0,
        // The data of raid0 and linear ends anywhere before the superblock.
        end: if matches!(level, Level::Raid0 | Level::Linear) { sector } else { size },
        events: long(156)?,
        is_clean: word(132)? & CLEAN != 0,
        rebuilt: None,
        features: Features {
            has_bitmap: word(132)? & BITMAP != 0,
            is_reshaping: word(8)? == 91,
            ..Features::default()
        },
        number: word(THIS_DEVICE)?,
        device_uuid: None,
        roles: (0..27).map(|number| role(block, number)).collect(),
    })
    .and_then(|metadata| match metadata.end > sector {
        true => Err(MdError::Invalid("size")),
        false => Ok(metadata),
    })
}

/// Returns the role of device `number`. A device that is active but not in sync is a spare until it
/// is rebuilt.
fn role(block: &[u8], number: usize) -> Role {
    let at = DEVICES + number * DEVICE_SIZE;
    let word = |at| array(block, at).map_or(0, u32::from_ne_bytes);
    match word(at + 16) {
        state if state & FAULTY != 0 => Role::Faulty,
        state if state & JOURNAL != 0 => Role::Journal,
        state if state & IN_SYNC != 0 => Role::Slot(word(at + 12)),
        _ => Role::Spare,
    }
}

/// Reduces a checksum to 16 bits: kernels before 2.6.22 stored it in several forms that agree so.
fn short(sum: u32) -> u32 {
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16)
}
