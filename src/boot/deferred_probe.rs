//! Devices that wait for other devices: the kernel puts their probe off until the others are there, and says so only
//! to those who ask.

use rustix::mount::MountFlags;

use super::Boot;
use crate::sys::DeferredDevice;
use crate::sys::{Root, mount, sysfs};

const DEBUGFS: &str = "sys/kernel/debug";
/// The kernel's own `deferred_probe_timeout`, in seconds, where modules can be loaded.
const TIMEOUT: i64 = 10;

impl Boot {
    /// Puts into the record which devices wait for others, and says so.
    pub(super) fn log_deferred(&mut self) {
        let mut found = devices_deferred(&self.root);
        merge(&mut found, sysfs::unmet_suppliers(&self.root));
        for deferred in &found {
            self.log.warn(&deferred.line());
        }
        self.warn_of_timeout(!found.is_empty());
        self.record.deferred = found;
    }

    /// Where the kernel has stopped waiting for suppliers before their modules were loaded, devices may have come up
    /// without them. Each driver that registers starts its clock again, so that the default alone proves nothing.
    fn warn_of_timeout(&mut self, waiting: bool) {
        let given = self.params.boot.deferred_timeout;
        let timeout = given.unwrap_or(TIMEOUT);
        let end_us = self.record.phases.iter().find(|(name, _)| *name == "load").map(|(_, us)| *us);
        let end_us = end_us.unwrap_or(0) + self.record.init_boottime_ns / 1000;
        let passed = i64::try_from(end_us / 1_000_000).unwrap_or(i64::MAX);
        if timeout >= 0 && passed >= timeout && (given.is_some() || waiting) {
            self.warn(format!(
                "deferred_probe_timeout is {timeout} s, and modules were loaded until {passed} s after the kernel's \
                 start: devices may have been probed without what they need"
            ));
        }
    }
}

/// Adds what is not known yet; a supplier that is, to the device that lacks it.
fn merge(found: &mut Vec<DeferredDevice>, more: Vec<DeferredDevice>) {
    for new in more {
        match found.iter_mut().find(|d| d.device == new.device) {
            Some(old) if old.supplier.is_none() => old.supplier = new.supplier,
            Some(old) if new.supplier.is_none() || old.supplier == new.supplier => {}
            _ => found.push(new),
        }
    }
}

/// The kernel's list, for which debugfs is mounted as long as it takes. A kernel without it has none.
fn devices_deferred(root: &Root) -> Vec<DeferredDevice> {
    if let Some(list) = sysfs::devices_deferred(root) {
        return list;
    }
    let place = root.join(DEBUGFS);
    if mount::mount("debugfs", &place, "debugfs", MountFlags::empty(), "").is_err() {
        return Vec::new();
    }
    let list = sysfs::devices_deferred(root).unwrap_or_default();
    let _ = mount::detach(&place);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deferred(device: &str, supplier: &str, reason: &str) -> DeferredDevice {
        let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        DeferredDevice { device: device.to_owned(), supplier: some(supplier), reason: some(reason) }
    }

    #[test]
    fn suppliers_are_added_to_their_devices() {
        let mut found = vec![deferred("a", "", "no clock"), deferred("b", "x", "")];
        merge(&mut found, vec![deferred("a", "clk", ""), deferred("b", "y", "")]);
        merge(
            &mut found,
            vec![deferred("a", "", ""), deferred("b", "x", ""), deferred("c", "", "")],
        );
        let lines: Vec<String> = found.iter().map(DeferredDevice::line).collect();
        let want = "device a waits for clk: no clock, device b waits for x, device b waits for y, device c waits";
        assert_eq!(lines.join(", "), want);
    }
}
