//! What the Loader reports about each requested module.

use super::method::LoadMethod;
use super::outcome::Outcome;
use crate::kmod::name::ModuleName;
use crate::sys::BootTime;

/// The request that a module was loaded for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The device, as its path below /sys/devices.
    pub(crate) device: Option<String>,
    /// The requested name: the device's modalias, or a name such as `fs-ext4`.
    pub(crate) request: String,
    /// The alias pattern that matched.
    pub(crate) pattern: Option<String>,
    /// A device that waits for the device, if the device was requested early for it.
    pub(crate) supplier_of: Option<String>,
}

/// One module of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRecord {
    /// The module.
    pub(crate) name: ModuleName,
    /// Its outcome.
    pub(crate) outcome: Outcome,
    /// Why it was wanted: `device`, `asked`, `dependency of X`, `softdep of X`.
    pub(crate) why: String,
    /// The request, if it was not made by another module.
    pub(crate) origin: Option<Origin>,
    /// Its file, relative to the module directory.
    pub(crate) path: Option<Vec<u8>>,
    /// Its parameters.
    pub(crate) options: Vec<u8>,
    /// How it got into the kernel.
    pub(crate) method: Option<LoadMethod>,
    /// Time at which its load began; zero if it was never tried.
    pub(crate) start: BootTime,
    /// Time at which the kernel had it live, if that was known before its load returned.
    pub(crate) live: Option<BootTime>,
    /// Time at which its load ended; zero if it has not.
    pub(crate) end: BootTime,
}

impl ModuleRecord {
    /// Returns the record in one line: `module NAME OUTCOME (WHY): REASON`.
    pub(crate) fn line(&self) -> String {
        let device = self.origin.as_ref().and_then(|o| o.device.as_deref());
        let why = device.map_or_else(|| self.why.clone(), |device| format!("for {device}"));
        let error = self.outcome.reason().map_or_else(String::new, |e| format!(": {e}"));
        format!("module {} {} ({why}){error}", self.name, self.outcome.as_str())
    }
}
