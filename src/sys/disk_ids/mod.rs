//! The links in /dev/disk that udev would make to a disk or partition, worked out from sysfs: its rules
//! 60-persistent-storage.rules, 60-persistent-storage-dm.rules and 63-md-raid-arrays.rules (systemd 252 and 257).
//!
//! ```text
//! /dev/disk/by-id/WHAT[-partN]        names.rs: model and serial number, world wide name
//! /dev/disk/by-path/WHERE[-partN]     path.rs: the ports that lead to it
//! /dev/disk/by-diskseq/NUMBER[-partN] the kernel's count of disks
//! ```
//!
//! The names by content (by-uuid, by-label, by-partuuid, by-partlabel) are made elsewhere, where devices are probed.

mod chain;
mod names;
mod path;

use super::Root;
use super::block::BlockDevice;
use chain::Chain;

/// Names of disks that the rules for storage pass by.
const PASSED: [&str; 5] = ["dm-", "md", "ram", "fd", "mtdblock"];

/// The links to `device`, each as its path below /dev: `disk/by-id/virtio-root-part1`. Sorted; none where the device has
/// vanished.
pub fn links(root: &Root, device: &BlockDevice) -> Vec<String> {
    let disk = device.disk.as_deref().unwrap_or(&device.name);
    let Some(chain) = Chain::of_block(root, disk) else { return Vec::new() };
    let suffix = device.partition.map_or_else(String::new, |number| format!("-part{number}"));
    let mut links = Vec::new();
    let mut add = |folder: &str, name: &str, suffix: &str| {
        links.push(format!("disk/{folder}/{name}{suffix}"));
    };
    for name in names::ids(root, &chain, disk) {
        add("by-id", &name, &suffix);
    }
    if !PASSED.iter().any(|prefix| disk.starts_with(prefix)) {
        let paths = path::paths(root, &chain, disk);
        if let (Some(number), Some(path)) = (device.partition, paths.first()) {
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
