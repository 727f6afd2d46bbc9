//! The search for the root: tries the roots that the command line names until one is mounted.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::status::status;
use super::{
    Assembly, Awaited, Devices, MountWorker, Operation, Progress, RootPipeline, RootState,
    StepContext, StepError, WaitingClock, near_misses,
};
use crate::boot::error::{BootError, RootNotFound};
use crate::boot::reporter::{HAS_RECORD, Reporter};
use crate::boot::{Boot, modules_text, seconds};
use crate::cmdline::KernelCommandLine;
use crate::cmdline::network::NfsExport;
use crate::cmdline::root::RootParams;
use crate::cmdline::storage::StorageParams;
use crate::kmod::name::ModuleName;
use crate::load::Loader;
use crate::sys::{BootTime, Root};

/// Time for retries of a root that cannot be mounted, once everything has settled.
const RETRY_PERIOD: Duration = Duration::from_secs(5);
/// The same with `rootwait`: time for a medium that is being exchanged.
const ROOTWAIT_RETRY_PERIOD: Duration = Duration::from_secs(60);
/// Delay before a retry.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Interval between the first messages about a root that has not been found yet. It doubles, because
/// a serial line has a log.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// Longest interval between them, in seconds.
const MAX_PROGRESS_INTERVAL_S: u64 = 60;
/// Interval at which the status on a screen changes.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest time that the mount worker gets for an operation, however late it begins.
const MIN_BUSY: Duration = Duration::from_secs(2);
/// Longest time after the deadline of the root for which devices are read that have just appeared.
const PROBE_GRACE: Duration = Duration::from_secs(1);
/// Longest time after the failure of the last root for which links of devices are read.
const LINKS_GRACE: Duration = Duration::from_secs(1);
/// Time after which all devices are read, even if the root is named by its node.
const PROBE_DELAY: Duration = Duration::from_secs(1);
/// Longest time for which sequential loads wait for the mount worker.
const SEQUENTIAL_PATIENCE: Duration = Duration::from_secs(1);
/// Interval between polls of a child process, or of a step that no uevent wakes.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The state of the root that is being tried.
#[derive(Debug)]
enum Stage {
    /// A device has not been found yet.
    NeedsDevice(Awaited),
    /// Something that no uevent announces is missing.
    Polling(Awaited),
    /// Modules of the root are being loaded.
    LoadingModules(Vec<ModuleName>),
    /// A child process with a deadline of its own has worked on the root since this time, at what
    /// the text says.
    Working(BootTime, &'static str),
    /// The mount worker is at this operation.
    Busy(Operation),
    /// The root is mounted.
    Mounted,
}

impl Stage {
    /// Returns what PID 1 waits for in this stage, for the record.
    fn text(&self) -> String {
        match self {
            Self::NeedsDevice(awaited) | Self::Polling(awaited) => awaited.to_string(),
            Self::LoadingModules(modules) => modules_text(modules),
            Self::Working(_, what) => (*what).to_owned(),
            Self::Busy(operation) => operation.text.clone(),
            Self::Mounted => "devices to settle".to_owned(),
        }
    }
}

/// A failure of the root that is being tried.
#[derive(Debug)]
struct Failure {
    /// The latest error.
    error: StepError,
    /// Time of the first failure.
    first: BootTime,
}

/// The search for the root.
#[derive(Debug)]
pub(in crate::boot) struct RootSearch {
    devices: Devices,
    worker: MountWorker,
    state: RootState,
    /// Devices that are made of others.
    assembly: Assembly,
    /// Stands still while a person is asked or a key is derived.
    clock: WaitingClock,
    pipeline: RootPipeline,
    stage: Stage,
    /// Time since which PID 1 waits for what the stage says.
    waits_since: BootTime,
    /// Time at which the search for the current root began.
    began: BootTime,
    /// Time at which it ends; `None` means never.
    deadline: Option<BootTime>,
    /// Time of the next progress message.
    next_progress: BootTime,
    /// Time of the next change of the status on a screen.
    next_status: BootTime,
    /// Time before which the root is not looked for, because of `rootdelay=` or a failure.
    not_before: BootTime,
    failure: Option<Failure>,
    /// Time until which a boot that has failed waits for the links of devices.
    links_until: Option<BootTime>,
    /// Whether block devices may have appeared since the last lookup.
    device_change: bool,
    /// Whether all had settled at the last lookup.
    settled: bool,
}

impl RootSearch {
    /// Begins the search. If an earlier one has failed (`again`), what was mounted is undone first,
    /// and no hibernated system is resumed: it is lost once a filesystem has been mounted.
    pub(in crate::boot) fn new(
        dir: &Root,
        line: &KernelCommandLine,
        storage: StorageParams,
        again: bool,
        reporter: &mut Reporter,
    ) -> Self {
        let params = &line.root;
        let (now, pipeline) = (BootTime::now(), RootPipeline::new(params, storage, again));
        Self {
            devices: Devices::new(dir, params.probe_timeout),
            worker: if again { MountWorker::after_failure() } else { MountWorker::new() },
            state: RootState::default(),
            assembly: Assembly::new(dir, line, reporter),
            clock: WaitingClock::default(),
            stage: needs_root_device(&pipeline),
            waits_since: now,
            began: now,
            // `rootdelay=` does not count against the timeout.
            deadline: timeout(&pipeline, params).map(|timeout| now + params.delay + timeout),
            pipeline,
            next_progress: now + PROGRESS_INTERVAL,
            next_status: now + STATUS_INTERVAL,
            not_before: now + params.delay,
            failure: None,
            links_until: None,
            device_change: true,
            settled: false,
        }
    }

