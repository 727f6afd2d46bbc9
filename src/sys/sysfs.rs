//! /sys: which devices there are and what they say of themselves, and the state of modules.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, openat, statat};
use rustix::io::{Errno, read};

use super::DeferredDevice;
use super::{Error, Result, Root};
use crate::kmod::compress::Compression;
use crate::kmod::name::ModuleName;
use crate::kmod::uevent::{Modalias, sysfs_value};

/// A device that says what it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// Its path below /sys/devices, such as `pci0000:00/0000:00:03.0`.
    pub path: String,
    /// What it says.
    pub modalias: Modalias,
}

/// Deepest folder looked into: real device trees end well before it.
const DEPTH: usize = 48;
/// More than a page, the most that sysfs gives in one file.
const PAGE: usize = 4096 + 1;

/// Every device below /sys/devices that has a modalias: the `modalias` file, or where there is none the
/// `MODALIAS=` line of its `uevent` file. Sorted by path. Devices that vanish meanwhile are left out, and
/// links are not followed, so that each device comes once.
///
/// # Errors
/// /sys/devices itself cannot be read.
pub fn modaliases(root: &Root) -> Result<Vec<Device>> {
    let path = root.join("sys/devices");
    let dir = open_dir(CWD, &path).map_err(|e| Error::new("open", path.display(), e))?;
    let mut walk = Walk {
        found: Vec::new(),
        path: String::new(),
        buffer: vec![MaybeUninit::uninit(); 16 << 10],
    };
    walk.dir(&dir, 0);
    walk.found.sort_unstable();
    Ok(walk.found)
}

/// The modalias of one device, given by its path below /sys/devices, from its `modalias` file.
pub fn modalias_of(root: &Root, device: &str) -> Option<Modalias> {
    Modalias::new(&std::fs::read(root.join("sys/devices").join(device).join("modalias")).ok()?)
}

/// The modules whose drivers hold the devices above `device`, which is a path below /sys/devices.
///
/// The kernel links a driver to its module only when the driver has gone through all devices that are there
/// (`bus_add_driver`). Until then the driver's name stands for its module, as it mostly is the same.
pub fn modules_above(root: &Root, device: &str) -> Vec<ModuleName> {
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

/// Whether every USB hub has gone through its ports: the kernel counts a hub's interface as in use from its first power-up
/// until the last port that has changed has been dealt with. `None` where it does not tell: no runtime power
/// management, no hub, or a USB 1 controller that gets ports from the USB 2 one beside it, in its own time.
///
/// ```text
/// /sys/bus/usb/drivers/hub/1-0:1.0 → /sys/devices/pci0000:00/0000:00:1d.7/usb1/1-0:1.0
///                          power/runtime_status    active, suspended
/// …/0000:00:1d.7/usb1/speed                        12 (USB 1), 480, 5000
/// ```
pub fn usb_hubs_at_rest(root: &Root) -> Option<bool> {
    let mut controllers = Vec::new();
    let mut at_rest = None;
    for hub in std::fs::read_dir(root.join("sys/bus/usb/drivers/hub")).ok()?.flatten() {
        let name = hub.file_name();
        if !name.to_string_lossy().contains(':') {
            continue;
        }
        match text(&hub.path().join("power/runtime_status"))?.trim_end() {
            "suspended" => at_rest = at_rest.or(Some(true)),
            "active" | "resuming" | "suspending" => at_rest = Some(false),
            _ => return None,
        }
        if name.to_string_lossy().contains("-0:") {
            controllers.push(controller(&hub.path())?);
        }
    }
    let shares = |one: &(String, String, bool)| {
        one.2 && controllers.iter().any(|other| other.0 == one.0 && other.1 != one.1)
    };
    at_rest.filter(|_| !controllers.iter().any(shares))
}

/// The slot and the function of the controller above the interface of a root hub, and whether that is USB 1. Controllers
/// that are not on PCI count as being in one slot.
fn controller(interface: &Path) -> Option<(String, String, bool)> {
    let interface = std::fs::canonicalize(interface).ok()?;
    let hub = interface.parent()?;
    let name = hub.parent()?.file_name()?.to_str()?;
    let slot = name.rsplit_once('.').filter(|(slot, _)| slot.matches(':').count() == 2);
    let old = matches!(text(&hub.join("speed"))?.trim_end(), "12" | "1.5");
    Some((slot.map_or_else(String::new, |(slot, _)| slot.to_owned()), name.to_owned(), old))
}

/// The path below /sys/devices of the block device with this number.
pub fn block_path(root: &Root, (major, minor): (u32, u32)) -> Option<String> {
    let real = std::fs::canonicalize(root.join(format!("sys/dev/block/{major}:{minor}"))).ok()?;
    Some(real.strip_prefix(root.join("sys/devices")).ok()?.to_str()?.to_owned())
}

/// The names of what is in a folder; none where it cannot be read.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(entries) = std::fs::read_dir(folder) {
        for entry in entries.flatten() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names
}

