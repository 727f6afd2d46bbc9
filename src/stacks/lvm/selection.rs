//! Which devices and groups this system uses: lvm2's settings, the devices file, duplicates.

use std::fs;

use crate::byte_text;
use crate::disk::lvm::devices_file::{self, Entry, Known};
use crate::disk::lvm::group::Group;
use crate::disk::lvm::host::{self, Settings};
use crate::disk::lvm::members::Member;
use crate::escape;
use crate::stacks::Node;
use crate::sys::Root;
use crate::sys::block_stack::{self, MappedDevice};

/// What this system may use.
pub(super) struct Selection {
    settings: Settings,
    system_id: String,
    /// Entries of the devices file, if there is one.
    entries: Option<Vec<Entry>>,
    /// Messages about the settings.
    pub(super) notes: Vec<String>,
}

impl Selection {
    /// Reads lvm2's settings in the image.
    pub(super) fn read(dir: &Root) -> Self {
        let file = |name: &str| fs::read(dir.join("etc/lvm").join(name)).unwrap_or_default();
        let mut notes = Vec::new();
        let settings = Settings::parse(&file("lvm.conf"), &file("lvmlocal.conf"))
            .or_else(|error| {
                notes.push(format!("lvm.conf or lvmlocal.conf ignored: {error}"));
                Settings::parse(b"", b"")
            })
            .unwrap_or_default();
        let devices = settings.devices_file.as_ref();
        let devices =
            devices.and_then(|name| fs::read(dir.join("etc/lvm/devices").join(name)).ok());
        let entries = devices.map(|text| devices_file::parse(&byte_text::from_bytes(&text)));
        for entry in entries.iter().flatten().filter(|entry| !entry.is_known()) {
            notes.push(format!("devices file: entry of unknown type {} ignored", entry.kind));
        }
        let system_id = system_id(dir, &settings);
        Self { settings, system_id, entries, notes }
    }

    /// Returns whether the devices file has a device, or there is none.
    pub(super) fn has_device(&self, dir: &Root, node: &Node, member: &Member) -> bool {
        let Some(entries) = &self.entries else { return true };
        let name = |kind: &str| device_name(dir, node, kind);
        let known = Known {
            id: member.id,
            partition: block_stack::partition(dir, node.number),
            name: &name,
        };
        entries.iter().any(|entry| entry.is_for(&known))
    }

    /// Returns why this system must not use a group.
    pub(super) fn refusal(&self, group: &Group) -> Option<String> {
        if group.is_exported() {
            return Some("is exported".into());
        }
        if group.is_read_only() {
            return Some("is read-only".into());
        }
        if let Some(manager) = group.lock_manager() {
            return Some(format!("is shared and needs the lock manager {manager}"));
        }
        let (owner, own) = (&group.system_id, &self.system_id);
        if self.settings.allows(owner, own) {
            return None;
        }
        Some(match &**own {
            "" => format!("belongs to the system {owner}, and this one has no name for LVM"),
            own => format!("belongs to the system {owner}, and this one is {own}"),
        })
    }
}

/// Returns the name of this system for LVM; empty if it has none.
fn system_id(dir: &Root, settings: &Settings) -> String {
    let line = |path: &str| {
        let text = fs::read_to_string(dir.join(path)).unwrap_or_default();
        let line =
            text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        line.unwrap_or_default().to_owned()
    };
    let name = match &*settings.system_id_source {
        "lvmlocal" => settings.local_system_id().to_owned(),
        "machineid" => line("etc/machine-id"),
        "uname" => line("etc/hostname"),
        "file" => settings.system_id_file.as_deref().map(line).unwrap_or_default(),
        _ => String::new(),
    };
    let name = host::clean(&name);
    if name.starts_with("localhost") { String::new() } else { name }
}

/// Returns the name of a type that a device has in the devices file.
fn device_name(dir: &Root, node: &Node, kind: &str) -> Option<String> {
    let attributes: &[&str] = match kind {
        "devname" => return Some(node.path.to_string_lossy().into_owned()),
        "sys_wwid" => &["device/wwid", "wwid"],
        "sys_serial" => &["device/serial"],
        "mpath_uuid" | "crypt_uuid" | "lvmlv_uuid" => &["dm/uuid"],
        "md_uuid" => &["md/uuid"],
        "loop_file" => &["loop/backing_file"],
        _ => return None,
    };
    let name = attributes.iter().find_map(|name| block_stack::attribute(dir, node.number, name))?;
    // The name of QEMU's disks is the same for all.
    let is_unique = !(kind == "sys_wwid" && name.contains("QEMU HARDDISK"));
    is_unique.then(|| devices_file::clean(&name))
}

/// Returns the one of several devices with the same physical volume that is used: not a part of
/// another of them (multipath, md), and the one on which volumes are active.
///
/// # Errors
/// More than one device is left.
pub(super) fn choose(
    dir: &Root,
    candidates: &[&Node],
    mapped: &[MappedDevice],
    group: &Group,
) -> Result<usize, String> {
    let above: Vec<_> = candidates.iter().map(|n| block_stack::above(dir, n.number)).collect();
    let is_top = |at: &usize| !candidates.iter().any(|other| above[*at].contains(&other.number));
    let tops: Vec<usize> = (0..candidates.len()).filter(is_top).collect();
    let prefix = format!("LVM-{}", group.id.compact());
    let is_used = |at: &&usize| {
        let ours = mapped.iter().filter(|device| device.uuid.starts_with(&prefix));
        ours.map(|device| device.number).any(|number| above[**at].contains(&number))
    };
    let used: Vec<usize> = tops.iter().filter(is_used).copied().collect();
    match (&*tops, &*used) {
        ([one], _) | (_, [one]) => Ok(*one),
        (left, _) => {
            let names = left.iter().map(|at| escape::path(&candidates[*at].path).to_string());
            Err(names.collect::<Vec<_>>().join(" and "))
        }
    }
}
