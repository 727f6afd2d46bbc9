//! Members of md arrays: blkid's linux_raid_member. Kernel: include/uapi/linux/raid/md_p.h.
//!
//! ```text
//! 0.90  at the last 64 KiB boundary with 64 KiB after it; words have the byte order of the host
//!         0 a92b4efc │ 8 minor version │ 20 uuid word 0 │ 32 used size, KiB
//!        52 56 60 uuid words 1 to 3
//! 1.x   little-endian; 1.0: at the last 4 KiB boundary with 8 KiB after it; 1.1: at 0;
//!       1.2: at 4 KiB
//!         0 a92b4efc │ 4 major version 1 │ 16 set uuid, 16 │ 32 set name, 32 │ 144 own sector, u64
//! ```

use super::bytes::{array, be32, le32, le64};
use super::device::Device;
use super::{Superblock, Usage, table_probe, text};

const MAGIC: u32 = 0xa92b_4efc;
/// Size of the area that a 0.90 superblock reserves at the end, in bytes.
const RESERVED: u64 = 0x10000;

pub(super) fn probe(device: &Device<'_>) -> Option<Superblock> {
    let size = device.size();
    let last = (size > RESERVED).then(|| (size & !0xfff).saturating_sub(0x2000));
    version_0(device).or_else(|| {
        [last, Some(0), Some(0x1000)].into_iter().flatten().find_map(|at| version_1(device, at))
    })
}

fn version_1(device: &Device<'_>, at: u64) -> Option<Superblock> {
    let sb = device.bytes(at, 256)?;
    let is_valid = le32(&sb, 0)? == MAGIC && le32(&sb, 4)? == 1 && le64(&sb, 144)? == at >> 9;
    let probe = Superblock::new("linux_raid_member", Usage::Raid);
    is_valid.then(|| probe.with_names(text::uuid(array(&sb, 16)), text::label(sb.get(32..64))))
}

fn version_0(device: &Device<'_>) -> Option<Superblock> {
    let at = (device.size() & !(RESERVED - 1)).checked_sub(RESERVED).filter(|at| *at > 0)?;
    let sb = device.bytes(at, 64)?;
    let word = match (le32(&sb, 0)?, be32(&sb, 0)?) {
        (MAGIC, _) => le32,
        (_, MAGIC) => be32,
        _ => return None,
    };
    let used = u64::from(word(&sb, 32)?) << 10;
    if device.size() < used + RESERVED || at < used || in_partition(device, at - used, at) {
        return None;
    }
    let offsets: &[usize] = if word(&sb, 8)? >= 90 { &[20, 52, 56, 60] } else { &[20] };
    let mut uuid = [0; 16];
    for (bytes, offset) in uuid.chunks_exact_mut(4).zip(offsets) {
        bytes.copy_from_slice(&word(&sb, *offset)?.to_be_bytes());
    }
    Some(Superblock::new("linux_raid_member", Usage::Raid).with_names(text::uuid(Some(uuid)), None))
}

/// Returns whether the superblock belongs to a partition. A superblock at the end of the last
/// partition is also near the end of the disk; then the partition is the member rather than the
/// disk.
fn in_partition(device: &Device<'_>, start: u64, superblock: u64) -> bool {
    [512, 4096].iter().filter_map(|sector| table_probe::read(device, *sector)).any(|table| {
        table.partitions.iter().any(|partition| {
            partition.start <= start && superblock + RESERVED <= partition.start + partition.size
        })
    })
}
