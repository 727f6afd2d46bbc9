//! Block devices: listing and reading them.
//!
//! A kernel with CONFIG_SYSFS_DEPRECATED, which Linux 6.2 no longer has, puts them elsewhere:
//!
//! ```text
//! usual        /sys/class/block/{vda,vda1}            links to devices/…/block/vda[/vda1]
//! deprecated   /sys/block/vda, /sys/block/vda/vda1    directories
//! both         /sys/dev/block/{254:0,254:1}           links to the directories
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};
use rustix::io::Errno;

use super::sysfs::entry_names;
use super::{Error, Result, Root};
use crate::byte_text;
use crate::disk;
use crate::escape;

/// A disk or a partition, from /sys/class/block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockDevice {
    /// Name in the kernel, with `!` for `/` as in `cciss!c0d0p1`.
    pub name: String,
    /// Device number: major, minor.
    pub(crate) number: (u32, u32),
    /// Partition number; `None` for a whole disk.
    pub(crate) partition: Option<u32>,
    /// The disk of a partition.
    pub(crate) disk: Option<String>,
    /// Size in bytes; 0 without a medium.
    pub(crate) size: u64,
}

impl BlockDevice {
    /// Returns the disk `name` that is no longer there. It cannot be opened.
    pub(crate) fn vanished(name: &str) -> Self {
        Self { name: name.to_owned(), number: (0, 0), partition: None, disk: None, size: 0 }
    }

    /// Returns the size of the logical sectors of the disk, in bytes.
    pub(crate) fn sector_size(&self, root: &Root) -> u32 {
        let disk = self.disk.as_deref().unwrap_or(&self.name);
        let path = directory(root, disk).join("queue/logical_block_size");
        fs::read_to_string(path).ok().and_then(|t| t.trim_end().parse().ok()).unwrap_or(512)
    }

    /// Returns the path of the node in devtmpfs.
    pub(crate) fn node(&self, root: &Root) -> PathBuf {
        root.join("dev").join(&*disk::name::from_sysfs(&self.name))
    }

    /// Returns the path by which people know the device, which mount(8) and systemd show too:
    /// /dev/mapper/NAME for a device of the device mapper, if that link is there, else its node.
    pub(crate) fn usual_path(&self, root: &Root) -> PathBuf {
        if !self.name.starts_with("dm-") {
            return self.node(root);
        }
        let name = fs::read_to_string(directory(root, &self.name).join("dm/name"));
        let path = name.map(|name| root.join("dev/mapper").join(name.trim_end()));
        path.ok().filter(|path| path.exists()).unwrap_or_else(|| self.node(root))
    }

    /// Returns the name below /dev by which people know a device of the device mapper: `vg0/root`
    /// for a logical volume, `mapper/NAME` for another one; `None` without such a link.
    #[cfg(feature = "stacks")]
    pub(crate) fn usual_name(&self, root: &Root) -> Option<String> {
        let path = self.usual_path(root);
        let dev = root.join("dev");
        let name = path.strip_prefix(&dev).ok()?.to_str()?;
        let volume = disk::mapping::volume_path(name.strip_prefix("mapper/")?);
        let volume = volume.filter(|volume| dev.join(volume).exists());
        Some(volume.unwrap_or_else(|| name.to_owned()))
    }
}

/// Returns the number, major and minor, of the block device that a path leads to.
pub(crate) fn number_at(path: &Path) -> Option<(u32, u32)> {
    let meta = fs::metadata(path).ok().filter(|meta| meta.file_type().is_block_device())?;
    Some((major(meta.rdev()), minor(meta.rdev())))
}

/// Returns whether the device `name` is below another block device, such as one of the device
/// mapper, and so in use.
pub(crate) fn has_holders(root: &Root, name: &str) -> bool {
    let holders = directory(root, name).join("holders");
    fs::read_dir(holders).is_ok_and(|mut holders| holders.next().is_some())
}

/// Returns the directory of the block device `name` in /sys, which may have vanished.
fn directory(root: &Root, name: &str) -> PathBuf {
    let class = root.join("sys/class/block");
    if class.exists() { class.join(name) } else { deprecated_directory(root, name) }
}

fn deprecated_directory(root: &Root, name: &str) -> PathBuf {
    let disks = root.join("sys/block");
    let mut above: Vec<PathBuf> = vec![disks.clone()];
    above.extend(entry_names(&disks).iter().map(|disk| disks.join(disk)));
    let found = above.iter().map(|above| above.join(name)).find(|dir| dir.join("dev").exists());
    found.unwrap_or_else(|| disks.join(name))
}

