//! The event loop of a boot: devices appear and modules load until the root is mounted and, by
//! default, all devices have settled.
//!
//! The only other loop that waits for events is [`super::finish()`], which runs in the real system.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::coldplug::{Coldplug, Drained};
use super::error::{BootError, RootNotFound};
use super::root::{
    Awaited, Devices, Progress, RootPipeline, RootState, StepContext, StepError, near_misses,
};
use super::{Boot, seconds};
use crate::cmdline::boot::Settle;
use crate::cmdline::storage::StorageParams;
use crate::kmod::name::ModuleName;
use crate::load::Loader;
use crate::sys::BootTime;
use crate::sys::uevent::Socket;

/// Interval between scans if there is no uevent socket.
const SCAN_INTERVAL: Duration = Duration::from_millis(250);
/// Longest wait for further modules once the root is mounted.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for retries of a root that cannot be mounted, once everything has settled.
const RETRY_PERIOD: Duration = Duration::from_secs(5);
/// Delay before a retry.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Interval between messages about a root that has not been found yet.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// With `coldplug.settle=root`: how long modules that the root does not need are held back, and how
/// long after that all modules except those of storage.
const HOLD_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest sleep, so that a device without a uevent is found too.
const MAX_SLEEP: Duration = Duration::from_secs(1);
/// Interval between polls of a child process or of a step that no uevent wakes.
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
    /// A child process works on the root.
    InProgress,
    /// The root is mounted.
    Mounted,
}

/// A failure of the root that is being tried.
#[derive(Debug)]
struct Failure {
    /// The latest error.
    error: StepError,
    /// Time of the first failure.
    first: BootTime,
}

pub(super) struct RootWait<'a, 'b> {
    boot: &'a mut Boot,
    loader: &'a Loader,
    coldplug: &'a mut Coldplug<'b>,
    socket: Option<Socket>,
    devices: Devices,
    state: RootState,
    pipeline: RootPipeline,
    stage: Stage,
    /// Time at which the wait ends; `None` means never.
    deadline: Option<BootTime>,
    /// Time at which the wait for the current root began.
    began: BootTime,
    /// Time of the next progress message.
    next_progress: BootTime,
    /// Time before which the root is not looked for, because of `rootdelay=` or a failed
    /// mount.
    not_before: BootTime,
    failure: Option<Failure>,
    /// Whether block devices may have appeared since the last lookup.
    device_change: bool,
    /// Time until which modules that the root does not need are held back.
    hold_until: Option<BootTime>,
    /// Whether the last scan, made when nothing was left to do, found nothing new.
    complete: bool,
}

impl<'a, 'b> RootWait<'a, 'b> {
    pub(super) fn new(
        boot: &'a mut Boot,
        loader: &'a Loader,
        coldplug: &'a mut Coldplug<'b>,
        socket: Option<Socket>,
        storage: StorageParams,
    ) -> Self {
        let params = &boot.params.root;
        let pipeline = RootPipeline::new(params, storage);
        let not_before = after(params.delay);
        let deadline = deadline(boot, &pipeline, params.delay);
        let hold = boot.params.boot.settle == Settle::Root;
        Self {
            devices: Devices::new(&boot.dir),
            state: RootState::default(),
            stage: needs_root_device(&pipeline),
            pipeline,
            boot,
            loader,
            coldplug,
            socket,
            deadline,
            began: BootTime::now(),
            next_progress: after(PROGRESS_INTERVAL),
            not_before,
            failure: None,
            device_change: true,
            hold_until: hold.then(|| after(HOLD_TIMEOUT)),
            complete: false,
        }
    }

