//! The critical path of a boot: what decided when the root was there and when the boot ended.
//!
//! The path is followed from the verdict back to the entry of /init. In a phase in which PID 1
//! waits for modules it follows the load that ended last, then what this load had waited for: a
//! module that it needs or comes after, the driver that made its device appear, or a free thread of
//! the worker.
//! Steps are contiguous, so their sum is the whole time.

use std::collections::HashSet;

use super::saved::{Edges, Load, Named, SavedRecord, Span};

/// Longest time in µs between the end of a load and the start of another one in its place, if the
/// record does not say when that was requested.
const HANDOVER_US: u64 = 20_000;

/// The work of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    /// A phase of PID 1, or a wait of it, in words.
    Own(String),
    /// The load of the module at this place of the record.
    Load(usize),
}

/// A step of the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) span: Span,
    pub(crate) work: Work,
    /// Time in µs at its start in which the module was not loaded yet.
    pub(crate) waited_us: u64,
    /// What had to happen before, in words.
    pub(crate) after: String,
}

/// A critical path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CriticalPath {
    /// Contiguous steps from the entry of /init to the end of the path.
    pub(crate) steps: Vec<Step>,
    /// Places of the modules whose loads are steps.
    loads: HashSet<usize>,
}

impl CriticalPath {
    /// Returns the path to the end of a boot.
    pub(crate) fn of(record: &SavedRecord) -> Self {
        Self::until(record, record.boot.to_us)
    }

    /// Returns the path to the device of the root, if it was found, and if the path to the end of
    /// the boot is another one.
    pub(crate) fn to_root(&self, record: &SavedRecord) -> Option<Self> {
        let found_us = record.root_found_us()?;
        let passes = self.steps.iter().any(|step| step.span.to_us == found_us);
        (!passes && found_us > record.boot.from_us).then(|| Self::until(record, found_us))
    }

    fn until(record: &SavedRecord, end_us: u64) -> Self {
        let of_root: HashSet<&str> = record.root.modules.iter().map(String::as_str).collect();
        let is_of_root = |name: &str| of_root.contains(name);
        let mut walk = Walk {
            record,
            is_of_root: record.modules.iter().map(|module| is_of_root(&module.name)).collect(),
            edges: Edges::new(record),
            cursor_us: end_us,
            steps: Vec::new(),
            used: HashSet::new(),
        };
        walk.run();
        walk.steps.reverse();
        Self { steps: walk.steps, loads: walk.used }
    }

    /// Returns whether the load of the module at `at` is a step of the path.
    pub(crate) fn has(&self, at: usize) -> bool {
        self.loads.contains(&at)
    }

    /// Returns the sum of the steps in µs.
    pub(crate) fn sum_us(&self) -> u64 {
        self.steps.iter().map(|step| step.span.len_us()).sum()
    }
}

/// Reason for the start of a load.
enum Cause {
    /// A module that it needs or comes after was live, or had failed.
    Dependency(usize),
    /// The load of a module ended, or the module was live, which made room for this one.
    Thread(usize),
    /// The driver at this place made the device appear.
    Device(usize),
    /// It was requested.
    Request,
}

/// The way back from the verdict; its steps are in reverse order.
struct Walk<'a> {
    record: &'a SavedRecord,
    /// Whether the root needs the module, by its place.
    is_of_root: Vec<bool>,
    edges: Edges<'a>,
    /// Time from which on the path is known.
    cursor_us: u64,
    steps: Vec<Step>,
    /// Modules that are steps already.
    used: HashSet<usize>,
}

