//! The boot record as JSON and text: what was found, what was loaded and why, what is missing.

#[cfg(feature = "host")]
mod critical_path;
#[cfg(feature = "full")]
mod earlier;
#[cfg(not(feature = "full"))]
#[path = "no_earlier.rs"]
mod earlier;
#[cfg(feature = "full")]
mod exit_status;
pub(crate) mod json;
#[cfg(feature = "host")]
mod lanes;
mod milestone;
mod network;
mod root;
#[cfg(feature = "host")]
pub(crate) mod saved;
pub mod stored_boot;
mod text;
mod verdict;
#[cfg(feature = "host")]
pub(crate) mod view;
mod waits;
mod writer;

#[cfg(feature = "full")]
pub(crate) use exit_status::{command_value, qemu_status};
pub(crate) use milestone::{Detail, Event, Milestone};
pub(crate) use network::{AddressOrigin, NetworkRecord};
pub(crate) use root::RootRecord;
pub(crate) use verdict::{Counts, Verdict};
pub(crate) use waits::Waits;

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

/// Memory in bytes, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MemoryUse {
    /// Peak memory of init.
    pub(crate) init: Option<u64>,
    /// Peak memory of its worker process.
    pub(crate) worker: Option<u64>,
    /// What programs could use at the entry of /init.
    pub(crate) available_start: Option<u64>,
    /// What programs could use right before the switch to the root.
    pub(crate) available_switch: Option<u64>,
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
    /// Number of loads that may work in parallel; 1 if loads are sequential.
    pub(crate) jobs: Option<usize>,
    /// What PID 1 waited for.
    pub(crate) waits: Waits,
    /// What the kernel did before /init: the name of a point, and its time. Empty if the kernel log
    /// was not read.
    pub(crate) kernel_times: Vec<(&'static str, BootTime)>,
    /// Memory use.
    pub(crate) memory: MemoryUse,
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
