//! USB hubs: whether they have examined their ports.

use std::path::Path;

use super::Root;
use super::sysfs::text;

/// Reports whether every USB hub has examined its ports: the runtime power management of the kernel
/// keeps the interface of a hub active from its first power-up until every changed port has been
/// handled. Returns `None` if that is unknown: without runtime power management, without hubs, or
/// with a USB 1 controller that gets ports handed over from the USB 2 controller in the same slot,
/// at a time that no hub shows.
///
/// ```text
/// /sys/bus/usb/drivers/hub/1-0:1.0 → /sys/devices/pci0000:00/0000:00:1d.7/usb1/1-0:1.0
///                          power/runtime_status    active, suspended
/// …/0000:00:1d.7/usb1/speed                        12 (USB 1), 480, 5000
/// ```
pub(crate) fn hubs_idle(root: &Root) -> Option<bool> {
    let mut controllers = Vec::new();
    let mut idle = None;
    for hub in std::fs::read_dir(root.join("sys/bus/usb/drivers/hub")).ok()?.flatten() {
        let name = hub.file_name();
        if !name.to_string_lossy().contains(':') {
            continue;
        }
        match text(&hub.path().join("power/runtime_status"))?.trim_end() {
            "suspended" => idle = idle.or(Some(true)),
            "active" | "resuming" | "suspending" => idle = Some(false),
            _ => return None,
        }
        if name.to_string_lossy().contains("-0:") {
            controllers.push(controller(&hub.path())?);
        }
    }
    let shares_slot = |(slot, name, is_usb1): &(String, String, bool)| {
        *is_usb1 && controllers.iter().any(|other| other.0 == *slot && other.1 != *name)
    };
    idle.filter(|_| !controllers.iter().any(shares_slot))
}

/// Returns the PCI slot and the name of the controller above the interface of a root hub, and
/// whether it is USB 1. Controllers outside PCI count as being in one slot.
fn controller(interface: &Path) -> Option<(String, String, bool)> {
    let interface = std::fs::canonicalize(interface).ok()?;
    let hub = interface.parent()?;
    let name = hub.parent()?.file_name()?.to_str()?;
    let slot = name.rsplit_once('.').filter(|(slot, _)| slot.matches(':').count() == 2);
    let is_usb1 = matches!(text(&hub.join("speed"))?.trim_end(), "12" | "1.5");
    Some((slot.map_or_else(String::new, |(slot, _)| slot.to_owned()), name.to_owned(), is_usb1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn hubs_are_idle_when_all_ports_are_handled() {
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
            assert_eq!(hubs_idle(&Root::at(scratch.path())), rest, "{hubs:?}");
        }
    }
}