/// The names of the devices of a bus that a driver holds.
pub fn bound_devices(root: &Root, bus: &str, driver: &str) -> Vec<String> {
    let folder = root.join("sys/bus").join(bus).join("drivers").join(driver);
    let mut names = names_in(&folder);
    names.retain(|name| folder.join(name).join("subsystem").exists());
    names
}

/// The tags under which the host exports filesystems of `fstype` by virtio (9p, virtiofs), sorted; `None` where the kernel
/// does not tell: of virtiofs it does since Linux 6.9.
pub fn export_tags(root: &Root, fstype: &str) -> Option<Vec<String>> {
    let (folder, devices, file) = if fstype == "9p" {
        let folder = root.join("sys/bus/virtio/drivers/9pnet_virtio");
        (folder, bound_devices(root, "virtio", "9pnet_virtio"), "mount_tag")
    } else {
        let folder = root.join("sys/fs/virtiofs");
        let devices = names_in(&folder);
        (folder, devices, "tag")
    };
    if fstype != "9p" && !folder.exists() {
        return None;
    }
    let read = |device: &String| text(&folder.join(device).join(file));
    // Some kernels end the tag with a NUL.
    let tags = devices.iter().filter_map(read);
    let mut tags: Vec<String> = tags.map(|t| t.trim_end_matches(['\0', '\n']).to_owned()).collect();
    tags.sort_unstable();
    Some(tags)
}

/// Devices whose probe was put off, from /sys/kernel/debug/devices_deferred; `None` where debugfs is not mounted.
///
/// ```text
/// 1c30000.ethernet \t platform: wait for supplier /soc/clock \n      the reason may be missing
/// ```
pub fn devices_deferred(root: &Root) -> Option<Vec<DeferredDevice>> {
    let text = text(&root.join("sys/kernel/debug/devices_deferred"))?;
    let lines = text.lines().filter(|line| !line.is_empty()).map(|line| {
        let (device, reason) = line.split_once('\t').unwrap_or((line, ""));
        let reason = Some(reason.trim()).filter(|r| !r.is_empty());
        let supplier = reason.and_then(|r| r.split_once("wait for supplier ")).map(|(_, s)| s);
        DeferredDevice {
            device: device.to_owned(),
            supplier: supplier.map(str::to_owned),
            reason: reason.map(str::to_owned),
        }
    });
    Some(lines.collect())
}

/// Links between devices whose supplier has not come up: /sys/class/devlink, where the status is `dormant`, of
/// devices that have no driver yet.
///
/// A device's own `waiting_for_supplier` is not read: its reader waits for the device's lock, and a probe that succeeds
/// removes the file under that lock and waits for its readers. Both then wait for ever (seen on 6.1).
pub fn unmet_suppliers(root: &Root) -> Vec<DeferredDevice> {
    let folder = root.join("sys/class/devlink");
    let links = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let unmet = links.filter_map(|link| {
        let path = link.path();
        let end = |name: &str| {
            let device = std::fs::canonicalize(path.join(name)).ok()?;
            Some((device.file_name()?.to_str()?.to_owned(), device.join("driver").exists()))
        };
        let (device, bound) = end("consumer")?;
        let (supplier, _) = end("supplier")?;
        let dormant = text(&path.join("status"))?.trim_end() == "dormant";
        let deferred = DeferredDevice { device, supplier: Some(supplier), reason: None };
        (dormant && !bound).then_some(deferred)
    });
    let mut unmet: Vec<DeferredDevice> = unmet.collect();
    unmet.sort_unstable();
    unmet
}

struct Walk {
    found: Vec<Device>,
    path: String,
    buffer: Vec<MaybeUninit<u8>>,
}

/// What a folder holds that matters here.
#[derive(Default)]
struct Listing {
    folders: Vec<CString>,
    modalias: bool,
    uevent: bool,
}

