//! How block devices stand on each other, and what names drivers have for them.

use std::fs;
use std::path::PathBuf;

use super::{Root, sysfs};

/// Maximum number of devices that [`above`] returns.
const MAX_DEVICES: usize = 256;

/// Returns the directory of a device below /sys.
fn directory(root: &Root, number: (u32, u32)) -> PathBuf {
    root.join(format!("sys/dev/block/{}:{}", number.0, number.1))
}

fn read(path: PathBuf) -> Option<String> {
    fs::read_to_string(path).ok().filter(|text| !text.is_empty())
}

fn number_at(directory: PathBuf) -> Option<(u32, u32)> {
    let text = read(directory.join("dev"))?;
    let (major, minor) = text.trim_end().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Returns the disk of a partition.
fn disk(root: &Root, number: (u32, u32)) -> Option<(u32, u32)> {
    let directory = directory(root, number);
    if !directory.join("partition").exists() {
        return None;
    }
    number_at(fs::canonicalize(directory).ok()?.parent()?.to_owned())
}

/// Returns an attribute of a device, or of the disk if the device is a partition without it:
/// `device/serial`, `dm/uuid`.
pub(crate) fn attribute(root: &Root, number: (u32, u32), name: &str) -> Option<String> {
    read(directory(root, number).join(name))
        .or_else(|| read(directory(root, disk(root, number)?).join(name)))
}

/// Returns the number of a partition; 0 for a whole disk.
pub(crate) fn partition(root: &Root, number: (u32, u32)) -> u32 {
    let text = read(directory(root, number).join("partition"));
    text.and_then(|text| text.trim_end().parse().ok()).unwrap_or(0)
}

/// Returns the devices that stand on a device or on its disk, at any height.
pub(crate) fn above(root: &Root, number: (u32, u32)) -> Vec<(u32, u32)> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    let mut pending: Vec<_> = [Some(number), disk(root, number)].into_iter().flatten().collect();
    while let Some(number) = pending.pop() {
        for name in sysfs::entry_names(&directory(root, number).join("holders")) {
            let holder = number_at(root.join("sys/class/block").join(name));
            if let Some(holder) = holder.filter(|holder| !found.contains(holder)) {
                found.push(holder);
                pending.push(holder);
            }
        }
        if found.len() >= MAX_DEVICES {
            break;
        }
    }
    found
}

/// A device of the device mapper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MappedDevice {
    /// UUID of the device mapper.
    pub(crate) uuid: String,
    /// Device number: major, minor.
    pub(crate) number: (u32, u32),
}

/// Returns the devices of the device mapper.
pub(crate) fn mapped_devices(root: &Root) -> Vec<MappedDevice> {
    let class = root.join("sys/class/block");
    let names = sysfs::entry_names(&class);
    let devices = names.iter().filter(|name| name.starts_with("dm-")).filter_map(|name| {
        let directory = class.join(name);
        let uuid = read(directory.join("dm/uuid"))?.trim_end().to_owned();
        Some(MappedDevice { uuid, number: number_at(directory)? })
    });
    devices.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn devices_above_are_found_at_any_height() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let add = |path: &str, number: &str, link: &str| {
            let directory = root.join("sys/devices").join(path);
            fs::create_dir_all(directory.join("holders")).unwrap();
            fs::write(directory.join("dev"), format!("{number}\n")).unwrap();
            for place in [format!("sys/dev/block/{number}"), format!("sys/class/block/{link}")] {
                fs::create_dir_all(root.join(&place).parent().unwrap()).unwrap();
                symlink(&directory, root.join(place)).unwrap();
            }
            directory
        };
        let disk = add("sda", "8:0", "sda");
        fs::create_dir_all(disk.join("device")).unwrap();
        fs::write(disk.join("device/serial"), "S1\n").unwrap();
        let part = add("sda/sda2", "8:2", "sda2");
        fs::write(part.join("partition"), "2\n").unwrap();
        let (array, mapped) = (add("md0", "9:0", "md0"), add("dm-0", "254:0", "dm-0"));
        fs::create_dir_all(mapped.join("dm")).unwrap();
        fs::write(mapped.join("dm/uuid"), "LVM-x\n").unwrap();
        fs::write(disk.join("holders/md0"), "").unwrap();
        fs::write(array.join("holders/dm-0"), "").unwrap();
        assert_eq!(above(&root, (8, 2)), [(9, 0), (254, 0)]);
        assert_eq!(above(&root, (254, 0)), []);
        assert_eq!((partition(&root, (8, 2)), partition(&root, (8, 0))), (2, 0));
        assert_eq!(attribute(&root, (8, 2), "device/serial").as_deref(), Some("S1\n"));
        assert_eq!(attribute(&root, (9, 0), "device/serial"), None);
        let want = MappedDevice { uuid: "LVM-x".into(), number: (254, 0) };
        assert_eq!(mapped_devices(&root), [want]);
    }
}
