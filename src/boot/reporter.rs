//! The log and the record of a boot.
//!
//! This is a sink: the boot never reads its own state back from it. What a later step needs is kept
//! in `RootState` or in [`super::Boot`].

use std::time::Duration;

use super::error::RootNotFound;
use super::kernel_times::kernel_times;
use super::log::Log;
use super::report_port::ReportPort;
use super::{RECORD, write};
use crate::cmdline::boot::BootParams;
use crate::kmod::name::ModuleName;
use crate::load::{ModuleRecord, Outcome};
use crate::report::{
    Counts, Detail, Event, MemoryUse, Milestone, NetworkRecord, Record, RootRecord, UeventCounts,
    Verdict,
};
use crate::scan::leads_to_storage;
use crate::sys::{BootTime, DeferredDevice, Root, crash, procfs, signals};

/// Longest chain of modules that need each other in the search for the device at its end.
const MAX_DEPTH: usize = 16;
/// Whether the record is written.
pub(super) const HAS_RECORD: bool = cfg!(feature = "full");

/// The sink for everything that a boot reports.
#[derive(Debug)]
pub(super) struct Reporter {
    log: Log,
    record: Record,
    port: ReportPort,
    /// Time at the entry of /init.
    began: BootTime,
    /// Texts that [`Self::warn_once`] has logged.
    warned: Vec<String>,
}

/// Counters of a boot for its record.
#[derive(Debug)]
pub(super) struct Counters {
    /// Distinct modaliases seen.
    pub(super) modaliases: u64,
    pub(super) uevents: UeventCounts,
    /// Time spent in lookups and plans.
    pub(super) lookup: Duration,
    /// Peak memory of init and of the worker process, in bytes.
    pub(super) peaks: (Option<u64>, Option<u64>),
}