    /// Loads what devices need until the root is mounted at /sysroot. Returns the time at which the
    /// loop ended.
    ///
    /// # Errors
    /// The root was not found in time, or cannot be mounted.
    pub(super) fn run(mut self) -> Result<BootTime, BootError> {
        self.scan();
        self.boot.reporter.end_phase("scan");
        loop {
            // Read before the events: the events that a finished load caused are in the socket then.
            let idle = self.loader.is_idle();
            self.coldplug.tick();
            let drained = self.take_events();
            let settled = self.is_settled(idle, drained);
            self.advance(settled);
            if self.release_held(settled, drained.fresh) {
                continue;
            }
            if self.is_over(settled)? {
                break;
            }
            self.log_progress();
            self.loader.drive();
            self.sleep(drained);
        }
        if self.boot.params.boot.settle == Settle::All {
            let (pipeline, mut cx) = self.context();
            pipeline.warn_later_duplicates(&mut cx);
        }
        self.boot.reporter.end_phase("load");
        Ok(BootTime::now())
    }

    /// Returns the pipeline and the context of its steps.
    fn context(&mut self) -> (&mut RootPipeline, StepContext<'_>) {
        let cx = StepContext {
            dir: &self.boot.dir,
            params: &self.boot.params,
            loader: self.loader,
            devices: &mut self.devices,
            state: &mut self.state,
            reporter: &mut self.boot.reporter,
            breakpoint: &mut self.boot.breakpoint,
        };
        (&mut self.pipeline, cx)
    }

    /// Scans for devices. Returns whether there are new ones.
    fn scan(&mut self) -> bool {
        match self.coldplug.scan() {
            Ok(new) => new > 0,
            Err(error) => {
                self.boot.reporter.warn(format!("scan: {error}"));
                false
            }
        }
    }

    /// Takes all events from the socket. Without a socket it scans instead.
    fn take_events(&mut self) -> Drained {
        let Some(socket) = &self.socket else {
            self.device_change = true;
            let new = self.scan();
            return Drained { fresh: new, ..Drained::default() };
        };
        let drained = self.coldplug.drain(socket).unwrap_or_else(|error| {
            self.boot.reporter.warn(scanning_text(&error));
            self.socket = None;
            Drained { lost: true, ..Drained::default() }
        });
        if drained.lost
            && let Err(error) = self.coldplug.rescan()
        {
            self.boot.reporter.warn(format!("scan: {error}"));
        }
        if drained.block || drained.lost {
            self.device_change = true;
            self.devices.forget_changed();
        }
        drained
    }

    /// Returns whether nothing is left to do: no load, no event, no bus that may still be probing,
    /// and a scan that found nothing new.
    fn is_settled(&mut self, idle: bool, drained: Drained) -> bool {
        if !idle
            || drained.fresh
            || drained.lost
            || !self.loader.is_idle()
            || !self.coldplug.is_quiet()
        {
            self.complete = false;
            return false;
        }
        if self.coldplug.next_round() > 0 {
            self.complete = false;
            return false;
        }
        if !self.complete {
            self.complete = !self.scan();
        }
        self.complete
    }

    /// Releases loads that were held back, if those for the root have ended without finding it, or
    /// the next module of a replayed record does not appear. Returns whether it did.
    fn release_held(&mut self, settled: bool, fresh: bool) -> bool {
        let looking = matches!(self.stage, Stage::NeedsDevice(_) | Stage::Polling(_));
        let late = self.hold_until.is_some_and(|until| looking && BootTime::now() >= until);
        let held = self.hold_until.is_some();
        let root_first = held && looking && !fresh && self.coldplug.is_quiet();
        let stuck = (settled || root_first) && self.loader.is_holding();
        if late || stuck {
            self.hold_until = self.hold_until.map(|_| after(HOLD_TIMEOUT));
            self.complete = false;
            self.loader.let_go();
        }
        late || stuck
    }

    /// Advances the pipeline if something that it needs may have changed.
    fn advance(&mut self, settled: bool) {
        let now = BootTime::now();
        let due = match &self.stage {
            Stage::NeedsDevice(_) => {
                (self.device_change || settled || self.failure.is_some()) && now >= self.not_before
            }
            Stage::LoadingModules(modules) => self.loader.is_done(modules),
            Stage::Polling(_) => now >= self.not_before,
            Stage::InProgress => true,
            Stage::Mounted => false,
        };
        if due {
            self.device_change = false;
            self.run_pipeline();
        }
    }