    /// Notes that PID 1 begins to wait.
    pub(in crate::boot) fn begin_wait(&mut self) {
        self.waits_since = BootTime::now();
    }

    /// Returns what PID 1 waits for.
    fn awaited_text(&self) -> String {
        match self.clock.is_stopped() {
            true => "a passphrase or key".to_owned(),
            false => self.stage.text(),
        }
    }

    /// Records that PID 1 has waited for what the stage says, or for a person.
    pub(in crate::boot) fn end_wait(&mut self, reporter: &mut Reporter) {
        if HAS_RECORD {
            reporter.add_wait(self.awaited_text(), self.waits_since);
            self.begin_wait();
        }
    }

    /// Goes over to another stage.
    fn enter(&mut self, stage: Stage, reporter: &mut Reporter) {
        if HAS_RECORD && self.stage.text() != stage.text() {
            self.end_wait(reporter);
        }
        self.stage = stage;
    }

    /// Notes that block devices may have appeared.
    pub(in crate::boot) fn note_device_change(&mut self) {
        self.device_change = true;
        self.devices.note_new();
    }

    /// Notes that the block device `name`, spelt as in sysfs, has changed or disappeared.
    pub(in crate::boot) fn note_disk_change(&mut self, name: &str) {
        self.device_change = true;
        self.devices.note_change(name);
    }

    /// Drops what was read from block devices, because some may have changed or disappeared.
    pub(in crate::boot) fn forget_devices(&mut self) {
        self.device_change = true;
        self.devices.forget_changed();
    }

    /// Returns whether the root is mounted.
    pub(in crate::boot) fn is_mounted(&self) -> bool {
        matches!(self.stage, Stage::Mounted)
    }

    /// Returns whether a child reads a device or works on the root, and not for long. Loads that are
    /// sequential wait for it: otherwise their order would depend on how fast the disk is.
    pub(in crate::boot) fn is_reading(&self) -> bool {
        let busy = match &self.stage {
            Stage::Busy(operation) => BootTime::now() < operation.since + SEQUENTIAL_PATIENCE,
            _ => false,
        };
        busy || self.devices.is_undecided()
    }

    /// Returns whether the kernel will resume no hibernated system any more.
    pub(in crate::boot) fn is_resume_over(&self) -> bool {
        self.pipeline.is_resume_over()
    }

