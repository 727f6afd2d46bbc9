//! Devices whose probe the kernel has deferred, and the suppliers they wait for (the kernel's
//! driver-api/device_link).

use super::Root;
use super::sysfs::text;

/// A device whose probe is deferred because another device is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeferredDevice {
    /// The device, under its name in the kernel.
    pub(crate) device: String,
    /// The supplier, if the kernel names it: a device, or the devicetree node of one that is
    /// missing.
    pub(crate) supplier: Option<String>,
    /// The reason that the driver has logged.
    pub(crate) reason: Option<String>,
}

impl DeferredDevice {
    /// Formats one line: `device DEVICE waits for SUPPLIER: REASON`.
    pub(crate) fn line(&self) -> String {
        let supplier = self.supplier.as_ref().map_or_else(String::new, |s| format!(" for {s}"));
        let reason = self.reason.as_ref().map_or_else(String::new, |r| format!(": {r}"));
        format!("device {} waits{supplier}{reason}", self.device)
    }
}

/// Returns the devices in /sys/kernel/debug/devices_deferred, or `None` if debugfs is not mounted.
///
/// ```text
/// 1c30000.ethernet \t platform: wait for supplier /soc/clock \n      the reason is optional
/// ```
pub(crate) fn devices_deferred(root: &Root) -> Option<Vec<DeferredDevice>> {
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

/// Returns the devices without a driver whose supplier is not bound, sorted: the links in
/// /sys/class/devlink with the status `dormant`.
///
/// The file `waiting_for_supplier` of a device is not read, because that can deadlock: its reader
/// waits for the lock of the device, and a probe that succeeds removes the file under that lock and
/// waits for its readers (seen on Linux 6.1).
pub(crate) fn unmet_suppliers(root: &Root) -> Vec<DeferredDevice> {
    let links = std::fs::read_dir(root.join("sys/class/devlink")).into_iter().flatten().flatten();
    let unmet = links.filter_map(|link| {
        let path = link.path();
        let endpoint = |name: &str| {
            let device = std::fs::canonicalize(path.join(name)).ok()?;
            Some((device.file_name()?.to_str()?.to_owned(), device.join("driver").exists()))
        };
        let (device, bound) = endpoint("consumer")?;
        let (supplier, _) = endpoint("supplier")?;
        let dormant = text(&path.join("status"))?.trim_end() == "dormant";
        let deferred = DeferredDevice { device, supplier: Some(supplier), reason: None };
        (dormant && !bound).then_some(deferred)
    });
    let mut unmet: Vec<DeferredDevice> = unmet.collect();
    unmet.sort_unstable();
    unmet
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn deferred_devices_are_listed_with_their_suppliers() {
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
}
