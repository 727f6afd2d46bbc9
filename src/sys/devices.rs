//! Devices below /sys/devices: their modaliases, their drivers' modules, their paths.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, openat, readlinkat, statat};
use rustix::io::{Errno, read};

use super::sysfs::entry_names;
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

/// A device that the kernel does not probe before another one, its supplier, is bound (the kernel's
/// driver-api/device_link). Both are paths below /sys/devices.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeviceLink {
    /// The device that waits.
    pub(crate) consumer: String,
    /// The device that it waits for.
    pub(crate) supplier: String,
}

/// What a walk through /sys/devices has found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Every device that has a modalias, sorted by path.
    pub(crate) devices: Vec<Device>,
    /// The device links, in directory order.
    pub(crate) links: Vec<DeviceLink>,
}

/// Directory of the device links below /sys/devices.
const LINKS: &str = "virtual/devlink";
/// Depth at which the walk stops; real device trees are less deep.
const MAX_DEPTH: usize = 48;
/// Room for one page, the longest file in sysfs, and one byte.
const PAGE: usize = 4096 + 1;

/// Returns every device below /sys/devices that has a modalias, sorted by path, and the device
/// links. The modalias is the content of the `modalias` file or, without that file, the `MODALIAS=`
/// line of `uevent`. Devices that vanish meanwhile are skipped. Links are not followed, so that
/// each device is found once.
///
/// Power supplies are left out: a read of their `uevent` asks the battery for all its properties
/// (`power_supply_uevent`), over a bus that may be slow or stuck. They have no modalias.
///
/// # Errors
/// /sys/devices itself cannot be read.
pub(crate) fn scan(root: &Root) -> Result<Scan> {
    let path = root.join("sys/devices");
    let dir = open_dir(CWD, &path).map_err(|e| Error::new("open", escape::path(&path), e))?;
    let mut walk = Walk {
        found: Scan::default(),
        path: String::new(),
        buffer: vec![MaybeUninit::uninit(); 16 << 10],
    };
    walk.dir(&dir, 0);
    walk.found.devices.sort_unstable();
    Ok(walk.found)
}

