//! A machine in memory, for the tests of names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::DeviceTree;
use crate::disk::Superblock;

/// Devices in memory.
#[derive(Default)]
pub(super) struct Tree {
    devices: BTreeMap<PathBuf, Device>,
    /// What every block device holds.
    pub(super) probed: Option<Superblock>,
}

#[derive(Default)]
struct Device {
    subsystem: String,
    attributes: BTreeMap<String, Vec<u8>>,
}

impl Tree {
    /// Sets an attribute of a device to these bytes.
    pub(super) fn set(&mut self, path: &str, attribute: &str, bytes: &[u8]) {
        let device = self.devices.get_mut(Path::new(path)).unwrap();
        device.attributes.insert(attribute.to_owned(), bytes.to_owned());
    }
}

impl DeviceTree for Tree {
    fn class_device(&self, class: &str, name: &str) -> Option<PathBuf> {
        let is_it = |path: &Path, device: &Device| {
            device.subsystem == class && path.file_name().is_some_and(|last| last == name)
        };
        self.devices.iter().find(|(path, device)| is_it(path, device)).map(|(path, _)| path.clone())
    }

    fn subsystem(&self, path: &Path) -> Option<String> {
        Some(self.devices.get(path)?.subsystem.clone())
    }

    fn attribute(&self, path: &Path, name: &str) -> Option<Vec<u8>> {
        Some(self.devices.get(path)?.attributes.get(name)?.clone())
    }

    fn entries(&self, path: &Path) -> Vec<String> {
        let names = self.devices.keys().filter_map(|device| device.strip_prefix(path).ok());
        names.filter_map(|rest| Some(rest.iter().next()?.to_str()?.to_owned())).collect()
    }

    fn probe(&self, _: &str) -> Option<Superblock> {
        self.probed.clone()
    }
}

/// Adds a device: its subsystem, its kind, and attributes.
pub(super) fn device(
    tree: &mut Tree,
    path: &str,
    subsystem: &str,
    kind: &str,
    attributes: &[(&str, &str)],
) {
    let uevent = format!("DEVTYPE={kind}");
    let all = [("uevent", uevent.as_str())].into_iter().chain(attributes.iter().copied());
    let attributes =
        all.map(|(name, value)| (name.to_owned(), format!("{value}\n").into_bytes())).collect();
    tree.devices.insert(path.into(), Device { subsystem: subsystem.to_owned(), attributes });
}

/// Adds a SCSI disk `sda` with its target below `path`.
pub(super) fn scsi_disk(tree: &mut Tree, path: &str, address: &str) {
    let target = format!("{path}/target{}", address.rsplit_once(':').unwrap().0);
    device(tree, &target, "scsi", "scsi_target", &[]);
    device(tree, &format!("{target}/{address}"), "scsi", "scsi_device", &[]);
    device(tree, &format!("{target}/{address}/block/sda"), "block", "disk", &[]);
}