    /// Returns whether something that the root needs has not appeared yet.
    pub(in crate::boot) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::NeedsDevice(_) | Stage::Polling(_))
    }

    /// Returns the time at which [`Self::advance`] or [`Self::check`] is due next.
    pub(in crate::boot) fn wakeup(&self) -> Option<BootTime> {
        let now = BootTime::now();
        let polls = matches!(self.stage, Stage::Working(..) | Stage::Polling(_));
        let poll = polls.then(|| now + POLL_INTERVAL);
        let (worker, devices) = (self.worker.wakeup(), self.devices.wakeup());
        let (deadline, assembly) = (self.stage_deadline(), self.assembly.wakeup());
        let times = [deadline, Some(self.not_before), poll, worker, devices, assembly];
        let times = times.into_iter().flatten();
        // The deadline may have passed while a check of a filesystem runs.
        times.filter(|at| *at > now).min()
    }

    /// Returns the descriptors that become readable when [`Self::advance`] is due.
    pub(in crate::boot) fn wake_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let children = self.worker.wake_fd().into_iter().chain(self.devices.fds());
        let assembly = (!self.is_mounted()).then(|| self.assembly.wake_fds());
        children.chain(assembly.into_iter().flatten())
    }

    /// Returns whether the root may be on a device that is being read or made. A slow disk counts for
    /// a second only.
    pub(in crate::boot) fn is_coming(&self, loader: &Loader) -> bool {
        self.is_waiting() && (self.devices.is_undecided() || self.assembly.is_advancing(loader))
    }

    /// Returns whether [`Self::warn_later_duplicates`] knows all devices, except slow ones.
    pub(in crate::boot) fn knows_duplicates(&mut self) -> bool {
        !self.pipeline.may_have_duplicates() || self.devices.is_complete()
    }

    /// Returns the pipeline, what assembles devices for it, and the context of both.
    fn context<'a>(
        &'a mut self,
        boot: &'a mut Boot,
        loader: &'a Loader,
    ) -> (&'a mut RootPipeline, &'a mut Assembly, StepContext<'a>) {
        let is_assembly_pending = self.assembly.is_pending();
        let cx = StepContext {
            is_assembly_pending,
            dir: &boot.dir,
            params: &boot.params,
            loader,
            settled: self.settled,
            clock: &self.clock,
            devices: &mut self.devices,
            worker: &mut self.worker,
            state: &mut self.state,
            reporter: &mut boot.reporter,
            breakpoint: &mut boot.breakpoint,
            root_check: &mut boot.root_check,
        };
        (&mut self.pipeline, &mut self.assembly, cx)
    }

    /// Advances the pipeline if something that it needs may have changed.
    pub(in crate::boot) fn advance(&mut self, boot: &mut Boot, loader: &Loader, settled: bool) {
        let now = BootTime::now();
        self.settled = settled;
        self.worker.receive();
        self.device_change |= self.devices.receive(&mut boot.reporter);
        // What the other devices hold is a hint, if the root is not found.
        if self.is_waiting() && (settled || now >= self.began + PROBE_DELAY) {
            self.devices.probe_all();
        }
        self.assemble(boot, loader);
        let due = match &self.stage {
            Stage::NeedsDevice(awaited) => {
                let changed = self.device_change || settled || self.failure.is_some();
                let is_due = (changed || awaited.is_timed()) && now >= self.not_before;
                // A device appears before it has its name below /dev/mapper.
                is_due && !self.assembly.is_making()
            }
            Stage::LoadingModules(modules) => loader.is_done(modules),
            Stage::Polling(_) => now >= self.not_before,
            Stage::Working(..) | Stage::Busy(_) => true,
            Stage::Mounted => false,
        };
        if due {
            self.device_change = false;
            self.run_pipeline(boot, loader);
        }
    }

    /// Assembles devices on the way to the root, until that is mounted.
    fn assemble(&mut self, boot: &mut Boot, loader: &Loader) {
        let awaited = match &self.stage {
            Stage::Mounted => return,
            Stage::NeedsDevice(awaited) => Some(awaited.clone()),
            _ => None,
        };
        let (_, assembly, mut cx) = self.context(boot, loader);
        // The uevents of what was made came before its links.
        let news = assembly.advance(&mut cx, awaited.as_ref());
        let is_asking = assembly.is_asking();
        self.device_change |= news;
        if is_asking != self.clock.is_stopped() {
            self.end_wait(&mut boot.reporter);
        }
        if let Some(stopped) = self.clock.set_stopped(is_asking) {
            self.deadline = self.deadline.map(|deadline| deadline + stopped);
        }
    }

    /// Runs the pipeline until it needs something that is not there yet.
    fn run_pipeline(&mut self, boot: &mut Boot, loader: &Loader) {
        loop {
            let (pipeline, _, mut cx) = self.context(boot, loader);
            let result = pipeline.advance(&mut cx);
            self.set_stage(result, &mut boot.reporter);
            // Modules that are built in or live already are no reason to sleep.
            if !matches!(&self.stage, Stage::LoadingModules(m) if loader.is_done(m)) {
                return;
            }
        }
    }

    /// Notes how far the pipeline has come. The time of a child with its own deadline does not count
    /// against the deadline of the root.
    fn set_stage(&mut self, result: Result<Progress, StepError>, reporter: &mut Reporter) {
        let since = match self.stage {
            Stage::Working(since, _) => Some(since),
            _ => None,
        };
        let stage = self.stage_after(result, since.unwrap_or_else(BootTime::now));
        self.enter(stage, reporter);
        if let Some(since) = since.filter(|_| !matches!(self.stage, Stage::Working(..))) {
            self.deadline = self.deadline.map(|deadline| deadline + since.elapsed());
        }
    }

    fn stage_after(&mut self, result: Result<Progress, StepError>, since: BootTime) -> Stage {
        match result {
            Ok(Progress::NeedsDevice(awaited)) => Stage::NeedsDevice(awaited),
            Ok(Progress::Polling(awaited)) => Stage::Polling(awaited),
            Ok(Progress::LoadingModules(modules)) => Stage::LoadingModules(modules),
            Ok(Progress::Working(what)) => Stage::Working(since, what),
            Ok(Progress::Busy(operation)) => Stage::Busy(operation),
            Ok(Progress::Done) => {
                self.deadline = None;
                Stage::Mounted
            }
            Err(error) => {
                let now = BootTime::now();
                let first = self.failure.take().map_or(now, |failure| failure.first);
                self.failure = Some(Failure { error, first });
                self.not_before = now + RETRY_DELAY;
                needs_root_device(&self.pipeline)
            }
        }
    }

    /// Switches to the next root if the current one has failed or was not found in time.
    ///
    /// # Errors
    /// The current root was the last one, or a person has ended the boot.
    pub(in crate::boot) fn check(
        &mut self,
        boot: &mut Boot,
        loader: &Loader,
        settled: bool,
    ) -> Result<(), BootError> {
        if let Some(Failure { error, .. }) =
            self.failure.take_if(|failure| failure.error.ends_the_boot())
        {
            return Err(match error {
                StepError::Interrupted(how) => BootError::Interrupted(how),
                error => BootError::Step(error),
            });
        }
        let late = self.stage_deadline().is_some_and(|deadline| BootTime::now() >= deadline);
        if late || self.is_futile(&boot.params.root, settled) {
            return match self.awaits_links() {
                true => Ok(()),
                false => self.try_next_root(boot, loader),
            };
        }
        self.log_progress(boot);
        Ok(())
    }

    /// Returns whether the links that the record of the failed boot names are being read. The first
    /// call requests them: a boot without faults needs none.
    fn awaits_links(&mut self) -> bool {
        if !self.is_waiting() || self.failure.is_some() || self.pipeline.has_more() {
            return false;
        }
        let now = BootTime::now();
        let until = *self.links_until.get_or_insert(now + LINKS_GRACE);
        self.devices.request_links() && now < until
    }

    /// Returns the time at which the root fails if its stage has not changed by then; `None` means
    /// never, or that a step has a deadline of its own.
    fn stage_deadline(&self) -> Option<BootTime> {
        if self.clock.is_stopped() {
            return None;
        }
        match &self.stage {
            // The check of a large filesystem may take longer than the timeout of the root.
            Stage::Working(..) | Stage::Mounted => None,
            Stage::Busy(operation) => self.deadline.map(|d| busy_deadline(d, operation.since)),
            // A device that has just appeared may be the one.
            Stage::NeedsDevice(_) => self.deadline.map(|deadline| {
                let decided = self.devices.undecided_until();
                decided.map_or(deadline, |at| at.max(deadline).min(deadline + PROBE_GRACE))
            }),
            _ => self.deadline,
        }
    }

    /// Returns whether waiting on is useless before the deadline: no root is named and none was
    /// detected, or the root that was found cannot be mounted and everything has settled.
    fn is_futile(&self, params: &RootParams, settled: bool) -> bool {
        if matches!(self.stage, Stage::Working(..) | Stage::Busy(_) | Stage::Mounted) {
            return false;
        }
        let failed = self.failure.as_ref().is_some_and(|Failure { error, first }| {
            let period = self.retry_period(params);
            let tried = period.is_some_and(|period| BootTime::now() >= *first + period);
            error.is_final() || (settled && tried)
        });
        let is_reading = self.devices.is_reading() || self.devices.has_retries();
        let is_reading = is_reading || self.assembly.is_busy() || self.assembly.is_asking();
        let is_locked = self.is_waiting() && self.assembly.has_given_up();
        failed || is_locked || (settled && !params.is_named() && !is_reading)
    }

    /// Returns how long a root that cannot be mounted is tried again; `None` means without end.
    fn retry_period(&self, params: &RootParams) -> Option<Duration> {
        let is_remote = NfsExport::from_root_value(&self.pipeline.choice().text).is_some();
        retry_period(self.pipeline.has_more(), params.timeout.is_none(), is_remote)
    }

    /// Switches to the next of the roots that the command line names.
    ///
    /// # Errors
    /// This was the last root.
    fn try_next_root(&mut self, boot: &mut Boot, loader: &Loader) -> Result<(), BootError> {
        let error = self.timeout_error(boot, loader);
        let failed = self.pipeline.choice().text.clone();
        let (pipeline, _, mut cx) = self.context(boot, loader);
        if !pipeline.next_choice(&mut cx) {
            return Err(error);
        }
        let next = &self.pipeline.choice().text;
        let mut lines = error.lines().into_iter();
        let cause = lines.next().unwrap_or_default();
        boot.reporter.warn(format!("root {failed} failed, trying {next}: {cause}"));
        lines.for_each(|line| boot.reporter.log().warn(&line));
        boot.reporter.add_failed_root(format!("{failed}: {error}"));
        let stage = needs_root_device(&self.pipeline);
        self.enter(stage, &mut boot.reporter);
        self.began = BootTime::now();
        self.deadline = timeout(&self.pipeline, &boot.params.root).map(|t| self.began + t);
        self.not_before = BootTime::default();
        self.failure = None;
        self.device_change = true;
        Ok(())
    }

    /// Tells a person at the console what the machine waits for: on a screen by a status every second,
    /// else by lines that come less and less often.
    fn log_progress(&mut self, boot: &Boot) {
        let (log, now) = (boot.reporter.log(), BootTime::now());
        // The boot does not wait for a retry that has just begun, and who is asked for a passphrase
        // knows what it waits for.
        let is_brief = match &self.stage {
            Stage::NeedsDevice(_) | Stage::Polling(_) => self.clock.is_stopped(),
            Stage::Busy(operation) => operation.since.elapsed() < RETRY_DELAY,
            _ => true,
        };
        if is_brief {
            return log.erase_status();
        }
        let shows_status = log.shows_status();
        if now < if shows_status { self.next_status } else { self.next_progress } {
            return;
        }
        let what = self.stage.text();
        let since = match &self.stage {
            Stage::Busy(operation) => operation.since,
            _ => self.began,
        };
        let waited = since.elapsed();
        if now >= self.next_progress {
            let interval_s =
                waited.as_secs().clamp(PROGRESS_INTERVAL.as_secs(), MAX_PROGRESS_INTERVAL_S);
            self.next_progress = now + Duration::from_secs(interval_s);
            let mut line = format!("still waiting for {what} after {}", seconds(waited));
            if let Some(seen) = self.seen_text("block devices seen so far") {
                line = line + "; " + &seen;
            }
            if shows_status { log.debug(&line) } else { log.info(&line) }
        }
        // `quiet` is for boots in which nothing takes long.
        if shows_status && (!log.is_quiet() || waited >= PROGRESS_INTERVAL) {
            self.next_status = now + STATUS_INTERVAL;
            let limit = self.stage_deadline().map(|deadline| deadline - since);
            log.show_status(&status(waited, limit, self.seen_text("found").as_deref(), &what));
        }
    }

    /// Returns what the last attempt to mount the root has met, or which block devices are there,
    /// after `label`.
    fn seen_text(&self, label: &str) -> Option<String> {
        match &self.failure {
            Some(Failure { error, .. }) => Some(format!("last attempt: {error}")),
            None => matches!(self.stage, Stage::NeedsDevice(_))
                .then(|| format!("{label}: {}", self.devices.names())),
        }
    }

    /// Returns why the root is not mounted at the deadline.
    fn timeout_error(&mut self, boot: &mut Boot, loader: &Loader) -> BootError {
        if let Stage::Busy(Operation { text, since }) = &self.stage {
            let (operation, waited) = (text.clone(), since.elapsed());
            return BootError::Step(StepError::Unfinished { operation, waited });
        }
        if let Some(failure) = self.failure.take() {
            return BootError::Step(failure.error);
        }
        let modules = match &self.stage {
            Stage::NeedsDevice(awaited) | Stage::Polling(awaited) => {
                let awaited = awaited.clone();
                return self.root_not_found(awaited, boot);
            }
            Stage::LoadingModules(modules) => modules.as_slice(),
            Stage::Working(..) | Stage::Busy(_) | Stage::Mounted => &[],
        };
        let is_open = |module: &&ModuleName| !loader.is_done(std::slice::from_ref(*module));
        BootError::ModulesNotLoaded {
            root: self.pipeline.choice().text.clone(),
            modules: modules.iter().filter(is_open).cloned().collect(),
        }
    }

    /// Returns what was awaited, what was found instead, and what may be meant; records it too.
    fn root_not_found(&mut self, awaited: Awaited, boot: &mut Boot) -> BootError {
        let seen = self.devices.seen();
        let mut near = self.assembly.hints(awaited.name(), &seen);
        near.extend(awaited.name().map_or_else(Vec::new, |name| near_misses(name, &seen)));
        let is_named = boot.params.root.is_named();
        let waited = self.began.elapsed();
        let error = RootNotFound { awaited, is_named, waited, near, seen };
        boot.reporter.set_not_found(&error);
        BootError::RootNotFound(Box::new(error))
    }

    /// Warns about devices that have the root's name too and appeared after the root was found.
    pub(in crate::boot) fn warn_later_duplicates(&mut self, boot: &mut Boot, loader: &Loader) {
        let (pipeline, _, mut cx) = self.context(boot, loader);
        pipeline.warn_later_duplicates(&mut cx);
    }
}