/// Returns the names of the links in /sys/dev/block.
fn deprecated_names(root: &Root) -> Vec<String> {
    let dir = root.join("sys/dev/block");
    let name = |number: &String| {
        let target = fs::read_link(dir.join(number)).ok()?;
        target.file_name()?.to_str().map(str::to_owned)
    };
    entry_names(&dir).iter().filter_map(name).collect()
}

/// Lists all block devices, sorted by name. Devices that vanish meanwhile are skipped.
///
/// # Errors
/// /sys/class/block cannot be read: the kernel has no block layer.
pub fn list(root: &Root) -> Result<Vec<BlockDevice>> {
    let dir = root.join("sys/class/block");
    let names: Vec<String> = match fs::read_dir(&dir) {
        Ok(entries) => entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect(),
        Err(_) if root.join("sys/block").exists() => deprecated_names(root),
        Err(error) => return Err(Error::io("open", &dir, &error)),
    };
    let mut devices: Vec<BlockDevice> =
        names.iter().filter_map(|name| device(root, name)).collect();
    devices.sort_unstable();
    Ok(devices)
}

/// Returns the block device `name`, spelt as in /sys/class/block.
pub(crate) fn device(root: &Root, name: &str) -> Option<BlockDevice> {
    let dir = directory(root, name);
    let text = |file: &str| fs::read_to_string(dir.join(file)).ok();
    let dev = text("dev")?;
    let (major, minor) = dev.trim_end().split_once(':')?;
    let partition = text("partition").and_then(|t| t.trim_end().parse().ok());
    let disk = partition.and_then(|_| {
        // The directory is …/block/DISK/PARTITION.
        let real = fs::canonicalize(&dir).ok()?;
        Some(real.parent()?.file_name()?.to_string_lossy().into_owned())
    });
    // `size` is in units of 512 bytes for every sector size.
    let size = text("size").and_then(|t| t.trim_end().parse::<u64>().ok()).unwrap_or(0) * 512;
    let number = (major.parse().ok()?, minor.parse().ok()?);
    Some(BlockDevice { name: name.to_owned(), number, partition, disk, size })
}

/// Returns whether the device with this number is below another block device, as [`has_holders`].
#[cfg(feature = "stacks")]
pub(crate) fn is_in_use(root: &Root, number: (u32, u32)) -> bool {
    let holders = root.join(format!("sys/dev/block/{}:{}/holders", number.0, number.1));
    fs::read_dir(holders).is_ok_and(|mut holders| holders.next().is_some())
}

/// Returns the size of the device with this number, in bytes.
#[cfg(feature = "stacks")]
pub(crate) fn size(root: &Root, number: (u32, u32)) -> Option<u64> {
    let path = root.join(format!("sys/dev/block/{}:{}/size", number.0, number.1));
    Some(fs::read_to_string(path).ok()?.trim_end().parse::<u64>().ok()? * 512)
}

/// Returns whether the device with this number cannot be written: `ro` in sysfs, which is also what
/// BLKROGET returns.
pub(crate) fn is_read_only(root: &Root, number: (u32, u32)) -> bool {
    let path = root.join(format!("sys/dev/block/{}:{}/ro", number.0, number.1));
    fs::read_to_string(path).is_ok_and(|text| text.trim_end() == "1")
}

/// Returns the PARTUUID and the PARTLABEL of a partition if the kernel knows them: `PARTUUID=` and
/// `PARTNAME=` in its `uevent` file.
pub(crate) fn partition_names(root: &Root, name: &str) -> (Option<String>, Option<String>) {
    let path = directory(root, name).join("uevent");
    let bytes = fs::read(path).unwrap_or_default();
    let text = byte_text::from_bytes(&bytes);
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    (value("PARTUUID"), value("PARTNAME"))
}

/// A block device that is open for reading.
#[derive(Debug)]
pub(crate) struct Disk {
    file: File,
    size: u64,
}

impl Disk {
    /// Opens the device for reading.
    ///
    /// # Errors
    /// The node is missing or that of another device, or there is no medium.
    pub(crate) fn open(root: &Root, device: &BlockDevice) -> Result<Self> {
        let node = device.node(root);
        let failed = |e: &io::Error| Error::io("open", &node, e);
        let file = File::open(&node).map_err(|e| failed(&e))?;
        let number = file.metadata().map_err(|e| failed(&e))?.rdev();
        // The name may belong to another device by now.
        if (major(number), minor(number)) != device.number {
            return Err(Error::new("open", escape::path(&node), Errno::NXIO));
        }
        Ok(Self { file, size: device.size })
    }
}

