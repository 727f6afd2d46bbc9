//! sysfs as the source of [`crate::disk::links`].

use std::fs;
use std::path::{Path, PathBuf};

use super::block::{self, BlockDevice, Disk};
use super::{Root, sysfs};
use crate::disk::links::DeviceTree;
use crate::disk::{self, Superblock};

/// Returns the links in /dev/disk that udev would make for `device`, as paths below /dev. May wait
/// for the device: virtio_blk asks it for its serial number.
pub fn links(root: &Root, device: &BlockDevice) -> Vec<String> {
    let disk = device.disk.as_deref().unwrap_or(&device.name);
    disk::links::links(root, disk, device.partition)
}

impl DeviceTree for Root {
    fn class_device(&self, class: &str, name: &str) -> Option<PathBuf> {
        let path = fs::canonicalize(self.join("sys/class").join(class).join(name)).ok()?;
        let devices = fs::canonicalize(self.join("sys/devices")).ok()?;
        Some(path.strip_prefix(devices).ok()?.to_owned())
    }

    fn subsystem(&self, path: &Path) -> Option<String> {
        let path = self.join("sys/devices").join(path);
        if !path.join("uevent").exists() {
            return None;
        }
        let target = fs::read_link(path.join("subsystem")).ok();
        let name = target.as_deref().and_then(Path::file_name);
        Some(name.unwrap_or_default().to_string_lossy().into_owned())
    }

    fn attribute(&self, path: &Path, name: &str) -> Option<Vec<u8>> {
        fs::read(self.join("sys/devices").join(path).join(name)).ok()
    }

    fn entries(&self, path: &Path) -> Vec<String> {
        sysfs::entry_names(&self.join("sys/devices").join(path))
    }

    fn probe(&self, name: &str) -> Option<Superblock> {
        disk::probe(&Disk::open(self, &block::device(self, name)?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn sysfs_is_a_device_tree() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let disk = root.join("sys/devices/pci0/0000:00:02.0/virtio1/block/vda");
        fs::create_dir_all(&disk).unwrap();
        for device in [root.join("sys/devices/pci0/0000:00:02.0"), disk.clone()] {
            fs::write(device.join("uevent"), "DEVTYPE=disk\n").unwrap();
        }
        symlink("/any/bus/pci", root.join("sys/devices/pci0/0000:00:02.0/subsystem")).unwrap();
        fs::create_dir_all(root.join("sys/class/block")).unwrap();
        symlink(&disk, root.join("sys/class/block/vda")).unwrap();
        let path = root.class_device("block", "vda").unwrap();
        assert_eq!(path, Path::new("pci0/0000:00:02.0/virtio1/block/vda"));
        assert_eq!(root.subsystem(&path).as_deref(), Some(""));
        assert_eq!(root.subsystem(Path::new("pci0/0000:00:02.0")).as_deref(), Some("pci"));
        assert_eq!(root.subsystem(Path::new("pci0")), None);
        assert_eq!(root.attribute(&path, "uevent").unwrap(), b"DEVTYPE=disk\n");
        assert_eq!(root.entries(&path), ["uevent"]);
        assert_eq!((root.class_device("block", "vdb"), root.probe("vda")), (None, None));
    }
}
