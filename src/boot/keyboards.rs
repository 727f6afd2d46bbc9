//! The drivers of keyboards, loaded before a person is asked to type: a boot may have held them
//! back, or have ended before their turn.
//!
//! A child process loads them, so that PID 1 is never inside a module's init.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use super::threaded_loader::threaded_loader;
use crate::kmod::catalog::Catalog;
use crate::kmod::uevent::Modalias;
use crate::load::Rank;
use crate::sys::child::{self, ChildProcess};
use crate::sys::{self, BootTime, Root, devices, signals};

/// Longest wait for keyboards.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest search for keyboards: a slow one works a little after the prompt has been offered.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Time without a new device after which the search ends: hubs and devices are found one by one.
const QUIET: Duration = Duration::from_secs(2);
/// Interval between scans.
const SCAN_INTERVAL: Duration = Duration::from_millis(50);
/// Number of modules that are loaded in parallel.
const THREADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
/// The driver of the PS/2 controller, which has no modalias on most machines.
const PS2: &str = "i8042";

/// Has a child process load the drivers, and waits for it. At the deadline the child goes on alone.
pub(super) fn load() {
    let Some(child) = start() else { return };
    let end = BootTime::now() + TIMEOUT;
    while child::exit_status(child.pid()).is_none() && BootTime::now() < end {
        signals::sleep(SCAN_INTERVAL);
    }
    child.release();
}

/// Starts the child process that loads the drivers.
pub(super) fn start() -> Option<ChildProcess> {
    ChildProcess::start("load-keyboards", &[]).ok()
}

/// Loads the drivers that lead to keyboards, and those of devices that these find.
///
/// # Errors
/// /sys/devices cannot be read, or the loader cannot start.
pub(crate) fn load_drivers(dir: &Root) -> sys::Result<()> {
    let loader = threaded_loader(dir, Catalog::new, THREADS, &mut Vec::new())?;
    loader.want_name(PS2, Rank::Root);
    let mut seen: Vec<Modalias> = Vec::new();
    let start = BootTime::now();
    let mut changed = start;
    while changed.elapsed() < QUIET && start.elapsed() < SEARCH_TIMEOUT {
        for device in devices::modaliases(dir)? {
            if leads_to_keyboard(device.modalias.as_bytes()) && !seen.contains(&device.modalias) {
                let ancestors = devices::modules_of_ancestors(dir, &device.path);
                loader.want_device(&device.path, &device.modalias, &ancestors, Rank::Root, None);
                seen.push(device.modalias);
                changed = BootTime::now();
            }
        }
        loader.drive();
        if !loader.is_idle() {
            changed = BootTime::now();
        }
        thread::sleep(SCAN_INTERVAL);
    }
    Ok(())
}

/// Returns whether a device is a keyboard, or the host of one.
///
/// ```text
/// serio:ty06pr00id00ex00                 a port of the PS/2 controller
/// hid:b0003g0001v00000627p00000001       any HID device
/// usb:…ic03isc01ip01in00                 interface class 03 is HID
/// pci:…bc0Csc03i30                       class 0c03 is a USB host
/// acpi:PNP0303:  acpi:PNP0C50:           PS/2 keyboards; HID over I2C
/// virtio:d00000012v00001AF4              an input device of a hypervisor
/// ```
fn leads_to_keyboard(modalias: &[u8]) -> bool {
    let modalias = String::from_utf8_lossy(modalias);
    match modalias.split_once(':') {
        Some(("serio" | "hid", _)) => true,
        Some(("usb", device)) => device.contains("ic03"),
        Some(("pci", device)) => device.contains("bc0Csc03"),
        Some(("acpi" | "pnp", device)) => device.contains("PNP03") || device.contains("PNP0C50"),
        Some(("virtio", device)) => device.starts_with("d00000012"),
        Some(("xen", device)) => device == "vkbd",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyboards_and_their_hosts_are_known_by_modalias() {
        for (modalias, want) in [
            ("serio:ty06pr00id00ex00", true),
            ("hid:b0003g0001v00000627p00000001", true),
            ("usb:v0627p0001d0000dc00dsc00dp00ic03isc01ip01in00", true),
            ("usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00", false),
            ("pci:v00001B36d0000000Dsv00001AF4sd00001100bc0Csc03i30", true),
            ("pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00", false),
            ("acpi:PNP0303:", true),
            ("acpi:MSFT0001:PNP0C50:", true),
            ("acpi:PNP0C0A:", false),
            ("virtio:d00000012v00001AF4", true),
            ("virtio:d00000002v00001AF4", false),
            ("xen:vkbd", true),
            ("nonsense", false),
        ] {
            assert_eq!(leads_to_keyboard(modalias.as_bytes()), want, "{modalias}");
        }
    }
}