    /// Runs the pipeline until it needs something that is not there yet.
    fn run_pipeline(&mut self) {
        loop {
            let (pipeline, mut cx) = self.context();
            let result = pipeline.advance(&mut cx);
            self.stage = self.stage_after(result);
            // Modules that are built in or live already are no reason to sleep.
            if !matches!(&self.stage, Stage::LoadingModules(m) if self.loader.is_done(m)) {
                return;
            }
        }
    }

    fn stage_after(&mut self, result: Result<Progress, StepError>) -> Stage {
        match result {
            Ok(Progress::NeedsDevice(awaited)) => Stage::NeedsDevice(awaited),
            Ok(Progress::Polling(awaited)) => Stage::Polling(awaited),
            Ok(Progress::LoadingModules(modules)) => Stage::LoadingModules(modules),
            Ok(Progress::InProgress) => Stage::InProgress,
            Ok(Progress::Done) => {
                self.deadline = Some(after(SETTLE_TIMEOUT));
                Stage::Mounted
            }
            Err(error) => {
                let first = self.failure.take().map_or_else(BootTime::now, |failure| failure.first);
                self.failure = Some(Failure { error, first });
                self.not_before = after(RETRY_DELAY);
                needs_root_device(&self.pipeline)
            }
        }
    }

    /// Returns whether the loop is over: the root is mounted and, by default, all has settled.
    fn is_over(&mut self, settled: bool) -> Result<bool, BootError> {
        let late = self.deadline.is_some_and(|d| BootTime::now() >= d);
        match (&self.stage, self.boot.params.boot.settle) {
            (Stage::Mounted, Settle::Root) => Ok(true),
            (Stage::Mounted, Settle::All) if late => {
                let timeout = seconds(SETTLE_TIMEOUT);
                let text = format!("modules still loading after {timeout}; continuing the boot");
                self.boot.reporter.warn(text);
                Ok(true)
            }
            (Stage::Mounted, Settle::All) => Ok(settled),
            // The check of a large filesystem takes longer than the deadline of the root.
            (Stage::InProgress, _) => Ok(false),
            _ if late || self.is_futile(settled) => self.try_next_root().map(|()| false),
            _ => Ok(false),
        }
    }

    /// Returns whether waiting on is useless before the deadline: no root is named and none was
    /// detected, or the root that was found cannot be mounted and everything has settled. With
    /// `rootwait` the boot waits all the same.
    fn is_futile(&self, settled: bool) -> bool {
        let params = &self.boot.params.root;
        let failed = self.failure.as_ref().is_some_and(|Failure { error, first }| {
            let period = if self.pipeline.has_more() { Duration::ZERO } else { RETRY_PERIOD };
            let tried = first.elapsed() >= period;
            error.is_final() || (settled && tried)
        });
        let patient = params.timeout.is_none() && !self.pipeline.has_more();
        (failed && !patient) || (settled && !params.is_named())
    }

    /// Switches to the next of the roots that the command line names.
    ///
    /// # Errors
    /// This was the last root.
    fn try_next_root(&mut self) -> Result<(), BootError> {
        let error = self.timeout_error();
        let failed = self.pipeline.choice().text.clone();
        let (pipeline, mut cx) = self.context();
        if !pipeline.next_choice(&mut cx) {
            return Err(error);
        }
        let next = &self.pipeline.choice().text;
        let reporter = &mut self.boot.reporter;
        reporter.warn(format!("root {failed} failed, trying {next}: {error}"));
        reporter.add_failed_root(format!("{failed}: {error}"));
        self.stage = needs_root_device(&self.pipeline);
        self.deadline = deadline(self.boot, &self.pipeline, Duration::ZERO);
        self.began = BootTime::now();
        (self.not_before, self.failure, self.device_change) = (BootTime::default(), None, true);
        Ok(())
    }

