//! Superblocks of version 1: 1.0 at the end of the device, 1.1 at its start, 1.2 at 4 KiB.
//!
//! ```text
//! little-endian, 256 bytes and two for each device
//!   0 a92b4efc, u32      88 chunk size, u32      144 own sector, u64       200 events, u64
//!   4 major version: 1   92 raid_disks, u32      152 recovery offset,      208 resync offset, u64
//!   8 features, u32      96 place of bitmap             u64                216 checksum, u32
//!  16 set uuid, 16      104 reshape position     160 number of the         220 max_dev, u32
//!  32 set name, 32      128 data offset, u64         device, u32           256 roles, u16 each:
//!  64 ctime, u64: 40    136 data size, u64       168 device uuid, 16           slot,
//!     bits of seconds                            192 utime, u64                fffd journal,
//!  72 level, i32            offsets and sizes in sectors of 512 bytes          fffe faulty,
//!  76 layout, u32           resync offset: ffff… if the array is clean         ffff spare
//!  80 size, u64
//! ```
//!
//! Kernel: include/uapi/linux/raid/md_p.h, super_1_load of drivers/md/md.c.

use super::super::bytes::{array, le16, le32, le64};
use super::super::text;
use super::{Features, Level, MAGIC, MAX_DEVICES, MdError, Metadata, Role, Version, checksum};

const BITMAP_OFFSET: u32 = 1;
const RECOVERY_OFFSET: u32 = 2;
const RESHAPE_ACTIVE: u32 = 4;
const BAD_BLOCKS: u32 = 8;
const REPLACEMENT: u32 = 16;
const NEW_OFFSET: u32 = 64;
const JOURNAL: u32 = 512;
const PPL: u32 = 1024;
const MULTIPLE_PPLS: u32 = 2048;
/// Every feature of the kernel: besides these a reshape that goes backwards (32), a bitmap of a
/// recovery (128), a bitmap of a cluster (256) and a layout of raid0 (4096).
const KNOWN: u32 = 0x1fff;

const ROLES: usize = 256;
pub(super) const CHECKSUM: usize = 216;
/// Bits of a time that are seconds.
const SECONDS: u64 = (1 << 40) - 1;

/// Parses the superblock at the start of `block`, which was read from `sector`.
pub(super) fn parse(block: &[u8], version: Version, sector: u64) -> Result<Metadata, MdError> {
    let word = |at| le32(block, at).ok_or(MdError::Missing);
    let long = |at| le64(block, at).ok_or(MdError::Missing);
    if (word(0)?, word(4)?, long(144)?) != (MAGIC, 1, sector) {
        return Err(MdError::Missing);
    }
    let bits = word(8)?;
    let roles = roles(block, word(220)?)?;
    if bits & !KNOWN != 0 {
        return Err(MdError::Features(bits & !KNOWN));
    }
    let raid_disks = word(92)?;
    if raid_disks == 0 || raid_disks > MAX_DEVICES {
        return Err(MdError::Invalid("number of devices"));
    }
    let (data_offset, data_size, size) = (long(128)?, long(136)?, long(80)?);
    let end = data_offset.checked_add(data_size).filter(|_| data_size >= size);
    let has = |feature| bits & feature != 0;
    Ok(Metadata {
        version,
        uuid: array(block, 16).ok_or(MdError::Missing)?,
        name: text::label(block.get(32..64)).unwrap_or_default(),
        minor: None,
        created: long(64)? & SECONDS,
        updated: long(192)? & SECONDS,
        level: Level::from_number(word(72)?)?,
        layout: word(76)?,
        chunk: word(88)?,
        raid_disks,
        size,
        data_offset,
        end: end.ok_or(MdError::Invalid("size"))?,
        events: long(200)?,
        is_clean: long(208)? == u64::MAX,
        rebuilt: has(RECOVERY_OFFSET).then_some(long(152)?).filter(|rebuilt| *rebuilt < size),
        features: Features {
            // PPL uses the field of the bitmap for its own place.
            has_bitmap: has(BITMAP_OFFSET) && !has(PPL | MULTIPLE_PPLS),
            has_bad_blocks: has(BAD_BLOCKS),
            has_journal: has(JOURNAL),
            has_ppl: has(PPL | MULTIPLE_PPLS),
            is_replacement: has(REPLACEMENT),
            is_reshaping: has(RESHAPE_ACTIVE),
            has_new_offset: has(NEW_OFFSET),
        },
        number: word(160)?,
        device_uuid: array(block, 168),
        roles,
    })
}

/// Returns the roles of `count` devices, after the check of the checksum, which covers them.
fn roles(block: &[u8], count: u32) -> Result<Vec<Role>, MdError> {
    let count = usize::try_from(count).ok().filter(|_| count <= MAX_DEVICES);
    let end = count.map(|count| ROLES + 2 * count);
    let covered = end.and_then(|end| block.get(..end));
    let covered = covered.ok_or(MdError::Invalid("number of roles"))?;
    if le32(covered, CHECKSUM) != Some(checksum(covered, CHECKSUM, u32::from_le_bytes)) {
        return Err(MdError::Checksum);
    }
    let role = |at| match le16(covered, at).unwrap_or(u16::MAX) {
        0xffff => Role::Spare,
        0xfffd => Role::Journal,
        slot if slot < 0xff00 => Role::Slot(u32::from(slot)),
        _ => Role::Faulty,
    };
    Ok((ROLES..covered.len()).step_by(2).map(role).collect())
}
