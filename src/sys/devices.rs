//! Devices below /sys/devices: their modaliases, their drivers' modules, their paths.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, openat, statat};
use rustix::io::{Errno, read};

use super::{Error, Result, Root};
use crate::escape;
use crate::kmod::name::ModuleName;
use crate::kmod::uevent::{Modalias, sysfs_value};

/// A device with a modalias.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Device {
    /// Its path below /sys/devices, such as `pci0000:00/0000:00:03.0`.
    pub(crate) path: String,
    /// Its modalias.
    pub(crate) modalias: Modalias,
}

/// Depth at which the walk stops; real device trees are less deep.
const MAX_DEPTH: usize = 48;
/// Room for one page, the longest file in sysfs, and one byte.
const PAGE: usize = 4096 + 1;

/// Returns every device below /sys/devices that has a modalias, sorted by path. The modalias is the
/// content of the `modalias` file or, without that file, the `MODALIAS=` line of `uevent`. Devices
/// that vanish meanwhile are skipped. Links are not followed, so that each device is found once.
///
/// Power supplies are left out: a read of their `uevent` asks the battery for all its properties
/// (`power_supply_uevent`), over a bus that may be slow or stuck. They have no modalias.
///
/// # Errors
/// /sys/devices itself cannot be read.
pub(crate) fn modaliases(root: &Root) -> Result<Vec<Device>> {
    let path = root.join("sys/devices");
    let dir = open_dir(CWD, &path).map_err(|e| Error::new("open", escape::path(&path), e))?;
    let mut walk = Walk {
        found: Vec::new(),
        path: String::new(),
        buffer: vec![MaybeUninit::uninit(); 16 << 10],
    };
    walk.dir(&dir, 0);
    walk.found.sort_unstable();
    Ok(walk.found)
}

/// Returns the content of the `modalias` file of one device, a path below /sys/devices.
pub(crate) fn modalias_of(root: &Root, device: &str) -> Option<Modalias> {
    Modalias::new(&std::fs::read(root.join("sys/devices").join(device).join("modalias")).ok()?)
}

/// Returns the modules whose drivers are bound to the ancestors of `device`, a path below
/// /sys/devices, nearest ancestor first.
///
/// The kernel creates the link from a driver to its module after the driver has probed all present
/// devices (`bus_add_driver`). Until then the name of the driver is used, which is mostly the same.
pub(crate) fn modules_of_ancestors(root: &Root, device: &str) -> Vec<ModuleName> {
    let above = Path::new(device).ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
    let drivers = above.map(|path| root.join("sys/devices").join(path).join("driver"));
    drivers
        .filter_map(|driver| {
            let link = std::fs::read_link(driver.join("module"));
            let link = link.or_else(|_| std::fs::read_link(&driver)).ok()?;
            Some(ModuleName::new(link.file_name()?.to_str()?))
        })
        .collect()
}

/// Returns the path below /sys/devices of the block device with this number (major, minor).
pub(crate) fn block_device_path(root: &Root, (major, minor): (u32, u32)) -> Option<String> {
    let real = std::fs::canonicalize(root.join(format!("sys/dev/block/{major}:{minor}"))).ok()?;
    Some(real.strip_prefix(root.join("sys/devices")).ok()?.to_str()?.to_owned())
}

/// A walk through the device tree.
struct Walk {
    found: Vec<Device>,
    path: String,
    buffer: Vec<MaybeUninit<u8>>,
}

/// The entries of a directory that matter to the walk.
#[derive(Default)]
struct Listing {
    dirs: Vec<CString>,
    modalias: bool,
    uevent: bool,
}

impl Walk {
    fn dir(&mut self, dir: &OwnedFd, depth: usize) {
        // A directory that vanishes during the walk is no longer a device.
        let Ok(list) = self.list(dir.as_fd()) else { return };
        if let Some(modalias) = own_modalias(dir.as_fd(), &list) {
            self.found.push(Device { path: self.path.clone(), modalias });
        }
        if depth == MAX_DEPTH {
            return;
        }
        let len = self.path.len();
        // Every device has a `power` directory, which holds attributes only.
        let devices = list.dirs.iter().filter(|name| {
            let name = name.as_c_str();
            name != c"power_supply" && !(list.uevent && name == c"power")
        });
        for name in devices {
            if let Ok(child) = open_dir(dir, name.as_c_str()) {
                if !self.path.is_empty() {
                    self.path.push('/');
                }
                self.path.push_str(&name.to_string_lossy());
                self.dir(&child, depth + 1);
                self.path.truncate(len);
            }
        }
    }

