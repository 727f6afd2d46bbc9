//! Device nodes of a kernel without devtmpfs: made in /dev as devtmpfs would make them, from the
//! `uevent` files below /sys/dev.
//!
//! ```text
//! /sys/dev/char/1:3 -> ../../devices/virtual/mem/null
//! /sys/dev/char/1:3/uevent        MAJOR=1  MINOR=3  DEVNAME=null  DEVMODE=0666
//! ```
//!
//! DEVNAME may name a subdirectory; devices without one have no node. Without DEVMODE the mode is
//! 0600. DEVUID and DEVGID are ignored: no device of a boot has them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, chmod, makedev, mknodat};
use rustix::io::Errno;

use super::sysfs::entry_names;
use super::{Error, Result, Root, procfs};
use crate::kmod::uevent::sysfs_value;

/// Directories of /sys/dev, and the type of their nodes.
const KINDS: [(&str, FileType); 2] =
    [("char", FileType::CharacterDevice), ("block", FileType::BlockDevice)];

/// The nodes made so far.
#[derive(Debug, Default)]
pub(crate) struct DeviceNodes {
    /// Path of the node, by the entry in /sys/dev; `None` for a device without a node.
    made: Vec<(String, Option<PathBuf>)>,
}

impl DeviceNodes {
    /// Returns the nodes to make, none so far; `None` if the kernel makes them itself.
    pub(crate) fn of_kernel_without_devtmpfs(root: &Root) -> Option<Self> {
        (!procfs::may_have_filesystem(root, "devtmpfs")).then(Self::default)
    }

    /// mknod(2): makes the nodes of the devices that have appeared since the last call, and removes
    /// those of devices that have disappeared.
    ///
    /// # Errors
    /// A node cannot be made; all others are made.
    pub(crate) fn update(&mut self, root: &Root) -> Result<()> {
        let mut before = std::mem::take(&mut self.made);
        let mut result = Ok(());
        for (kind, file_type) in KINDS {
            let dir = root.join("sys/dev").join(kind);
            for name in entry_names(&dir) {
                let entry = format!("{kind}/{name}");
                let known = before.iter().position(|(known, _)| *known == entry);
                let node = match known {
                    Some(at) => Ok(before.swap_remove(at).1),
                    None => make(root, &dir.join(&name), &name, file_type),
                };
                match node {
                    Ok(node) => self.made.push((entry, node)),
                    Err(error) => result = Err(error),
                }
            }
        }
        for node in before.into_iter().filter_map(|(_, node)| node) {
            // A number may have a new name, or a name a new number.
            let is_used = self.made.iter().any(|(_, made)| made.as_ref() == Some(&node));
            if !is_used {
                let _ = fs::remove_file(node);
            }
        }
        result
    }
}

/// Makes the node of the device with this directory in /sys and this number. Returns its path.
fn make(root: &Root, device: &Path, number: &str, file_type: FileType) -> Result<Option<PathBuf>> {
    // The device may have disappeared.
    let uevent = fs::read(device.join("uevent")).unwrap_or_default();
    let value = |key| std::str::from_utf8(sysfs_value(&uevent, key)?).ok();
    let numbers =
        number.split_once(':').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let (Some(name), Some((major, minor))) = (value("DEVNAME"), numbers) else { return Ok(None) };
    let mode = value("DEVMODE").and_then(|mode| u32::from_str_radix(mode, 8).ok());
    let node = root.join("dev").join(name);
    let made = make_node(&node, file_type, mode.unwrap_or(0o600), makedev(major, minor));
    made.map_err(|e| Error::io("mknod", &node, &e)).map(|()| Some(node))
}

fn make_node(node: &Path, file_type: FileType, mode: u32, number: u64) -> io::Result<()> {
    node.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mode = Mode::from_raw_mode(mode);
    let mknod = || mknodat(CWD, node, file_type, mode, number);
    let made = match mknod() {
        Err(Errno::EXIST) => {
            let found = fs::symlink_metadata(node)?;
            if found.rdev() == number && FileType::from_raw_mode(found.mode()) == file_type {
                return Ok(());
            }
            fs::remove_file(node)?;
            mknod()
        }
        made => made,
    };
    // The umask does not apply.
    Ok(made.and_then(|()| chmod(node, mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};

    #[test]
    fn nodes_are_those_of_sysfs() {
        if !rustix::process::geteuid().is_root() {
            return; // mknod(2) needs CAP_MKNOD.
        }
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let put = |entry: &str, uevent: &str| {
            let dir = scratch.path().join("sys/dev").join(entry);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("uevent"), uevent).unwrap();
        };
        let node = |name: &str| {
            let meta = fs::symlink_metadata(scratch.path().join("dev").join(name)).ok()?;
            let is_block = meta.file_type().is_block_device();
            Some((is_block, meta.rdev(), meta.permissions().mode() & 0o777))
        };
        put("char/1:3", "MAJOR=1\nMINOR=3\nDEVNAME=null\nDEVMODE=0666\n");
        put("char/13:64", "MAJOR=13\nMINOR=64\nDEVNAME=input/event0\n");
        put("char/7:9", "MAJOR=7\nMINOR=9\n");
        put("block/254:16", "MAJOR=254\nMINOR=16\nDEVNAME=vdb\nDEVTYPE=disk\n");
        let mut nodes = DeviceNodes::default();
        nodes.update(&root).unwrap();
        assert_eq!(node("null"), Some((false, makedev(1, 3), 0o666)));
        assert_eq!(node("input/event0"), Some((false, makedev(13, 64), 0o600)));
        assert_eq!(node("vdb"), Some((true, makedev(254, 16), 0o600)));
        assert_eq!(fs::read_dir(scratch.path().join("dev")).unwrap().count(), 3);
        // Another disk has got the name, and one has disappeared.
        fs::remove_dir_all(scratch.path().join("sys/dev/block/254:16")).unwrap();
        fs::remove_dir_all(scratch.path().join("sys/dev/char/13:64")).unwrap();
        put("block/254:32", "MAJOR=254\nMINOR=32\nDEVNAME=vdb\n");
        nodes.update(&root).unwrap();
        assert_eq!(node("vdb"), Some((true, makedev(254, 32), 0o600)));
        assert_eq!(node("input/event0"), None);
        // A node that cannot be made is named, and the others are made.
        fs::write(scratch.path().join("dev/bus"), "").unwrap();
        put("char/189:0", "DEVNAME=bus/usb/001/001\n");
        put("char/10:1", "DEVNAME=psaux\nDEVMODE=0644\n");
        let error = nodes.update(&root).unwrap_err().to_string();
        assert!(error.contains("dev/bus/usb/001/001"), "{error}");
        assert_eq!(node("psaux"), Some((false, makedev(10, 1), 0o644)));
    }

    #[test]
    fn nodes_are_made_for_kernels_without_devtmpfs_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        fs::create_dir(scratch.path().join("proc")).unwrap();
        for (text, makes) in [("nodev\tdevtmpfs\n", false), ("nodev\ttmpfs\n\text4\n", true)] {
            fs::write(scratch.path().join("proc/filesystems"), text).unwrap();
            let nodes = DeviceNodes::of_kernel_without_devtmpfs(&root);
            assert_eq!(nodes.is_some(), makes, "{text}");
        }
    }
}
