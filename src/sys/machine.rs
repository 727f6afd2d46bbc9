//! Fills a [`Capture`](crate::machine::capture) from /sys and /proc.

use std::fs;
use std::path::Path;

use super::devices::{self, DeviceLink};
use super::{Result, Root, device_tree, procfs, sysfs};
use crate::escape;
use crate::kmod::name::ModuleName;
use crate::machine::capture::{Capture, Device, RootFs};

/// Captures the machine whose /sys and /proc lie below `root`. Facts that /proc does not hold are
/// omitted.
///
/// # Errors
/// /sys/devices cannot be read.
pub(crate) fn capture(root: &Root) -> Result<Capture> {
    let devices::Scan { devices, mut links } = devices::scan(root)?;
    links.extend(device_tree::links(root, &devices));
    links.sort_unstable();
    links.dedup();
    let is_live = *root == Root::default();
    Ok(Capture {
        kernel: procfs::sysctl(root, "kernel/osrelease").ok(),
        machine: is_live.then(super::machine),
        cmdline: escape::bytes(procfs::cmdline(root).unwrap_or_default().trim_ascii_end())
            .into_owned(),
        root: root_fs(root),
        devices: devices.into_iter().map(|device| describe(root, device, &links)).collect(),
    })
}

/// Adds subsystem, driver and module of a device, from its links, and its suppliers.
fn describe(root: &Root, device: devices::Device, links: &[DeviceLink]) -> Device {
    let dir = root.join("sys/devices").join(&device.path);
    let driver = target(&dir.join("driver"));
    // ACPI drivers have no link to their module; most have its name.
    let module = target(&dir.join("driver/module")).or_else(|| driver.clone());
    let module = module.map(|name| ModuleName::new(&name));
    let links = links.iter().filter(|link| link.consumer == device.path);
    Device {
        suppliers: links.map(|link| link.supplier.clone()).collect(),
        subsystem: target(&dir.join("subsystem")),
        driver,
        // A built-in driver may have a directory in /sys/module too, but no state.
        module: module.filter(|name| sysfs::initstate(root, name).is_some()),
        path: device.path,
        modalias: device.modalias,
    }
}

/// Returns the last part of a link's target.
fn target(link: &Path) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_string_lossy().into_owned())
}

/// Returns the filesystem at `/` if it is on a block device.
fn root_fs(root: &Root) -> Option<RootFs> {
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let (number, fstype) = root_mount(&mounts)?;
    let link = fs::read_link(root.join("sys/dev/block").join(number)).ok()?;
    let device = link.strip_prefix("../../devices").ok()?.to_string_lossy().into_owned();
    Some(RootFs { fstype: fstype.to_owned(), device })
}

/// Returns device number and type of the mount at `/`; the last one if several are stacked.
fn root_mount(mountinfo: &str) -> Option<(&str, &str)> {
    let mut mounts = mountinfo.lines().rev().filter_map(procfs::mount_fields);
    let (number, _, fields) = mounts.find(|(_, place, _)| *place == "/")?;
    Some((number, fields.split(' ').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_machine_is_described() {
        let scratch = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let link = |from: &str, to: &str| {
            let from = scratch.path().join(from);
            fs::create_dir_all(from.parent().unwrap()).unwrap();
            symlink(to, from).unwrap();
        };
        put("sys/devices/pci0/a/modalias", "pci:a\n");
        put("sys/devices/pci0/b/modalias", "pci:b\n");
        put("sys/devices/pci0/c/modalias", "acpi:c\n");
        link("sys/devices/pci0/c/driver", "../../../bus/acpi/drivers/button");
        put("sys/module/button/initstate", "live\n");
        for (device, driver, module) in [("a", "d-a", "m_a"), ("b", "d-b", "m_b")] {
            let drivers = format!("sys/bus/pci/drivers/{driver}");
            link(&format!("{drivers}/module"), &format!("../../../../module/{module}"));
            let device = format!("sys/devices/pci0/{device}");
            link(&format!("{device}/driver"), &format!("../../../bus/pci/drivers/{driver}"));
            link(&format!("{device}/subsystem"), "../../../bus/pci");
        }
        put("sys/module/m_a/initstate", "live\n");
        put("sys/module/m_b/parameters/x", "1\n");
        put("proc/sys/kernel/osrelease", "6.1.0\n");
        put("proc/cmdline", "quiet\n");
        put(
            "proc/self/mountinfo",
            "1 0 0:1 / / rw - ramfs none rw\n2 1 254:0 / / ro x:1 - ext4 /dev/vda ro\n",
        );
        link("sys/dev/block/254:0", "../../devices/pci0/a/block/vda");
        let text = capture(&Root::at(scratch.path())).unwrap().to_text();
        assert_eq!(
            text,
            "coldplug-capture 2\nkernel 6.1.0\ncmdline quiet\nroot ext4 pci0/a/block/vda\n\
             \ndevice pci0/a\n  modalias pci:a\n  subsystem pci\n  driver d-a\n  module m_a\n\
             \ndevice pci0/b\n  modalias pci:b\n  subsystem pci\n  driver d-b\n\
             \ndevice pci0/c\n  modalias acpi:c\n  driver button\n  module button\n\nend\n"
        );
    }

    #[test]
    fn a_root_without_a_block_device_is_no_root() {
        assert_eq!(root_mount("1 0 0:1 / / rw - ramfs none rw\n"), Some(("0:1", "ramfs")));
        assert_eq!(root_mount("1 0 0:1 / /x rw - ramfs none rw\n"), None);
        assert_eq!(root_mount("1 0 0:1\n"), None);
        let scratch = tempfile::tempdir().unwrap();
        assert_eq!(root_fs(&Root::at(scratch.path())), None);
    }
}
