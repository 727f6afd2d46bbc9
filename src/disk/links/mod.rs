//! The links in /dev/disk that udev would make for a disk or partition, derived from sysfs: its
//! rules 60-persistent-storage.rules, 60-persistent-storage-dm.rules and 63-md-raid-arrays.rules
//! (systemd 252 and 257).
//!
//! ```text
//! /dev/disk/by-id/WHAT[-partN]        by_id.rs: model and serial number, world wide name
//! /dev/disk/by-path/WHERE[-partN]     by_path.rs: the ports that lead to the disk
//! /dev/disk/by-diskseq/NUMBER[-partN] the kernel's count of disks
//! ```
//!
//! Links by content (by-uuid, by-label, by-partuuid, by-partlabel) follow from probing and are not
//! made here.

mod by_id;
mod by_path;
mod chain;

use std::path::{Path, PathBuf};

use super::Superblock;
use chain::Chain;

/// The devices of sysfs from which names are made. Paths are below /sys/devices.
pub(crate) trait DeviceTree {
    /// Returns the path of the device called `name` in /sys/class/`class`.
    fn class_device(&self, class: &str, name: &str) -> Option<PathBuf>;

    /// Returns the subsystem of the device at `path`, empty if it belongs to none; `None` if the
    /// directory is not a device.
    fn subsystem(&self, path: &Path) -> Option<String>;

    /// Returns the content of a file of the device at `path`.
    fn attribute(&self, path: &Path, name: &str) -> Option<Vec<u8>>;

    /// Returns the names of the directory entries at `path`; none if it cannot be read.
    fn entries(&self, path: &Path) -> Vec<String>;

    /// Returns what the block device called `name` in /sys/class/block holds.
    fn probe(&self, name: &str) -> Option<Superblock>;
}

/// Prefixes of disks for which the rules for storage make no links by path.
const WITHOUT_PATH: [&str; 5] = ["dm-", "md", "ram", "fd", "mtdblock"];

/// Returns the links to the disk called `disk` in /sys/class/block, or to one of its partitions, as
/// paths below /dev: `disk/by-id/virtio-root-part1`. They are sorted; there are none if the disk
/// has vanished.
pub(crate) fn links(tree: &dyn DeviceTree, disk: &str, partition: Option<u32>) -> Vec<String> {
    let Some(chain) = Chain::of_block(tree, disk) else { return Vec::new() };
    let suffix = partition.map_or_else(String::new, |number| format!("-part{number}"));
    let mut links = Vec::new();
    let mut add = |directory: &str, name: &str, suffix: &str| {
        links.push(format!("disk/{directory}/{name}{suffix}"));
    };
    for name in by_id::names(&chain, disk) {
        add("by-id", &name, &suffix);
    }
    if !WITHOUT_PATH.iter().any(|prefix| disk.starts_with(prefix)) {
        let paths = by_path::paths(&chain, disk);
        if let (Some(number), Some(path)) = (partition, paths.first()) {
            add("by-path", path, &format!("-part/by-partnum/{number}"));
        }
        for path in &paths {
            add("by-path", path, &suffix);
        }
        if let Some(number) = chain.first().text("diskseq") {
            add("by-diskseq", &number, &suffix);
        }
    }
    links.sort_unstable();
    links.dedup();
    links
}