impl Walk<'_> {
    fn run(&mut self) {
        let record = self.record;
        for (at, phase) in record.phases.iter().enumerate().rev() {
            if at + 1 == record.phases.len() {
                self.reach(phase.span.to_us, self.last_words(), &format!("end of {}", phase.name));
            }
            // A device may appear on its own; then the load before is what PID 1 waited for before.
            while let Some(module) = self.last_load(phase) {
                self.follow(module, &words_of(phase, record));
            }
            let before = at.checked_sub(1).and_then(|before| record.phases.get(before));
            let after = before.map_or_else(
                || "entry of /init".to_owned(),
                |before| format!("end of {}", before.name),
            );
            self.reach(phase.span.from_us, words_of(phase, record), &after);
        }
        self.reach(record.boot.from_us, self.last_words(), "entry of /init");
    }

    /// Returns what followed the last phase, in words.
    fn last_words(&self) -> String {
        match (&self.record.root.awaited, self.record.verdict.as_deref()) {
            (Some((name, _)), _) => format!("wait for {name}, not found"),
            (None, Some("ok")) => "last checks, record and verdict".to_owned(),
            (None, _) => "until the verdict".to_owned(),
        }
    }

    /// Adds the time from `from_us` to the path so far: what PID 1 waited for, where the record
    /// says so, and `words` for the rest.
    fn reach(&mut self, from_us: u64, words: String, after: &str) {
        let from_us = from_us.max(self.record.boot.from_us);
        while self.cursor_us > from_us {
            let waits = self.record.waits.iter().rev();
            let wait = waits
                .filter(|wait| wait.span.len_us() > 0)
                .filter(|wait| wait.span.from_us < self.cursor_us && wait.span.to_us > from_us)
                .max_by_key(|wait| wait.span.to_us.min(self.cursor_us));
            match wait {
                Some(wait) if wait.span.to_us >= self.cursor_us => {
                    let name = format!("wait: {}", wait.name);
                    self.own(wait.span.from_us.max(from_us), name, after);
                }
                Some(wait) => self.own(wait.span.to_us, words.clone(), after),
                None => self.own(from_us, words.clone(), after),
            }
        }
    }

    /// Adds a step of PID 1 itself.
    fn own(&mut self, from_us: u64, words: String, after: &str) {
        let span = Span::new(from_us, self.cursor_us);
        self.steps.push(Step { span, work: Work::Own(words), waited_us: 0, after: after.into() });
        self.cursor_us = from_us;
    }

    /// Returns the module whose load PID 1 waited for at the end of what is left of a phase: of
    /// those that count in this phase, the one that ended last.
    fn last_load(&self, phase: &Named) -> Option<usize> {
        let is_any = match phase.name.as_str() {
            "load" => true,
            "root device" | "mount" => false,
            _ => return None,
        };
        let counts = |at: usize| is_any || self.is_of_root.get(at).is_some_and(|is| *is);
        let (from_us, to_us) = (phase.span.from_us, phase.span.to_us.min(self.cursor_us));
        let modules = self.record.modules.iter().enumerate();
        let loads = modules.filter_map(|(at, module)| {
            let load = module.load.filter(|_| counts(at) && !self.used.contains(&at))?;
            let end_us = load.span(self.record.boot.to_us).to_us.min(to_us);
            (load.start_us < to_us && end_us > from_us).then_some((end_us, load.start_us, at))
        });
        loads.max().map(|(_, _, at)| at)
    }

    /// Adds the load of the module at `at`, and those that it waited for. `words` are for the time
    /// between its end and the path so far.
    fn follow(&mut self, mut at: usize, words: &str) {
        let mut words = words.to_owned();
        while let Some(load) = self.load(at) {
            let end_us = load.span(self.record.boot.to_us).to_us.min(self.cursor_us);
            self.reach(end_us, words, &format!("{} loaded", self.name(at)));
            self.used.insert(at);
            let (cause, cause_us) = self.cause(at, &load);
            // What is requested while its cause is still being loaded follows it directly.
            let from_us = cause_us.max(self.record.boot.from_us).min(self.cursor_us);
            self.steps.push(Step {
                span: Span::new(from_us, self.cursor_us),
                work: Work::Load(at),
                waited_us: load.start_us.saturating_sub(from_us),
                after: self.after(at, &cause),
            });
            self.cursor_us = from_us;
            let (Cause::Dependency(next) | Cause::Thread(next) | Cause::Device(next)) = cause
            else {
                return;
            };
            words = match cause {
                Cause::Device(_) => format!("until the device of {} appears", self.name(at)),
                _ => "queue of loads".to_owned(),
            };
            at = next;
        }
    }

    /// Returns the cause of the start of a load and its time: the last thing that it waited for.
    fn cause(&self, at: usize, load: &Load) -> (Cause, u64) {
        let start_us = load.start_us;
        let open = |other: usize| !self.used.contains(&other);
        let needs = self.edges.waited_for(at).filter(|need| open(*need));
        let usable = |need: usize| self.load(need)?.usable_us();
        let ready = needs.filter_map(|need| Some((usable(need)?, need)));
        // No load starts before the modules that it waited for are live or have failed. But a load
        // by `coldplug finish` may start before modules of `after`: it did not wait for these.
        let need = ready.filter(|(us, _)| *us <= start_us).max();
        let queued_us = self.record.modules.get(at).and_then(|module| module.queued_us);
        let thread = self.thread_before(at, start_us, queued_us);
        let driver = self.edges.made_device(at).filter(|driver| open(*driver));
        let request_us = queued_us.or_else(|| self.requested_by(driver, start_us));
        let mut last = (Cause::Request, request_us.unwrap_or(start_us));
        if let Some(driver) = driver {
            last.0 = Cause::Device(driver);
        }
        // Without the time of the request, a load that something else made room for waited for that.
        let is_later = |us: u64| request_us.is_none_or(|request_us| us >= request_us);
        if let Some((us, other)) = thread.filter(|(us, other)| is_later(*us) && open(*other)) {
            // The end of the load of the driver is when it had the device.
            let is_driver = driver == Some(other);
            last = (if is_driver { Cause::Device(other) } else { Cause::Thread(other) }, us);
        }
        match need.filter(|(us, _)| match last.0 {
            Cause::Thread(_) => *us >= last.1,
            _ => is_later(*us),
        }) {
            Some((us, other)) => (Cause::Dependency(other), us),
            None => last,
        }
    }

    /// Returns the time at which a driver had the device that a load is for, if the record does not
    /// say when the module was requested.
    fn requested_by(&self, driver: Option<usize>, start_us: u64) -> Option<u64> {
        let load = self.load(driver?)?;
        Some(load.usable_us().unwrap_or(start_us).min(start_us))
    }

    /// Returns the load that made room for that of the module at `at`, and when: one that returned
    /// or whose module was live right before.
    fn thread_before(
        &self,
        at: usize,
        start_us: u64,
        queued_us: Option<u64>,
    ) -> Option<(u64, usize)> {
        let others = self.record.modules.iter().enumerate().filter(|(other, _)| *other != at);
        let freed = others.filter_map(|(other, before)| {
            let load = before.load.filter(|load| load.start_us < start_us)?;
            let times = [load.live_us, load.end_us].into_iter().flatten();
            Some((times.filter(|us| *us <= start_us).max()?, other))
        });
        // A thread that was idle was not waited for.
        let from_us = queued_us.unwrap_or_else(|| start_us.saturating_sub(HANDOVER_US));
        freed.max().filter(|(freed_us, _)| *freed_us >= from_us)
    }

    /// Returns what the load of the module at `at` waited for, in words.
    fn after(&self, at: usize, cause: &Cause) -> String {
        let module = self.record.modules.get(at);
        let device = module.and_then(|module| module.device.as_deref());
        match cause {
            Cause::Dependency(need) => match self.record.modules.get(*need) {
                Some(module) if !module.is_live() => format!("the end of {}", self.name(*need)),
                _ => format!("{} live", self.name(*need)),
            },
            Cause::Thread(other) => format!("a free thread, after {}", self.name(*other)),
            Cause::Device(driver) => {
                format!("device {}, by {}", device.unwrap_or("-"), self.name(*driver))
            }
            Cause::Request => match (device, module) {
                (Some(device), _) => format!("device {device}"),
                (None, Some(module)) => match &module.requester {
                    Some(requester) => format!("request of {requester}"),
                    None => "its request".to_owned(),
                },
                (None, None) => "its request".to_owned(),
            },
        }
    }

    fn load(&self, at: usize) -> Option<Load> {
        let load = self.record.modules.get(at)?.load?;
        (load.start_us < self.cursor_us).then_some(load)
    }

    fn name(&self, at: usize) -> &str {
        self.record.modules.get(at).map_or("-", |module| module.name.as_str())
    }
}

/// Returns what PID 1 does in a phase, in words.
fn words_of(phase: &Named, record: &SavedRecord) -> String {
    let root = &record.root;
    match phase.name.as_str() {
        "mounts" => "mount /dev, /proc, /sys and /run".to_owned(),
        "scan" => "scan for devices".to_owned(),
        "root device" => {
            format!("wait for the root device {}", root.spec.as_deref().unwrap_or_default())
        }
        "network" => "bring up the network".to_owned(),
        "mount" => format!("mount the root {}", root.fstype.as_deref().unwrap_or_default()),
        "load" => "wait until devices have settled".to_owned(),
        "close" => "stop loading".to_owned(),
        "switch" => "switch to the new root".to_owned(),
        other => other.to_owned(),
    }
    .trim_end()
    .to_owned()
}
