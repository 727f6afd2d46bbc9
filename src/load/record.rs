//! What the Loader reports about each requested module.

use super::method::LoadMethod;
use super::outcome::Outcome;
use crate::kmod::name::ModuleName;
use crate::sys::BootTime;

/// The request that a module was loaded for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The device, as its path below /sys/devices.
    pub device: Option<String>,
    /// The requested name: the device's modalias, or a name such as `fs-ext4`.
    pub request: String,
    /// The alias pattern that matched.
    pub pattern: Option<String>,
}

/// One module of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRecord {
    /// The module.
    pub name: ModuleName,
    /// Its outcome.
    pub outcome: Outcome,
    /// Why it was wanted: `device`, `asked`, `dependency of X`, `softdep of X`.
    pub why: String,
    /// The request, if it was not made by another module.
    pub origin: Option<Origin>,
    /// Its file, relative to the module directory.
    pub path: Option<String>,
    /// Its parameters.
    pub options: String,
    /// How it got into the kernel.
    pub method: Option<LoadMethod>,
    /// Time at which its load began; zero if it was never tried.
    pub start: BootTime,
    /// Time at which the kernel had it live, if that was known before its load returned.
    pub live: Option<BootTime>,
    /// Time at which its load ended; zero if it has not.
    pub end: BootTime,
}

impl ModuleRecord {
    /// Returns the record in one line: `module NAME OUTCOME (WHY): REASON`.
    pub fn line(&self) -> String {
        let device = self.origin.as_ref().and_then(|o| o.device.as_deref());
        let why = device.map_or_else(|| self.why.clone(), |device| format!("for {device}"));
        let error = self.outcome.reason().map_or_else(String::new, |e| format!(": {e}"));
        format!("module {} {} ({why}){error}", self.name, self.outcome.as_str())
    }
}