/// Returns the devices that [`scan`] finds.
///
/// # Errors
/// /sys/devices itself cannot be read.
pub(crate) fn modaliases(root: &Root) -> Result<Vec<Device>> {
    Ok(scan(root)?.devices)
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

/// Returns the modules whose drivers are bound to the devices above the one that `link` leads to,
/// a path such as `sys/class/net/eth0`, and those of their suppliers.
pub(crate) fn modules_above(root: &Root, link: &str) -> Vec<ModuleName> {
    let real = std::fs::canonicalize(root.join(link)).unwrap_or_default();
    let device = real.strip_prefix(root.join("sys/devices")).ok().and_then(|p| p.to_str());
    modules_of_all(root, device.map(str::to_owned).into_iter().collect())
}

/// Returns the modules whose drivers are bound to the devices below the block device with this
/// number (major, minor), down to the disks: also those below mapped devices, arrays and the
/// several paths of an NVMe disk, and those of their suppliers.
pub(crate) fn modules_below(root: &Root, number: (u32, u32)) -> Vec<ModuleName> {
    modules_of_all(root, stack_below(root, number))
}

/// Returns the modules whose drivers are bound to the devices above `devices`, and to the suppliers
/// of all these, their suppliers and so on.
fn modules_of_all(root: &Root, mut devices: Vec<String>) -> Vec<ModuleName> {
    let mut modules = Vec::new();
    let has_links = root.join("sys/devices").join(LINKS).exists();
    let mut next = 0;
    while let Some(device) = devices.get(next).cloned() {
        modules.extend(modules_of_ancestors(root, &device));
        if has_links {
            for supplier in suppliers(root, &device) {
                // As if something were below it, so that its own driver counts.
                let supplier = format!("{supplier}/-");
                if !devices.contains(&supplier) {
                    devices.push(supplier);
                }
            }
        }
        next += 1;
    }
    modules
}

/// Returns the suppliers of a device and of those above it.
fn suppliers(root: &Root, device: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in Path::new(device).ancestors() {
        let dir = root.join("sys/devices").join(path);
        for name in entry_names(&dir).iter().filter(|name| name.starts_with("supplier:")) {
            let target = std::fs::read_link(dir.join(name).join("supplier"));
            // The name of the link does not matter.
            let target = target.ok().and_then(|t| follow(&format!("{LINKS}/-"), t.to_str()?));
            found.extend(target);
        }
    }
    found
}

/// Returns the block device with this number and those below it, as paths below /sys/devices.
pub(crate) fn stack_below(root: &Root, number: (u32, u32)) -> Vec<String> {
    let mut devices: Vec<String> = block_device_path(root, number).into_iter().collect();
    let mut next = 0;
    while let Some(device) = devices.get(next).cloned() {
        for below in devices_below(root, &device) {
            if !devices.contains(&below) {
                devices.push(below);
            }
        }
        next += 1;
    }
    devices
}

/// Returns the devices that a block device or its whole disk is made of, as paths below
/// /sys/devices: the links in `slaves`, and those from an NVMe subsystem to its controllers.
fn devices_below(root: &Root, device: &str) -> Vec<String> {
    let all = root.join("sys/devices");
    let mut found = Vec::new();
    for above in Path::new(device).ancestors() {
        let dir = all.join(above);
        let is_subsystem = above.parent().is_some_and(|p| p.ends_with("virtual/nvme-subsystem"));
        let links = if is_subsystem { dir } else { dir.join("slaves") };
        for name in entry_names(&links) {
            let link = links.join(name);
            let real = link.read_link().and_then(|_| std::fs::canonicalize(&link));
            let real = real.ok().filter(|real| !is_subsystem || real.join("transport").exists());
            let path = real.as_deref().and_then(|real| real.strip_prefix(&all).ok()?.to_str());
            found.extend(path.map(str::to_owned));
        }
    }
    found
}

/// Returns the path below /sys/devices of the block device with this number (major, minor). In the
/// deprecated layout (block.rs) that is a path below the device of its disk, with the same names.
pub(crate) fn block_device_path(root: &Root, (major, minor): (u32, u32)) -> Option<String> {
    let real = std::fs::canonicalize(root.join(format!("sys/dev/block/{major}:{minor}"))).ok()?;
    let devices = root.join("sys/devices");
    let real = match real.strip_prefix(root.join("sys/block")) {
        Ok(path) => {
            let disk = root.join("sys/block").join(path.iter().next()?);
            std::fs::canonicalize(disk.join("device")).ok()?.join("block").join(path)
        }
        Err(_) => real,
    };
    Some(real.strip_prefix(devices).ok()?.to_str()?.to_owned())
}

/// A walk through the device tree.
struct Walk {
    found: Scan,
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
        if self.path == LINKS {
            let links = list.dirs.iter().filter_map(|name| device_link(dir.as_fd(), name));
            return self.found.links.extend(links);
        }
        if let Some(modalias) = own_modalias(dir.as_fd(), &list) {
            self.found.devices.push(Device { path: self.path.clone(), modalias });
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

/// Reads the device link `name` in the directory of links; `None` if it does not order probes, or
/// has vanished. A board has hundreds of links, so their directories are not opened and listed.
///
/// ```text
/// status      not tracked     the link orders suspend and resume alone
///             …               any other state
/// supplier    ../../../platform/soc/fe000000.clock           consumer    the same
/// ```
fn device_link(dir: BorrowedFd<'_>, name: &CStr) -> Option<DeviceLink> {
    let path = |leaf: &str| CString::new([name.to_bytes(), leaf.as_bytes()].concat()).ok();
    let mut page = [MaybeUninit::uninit(); PAGE];
    if read_at(dir, &path("/status")?, &mut page)?.starts_with(b"not tracked") {
        return None;
    }
    let above = format!("{LINKS}/{}", name.to_str().ok()?);
    let end = |leaf: &str| {
        let target = readlinkat(dir, path(leaf)?, Vec::new()).ok()?;
        follow(&above, target.to_str().ok()?)
    };
    Some(DeviceLink { consumer: end("/consumer")?, supplier: end("/supplier")? })
}

/// Returns where a relative link in the directory `dir` leads to; both are paths below one
/// directory, which the link does not leave.
fn follow(dir: &str, target: &str) -> Option<String> {
    let mut path: Vec<&str> = dir.split('/').collect();
    for part in target.split('/') {
        match part {
            ".." => drop(path.pop()?),
            part => path.push(part),
        }
    }
    Some(path.join("/"))
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
        let lines: Vec<String> =
            devices.iter().map(|d| format!("{} {}", d.path, d.modalias.text())).collect();
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

    /// Makes the device link from `consumer` to `supplier` as the kernel does. The paths have two
    /// parts.
    fn put_device_link(devices: &Path, consumer: &str, supplier: &str, status: &str) {
        use std::os::unix::fs::symlink;
        let name = |path: &str| format!("x:{}", path.rsplit('/').next().unwrap());
        let name = [name(supplier), name(consumer)];
        let dir = devices.join(LINKS).join(name.join("--"));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("status"), format!("{status}\n")).unwrap();
        fs::write(dir.join("uevent"), "").unwrap();
        symlink(format!("../../../{consumer}"), dir.join("consumer")).unwrap();
        symlink(format!("../../../{supplier}"), dir.join("supplier")).unwrap();
        let link = devices.join(consumer).join(format!("supplier:{}", name[0]));
        fs::create_dir_all(devices.join(consumer)).unwrap();
        symlink(format!("../../{LINKS}/{}", name.join("--")), link).unwrap();
    }

    #[test]
    fn device_links_are_found() {
        let scratch = tempfile::tempdir().unwrap();
        let devices = scratch.path().join("sys/devices");
        put_device_link(&devices, "platform/mmc", "platform/clk", "dormant");
        put_device_link(&devices, "pci0/audio", "pci0/gpu", "not tracked");
        put_device_link(&devices, "pci0/usb", "gone/phy", "active");
        fs::create_dir_all(devices.join(LINKS).join("x:vanished--x:vanished")).unwrap();
        let links = scan(&Root::at(scratch.path())).unwrap().links;
        let mut links: Vec<String> =
            links.iter().map(|link| format!("{} {}", link.consumer, link.supplier)).collect();
        links.sort_unstable();
        assert_eq!(links, ["pci0/usb gone/phy", "platform/mmc platform/clk"]);
        for (target, want) in [
            ("../../../platform/a", Some("platform/a")),
            ("../../a/b", Some("virtual/a/b")),
            ("../../../../bus/x", None),
        ] {
            assert_eq!(follow("virtual/devlink/a--b", target).as_deref(), want);
        }
    }

    #[test]
    fn drivers_of_suppliers_have_modules() {
        let scratch = tempfile::tempdir().unwrap();
        let devices = scratch.path().join("sys/devices");
        put_device_link(&devices, "soc/mmc", "soc/phy", "active");
        put_device_link(&devices, "soc/phy", "i2c/pmic", "active");
        // A loop, which the kernel does not bind.
        put_device_link(&devices, "i2c/pmic", "soc/mmc", "active");
        for device in ["soc/mmc", "soc/phy", "i2c", "i2c/pmic", "soc/gpu"] {
            let driver = format!("d_{}", device.replace('/', "_"));
            fs::create_dir_all(devices.join(device)).unwrap();
            let link = devices.join(device).join("driver");
            std::os::unix::fs::symlink(format!("../bus/{driver}"), link).unwrap();
        }
        let disk = devices.join("soc/mmc/block/mmcblk0");
        fs::create_dir_all(&disk).unwrap();
        let link = scratch.path().join("sys/class/block");
        fs::create_dir_all(&link).unwrap();
        std::os::unix::fs::symlink(&disk, link.join("mmcblk0")).unwrap();
        let modules = modules_above(&Root::at(scratch.path()), "sys/class/block/mmcblk0");
        let mut names: Vec<_> = modules.iter().map(ModuleName::text).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, ["d_i2c", "d_i2c_pmic", "d_soc_mmc", "d_soc_phy"]);
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

    /// The block devices of the test are named as they are numbered: `8:1` is at `block/8:1`.
    #[test]
    fn drivers_below_stacked_devices_have_modules() {
        use std::os::unix::fs::symlink;
        let scratch = tempfile::tempdir().unwrap();
        let sys = scratch.path().join("sys");
        let devices = sys.join("devices");
        let link = |to: &Path, from: &Path| {
            fs::create_dir_all(from.parent().unwrap()).unwrap();
            symlink(to, from).unwrap();
        };
        for (number, path, driver) in [
            ("8:0", "pci0/a/block/sda", "pci0/a"),
            ("8:1", "pci0/a/block/sda/sda1", ""),
            ("8:16", "usb0/b/block/sdb", "usb0/b"),
            ("253:0", "virtual/block/dm-0", ""),
            ("253:1", "virtual/block/dm-1", ""),
            ("9:0", "virtual/block/md0", ""),
            ("259:0", "virtual/block/md0/md0p1", ""),
            ("7:0", "virtual/block/loop0", ""),
            ("259:1", "virtual/nvme-subsystem/nvme-subsys0/nvme0n1", ""),
            ("259:2", "virtual/nvme-subsystem/nvme-subsys0/nvme0n1/nvme0n1p1", ""),
            ("", "pci0/c/nvme/nvme0", "pci0/c"),
            ("", "pci1/d/nvme/nvme1", "pci1/d"),
        ] {
            fs::create_dir_all(devices.join(path).join("slaves")).unwrap();
            if !number.is_empty() {
                link(&devices.join(path), &sys.join("dev/block").join(number));
            }
            if !driver.is_empty() {
                let module = driver.replace('/', "_");
                fs::create_dir_all(sys.join("module").join(&module)).unwrap();
                let bound = sys.join("bus/drivers").join(&module);
                link(&sys.join("module").join(&module), &bound.join("module"));
                link(&bound, &devices.join(driver).join("driver"));
            }
        }
        for (above, below) in [
            ("virtual/block/dm-0", "pci0/a/block/sda/sda1"),
            ("virtual/block/dm-0", "usb0/b/block/sdb"),
            ("virtual/block/dm-1", "virtual/block/dm-0"),
            ("virtual/block/md0", "virtual/block/dm-1"),
            // A loop, which the kernel does not allow.
            ("virtual/block/dm-0", "virtual/block/md0"),
        ] {
            let name = Path::new(below).file_name().unwrap();
            link(&devices.join(below), &devices.join(above).join("slaves").join(name));
        }
        let subsystem = devices.join("virtual/nvme-subsystem/nvme-subsys0");
        for controller in ["pci0/c/nvme/nvme0", "pci1/d/nvme/nvme1"] {
            fs::write(devices.join(controller).join("transport"), "pcie\n").unwrap();
            let name = Path::new(controller).file_name().unwrap();
            link(&devices.join(controller), &subsystem.join(name));
        }
        link(&sys.join("bus"), &subsystem.join("subsystem"));
        let root = Root::at(scratch.path());
        for (number, want) in [
            ((8, 1), "pci0_a"),
            ((253, 0), "pci0_a usb0_b"),
            ((253, 1), "pci0_a usb0_b"),
            ((9, 0), "pci0_a usb0_b"),
            ((259, 0), "pci0_a usb0_b"),
            ((259, 1), "pci0_c pci1_d"),
            ((259, 2), "pci0_c pci1_d"),
            ((7, 0), ""),
            ((1, 1), ""),
        ] {
            let mut modules = modules_below(&root, number);
            if let (8, minor) = number {
                let link = format!("sys/dev/block/8:{minor}");
                assert_eq!(modules_above(&root, &link), modules);
            }
            modules.sort_unstable();
            modules.dedup();
            let names: Vec<_> = modules.iter().map(ModuleName::text).collect();
            assert_eq!(names.join(" "), want, "{number:?}");
        }
    }
}
