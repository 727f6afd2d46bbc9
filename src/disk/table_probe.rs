//! Which of the two partition tables a disk has.

use super::device::{Device, Source};
use super::partition_table::PartitionTable;
use super::{gpt, mbr};

/// The partition table of a disk with logical sectors of `sector_size` bytes (512 or 4096).
///
/// As the kernel and blkid have it, GPT counts only behind a protective MBR; where its header or entries are
/// damaged, the backup at the end of the disk counts. A boot sector of vfat, exfat or ntfs is no MBR.
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