impl Reporter {
    pub(super) fn new(began: BootTime) -> Self {
        let record = Record { init_entry: began, ..Record::default() };
        let (log, port) = (Log::new(), ReportPort::default());
        Self { log, record, port, began, warned: Vec::new() }
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Has milestones written to the port of `coldplug.report=`.
    pub(super) fn set_port(&mut self, params: &BootParams) {
        if HAS_RECORD {
            let (report, capture) = (params.report.as_deref(), params.capture.as_deref());
            self.port = ReportPort::new(report, capture);
        }
    }

    /// Logs a milestone with a text, and writes it to the port.
    pub(super) fn reach(&mut self, event: Event, text: &str) {
        self.reach_with(event, &[Detail::Text(text)]);
    }

    /// Logs a milestone with these details, and writes it to the port.
    pub(super) fn reach_with(&mut self, event: Event, details: &[Detail<'_>]) {
        let Milestone { line, json } = Milestone::new(event, BootTime::now(), details);
        // The console shows the cause of a failure by itself.
        if event != Event::Rescue {
            self.log.info(&line);
        }
        if HAS_RECORD {
            self.port.send(&json);
        }
    }

    /// Logs and records a warning.
    pub(super) fn warn(&mut self, text: String) {
        self.log.warn(&text);
        self.record.warnings.push(text);
    }

    /// Logs and records warnings.
    pub(super) fn warn_all(&mut self, texts: Vec<String>) {
        texts.into_iter().for_each(|text| self.warn(text));
    }

    /// Logs and records a warning, unless this function has done so before.
    pub(super) fn warn_once(&mut self, text: String) {
        if !self.warned.contains(&text) {
            self.warned.push(text.clone());
            self.warn(text);
        }
    }

    /// Records a warning without logging it.
    pub(super) fn add_warning(&mut self, text: String) {
        self.record.warnings.push(text);
    }

    /// Records the end of a phase of the boot.
    pub(super) fn end_phase(&mut self, name: &'static str) {
        self.record.phases.push((name, self.began.elapsed()));
    }

    /// Records how the new root became the root, and the end of that phase.
    pub(super) fn end_switch(&mut self, method: &'static str) {
        self.record.switch = Some(method);
        self.end_phase("switch");
        self.reach(Event::Switch, method);
    }

    /// Records a wait for `what` that began at `since` and ends now.
    pub(super) fn add_wait(&mut self, what: String, since: BootTime) {
        self.record.waits.add(what, since, BootTime::now());
    }

    /// Records how much memory programs can use at the entry of /init.
    pub(super) fn note_memory_at_start(&mut self, dir: &Root) {
        if HAS_RECORD {
            self.record.memory.available_start = procfs::available_memory(dir);
        }
    }

    /// Records how much memory programs can use right before the switch to the root.
    pub(super) fn note_memory_at_switch(&mut self, dir: &Root) {
        if HAS_RECORD {
            self.record.memory.available_switch = procfs::available_memory(dir);
        }
    }

    /// Records how many loads may work in parallel.
    pub(super) fn set_jobs(&mut self, jobs: usize) {
        self.record.jobs = Some(jobs.max(1));
    }

    pub(super) fn set_kernel(&mut self, release: &str) {
        release.clone_into(&mut self.record.kernel);
    }

    /// Begins the record of another attempt, which has a verdict of its own: drops what was
    /// recorded of the root that failed.
    pub(super) fn begin_anew(&mut self) {
        crash::forget_verdict();
        self.warned.clear();
        self.port.reset();
        self.record.root = RootRecord::default();
        self.record.verdict = None;
    }

    /// Records how the command line names the root.
    pub(super) fn set_root_spec(&mut self, spec: &str) {
        spec.clone_into(&mut self.record.root.spec);
    }

    /// Records the device of the root. The first call with this device is the time at which it was
    /// found.
    pub(super) fn set_root_device(&mut self, device: &str) {
        let root = &mut self.record.root;
        if root.device.as_deref() != Some(device) {
            root.device = Some(device.to_owned());
            root.found = HAS_RECORD.then(BootTime::now);
        }
    }

    /// Records the slot that is tried.
    pub(super) fn set_slot(&mut self, slot: &str) {
        self.record.root.slot = Some(slot.to_owned());
    }

    pub(super) fn set_root_fstype(&mut self, fstype: &str) {
        self.record.root.fstype = Some(fstype.to_owned());
    }

    /// Records the modules that the root filesystem and its devices need.
    pub(super) fn set_root_modules(&mut self, modules: Vec<ModuleName>) {
        self.record.root.modules = modules;
    }

    /// Records a layer below or above the root filesystem: verity, an image file, an overlay.
    pub(super) fn add_layer(&mut self, text: String) {
        self.record.root.layers.push(text);
    }

    /// Records a layer below all others, unless it is recorded already.
    #[cfg(feature = "stacks")]
    pub(super) fn add_lowest_layer(&mut self, text: &str) {
        let layers = &mut self.record.root.layers;
        if !layers.iter().any(|layer| layer == text) {
            layers.insert(0, text.to_owned());
        }
    }

    pub(super) fn clear_layers(&mut self) {
        self.record.root.layers.clear();
    }

    /// Records a root that failed although another one is left to try.
    pub(super) fn add_failed_root(&mut self, text: String) {
        self.record.root.failed.push(text);
    }

    /// Records what the boot waited for in vain, and what was found instead.
    pub(super) fn set_not_found(&mut self, error: &RootNotFound) {
        let root = &mut self.record.root;
        root.awaited = Some((error.awaited.text().to_owned(), error.waited));
        root.seen.clone_from(&error.seen);
        root.near_misses.clone_from(&error.near);
    }

    pub(super) fn set_network(&mut self, network: NetworkRecord) {
        self.record.network = Some(network);
    }

    /// Records the devices whose probe is deferred.
    pub(super) fn set_deferred(&mut self, deferred: Vec<DeferredDevice>) {
        self.record.deferred = deferred;
    }

    /// Records what became of each module, and logs it: failures as warnings.
    pub(super) fn set_modules(&mut self, modules: Vec<ModuleRecord>) {
        for module in &modules {
            let line = module.line();
            match module.outcome {
                Outcome::Failed(_) => self.log.warn(&line),
                _ => self.log.debug(&line),
            }
        }
        self.record.modules = modules;
        let Counts { loaded, wanted, .. } = self.record.counts();
        self.reach(Event::Loaded, &format!("{loaded} of {wanted} modules"));
    }

    pub(super) fn set_counters(&mut self, counters: Counters) {
        self.record.modaliases = counters.modaliases;
        self.record.uevents = counters.uevents;
        self.record.lookup = counters.lookup;
        let (init, worker) = counters.peaks;
        self.record.memory = MemoryUse { init, worker, ..self.record.memory };
    }

    /// Logs and records what ended the last boot.
    pub(super) fn set_previous(&mut self, summary: String) {
        for line in previous_lines(&summary) {
            self.log.warn(&line);
        }
        self.record.previous = Some(summary);
    }

    /// Logs and records the exit status of the command of `coldplug.exec=`; -1 stands for a signal.
    pub(super) fn set_exit(&mut self, status: i32) {
        self.record.exit = Some(status);
        self.reach_with(Event::ExecEnd, &[Detail::Exit(status)]);
    }

    /// Returns the exit status of the command of `coldplug.exec=`.
    #[cfg(feature = "full")]
    pub(super) fn exit(&self) -> Option<i32> {
        self.record.exit
    }

    /// Logs the modules that were wanted and are not loaded. Those that the root cannot need, such
    /// as that of a keyboard, are in the record and logged for developers. [`Self::set_modules`]
    /// has logged those that failed.
    pub(super) fn log_missing_modules(&self) {
        for module in self.record.missing() {
            match self.is_for_root(module) {
                // Printed immediately, like the cause that follows.
                true => self.log.error(&module.line()),
                false => self.log.debug(&module.line()),
            }
        }
    }

    /// Returns whether the root may need a module: it was asked for by name, or for a device that
    /// leads to storage, or by such a module.
    fn is_for_root(&self, module: &ModuleRecord) -> bool {
        let mut module = module;
        for _ in 0..MAX_DEPTH {
            if let Some(origin) = &module.origin {
                return origin.device.is_none() || leads_to_storage(origin.request.as_bytes());
            }
            let is_requester = |other: &&ModuleRecord| {
                module.requester().is_some_and(|name| name == other.name.text())
            };
            let Some(parent) = self.record.modules.iter().find(is_requester) else { return false };
            module = parent;
        }
        true
    }

    /// Writes the record below `dir`, the record and a capture of the machine where `params` say, and
    /// prints the verdict, the last line of every boot. A boot has one verdict: what happens after
    /// it changes the record and is logged. If Ctrl-Alt-Del is pressed before the verdict ok, that
    /// is not printed, and the function returns false.
    pub(super) fn finish(&mut self, dir: &Root, verdict: Verdict, params: &BootParams) -> bool {
        let is_interrupted = verdict == Verdict::Interrupted;
        let goes_on = || verdict != Verdict::Ok || !signals::is_ctrl_alt_del_pressed();
        self.set_verdict(verdict);
        self.note_kernel_times(dir, verdict, params.report.is_some());
        if let Some(path) = params.capture.as_ref().filter(|_| HAS_RECORD)
            && goes_on()
            && let Err(error) = self.port.write(path, None, is_interrupted)
        {
            self.warn(format!("coldplug.capture: {error}"));
        }
        if let Some(path) = params.report.as_ref().filter(|_| HAS_RECORD)
            && goes_on()
            && let Err(error) = self.port.write(path, Some(&self.json()), is_interrupted)
        {
            self.warn(format!("coldplug.report: {error}"));
        }
        if !goes_on() {
            return false;
        }
        self.write(dir);
        if crash::note_verdict() {
            self.log.verdict(&self.record.verdict_text());
        }
        true
    }

    /// Writes the record below `dir` before the verdict is printed.
    pub(super) fn save(&mut self, dir: &Root, verdict: Verdict) {
        self.set_verdict(verdict);
        self.note_kernel_times(dir, verdict, true);
        self.write(dir);
    }

    /// Records what the kernel did before /init, if somebody will look at it.
    fn note_kernel_times(&mut self, dir: &Root, verdict: Verdict, is_reported: bool) {
        let is_wanted = verdict != Verdict::Ok || is_reported;
        // A PID 1 that has crashed was entered a second time.
        let is_first = !matches!(verdict, Verdict::Panic | Verdict::Crash);
        if HAS_RECORD && is_wanted && is_first && self.record.kernel_times.is_empty() {
            self.record.kernel_times = kernel_times(dir, self.began);
        }
    }

    fn set_verdict(&mut self, verdict: Verdict) {
        self.record.verdict = Some(verdict);
        self.record.time = self.began.elapsed();
    }

    fn write(&self, dir: &Root) {
        if HAS_RECORD && let Err(error) = write(&dir.join(RECORD), self.json().as_bytes()) {
            self.log.warn(&format!("record: {error}"));
        }
    }

    fn json(&self) -> String {
        self.record.to_json() + "\n"
    }
}

/// Returns the lines about what ended the last boot. Each of them says so: otherwise the next line
/// of a stored text would look like a line about this boot.
pub(super) fn previous_lines(summary: &str) -> impl Iterator<Item = String> + '_ {
    summary.lines().map(|line| format!("last boot: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Origin;

    #[test]
    fn a_stored_text_forges_no_line() {
        for (summary, want) in [
            ("", vec![]),
            ("verdict=no-root: a", vec!["last boot: verdict=no-root: a"]),
            (
                "verdict=mount: a\nverdict=ok\r\n\n",
                vec!["last boot: verdict=mount: a", "last boot: verdict=ok", "last boot: "],
            ),
        ] {
            assert_eq!(previous_lines(summary).collect::<Vec<_>>(), want, "{summary:?}");
        }
    }

    #[test]
    fn modules_that_the_root_may_need() {
        let mut reporter = Reporter::new(BootTime::default());
        let origin = |device: Option<&str>, request: &str| {
            let device = device.map(str::to_owned);
            Some(Origin { device, request: request.to_owned(), ..Origin::default() })
        };
        let disk = "pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00";
        let modules = [
            ("virtio_blk", "device", origin(Some("pci0000:00/1"), disk), true),
            ("virtio_ring", "dependency of virtio_blk", None, true),
            ("virtio", "softdep of virtio_ring", None, true),
            ("ext4", "asked", origin(None, "fs-ext4"), true),
            ("kvm_amd", "device", origin(Some("system/cpu"), "cpu:type:x86,ven0002"), false),
            ("kvm", "dependency of kvm_amd", None, false),
            ("evdev", "device", origin(Some("LNXSYSTM:00"), "input:b0019v0000p0001"), false),
            ("lost", "dependency of another", None, false),
            ("ring", "dependency of ring", None, true),
        ];
        for (name, why, origin, _) in &modules {
            let module = ModuleRecord::new((*name).into(), Outcome::Missing, (*why).to_owned());
            reporter.record.modules.push(ModuleRecord { origin: origin.clone(), ..module });
        }
        for (record, (name, _, _, want)) in reporter.record.missing().zip(&modules) {
            assert_eq!(reporter.is_for_root(record), *want, "{name}");
        }
    }
}