impl Walk {
    fn dir(&mut self, dir: &OwnedFd, depth: usize) {
        // A folder that vanishes while we read it is no longer a device.
        let Ok(list) = self.list(dir.as_fd()) else { return };
        if let Some(modalias) = own_modalias(dir.as_fd(), &list) {
            self.found.push(Device { path: self.path.clone(), modalias });
        }
        if depth == DEPTH {
            return;
        }
        let len = self.path.len();
        // A device's own `power` folder holds attributes only; there is one to every device.
        let devices =
            list.folders.iter().filter(|name| !(list.uevent && name.as_c_str() == c"power"));
        for name in devices {
            if let Ok(folder) = open_dir(dir, name.as_c_str()) {
                if !self.path.is_empty() {
                    self.path.push('/');
                }
                self.path.push_str(&name.to_string_lossy());
                self.dir(&folder, depth + 1);
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
                    list.folders.push(name.to_owned())
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
    /// Filesystems that a saved tree may lie on do not always tell the type of an entry.
    fn add_unknown(&mut self, dir: BorrowedFd<'_>, name: &CStr) {
        let Ok(stat) = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if name != c"." && name != c".." => {
                self.folders.push(name.to_owned())
            }
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

/// A sysfs file's content; `None` where it vanished, or its device gives an error. One read is all: sysfs
/// fills the page at once.
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

/// Where a module stands, from /sys/module/NAME/initstate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitState {
    /// Its init has returned 0.
    Live,
    /// Its init runs.
    Coming,
    /// It is being removed.
    Going,
}

/// The state of `module`; `None` where it is not loaded (a builtin has no state either).
pub fn initstate(root: &Root, module: &ModuleName) -> Option<InitState> {
    let text = text(&root.join(format!("sys/module/{module}/initstate")))?;
    match text.trim_end() {
        "live" => Some(InitState::Live),
        "coming" => Some(InitState::Coming),
        "going" => Some(InitState::Going),
        _ => None,
    }
}

/// Whether the kernel knows `module` at all, loaded or built in with something to show.
pub fn has_module(root: &Root, module: &ModuleName) -> bool {
    root.join(format!("sys/module/{module}")).is_dir()
}

/// How many users `module` has; `None` where it is not loaded, or modules can't be unloaded.
pub fn refcnt(root: &Root, module: &ModuleName) -> Option<i64> {
    text(&root.join(format!("sys/module/{module}/refcnt")))?.trim_end().parse().ok()
}

/// The size of `module` in memory, in bytes.
pub fn coresize(root: &Root, module: &ModuleName) -> Option<u64> {
    text(&root.join(format!("sys/module/{module}/coresize")))?.trim_end().parse().ok()
}

/// The modules that use `module`, in directory order; empty where it is not loaded.
pub fn holders(root: &Root, module: &ModuleName) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join(format!("sys/module/{module}/holders"))) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// A device that a driver of `module` is bound to, by its name.
pub fn bound_device(root: &Root, module: &ModuleName) -> Option<String> {
    let drivers = std::fs::read_dir(root.join(format!("sys/module/{module}/drivers")));
    drivers.into_iter().flatten().flatten().find_map(|driver| {
        // The links of a driver are its devices, besides the one to its module.
        let links = std::fs::read_dir(driver.path()).into_iter().flatten().flatten();
        let mut devices = links.filter(|link| {
            link.file_name() != "module" && link.file_type().is_ok_and(|kind| kind.is_symlink())
        });
        devices.next().map(|link| link.file_name().to_string_lossy().into_owned())
    })
}

/// Sets whether modules are loaded with `async_probe` where their parameters do not say.
///
/// # Errors
/// The kernel has no such switch (it came with Linux 6.0), or refuses.
pub fn set_async_probe(root: &Root, on: bool) -> Result<()> {
    let path = root.join("sys/module/module/parameters/async_probe");
    let failed = |e: std::io::Error| Error::io("write", &path, &e);
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).map_err(failed)?;
    std::io::Write::write_all(&mut file, if on { b"1" } else { b"0" }).map_err(failed)
}

/// Has the kernel go on with the hibernated system whose image starts at page `offset` of the device `number`
/// (/sys/power/resume). Comes back where there is none.
///
/// # Errors
/// The kernel knows no hibernation, or refuses the image.
pub fn resume(root: &Root, number: (u32, u32), offset: u64) -> Result<()> {
    let put = |name: &str, text: String| {
        let path = root.join("sys/power").join(name);
        let failed = |e: std::io::Error| Error::io("write", &path, &e);
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).map_err(failed)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)
    };
    if offset > 0 {
        put("resume_offset", offset.to_string())?;
    }
    put("resume", format!("{}:{}", number.0, number.1))
}

/// The codec that the kernel decompresses modules of by itself, from /sys/module/compression.
pub fn kernel_compression(root: &Root) -> Option<Compression> {
    Compression::from_kernel(&text(&root.join("sys/module/compression"))?)
}

/// The terminals behind /dev/console, as /sys/class/tty/console/active lists them; the last one is
/// where the kernel reads from.
pub fn console(root: &Root) -> Option<String> {
    let text = text(&root.join("sys/class/tty/console/active"))?;
    text.split_whitespace().last().map(str::to_owned)
}

fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_device_comes_once_and_in_order() {
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
            modules_above(&root, "pci0/a/virtio0/x"),
            ["virtio_blk".into(), "virtio_pci".into()]
        );
        assert_eq!(modules_above(&root, "pci0/a/virtio0"), ["virtio_pci".into()]);
        // While the driver still goes through its devices.
        fs::remove_file(devices.join("drivers/virtio-pci/module")).unwrap();
        assert_eq!(modules_above(&root, "pci0/a/virtio0"), ["virtio_pci".into()]);
        assert!(modules_above(&root, "pci0").is_empty());
    }

    #[test]
    fn devices_that_wait_are_told_with_their_suppliers() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        assert_eq!((devices_deferred(&root), unmet_suppliers(&root)), (None, Vec::new()));
        let put = |path: &str, text: &str| {
            let path = scratch.path().join("sys").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(
            "kernel/debug/devices_deferred",
            "a.eth\tplatform: wait for supplier /soc/clk\nb.mmc\t\nc\n",
        );
        let lines =
            |list: Vec<DeferredDevice>| list.iter().map(DeferredDevice::line).collect::<Vec<_>>();
        assert_eq!(
            lines(devices_deferred(&root).unwrap()),
            [
                "device a.eth waits for /soc/clk: platform: wait for supplier /soc/clk",
                "device b.mmc waits",
                "device c waits"
            ]
        );
        for (link, status, bound) in [
            ("clk--eth", "dormant", false),
            ("gpio--key", "dormant", true),
            ("x--y", "active", false),
        ] {
            let (supplier, consumer) = link.split_once("--").unwrap();
            put(&format!("class/devlink/{link}/status"), &format!("{status}\n"));
            for (end, name) in [("supplier", supplier), ("consumer", consumer)] {
                fs::create_dir_all(scratch.path().join("sys/devices").join(name)).unwrap();
                let at = scratch.path().join("sys/class/devlink").join(link).join(end);
                std::os::unix::fs::symlink(format!("../../../devices/{name}"), at).unwrap();
            }
            if bound {
                put(&format!("devices/{consumer}/driver/bind"), "");
            }
        }
        assert_eq!(lines(unmet_suppliers(&root)), ["device eth waits for clk"]);
    }

    #[test]
    fn hubs_tell_when_they_are_done() {
        let hub = |scratch: &Path, controller: &str, bus: u32, speed: &str, status: &str| {
            let usb = scratch.join(format!("sys/devices/{controller}/usb{bus}"));
            let interface = usb.join(format!("{bus}-0:1.0"));
            fs::create_dir_all(interface.join("power")).unwrap();
            fs::write(interface.join("power/runtime_status"), format!("{status}\n")).unwrap();
            fs::write(usb.join("speed"), format!("{speed}\n")).unwrap();
            let hubs = scratch.join("sys/bus/usb/drivers/hub");
            fs::create_dir_all(hubs.join("module")).unwrap();
            std::os::unix::fs::symlink(&interface, hubs.join(format!("{bus}-0:1.0"))).unwrap();
        };
        const XHCI: &str = "pci0000:00/0000:00:04.0";
        const EHCI: &str = "pci0000:00/0000:00:1d.7";
        const UHCI: &str = "pci0000:00/0000:00:1d.0";
        for (hubs, rest) in [
            (&[][..], None),
            (&[(XHCI, "480", "suspended"), (XHCI, "5000", "suspended")], Some(true)),
            (&[(XHCI, "480", "suspended"), (XHCI, "5000", "active")], Some(false)),
            (&[(XHCI, "480", "active"), (XHCI, "5000", "suspended")], Some(false)),
            (&[(XHCI, "480", "unsupported")], None),
            (&[(EHCI, "480", "suspended"), (UHCI, "12", "suspended")], None),
            (&[(XHCI, "480", "suspended"), (UHCI, "12", "suspended")], Some(true)),
            (&[("soc/1.usb", "480", "suspended"), ("soc/2.usb", "12", "suspended")], None),
            (&[("soc/2.usb", "12", "suspended")], Some(true)),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            for (bus, (controller, speed, status)) in (1..).zip(hubs) {
                hub(scratch.path(), controller, bus, speed, status);
            }
            assert_eq!(usb_hubs_at_rest(&Root::at(scratch.path())), rest, "{hubs:?}");
        }
    }

    #[test]
    fn module_states_are_read() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        fs::create_dir_all(scratch.path().join("sys/module/a")).unwrap();
        assert_eq!(initstate(&root, &"a".into()), None);
        fs::write(scratch.path().join("sys/module/a/initstate"), "coming\n").unwrap();
        assert_eq!(initstate(&root, &"a".into()), Some(InitState::Coming));
        assert_eq!(kernel_compression(&root), None);
        fs::write(scratch.path().join("sys/module/compression"), "xz\n").unwrap();
        assert_eq!(kernel_compression(&root), Some(Compression::Xz));
    }
}
