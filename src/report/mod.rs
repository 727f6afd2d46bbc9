//! The boot record as JSON and text: what was found, what was loaded and why, what is missing.

#[cfg(feature = "full")]
mod earlier;
#[cfg(not(feature = "full"))]
#[path = "no_earlier.rs"]
mod earlier;
pub(crate) mod json;
mod network;
mod root;
pub mod stored_boot;
mod text;
mod verdict;

pub(crate) use network::{AddressOrigin, NetworkRecord};
pub(crate) use root::RootRecord;
pub(crate) use verdict::{Counts, Verdict};

use std::time::Duration;

use crate::load::{ModuleRecord, Outcome};
use crate::sys::{BootTime, DeferredDevice};

/// Counters of the uevent socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct UeventCounts {
    /// Messages received from the kernel.
    pub(crate) received: u64,
    /// Devices added, among these messages.
    pub(crate) added: u64,
    /// Overruns, which lost events; each repeated the scan.
    pub(crate) lost: u64,
    /// Truncated messages; each repeated the scan.
    pub(crate) truncated: u64,
    /// Gaps in SEQNUM; each repeated the scan.
    pub(crate) gaps: u64,
    /// Messages from senders other than the kernel.
    pub(crate) foreign: u64,
    /// Full scans of /sys/devices.
    pub(crate) scans: u64,
    /// Scans repeated because of lost events.
    pub(crate) rescans: u64,
}

/// The record of one boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Kernel release.
    pub(crate) kernel: String,
    /// Time of the entry of /init.
    pub(crate) init_entry: BootTime,
    /// Verdict; `None` while the boot runs.
    pub(crate) verdict: Option<Verdict>,
    /// Time from the entry of /init to the verdict.
    pub(crate) time: Duration,
    /// The root.
    pub(crate) root: RootRecord,
    /// The network, if it was set up for the root.
    pub(crate) network: Option<NetworkRecord>,
    /// The modules, in the order in which they came live or their loads ended.
    pub(crate) modules: Vec<ModuleRecord>,
    /// Number of distinct modaliases.
    pub(crate) modaliases: u64,
    /// Counters of the uevent socket.
    pub(crate) uevents: UeventCounts,
    /// Phases in order: the name, and the time from the entry of /init to the end of the phase.
    pub(crate) phases: Vec<(&'static str, Duration)>,
    /// How the new root became the root: `pivot_root` or `move mount`.
    pub(crate) switch: Option<&'static str>,
    /// Time spent in lookups and plans.
    pub(crate) lookup: Duration,
    /// Peak memory of init and of the worker process, in bytes.
    pub(crate) memory: (Option<u64>, Option<u64>),
    /// Devices whose probe was deferred at the end.
    pub(crate) deferred: Vec<DeferredDevice>,
    /// Warnings.
    pub(crate) warnings: Vec<String>,
    /// What ended the last boot, if that was stored.
    pub(crate) previous: Option<String>,
    /// Exit status of `coldplug.exec=`.
    pub(crate) exit: Option<i32>,
}

impl Record {
    /// Counts the modules by outcome.
    pub(crate) fn counts(&self) -> Counts {
        let count =
            |test: fn(&Outcome) -> bool| self.modules.iter().filter(|m| test(&m.outcome)).count();
        let unwanted = |o: &Outcome| {
            matches!(o, Outcome::Blacklisted | Outcome::Disabled | Outcome::Masked(_))
        };
        Counts {
            wanted: self.modules.len() - count(unwanted),
            loaded: count(Outcome::is_live),
            failed: count(|o| matches!(o, Outcome::Failed(_))),
        }
    }

    /// Returns each wanted module that is not loaded, unless it failed: the image lacks it, or it is
    /// still being loaded.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &ModuleRecord> {
        let missing =
            |o: &Outcome| matches!(o, Outcome::Missing | Outcome::Loading | Outcome::Waiting);
        self.modules.iter().filter(move |module| missing(&module.outcome))
    }

    /// Returns the last message of every boot.
    pub(crate) fn verdict_text(&self) -> String {
        let Counts { loaded, wanted, failed } = self.counts();
        let verdict = self.verdict.unwrap_or(Verdict::Unfinished);
        let mut line = format!(
            "verdict={verdict} modules={loaded}/{wanted} failed={failed} time={}",
            json::millis(self.time)
        );
        if let Some(status) = self.exit {
            line.push_str(&format!(" exit={status}"));
        }
        line
    }
}
