//! What the Loader reports about each requested module.

use super::method::LoadMethod;
use super::outcome::Outcome;
use super::stamps::Stamps;
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
    /// Modules that it waited for because it needs them: its dependencies and `pre:` softdeps, in
    /// the order in which they are loaded.
    pub(crate) needs: Vec<ModuleName>,
    /// Modules that it waited for without needing them: drivers of devices above its own that were
    /// being loaded, modules that come before it among those for its device, and the module whose
    /// `post:` softdep it is.
    pub(crate) after: Vec<ModuleName>,
    /// How it got into the kernel.
    pub(crate) method: Option<LoadMethod>,
    /// The lane of its load: the lowest number that no other load had at the same time.
    pub(crate) lane: Option<usize>,
    /// Time at which it was requested; zero if that is not known.
    pub(crate) queued: BootTime,
    /// Time at which its load began; zero if it was never tried.
    pub(crate) start: BootTime,
    /// Times within its load.
    pub(crate) stamps: Stamps,
    /// Time at which the kernel had it live, if that was known before its load returned.
    pub(crate) live: Option<BootTime>,
    /// Time at which its load ended; zero if it has not.
    pub(crate) end: BootTime,
    /// Memory that the kernel uses for it, in bytes, if it is loaded.
    pub(crate) size: Option<u64>,
}

impl ModuleRecord {
    /// Returns the record of a module that was never tried.
    pub(crate) fn new(name: ModuleName, outcome: Outcome, why: String) -> Self {
        Self {
            name,
            outcome,
            why,
            origin: None,
            path: None,
            options: Vec::new(),
            needs: Vec::new(),
            after: Vec::new(),
            method: None,
            lane: None,
            queued: BootTime::ZERO,
            start: BootTime::ZERO,
            stamps: Stamps::default(),
            live: None,
            end: BootTime::ZERO,
            size: None,
        }
    }

    /// Returns the module that it was requested for, if that is why it was wanted.
    pub(crate) fn requester(&self) -> Option<&str> {
        self.why.split_once(" of ").map(|(_, module)| module)
    }

    /// Returns the record in one line: `module NAME OUTCOME (WHY): REASON`.
    pub(crate) fn line(&self) -> String {
        let device = self.origin.as_ref().and_then(|o| o.device.as_deref());
        let why = device.map_or_else(|| self.why.clone(), |device| format!("for {device}"));
        let error = self.outcome.reason().map_or_else(String::new, |e| format!(": {e}"));
        format!("module {} {} ({why}){error}", self.name, self.outcome.as_str())
    }
}
