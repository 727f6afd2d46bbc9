//! The boot record: what was found, what was loaded and why, what is missing; and its text and
//! JSON.

mod earlier;
mod json;
mod network;
mod root;
mod text;
mod verdict;

pub use network::{AddressBy, NetworkRecord};
pub use root::RootRecord;
pub use text::printable;
pub use verdict::{Counts, Verdict};

use std::time::Duration;

use crate::load::{ModuleRecord, Outcome};
use crate::sys::{BootTime, DeferredDevice};

/// Counters of the uevent socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UeventCounts {
    /// Kernel messages received.
    pub received: u64,
    /// Of these, devices added.
    pub added: u64,
    /// Times that events were lost to an overrun, so that the scan was repeated.
    pub lost: u64,
    /// Messages that were cut: each repeated the scan too.
    pub truncated: u64,
    /// Gaps in the numbers of events: each repeated the scan too.
    pub gaps: u64,
    /// Messages that the kernel did not send.
    pub foreign: u64,
    /// Full scans of /sys/devices.
    pub scans: u64,
    /// Of these, those that lost events were the reason of.
    pub rescans: u64,
}

/// The record of one boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The kernel's release.
    pub kernel: String,
    /// Time of the entry of /init.
    pub init_entry: BootTime,
    /// How it ended; `None` while it runs.
    pub verdict: Option<Verdict>,
    /// Time from the entry of /init to the verdict.
    pub time: Duration,
    /// The root.
    pub root: RootRecord,
    /// The network, where the root came over it.
    pub network: Option<NetworkRecord>,
    /// The modules, in the order in which their loads ended.
    pub modules: Vec<ModuleRecord>,
    /// Distinct modaliases seen.
    pub modaliases: u64,
    /// The socket's counters.
    pub uevents: UeventCounts,
    /// Phases in order: the name, and the time from the entry of /init to the end of the phase.
    pub phases: Vec<(&'static str, Duration)>,
    /// Time spent in lookups and plans.
    pub lookup: Duration,
    /// The most memory that init has had, and that the loading process has had, in bytes.
    pub memory: (Option<u64>, Option<u64>),
    /// Devices that wait for others, at the end.
    pub deferred: Vec<DeferredDevice>,
    /// What was passed over, in words.
    pub warnings: Vec<String>,
    /// The exit status of `coldplug.exec=`.
    pub exit: Option<i32>,
}

impl Record {
    /// How many modules were wanted, loaded, failed.
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

    /// Modules that were wanted and are not there, a line each: what failed, what the image lacks,
    /// what is still under way.
    pub fn missing(&self) -> Vec<String> {
        let gone = |m: &&ModuleRecord| {
            matches!(
                m.outcome,
                Outcome::Failed(_) | Outcome::Missing | Outcome::Loading | Outcome::Waiting
            )
        };
        self.modules.iter().filter(gone).map(ModuleRecord::line).collect()
    }

    /// The last line of every boot.
    pub fn verdict_line(&self) -> String {
        let Counts { loaded, wanted, failed } = self.counts();
        let verdict = self.verdict.unwrap_or(Verdict::Unfinished);
        let mut line = format!(
            "coldplug: verdict={verdict} modules={loaded}/{wanted} failed={failed} time={}",
            self.time.as_millis()
        );
        if let Some(status) = self.exit {
            line.push_str(&format!(" exit={status}"));
        }
        line
    }
}
