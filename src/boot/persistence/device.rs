//! The device that holds the stored boot.
//!
//! A partition label is looked up in sysfs. Any other name may need the partition tables or
//! superblocks of all disks: the child that reads them has a deadline.

use crate::byte_text;
use crate::cmdline::root_name::RootName;
use crate::disk::{self, Partition, Superblock};
use crate::sys::block::{self, BlockDevice, Disk};
use crate::sys::{Root, disk_links};

/// Returns the device that `name` stands for; the first one if there are several.
pub(crate) fn find(root: &Root, name: &RootName) -> Option<BlockDevice> {
    let devices = block::list(root).ok()?;
    let hit = devices.iter().find(|device| is_named(root, device, name))?;
    match name {
        RootName::PartUuid(_, offset) if *offset != 0 => {
            let number = hit.partition?.checked_add_signed(*offset)?;
            let same_disk = |other: &&BlockDevice| other.disk == hit.disk;
            devices.iter().filter(same_disk).find(|d| d.partition == Some(number)).cloned()
        }
        _ => Some(hit.clone()),
    }
}

fn is_named(root: &Root, device: &BlockDevice, name: &RootName) -> bool {
    match name {
        RootName::Device(path) => root.join(byte_text::to_path(path)) == device.node(root),
        RootName::Number(major, minor) => device.number == (*major, *minor),
        RootName::PartLabel(label) => {
            block::partition_names(root, &device.name).1.as_ref() == Some(label)
        }
        RootName::PartUuid(uuid, _) => {
            let known = block::partition_names(root, &device.name).0;
            let own = known.or_else(|| entry(root, device)?.uuid);
            own.is_some_and(|own| is_same(own.get(..uuid.len()), uuid))
        }
        RootName::Uuid(uuid) => {
            superblock(root, device).is_some_and(|found| is_same(found.uuid.as_deref(), uuid))
        }
        RootName::Label(label) => {
            superblock(root, device).is_some_and(|found| found.label.as_ref() == Some(label))
        }
        RootName::Link(link) => disk_links::links(root, device).contains(&format!("disk/{link}")),
        RootName::GptAuto | RootName::Other(_) => false,
    }
}

fn is_same(have: Option<&str>, want: &str) -> bool {
    have.is_some_and(|have| have.eq_ignore_ascii_case(want))
}

/// Returns what the device holds.
pub(super) fn superblock(root: &Root, device: &BlockDevice) -> Option<Superblock> {
    disk::probe(&Disk::open(root, device).ok()?)
}

/// Returns the entry of a partition in the table of its disk.
fn entry(root: &Root, device: &BlockDevice) -> Option<Partition> {
    let number = device.partition?;
    let disk = block::device(root, device.disk.as_deref()?)?;
    let source = Disk::open(root, &disk).ok()?;
    let table = disk::partition_table(&source, disk.sector_size(root))?;
    table.partitions.into_iter().find(|entry| entry.number == number)
}
