//! GPT, little-endian. References: UEFI specification chapter 5; kernel block/partitions/efi.c.
//!
//! ```text
//! sector 0          protective MBR          sector 1        header (a copy in the last sector)
//! header:  0 EFI PART │ 12 header size, u32 │ 16 its crc, u32, taken as zero │ 24 own sector, u64
//!         40 first usable sector, u64 │ 48 last usable, u64 │ 56 disk GUID, 16
//!         72 sector of the entries, u64 │ 80 number of entries, u32 │ 84 size of an entry, u32
//!         88 crc of the entries, u32
//! entry:   0 type GUID, 16 (zero: unused) │ 16 own GUID, 16 │ 32 first sector, u64
//!         40 last sector, u64, inclusive │ 48 attributes, u64 │ 56 name, 72, UTF-16LE
//! ```

use std::borrow::Cow;

use super::bytes::{array, has, index, le32, le64};
use super::device::Device;
use super::partition_table::{Partition, PartitionTable};
use super::{crc, mbr, text};

/// Size of an entry, in bytes.
const ENTRY_SIZE: usize = 128;
/// Maximum number of entries. 128 entries are usual; 4096 entries take half a megabyte.
const ENTRIES_MAX: usize = 4096;
/// Maximum size of a floppy, which has no GPT, in bytes.
const FLOPPY_SIZE: u64 = 1440 * 1024;

/// Returns the type GUID of root partitions for the architecture of this binary, according to the
/// Discoverable Partitions Specification, or `None` if it defines none.
#[must_use]
pub fn root_type_guid() -> Option<&'static str> {
    if cfg!(target_arch = "x86_64") {
        Some("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")
    } else if cfg!(target_arch = "x86") {
        Some("44479540-f297-41b2-9af7-d131d5f0458a")
    } else if cfg!(target_arch = "aarch64") {
        Some("b921b045-1df0-41c3-af44-4c6f280d3fae")
    } else if cfg!(target_arch = "arm") {
        Some("69dad710-2ce4-4e3c-b16c-21a1d49abed3")
    } else if cfg!(target_arch = "riscv64") {
        Some("72ec70a6-cf74-40e6-bd49-4bda08e8f224")
    } else {
        None
    }
}

/// A valid header and the bytes of its entries.
struct Header<'a> {
    disk: Option<String>,
    usable: std::ops::RangeInclusive<u64>,
    entries: Cow<'a, [u8]>,
}

pub(super) fn read(device: &Device<'_>, sector_size: u64) -> Option<PartitionTable> {
    if device.size() <= FLOPPY_SIZE || !mbr::is_protective(device) {
        return None;
    }
    let last = (device.size() / sector_size).checked_sub(1)?;
    let header =
        header(device, sector_size, 1, last).or_else(|| header(device, sector_size, last, last))?;
    let partitions = (1..)
        .zip(header.entries.chunks_exact(ENTRY_SIZE))
        .filter_map(|(number, entry)| partition(&header, number, entry, sector_size))
        .collect();
    Some(PartitionTable { kind: "gpt", uuid: header.disk, partitions })
}

fn header<'a>(device: &'a Device<'_>, sector_size: u64, at: u64, last: u64) -> Option<Header<'a>> {
    let sector = device.bytes(at.checked_mul(sector_size)?, index(sector_size)?)?;
    let (first_usable, last_usable) = (le64(&sector, 40)?, le64(&sector, 48)?);
    let is_valid = has(&sector, 0, b"EFI PART")
        && header_crc(&sector)? == le32(&sector, 16)?
        && le64(&sector, 24)? == at
        && first_usable <= last_usable
        && last_usable <= last
        && !(first_usable < at && at < last_usable)
        && index(le32(&sector, 84)?)? == ENTRY_SIZE;
    if !is_valid {
        return None;
    }
    let count = index(le32(&sector, 80)?).filter(|count| (1..=ENTRIES_MAX).contains(count))?;
    let entries = device.bytes(le64(&sector, 72)?.checked_mul(sector_size)?, count * ENTRY_SIZE)?;
    (crc::crc32(&entries) == le32(&sector, 88)?).then(|| Header {
        disk: text::guid(array(&sector, 56)),
        usable: first_usable..=last_usable,
        entries,
    })
}

/// Computes the CRC of the header over its stated size, with the CRC field taken as zero.
fn header_crc(sector: &[u8]) -> Option<u32> {
    let size = index(le32(sector, 12)?).filter(|size| *size >= 92)?;
    let crc = crc::update(!0, sector.get(..16)?);
    let crc = crc::update(crc, &[0; 4]);
    Some(!crc::update(crc, sector.get(20..size)?))
}

fn partition(
    header: &Header<'_>,
    number: u32,
    entry: &[u8],
    sector_size: u64,
) -> Option<Partition> {
    let kind = text::guid(array(entry, 0))?;
    let (first, last) = (le64(entry, 32)?, le64(entry, 40)?);
    if first > last || !header.usable.contains(&first) || !header.usable.contains(&last) {
        return None;
    }
    Some(Partition {
        number,
        start: first.checked_mul(sector_size)?,
        size: (last - first + 1).checked_mul(sector_size)?,
        uuid: text::guid(array(entry, 16)),
        label: text::utf16le(entry.get(56..ENTRY_SIZE)),
        kind,
        attributes: le64(entry, 48)?,
    })
}