/// Returns how long a root that cannot be mounted is tried again; `None` means without end.
fn retry_period(has_more: bool, rootwait: bool, is_remote: bool) -> Option<Duration> {
    match (has_more, rootwait) {
        (true, _) => Some(Duration::ZERO),
        (false, false) => Some(RETRY_PERIOD),
        // `rootwait` is about the device. A server may start later than this machine, but a device
        // that has been found does not get a filesystem by waiting.
        (false, true) => (!is_remote).then_some(ROOTWAIT_RETRY_PERIOD),
    }
}

/// Returns the time at which an operation that began at `since` is given up.
fn busy_deadline(deadline: BootTime, since: BootTime) -> BootTime {
    deadline.max(since + MIN_BUSY)
}

fn needs_root_device(pipeline: &RootPipeline) -> Stage {
    let choice = pipeline.choice();
    Stage::NeedsDevice(Awaited::root(&choice.text, &choice.name))
}

/// Returns how long the current root is searched for; `None` means without end.
fn timeout(pipeline: &RootPipeline, params: &RootParams) -> Option<Duration> {
    pipeline.choice().wait.or(params.timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_fails_is_tried_again_for_a_time() {
        let s = Duration::from_secs;
        for (has_more, rootwait, is_remote, want) in [
            (true, false, false, Some(s(0))),
            (true, true, true, Some(s(0))),
            (false, false, false, Some(s(5))),
            (false, false, true, Some(s(5))),
            (false, true, false, Some(s(60))),
            (false, true, true, None),
        ] {
            let period = retry_period(has_more, rootwait, is_remote);
            assert_eq!(period, want, "{has_more} {rootwait} {is_remote}");
        }
    }

    #[test]
    fn an_operation_that_begins_late_has_two_seconds() {
        let at = |s: u64| BootTime::from_nanos(s * 1_000_000_000);
        for (deadline, since, want) in [(60, 1, 60), (60, 58, 60), (60, 59, 61), (60, 90, 92)] {
            assert_eq!(busy_deadline(at(deadline), at(since)), at(want), "{deadline} {since}");
        }
    }
}
