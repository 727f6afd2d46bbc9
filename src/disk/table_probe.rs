//! Search for the partition table of a disk.

use super::device::{Device, Source};
use super::partition_table::PartitionTable;
use super::{gpt, mbr};

/// Returns the partition table of a disk with logical sectors of `sector_size` bytes (512 or 4096).
///
/// As in the kernel and blkid, a GPT requires a protective MBR. If its header or entries are
/// damaged, the backup at the end of the disk is used. A boot sector of vfat, exfat or ntfs is not
/// an MBR.
#[must_use]
pub fn partition_table(source: &impl Source, sector_size: u32) -> Option<PartitionTable> {
    read(&Device::new(source), sector_size)
}

pub(super) fn read(device: &Device<'_>, sector_size: u32) -> Option<PartitionTable> {
    let sector_size = u64::from(sector_size);
    if !sector_size.is_power_of_two() || !(512..=65536).contains(&sector_size) {
        return None;
    }
    mbr::read(device, sector_size).or_else(|| gpt::read(device, sector_size))
}
