//! Block devices: which there are, and reading them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::{Error, Result, Root};
use crate::disk;

/// A disk or a partition, as /sys/class/block has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockDevice {
    /// The kernel's name; `!` stands for `/`, as in `cciss!c0d0p1`.
    pub name: String,
    /// Its device number.
    pub number: (u32, u32),
    /// The partition's number; `None` for a whole disk.
    pub partition: Option<u32>,
    /// The disk a partition is on.
    pub disk: Option<String>,
    /// Size in bytes; 0 while no medium is in.
    pub size: u64,
}

impl BlockDevice {
    /// The size of the disk's logical sectors, in bytes.
    pub fn sector_size(&self, root: &Root) -> u32 {
        let disk = self.disk.as_deref().unwrap_or(&self.name);
        let path = root.join("sys/class/block").join(disk).join("queue/logical_block_size");
        fs::read_to_string(path).ok().and_then(|t| t.trim_end().parse().ok()).unwrap_or(512)
    }

    /// Its node in devtmpfs.
    pub fn node(&self, root: &Root) -> PathBuf {
        root.join("dev").join(&*disk::name::from_sysfs(&self.name))
    }
}

/// All block devices, sorted by name. Devices that vanish meanwhile are left out.
///
/// # Errors
/// /sys/class/block cannot be read: there is no block layer.
pub fn list(root: &Root) -> Result<Vec<BlockDevice>> {
    let folder = root.join("sys/class/block");
    let entries = fs::read_dir(&folder).map_err(|e| Error::io("open", &folder, &e))?;
    let mut devices: Vec<BlockDevice> =
        entries.filter_map(|e| device(root, e.ok()?.file_name().to_str()?)).collect();
    devices.sort_unstable();
    Ok(devices)
}

/// The block device called `name`, as /sys/class/block spells it.
pub fn device(root: &Root, name: &str) -> Option<BlockDevice> {
    let folder = root.join("sys/class/block").join(name);
    let text = |file: &str| fs::read_to_string(folder.join(file)).ok();
    let dev = text("dev")?;
    let (major, minor) = dev.trim_end().split_once(':')?;
    let partition = text("partition").and_then(|t| t.trim_end().parse().ok());
    let disk = partition.and_then(|_| {
        // The link leads to …/block/DISK/PARTITION.
        let real = fs::canonicalize(&folder).ok()?;
        Some(real.parent()?.file_name()?.to_string_lossy().into_owned())
    });
    // /sys counts in sectors of 512 bytes whatever the medium has.
    let size = text("size").and_then(|t| t.trim_end().parse::<u64>().ok()).unwrap_or(0) * 512;
    let number = (major.parse().ok()?, minor.parse().ok()?);
    Some(BlockDevice { name: name.to_owned(), number, partition, disk, size })
}

/// PARTUUID and PARTLABEL of a partition, where the kernel tells them: `PARTUUID=` and `PARTNAME=` of its uevent.
pub fn partition_names(root: &Root, name: &str) -> (Option<String>, Option<String>) {
    let path = root.join("sys/class/block").join(name).join("uevent");
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    (value("PARTUUID"), value("PARTNAME"))
}

/// An open block device.
#[derive(Debug)]
pub struct Disk {
    file: File,
    size: u64,
}

impl Disk {
    /// Opens the device for reading.
    ///
    /// # Errors
    /// The node is missing, or there is no medium.
    pub fn open(root: &Root, device: &BlockDevice) -> Result<Self> {
        let node = device.node(root);
        let file = File::open(&node).map_err(|e| Error::io("open", &node, &e))?;
        Ok(Self { file, size: device.size })
    }
}

impl disk::Source for Disk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Option<usize> {
        self.file.read_at(buf, offset).ok()
    }
}
