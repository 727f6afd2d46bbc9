//! The boot record: what was found, what was loaded and why, what is missing; and its text and JSON.

mod earlier;
mod json;
mod near;
mod network;
mod root;
mod text;
mod verdict;

pub use near::near;
pub use network::{AddressBy, NetworkRecord};
pub use root::{RootRecord, Seen};
pub use text::printable;
pub use verdict::{Counts, Verdict};

use crate::kmod::name::ModuleName;

/// What became of one module that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is live, loaded by us.
    Loaded,
    /// Somebody else had loaded it.
    Already,
    /// Its install command ran.
    Commanded,
    /// The index knows it, the image does not carry it.
    Missing,
    /// Its init found no hardware (ENODEV).
    NoDevice,
    /// Configuration, or the kernel's command line, forbids it.
    Blacklisted,
    /// An install command that does nothing stands in its place.
    Disabled,
    /// It is masked, by what stands here.
    Masked(String),
    /// It was refused, for this reason.
    Failed(String),
    /// Its load had not come back when the record was made.
    Loading,
    /// Its turn had not come when the record was made.
    Waiting,
}

impl Outcome {
    /// The word for it in the record.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Already => "already",
            Self::Commanded => "commanded",
            Self::Missing => "missing",
            Self::NoDevice => "no-device",
            Self::Blacklisted => "blacklisted",
            Self::Disabled => "disabled",
            Self::Masked(_) => "masked",
            Self::Failed(_) => "failed",
            Self::Loading => "loading",
            Self::Waiting => "waiting",
        }
    }

    /// The outcome that a word and its reason stand for; the reverse of [`Self::word`] and [`Self::reason`],
    /// except for masks, whose place is not kept.
    pub fn of(word: &str, reason: &str) -> Option<Self> {
        const PLAIN: [Outcome; 9] = [
            Outcome::Loaded,
            Outcome::Already,
            Outcome::Commanded,
            Outcome::Missing,
            Outcome::NoDevice,
            Outcome::Blacklisted,
            Outcome::Disabled,
            Outcome::Loading,
            Outcome::Waiting,
        ];
        match word {
            "failed" => Some(Self::Failed(reason.to_owned())),
            _ => PLAIN.into_iter().find(|outcome| outcome.word() == word),
        }
    }

    /// Why it is not live, where that takes more than the word.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Failed(error) => Some(error.clone()),
            Self::Masked(place) => Some(format!("masked by {place}")),
            _ => None,
        }
    }

    /// Whether what needs the module can go on.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Loaded | Self::Already | Self::Commanded)
    }
}

/// How a module got into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// The kernel read a plain file.
    File,
    /// The kernel decompressed the file.
    KernelDecompress,
    /// We decoded it and handed over the image.
    Image,
}

impl Road {
    /// The road that a word stands for.
    pub fn of(word: &str) -> Option<Self> {
        [Self::File, Self::KernelDecompress, Self::Image].into_iter().find(|r| r.word() == word)
    }

    /// The word for it in the record.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::KernelDecompress => "kernel-decompress",
            Self::Image => "image",
        }
    }
}

/// Who asked for a module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The device, as its path below /sys/devices.
    pub device: Option<String>,
    /// The name asked for: the device's modalias, or a name such as `fs-ext4`.
    pub request: String,
    /// The alias pattern that matched.
    pub pattern: Option<String>,
}

/// One module of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRecord {
    /// The module.
    pub name: ModuleName,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was wanted: `device`, `asked`, `dependency of X`, `softdep of X`.
    pub why: String,
    /// Who asked, where it was not another module.
    pub origin: Option<Origin>,
    /// Its file, relative to the module directory.
    pub path: Option<String>,
    /// Its parameters.
    pub options: String,
    /// How it got in.
    pub road: Option<Road>,
    /// When its load began, in microseconds since the kernel started.
    pub start_us: u64,
    /// When the kernel had it live, where that was told before its load came back.
    pub live_us: Option<u64>,
    /// When its load ended.
    pub end_us: u64,
}

impl ModuleRecord {
    /// One line for people: what became of it, why it was wanted, what went wrong.
    pub fn line(&self) -> String {
        let device = self.origin.as_ref().and_then(|o| o.device.as_deref());
        let why = device.map_or_else(|| self.why.clone(), |device| format!("for {device}"));
        let error = self.outcome.reason().map_or_else(String::new, |e| format!(": {e}"));
        format!("module {} {} ({why}){error}", self.name, self.outcome.word())
    }
}

/// A device whose probe was put off, since another device is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deferred {
    /// The device, as the kernel calls it.
    pub device: String,
    /// What it waits for, where the kernel knows: a device, or the node of one that has not come.
    pub supplier: Option<String>,
    /// What its driver says.
    pub reason: Option<String>,
}

impl Deferred {
    /// `device waits for supplier: reason`
    pub fn line(&self) -> String {
        let supplier = self.supplier.as_ref().map_or_else(String::new, |s| format!(" for {s}"));
        let reason = self.reason.as_ref().map_or_else(String::new, |r| format!(": {r}"));
        format!("device {} waits{supplier}{reason}", self.device)
    }
}

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
    /// CLOCK_BOOTTIME at the entry of /init, in nanoseconds.
    pub init_boottime_ns: u64,
    /// How it ended; `None` while it runs.
    pub verdict: Option<Verdict>,
    /// From the entry of /init to the verdict, in milliseconds.
    pub time_ms: u64,
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
    /// Phases in order: name, and when each ended in microseconds since the entry of /init.
    pub phases: Vec<(&'static str, u64)>,
    /// Time in look-ups and plans, in microseconds.
    pub lookup_us: u64,
    /// The most memory that init has had, and that the loading process has had, in bytes.
    pub memory: (Option<u64>, Option<u64>),
    /// Devices that wait for others, at the end.
    pub deferred: Vec<Deferred>,
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

    /// Modules that were wanted and are not there, a line each: what failed, what the image lacks, what is still
    /// under way.
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
            self.time_ms
        );
        if let Some(status) = self.exit {
            line.push_str(&format!(" exit={status}"));
        }
        line
    }
}
