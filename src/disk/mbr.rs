//! MBR, blkid's `dos`, little-endian. Kernel: block/partitions/msdos.c.
//!
//! ```text
//! sector 0:  440 disk signature, u32 │ 446 four entries │ 510 55 aa
//! entry, 16: boot flag, u8 (0 or 80) │ … │ 4 type, u8 │ … │ 8 start, u32 │ 12 length, u32
//!            (in sectors)
//! extended partition (type 05, 0f, 85): a chain of such sectors
//!   entry 1: the logical partition, start relative to this sector
//!   entry 2: the next sector of the chain, start relative to the extended partition
//! ```

use super::bytes::{has, le32};
use super::device::Device;
use super::partition_table::{Partition, PartitionTable};
use super::{exfat, fat, ntfs};

/// Type of the entry that protects a GPT.
const PROTECTIVE: u8 = 0xee;
/// IBMA in EBCDIC: an AIX disk, which has no partition table in this sector.
const AIX: &[u8] = b"\xc9\xc2\xd4\xc1";
/// Maximum number of partitions: the kernel's DISK_MAX_PARTS.
const PARTITIONS_MAX: usize = 256;
/// Maximum number of consecutive chain sectors without a logical partition, because the chain may
/// be a cycle.
const EMPTY_MAX: u32 = 100;

#[derive(Clone, Copy)]
struct Entry {
    boot: u8,
    kind: u8,
    start: u64,
    size: u64,
}

impl Entry {
    fn is_extended(self) -> bool {
        self.size > 0 && matches!(self.kind, 0x05 | 0x0f | 0x85)
    }
}

/// Returns the four entries of a sector that ends in 55 aa, with start and size in bytes.
fn entries(sector: &[u8], sector_size: u64) -> Option<[Entry; 4]> {
    let mut entries = [Entry { boot: 0, kind: 0, start: 0, size: 0 }; 4];
    for (entry, raw) in entries.iter_mut().zip(sector.get(446..510)?.chunks_exact(16)) {
        *entry = Entry {
            boot: raw[0],
            kind: raw[4],
            start: u64::from(le32(raw, 8)?) * sector_size,
            size: u64::from(le32(raw, 12)?) * sector_size,
        };
    }
    has(sector, 510, b"\x55\xaa").then_some(entries)
}

/// Returns whether sector 0 protects a GPT.
pub(super) fn is_protective(device: &Device<'_>) -> bool {
    entries(device.head(), 512).is_some_and(|e| e.iter().any(|entry| entry.kind == PROTECTIVE))
}

/// Returns whether sector 0 is an MBR with its own partitions.
pub(super) fn is_table(device: &Device<'_>) -> bool {
    primary(device, 512).is_some()
}

fn primary(device: &Device<'_>, sector_size: u64) -> Option<[Entry; 4]> {
    let sector = device.head();
    let entries = entries(sector, sector_size)?;
    let is_other = has(sector, 0, AIX)
        || fat::is_boot_sector(sector)
        || exfat::is_boot_sector(sector)
        || ntfs::is_boot_sector(device);
    let is_valid = entries.iter().all(|e| matches!(e.boot, 0 | 0x80) && e.kind != PROTECTIVE);
    (is_valid && !is_other).then_some(entries)
}

pub(super) fn read(device: &Device<'_>, sector_size: u64) -> Option<PartitionTable> {
    let entries = primary(device, sector_size)?;
    let signature = le32(device.head(), 440)?;
    let mut found: Vec<(u32, Entry)> =
        (1..).zip(entries).filter(|(_, entry)| entry.size > 0).collect();
    let mut logical = Vec::new();
    for extended in entries.iter().filter(|entry| entry.is_extended()) {
        add_logical(device, sector_size, *extended, &mut logical);
    }
    found.extend((5..).zip(logical));
    Some(PartitionTable {
        kind: "dos",
        uuid: (signature != 0).then(|| format!("{signature:08x}")),
        partitions: found.iter().map(|(n, entry)| partition(signature, *n, *entry)).collect(),
    })
}

fn partition(signature: u32, number: u32, entry: Entry) -> Partition {
    Partition {
        number,
        start: entry.start,
        size: entry.size,
        uuid: Some(format!("{signature:08x}-{number:02x}")),
        label: None,
        kind: format!("{:#x}", entry.kind),
        attributes: entry.boot.into(),
    }
}

/// Follows one chain and adds its logical partitions.
fn add_logical(device: &Device<'_>, sector_size: u64, extended: Entry, found: &mut Vec<Entry>) {
    let mut link = extended;
    let mut empty = 0;
    while empty < EMPTY_MAX && found.len() < PARTITIONS_MAX {
        let Some(sector) = device.bytes(link.start, 512) else { return };
        let Some(entries) = entries(&sector, sector_size) else { return };
        empty += 1;
        for (number, entry) in entries.iter().enumerate() {
            let entry_on_disk = Entry { start: link.start.saturating_add(entry.start), ..*entry };
            if is_logical(number, *entry, entry_on_disk, link, extended) {
                found.push(entry_on_disk);
                empty = 0;
            }
        }
        let Some(next) = entries.iter().find(|entry| entry.is_extended()) else { return };
        link = Entry { start: extended.start.saturating_add(next.start), ..*next };
    }
}

/// Returns whether an entry describes a logical partition. Entries 3 and 4 may hold anything, so
/// they are used only if they lie within the sector's partition and the extended one.
fn is_logical(number: usize, entry: Entry, on_disk: Entry, link: Entry, extended: Entry) -> bool {
    entry.size > 0
        && !entry.is_extended()
        && (number < 2
            || (entry.start + entry.size <= link.size
                && on_disk.start.saturating_add(on_disk.size) <= extended.start + extended.size))
}