    /// Tells a person at the console what the machine waits for.
    fn log_progress(&mut self) {
        let (Stage::NeedsDevice(awaited) | Stage::Polling(awaited)) = &self.stage else { return };
        if BootTime::now() < self.next_progress {
            return;
        }
        self.next_progress = after(PROGRESS_INTERVAL);
        let mut line = format!("still waiting for {awaited} after {}", seconds(self.waited()));
        if matches!(self.stage, Stage::NeedsDevice(_)) {
            let number = self.devices.seen().len();
            line.push_str(&format!("; {number} block devices seen so far"));
        }
        self.boot.reporter.log().info(&line);
    }

    /// Returns how long the current root has been waited for.
    fn waited(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns why the root is not mounted at the deadline.
    fn timeout_error(&mut self) -> BootError {
        if let Some(failure) = self.failure.take() {
            return BootError::Step(failure.error);
        }
        match &self.stage {
            Stage::NeedsDevice(awaited) | Stage::Polling(awaited) => {
                let awaited = awaited.clone();
                self.root_not_found(awaited)
            }
            stage => {
                let modules = match stage {
                    Stage::LoadingModules(modules) => modules.as_slice(),
                    _ => &[],
                };
                let is_open = |m: &&ModuleName| !self.loader.is_done(std::slice::from_ref(*m));
                BootError::ModulesNotLoaded {
                    root: self.pipeline.choice().text.clone(),
                    modules: modules.iter().filter(is_open).cloned().collect(),
                }
            }
        }
    }

    /// Returns what was awaited, what was found instead, and what may be meant; records it too.
    fn root_not_found(&mut self, awaited: Awaited) -> BootError {
        let seen = self.devices.seen();
        let near = awaited.name().map_or_else(Vec::new, |name| near_misses(name, &seen));
        let is_named = self.boot.params.root.is_named();
        let error = RootNotFound { awaited, is_named, waited: self.waited(), near, seen };
        self.boot.reporter.set_not_found(&error);
        BootError::RootNotFound(Box::new(error))
    }

    /// Returns the time of the next wakeup if no event comes first.
    fn wakeup(&self) -> BootTime {
        let now = BootTime::now();
        let quiet = self.coldplug.quiet_next().filter(|_| self.loader.is_idle());
        let retry = Some(self.not_before).filter(|at| *at > now);
        let polls = matches!(self.stage, Stage::InProgress | Stage::Polling(_));
        let poll = polls.then(|| after(POLL_INTERVAL));
        let held = self.hold_until.filter(|at| *at > now);
        let latest = after(if self.socket.is_some() { MAX_SLEEP } else { SCAN_INTERVAL });
        [quiet, retry, self.deadline, held, poll].into_iter().flatten().fold(latest, BootTime::min)
    }

    /// Sleeps until a load ends, an event arrives, a bus is quiet or a deadline passes. If the last
    /// events brought something new, it only collects what has ended.
    fn sleep(&self, drained: Drained) {
        let new = drained.fresh || drained.lost;
        let left = if new { Duration::ZERO } else { self.wakeup() - BootTime::now() };
        let mut fds = vec![PollFd::from_borrowed_fd(self.loader.wake_fd(), PollFlags::IN)];
        fds.extend(
            self.socket.as_ref().map(|s| PollFd::from_borrowed_fd(s.as_fd(), PollFlags::IN)),
        );
        // Interrupted or not: the loop checks everything again.
        let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
        self.loader.clear_wake();
    }
}

/// Returns the warning about the loss of the uevent socket.
pub(super) fn scanning_text(error: &crate::sys::Error) -> String {
    format!("{error}; scanning for devices every {} ms", SCAN_INTERVAL.as_millis())
}

fn needs_root_device(pipeline: &RootPipeline) -> Stage {
    let choice = pipeline.choice();
    Stage::NeedsDevice(Awaited::root(&choice.text, &choice.name))
}

/// Returns the time at which the wait for the current root ends. `delay` does not
/// count against its timeout.
fn deadline(boot: &Boot, pipeline: &RootPipeline, delay: Duration) -> Option<BootTime> {
    let timeout = pipeline.choice().wait.or(boot.params.root.timeout);
    timeout.map(|timeout| after(delay + timeout))
}

fn after(duration: Duration) -> BootTime {
    BootTime::now() + duration
}
