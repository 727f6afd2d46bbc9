//! NTFS, little-endian. Kernel: fs/ntfs3/ntfs.h.
//!
//! ```text
//! sector 0: 3 "NTFS    " │ 0x0b sector size, u16
//!           0x0d sectors per cluster, u8 (from f0: 2^(256 - n))
//!           0x0e, 0x10, 0x11, 0x13, 0x16, 0x20 zero (counts in FAT) │ 0x28 sectors, u64
//!           0x30 cluster of the MFT, u64 │ 0x38 cluster of its mirror, u64
//!           0x40 clusters per record, i8 (< 0: 2^-n bytes)
//!           0x48 serial, u64 (the UUID)
//! record:   FILE │ … │ 0x14 first attribute, u16 │ … │ 0x1c allocated, u32; number 3 is $Volume
//! attribute: type, u32 (60: volume name) │ length, u32 │ … │ 0x10 value length, u32
//!            0x14 value offset, u16
//! ```

use super::bytes::{array, has, index, le16, le32, le64};
use super::device::Device;
use super::{Superblock, text};

/// Number of the $Volume record.
const VOLUME: u64 = 3;
const VOLUME_NAME: u32 = 0x60;
const END: u32 = u32::MAX;
/// Maximum size of a cluster, in bytes.
const CLUSTER_MAX: u64 = 2 << 20;
/// Maximum size of a record, in bytes. Records have 1 KiB or 4 KiB; blkid reads up to 2 GiB.
const RECORD_MAX: u64 = 64 * 1024;

/// Offset of the master file table and size of its records, in bytes.
struct Mft {
    start: u64,
    record: u64,
}

pub(super) fn probe(device: &Device<'_>) -> Option<Superblock> {
    let mft = mft(device)?;
    let volume = record(device, &mft, VOLUME)?;
    let serial = le64(device.head(), 0x48)?;
    let uuid = (serial != 0).then(|| format!("{serial:016X}"));
    Some(Superblock::filesystem("ntfs").with_names(uuid, volume_name(&volume)))
}

/// Returns whether sector 0 is the boot sector of NTFS, and therefore not a partition table.
pub(super) fn is_boot_sector(device: &Device<'_>) -> bool {
    mft(device).is_some()
}

/// Parses the boot sector. Returns `None` if there is no valid record at the start of the table.
fn mft(device: &Device<'_>) -> Option<Mft> {
    let sector = device.head();
    if !has(sector, 3, b"NTFS    ") || !unused_are_zero(sector)? {
        return None;
    }
    let size = u64::from(le16(sector, 0x0b)?);
    let per_cluster = match *sector.get(0x0d)? {
        count @ 1..=128 if count.is_power_of_two() => u64::from(count),
        code @ 240..=249 => 1 << (256 - u64::from(code)),
        _ => return None,
    };
    let cluster = size * per_cluster;
    let clusters = le64(sector, 0x28)? / per_cluster;
    let (at, mirror) = (le64(sector, 0x30)?, le64(sector, 0x38)?);
    let is_valid = (256..=4096).contains(&size)
        && size.is_power_of_two()
        && cluster <= CLUSTER_MAX
        && at <= clusters
        && mirror <= clusters;
    let record_size = record_size(*sector.get(0x40)?, cluster)?;
    let mft = Mft { start: at.checked_mul(cluster)?, record: record_size };
    (is_valid && record(device, &mft, 0).is_some()).then_some(mft)
}

fn unused_are_zero(sector: &[u8]) -> Option<bool> {
    Some(
        array(sector, 0x0e) == Some([0; 7]) && le16(sector, 0x16)? == 0 && le32(sector, 0x20)? == 0,
    )
}

fn record_size(code: u8, cluster: u64) -> Option<u64> {
    let size = match code {
        1..=64 if code.is_power_of_two() => u64::from(code) * cluster,
        0xe1..=0xf7 => 1 << (256 - u64::from(code)),
        _ => return None,
    };
    (size <= RECORD_MAX).then_some(size)
}

fn record<'a>(
    device: &'a Device<'_>,
    mft: &Mft,
    number: u64,
) -> Option<std::borrow::Cow<'a, [u8]>> {
    let at = mft.start.checked_add(number * mft.record)?;
    device.bytes(at, index(mft.record)?).filter(|record| record.starts_with(b"FILE"))
}

fn volume_name(record: &[u8]) -> Option<String> {
    let allocated = index(le32(record, 0x1c)?)?;
    let mut at = usize::from(le16(record, 0x14)?);
    while at <= allocated {
        let attribute = record.get(at..).filter(|rest| rest.len() >= 22)?;
        let length = index(le32(attribute, 4)?)?;
        match le32(attribute, 0)? {
            END => return None,
            VOLUME_NAME => {
                let from = usize::from(le16(attribute, 0x14)?);
                let to = from.checked_add(index(le32(attribute, 0x10)?)?)?;
                return text::utf16le(attribute.get(from..to));
            }
            _ if length == 0 => return None,
            _ => at = at.checked_add(length)?,
        }
    }
    None
}