    fn list(&mut self, dir: BorrowedFd<'_>) -> std::result::Result<Listing, Errno> {
        let mut list = Listing::default();
        let mut entries = RawDir::new(dir, &mut self.buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            match entry.file_type() {
                FileType::Directory if name != c"." && name != c".." => {
                    list.dirs.push(name.to_owned())
                }
                FileType::RegularFile if name == c"modalias" => list.modalias = true,
                FileType::RegularFile if name == c"uevent" => list.uevent = true,
                FileType::Unknown => list.add_unknown(dir, name),
                _ => {}
            }
        }
        Ok(list)
    }
}

impl Listing {
    /// Adds an entry whose type the directory does not tell: a copy of /sys may lie on a filesystem
    /// without `d_type`.
    fn add_unknown(&mut self, dir: BorrowedFd<'_>, name: &CStr) {
        let Ok(stat) = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if name != c"." && name != c".." => self.dirs.push(name.to_owned()),
            FileType::RegularFile => {
                self.modalias |= name == c"modalias";
                self.uevent |= name == c"uevent";
            }
            _ => {}
        }
    }
}

fn own_modalias(dir: BorrowedFd<'_>, list: &Listing) -> Option<Modalias> {
    let mut page = [MaybeUninit::uninit(); PAGE];
    if list.modalias {
        Modalias::new(read_at(dir, c"modalias", &mut page)?)
    } else if list.uevent {
        sysfs_value(read_at(dir, c"uevent", &mut page)?, "MODALIAS").and_then(Modalias::new)
    } else {
        None
    }
}

fn open_dir(at: impl AsFd, path: impl rustix::path::Arg) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty())
}

/// Reads a sysfs file; `None` if it vanished or its device returns an error. sysfs returns the
/// whole file in one read(2).
fn read_at<'a>(
    dir: BorrowedFd<'_>,
    name: &CStr,
    page: &'a mut [MaybeUninit<u8>; PAGE],
) -> Option<&'a [u8]> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(dir, name, flags, Mode::empty()).ok()?;
    let (bytes, _) = read(&file, &mut page[..]).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_device_is_found_once_and_in_order() {
        let scratch = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = scratch.path().join("sys/devices").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("pci0/b/modalias", "pci:b\n");
        put("pci0/b/uevent", "MODALIAS=pci:b\n");
        put("pci0/b/power/uevent", "MODALIAS=never:looked:at\n");
        put("pci0/a/uevent", "DRIVER=x\nMODALIAS=mmc:block\n");
        put("pci0/a/empty/modalias", "\n");
        put("pci0/a/power_supply/BAT0/uevent", "MODALIAS=asks:the:battery\n");
        put("virtual/power_supply/x/uevent", "MODALIAS=asks:the:battery\n");
        put("system/cpu/modalias", "cpu:type:x86\n");
        put("glue/power/dev/modalias", "platform:a b\n");
        std::os::unix::fs::symlink("..", scratch.path().join("sys/devices/pci0/a/loop")).unwrap();
        let devices = modaliases(&Root::at(scratch.path())).unwrap();
        let lines: Vec<String> = devices
            .iter()
            .map(|d| format!("{} {}", d.path, d.modalias.to_string_lossy()))
            .collect();
        assert_eq!(
            lines,
            [
                "glue/power/dev platform:a b",
                "pci0/a mmc:block",
                "pci0/b pci:b",
                "system/cpu cpu:type:x86"
            ]
        );
    }

    #[test]
    fn a_missing_sys_is_an_error_that_names_it() {
        let error = modaliases(&Root::at("/nonexistent")).unwrap_err();
        assert_eq!(error.to_string(), "open /nonexistent/sys/devices: No such file or directory");
    }

    #[test]
    fn drivers_above_a_device_have_modules() {
        let scratch = tempfile::tempdir().unwrap();
        let devices = scratch.path().join("sys/devices");
        fs::create_dir_all(devices.join("pci0/a/virtio0/x")).unwrap();
        for (device, module) in [("pci0/a", "virtio-pci"), ("pci0/a/virtio0", "virtio_blk")] {
            fs::create_dir_all(devices.join("drivers").join(module)).unwrap();
            std::os::unix::fs::symlink(
                devices.join("drivers").join(module),
                devices.join(device).join("driver"),
            )
            .unwrap();
            std::os::unix::fs::symlink(
                format!("../../../module/{module}"),
                devices.join("drivers").join(module).join("module"),
            )
            .unwrap();
        }
        let root = Root::at(scratch.path());
        assert_eq!(
            modules_of_ancestors(&root, "pci0/a/virtio0/x"),
            ["virtio_blk".into(), "virtio_pci".into()]
        );
        assert_eq!(modules_of_ancestors(&root, "pci0/a/virtio0"), ["virtio_pci".into()]);
        // Before the link to the module exists.
        fs::remove_file(devices.join("drivers/virtio-pci/module")).unwrap();
        assert_eq!(modules_of_ancestors(&root, "pci0/a/virtio0"), ["virtio_pci".into()]);
        assert!(modules_of_ancestors(&root, "pci0").is_empty());
    }
}
