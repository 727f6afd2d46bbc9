//! Deferred probes: the kernel postpones the probe of a device until its suppliers are there,
//! and reports that only in debugfs and sysfs.

use rustix::mount::MountFlags;

use super::Boot;
use crate::sys::{BootTime, DeferredDevice, Root, deferred_probe, mount};

const DEBUGFS: &str = "sys/kernel/debug";
/// The kernel's default of `deferred_probe_timeout`, in seconds, if modules can be loaded.
const DEFAULT_TIMEOUT: i64 = 10;

impl Boot {
    /// Logs and records the devices whose probe is deferred. `loads_ended` is the time at which
    /// the last load ended.
    pub(super) fn report_deferred(&mut self, loads_ended: BootTime) {
        let mut found = devices_deferred(&self.dir);
        merge(&mut found, deferred_probe::unmet_suppliers(&self.dir));
        for deferred in &found {
            self.reporter.log().warn(&deferred.line());
        }
        self.warn_about_timeout(loads_ended, !found.is_empty());
        self.reporter.set_deferred(found);
    }

    /// Warns if the kernel may have given up on suppliers before their modules were loaded: devices
    /// may have been probed without them. Each driver that registers restarts the kernel's timer,
    /// so the default timeout alone proves nothing; then a device must still be waiting.
    fn warn_about_timeout(&mut self, loads_ended: BootTime, waiting: bool) {
        let given = self.params.boot.deferred_timeout;
        let timeout = given.unwrap_or(DEFAULT_TIMEOUT);
        let passed = i64::try_from(loads_ended.as_secs()).unwrap_or(i64::MAX);
        if timeout >= 0 && passed >= timeout && (given.is_some() || waiting) {
            self.reporter.warn(format!(
                "deferred_probe_timeout is {timeout} s, and modules were loaded until {passed} s \
                 after the kernel started: devices may have been probed without their suppliers"
            ));
        }
    }
}

/// Adds entries that are new. A supplier is added to the entry of its device if that has none.
fn merge(found: &mut Vec<DeferredDevice>, more: Vec<DeferredDevice>) {
    for new in more {
        match found.iter_mut().find(|d| d.device == new.device) {
            Some(old) if old.supplier.is_none() => old.supplier = new.supplier,
            Some(old) if new.supplier.is_none() || old.supplier == new.supplier => {}
            _ => found.push(new),
        }
    }
}

/// Returns the kernel's list of deferred devices; it is empty on a kernel without debugfs. If
/// debugfs is not mounted, it is mounted for the read.
fn devices_deferred(dir: &Root) -> Vec<DeferredDevice> {
    if let Some(list) = deferred_probe::devices_deferred(dir) {
        return list;
    }
    let place = dir.join(DEBUGFS);
    if mount::mount("debugfs", &place, "debugfs", MountFlags::empty(), "").is_err() {
        return Vec::new();
    }
    let list = deferred_probe::devices_deferred(dir).unwrap_or_default();
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
        let want = [
            "device a waits for clk: no clock",
            "device b waits for x",
            "device b waits for y",
            "device c waits",
        ];
        assert_eq!(lines, want);
    }
}
