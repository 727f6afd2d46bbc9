//! Devices whose probe the kernel has deferred.

/// A device whose probe is deferred because another device is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeferredDevice {
    /// The kernel's name of the device.
    pub device: String,
    /// The supplier it waits for, if the kernel knows it: a device, or the firmware node of one that does not exist yet.
    pub supplier: Option<String>,
    /// The reason that its driver reports.
    pub reason: Option<String>,
}

impl DeferredDevice {
    /// Returns `device NAME waits for SUPPLIER: REASON`.
    pub fn line(&self) -> String {
        let supplier = self.supplier.as_ref().map_or_else(String::new, |s| format!(" for {s}"));
        let reason = self.reason.as_ref().map_or_else(String::new, |r| format!(": {r}"));
        format!("device {} waits{supplier}{reason}", self.device)
    }
}