impl disk::Source for Disk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn devices_of_the_deprecated_layout_are_listed() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Root::at(scratch.path());
        assert!(list(&dir).is_err(), "no block layer");
        for (path, number, size) in [("sda", "8:0", 2048), ("sda/sda1", "8:1", 1024)] {
            let device = scratch.path().join("sys/block").join(path);
            fs::create_dir_all(&device).unwrap();
            fs::write(device.join("dev"), format!("{number}\n")).unwrap();
            fs::write(device.join("size"), format!("{size}\n")).unwrap();
            let link = scratch.path().join("sys/dev/block").join(number);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(format!("../../block/{path}"), link).unwrap();
        }
        let partition = scratch.path().join("sys/block/sda/sda1");
        fs::write(partition.join("partition"), "1\n").unwrap();
        fs::write(partition.join("uevent"), "PARTNAME=root\n").unwrap();
        let whole = BlockDevice {
            name: "sda".to_owned(),
            number: (8, 0),
            partition: None,
            disk: None,
            size: 1 << 20,
        };
        let part = BlockDevice {
            name: "sda1".to_owned(),
            number: (8, 1),
            partition: Some(1),
            disk: Some("sda".to_owned()),
            size: 512 << 10,
        };
        assert_eq!(list(&dir).unwrap(), [whole, part]);
        assert_eq!(partition_names(&dir, "sda1").1.as_deref(), Some("root"));
    }

    #[test]
    fn a_device_is_read_only_if_sysfs_says_so() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Root::at(scratch.path());
        for (number, text, want) in
            [((8, 0), "0\n", false), ((8, 1), "1\n", true), ((254, 16), "", false)]
        {
            let device = scratch.path().join(format!("sys/dev/block/{}:{}", number.0, number.1));
            fs::create_dir_all(&device).unwrap();
            fs::write(device.join("ro"), text).unwrap();
            assert_eq!(is_read_only(&dir, number), want, "{text}");
        }
        assert!(!is_read_only(&dir, (9, 9)), "a device that is gone");
    }

    #[cfg(feature = "stacks")]
    #[test]
    fn volumes_have_the_name_of_their_link() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Root::at(scratch.path());
        for (name, mapped, links, want) in [
            ("dm-0", "vg--0-root", &["mapper/vg--0-root", "vg-0/root"][..], Some("vg-0/root")),
            ("dm-1", "luks-0a-1b", &["mapper/luks-0a-1b"], Some("mapper/luks-0a-1b")),
            ("dm-2", "root", &["mapper/root"], Some("mapper/root")),
            ("dm-3", "vg1-root", &[], None),
            ("vda", "vg1-root", &["mapper/vg1-root"], None),
        ] {
            let attributes = scratch.path().join("sys/class/block").join(name).join("dm");
            fs::create_dir_all(&attributes).unwrap();
            fs::write(attributes.join("name"), format!("{mapped}\n")).unwrap();
            for link in links.iter().map(|link| scratch.path().join("dev").join(link)) {
                fs::create_dir_all(link.parent().unwrap()).unwrap();
                fs::write(link, "").unwrap();
            }
            let device = BlockDevice { name: name.into(), ..BlockDevice::vanished("") };
            assert_eq!(device.usual_name(&dir).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn names_of_partitions_keep_their_bytes() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Root::at(scratch.path());
        let device = scratch.path().join("sys/class/block/mmcblk0p1");
        fs::create_dir_all(&device).unwrap();
        let some = |text: &str| Some(text.to_owned());
        for (uevent, want) in [
            (&b""[..], (None, None)),
            (b"PARTN=1\nPARTNAME=boot\nPARTUUID=ab-01\n", (some("ab-01"), some("boot"))),
            (b"PARTNAME=M\xf6b\nPARTUUID=ab-01\n", (some("ab-01"), some("M\u{10fff6}b"))),
            (b"PARTNAME=\n", (None, None)),
        ] {
            fs::write(device.join("uevent"), uevent).unwrap();
            assert_eq!(partition_names(&dir, "mmcblk0p1"), want, "{uevent:?}");
        }
    }
}
