//! The boot record as JSON and text: what was found, what was loaded and why, what is missing.

mod earlier;
pub(crate) mod json;
mod network;
mod root;
mod text;
mod verdict;

pub use network::{AddressOrigin, NetworkRecord};
pub use root::RootRecord;
pub use text::printable;
pub use verdict::{Counts, Verdict};

use std::time::Duration;

use crate::load::{ModuleRecord, Outcome};
use crate::sys::{BootTime, DeferredDevice};

/// Counters of the uevent socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UeventCounts {
    /// Messages received from the kernel.
    pub received: u64,
    /// Devices added, among these messages.
    pub added: u64,
    /// Overruns, which lost events; each repeated the scan.
    pub lost: u64,
    /// Truncated messages; each repeated the scan.
    pub truncated: u64,
    /// Gaps in SEQNUM; each repeated the scan.
    pub gaps: u64,
    /// Messages from senders other than the kernel.
    pub foreign: u64,
    /// Full scans of /sys/devices.
    pub scans: u64,
    /// Scans repeated because of lost events.
    pub rescans: u64,
}

/// The record of one boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Kernel release.
    pub kernel: String,
    /// Time of the entry of /init.
    pub init_entry: BootTime,
    /// Verdict; `None` while the boot runs.
    pub verdict: Option<Verdict>,
    /// Time from the entry of /init to the verdict.
    pub time: Duration,
    /// The root.
    pub root: RootRecord,
    /// The network, if it was set up for the root.
    pub network: Option<NetworkRecord>,
    /// The modules, in the order in which they came live or their loads ended.
    pub modules: Vec<ModuleRecord>,
    /// Number of distinct modaliases.
    pub modaliases: u64,
    /// Counters of the uevent socket.
    pub uevents: UeventCounts,
    /// Phases in order: the name, and the time from the entry of /init to the end of the phase.
    pub phases: Vec<(&'static str, Duration)>,
    /// Time spent in lookups and plans.
    pub lookup: Duration,
    /// Peak memory of init and of the worker process, in bytes.
    pub memory: (Option<u64>, Option<u64>),
    /// Devices whose probe was deferred at the end.
    pub deferred: Vec<DeferredDevice>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// Exit status of `coldplug.exec=`.
    pub exit: Option<i32>,
}

impl Record {
    /// Counts the modules by outcome.
    pub fn counts(&self) -> Counts {
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

    /// Returns a line for each wanted module that is not loaded: it failed, the image lacks it, or
    /// it is still being loaded.
    pub fn missing(&self) -> Vec<String> {
        let missing = |m: &&ModuleRecord| {
            matches!(
                m.outcome,
                Outcome::Failed(_) | Outcome::Missing | Outcome::Loading | Outcome::Waiting
            )
        };
        self.modules.iter().filter(missing).map(ModuleRecord::line).collect()
    }

    /// Returns the last line of every boot.
    pub fn verdict_line(&self) -> String {
        let Counts { loaded, wanted, failed } = self.counts();
        let verdict = self.verdict.unwrap_or(Verdict::Unfinished);
        let mut line = format!(
            "coldplug: verdict={verdict} modules={loaded}/{wanted} failed={failed} time={}",
            json::millis(self.time)
        );
        if let Some(status) = self.exit {
            line.push_str(&format!(" exit={status}"));
        }
        line
    }
}
