//! The wait: devices come, modules load, until the root is mounted and, by default, everything has settled.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::coldplug::{Coldplug, Drained};
use super::root::near_misses;
use super::root::{Devices, Progress, RootPipeline, StepContext, StepError};
use super::{Boot, BootError, nanoseconds, seconds};
use crate::cmdline::boot::Settle;
use crate::cmdline::root_name::RootName;
use crate::cmdline::storage::StorageParams;
use crate::kmod::name::ModuleName;
use crate::load::{Loader, Rank};
use crate::report::Verdict;
use crate::sys::boottime_ns;
use crate::sys::uevent::Socket;

/// How often devices are looked for where the kernel has no event socket.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How long a module of `coldplug.modules=` may take before the boot goes on without it.
pub(super) const LISTED_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the rest may take once the root is mounted.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a root that cannot be mounted is tried again, once nothing is on its way any more.
const RETRY_PERIOD: Duration = Duration::from_secs(5);
/// How often the console is told that the root has not come yet.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// How long what is not on the way to the root waits for it, where only the root is waited for; and how long after
/// that all but storage does.
const HOLD_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest sleep, so that a device that gave no event is found all the same.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// How soon is asked again whether a process of ours has ended.
const CHILD_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Where the wait for the root stands.
#[derive(Debug)]
enum Stage {
    /// A device has not come yet: how it is called.
    NeedsDevice(String),
    /// Something that no event tells of has not come yet: what it is.
    Polling(String),
    /// Modules that it needs are being loaded.
    LoadingModules(Vec<ModuleName>),
    /// A process of ours works on it.
    InProgress,
    /// It is mounted.
    Mounted,
}

pub(super) struct RootWait<'a, 'b> {
    boot: &'a mut Boot,
    loader: &'a Loader,
    coldplug: &'a mut Coldplug<'b>,
    socket: Option<Socket>,
    devices: Devices,
    pipeline: RootPipeline,
    stage: Stage,
    /// When the wait is over, on CLOCK_BOOTTIME; `None` is never.
    deadline: Option<u64>,
    /// When the wait for the root that is being tried began, on CLOCK_BOOTTIME.
    began: u64,
    /// When to say next that the root has not come, on CLOCK_BOOTTIME.
    next_progress: u64,
    /// Before this time, on CLOCK_BOOTTIME, the root is not looked for (`rootdelay=`, or a mount that failed).
    not_before: u64,
    /// Why the root could not be had when all of it was there, and when that was tried first.
    last_error: Option<(StepError, u64)>,
    /// Block devices may have come since the last look.
    device_change: bool,
    /// Until when only what is on the way to the root is loaded, on CLOCK_BOOTTIME.
    hold_until: Option<u64>,
    /// The last scan, made when nothing was left to do, found nothing new.
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
            devices: Devices::new(&boot.root),
            stage: Stage::NeedsDevice(pipeline.choice().text.clone()),
            pipeline,
            boot,
            loader,
            coldplug,
            socket,
            deadline,
            began: boottime_ns(),
            next_progress: after(PROGRESS_INTERVAL),
            not_before,
            last_error: None,
            device_change: true,
            hold_until: hold.then(|| after(HOLD_TIMEOUT)),
            complete: false,
        }
    }

    /// Loads what devices want until the root is mounted at /sysroot.
    ///
    /// # Errors
    /// The root does not come in time, or cannot be mounted.
    pub(super) fn run(mut self) -> Result<(), BootError> {
        self.scan();
        self.boot.end_phase("scan");
        loop {
            // Asked before the events are taken: what a load that has ended set off is then in the socket.
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
            self.pipeline.warn_later_duplicates(self.boot, &mut self.devices);
        }
        self.boot.end_phase("load");
        Ok(())
    }

    fn scan(&mut self) -> bool {
        match self.coldplug.scan() {
            Ok(new) => new > 0,
            Err(error) => {
                self.boot.warn(format!("scan: {error}"));
                false
            }
        }
    }

    fn take_events(&mut self) -> Drained {
        let Some(socket) = &self.socket else {
            self.device_change = true;
            let new = self.scan();
            return Drained { fresh: new, ..Drained::default() };
        };
        let drained = self.coldplug.drain(socket).unwrap_or_else(|error| {
            self.boot.warn(format!(
                "{error}; looking for new devices every {} ms",
                POLL_INTERVAL.as_millis()
            ));
            self.socket = None;
            Drained { lost: true, ..Drained::default() }
        });
        if drained.lost
            && let Err(error) = self.coldplug.rescan()
        {
            self.boot.warn(format!("scan: {error}"));
        }
        if drained.block || drained.lost {
            self.device_change = true;
            self.devices.forget_changed();
        }
        drained
    }

    /// Whether nothing is left to do: no load, no event, no bus that may still be looking, and a scan that
    /// found nothing new.
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

    /// Whether loads that were kept back have now been given out: those for the root have ended without it, or the next
    /// of a record that is replayed does not come.
    fn release_held(&mut self, settled: bool, fresh: bool) -> bool {
        let looking = matches!(self.stage, Stage::NeedsDevice(_) | Stage::Polling(_));
        let late = self.hold_until.is_some_and(|until| looking && boottime_ns() >= until);
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

    /// Takes the root as far as is possible now.
    fn advance(&mut self, settled: bool) {
        let now = boottime_ns();
        let due = match &self.stage {
            Stage::NeedsDevice(_) => {
                (self.device_change || settled || self.last_error.is_some())
                    && now >= self.not_before
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

    fn run_pipeline(&mut self) {
        let mut cx =
            StepContext { boot: self.boot, loader: self.loader, devices: &mut self.devices };
        let stage = match self.pipeline.advance(&mut cx) {
            Ok(Progress::NeedsDevice(what)) => Stage::NeedsDevice(what),
            Ok(Progress::Polling(what)) => Stage::Polling(what),
            Ok(Progress::LoadingModules(modules)) => Stage::LoadingModules(modules),
            Ok(Progress::InProgress) => Stage::InProgress,
            Ok(Progress::Done) => {
                self.deadline = Some(after(SETTLE_TIMEOUT));
                Stage::Mounted
            }
            Err(last_error) => {
                let first = self.last_error.take().map_or_else(boottime_ns, |(_, first)| first);
                self.last_error = Some((last_error, first));
                self.not_before = after(MAX_SLEEP);
                Stage::NeedsDevice(self.pipeline.choice().text.clone())
            }
        };
        self.stage = stage;
        // What is built in, or live already, is not worth a nap.
        if matches!(&self.stage, Stage::LoadingModules(modules) if self.loader.is_done(modules)) {
            self.run_pipeline();
        }
    }

    /// Whether the wait has come to its good end.
    fn is_over(&mut self, settled: bool) -> Result<bool, BootError> {
        let late = self.deadline.is_some_and(|d| boottime_ns() >= d);
        match (&self.stage, self.boot.params.boot.settle) {
            (Stage::Mounted, Settle::Root) => Ok(true),
            (Stage::Mounted, Settle::All) if late => {
                self.boot.warn(format!(
                    "modules are still loading after {}; going on",
                    seconds(SETTLE_TIMEOUT)
                ));
                Ok(true)
            }
            (Stage::Mounted, Settle::All) => Ok(settled),
            // What checks a filesystem takes its time.
            (Stage::InProgress, _) => Ok(false),
            _ if late || self.is_futile(settled) => self.try_next_root().map(|()| false),
            _ => Ok(false),
        }
    }

    /// Whether waiting on has no sense, although the time is not over: no root is named and none shows itself, or the
    /// one that was found cannot be had and nothing is on its way that could help. `rootwait` waits all the same.
    fn is_futile(&self, settled: bool) -> bool {
        let params = &self.boot.params.root;
        let last_error = self.last_error.as_ref().is_some_and(|(last_error, first)| {
            let patience = if self.pipeline.has_more() { Duration::ZERO } else { RETRY_PERIOD };
            let tried = boottime_ns() >= first.saturating_add(nanoseconds(patience));
            last_error.is_final || (settled && tried)
        });
        let patient = params.timeout.is_none() && !self.pipeline.has_more();
        (last_error && !patient) || (settled && !params.is_named())
    }

    /// Turns to the next of the roots that the command line names.
    ///
    /// # Errors
    /// This was the last.
    fn try_next_root(&mut self) -> Result<(), BootError> {
        let stop = self.timeout_error();
        let text = self.pipeline.choice().text.clone();
        let mut cx =
            StepContext { boot: self.boot, loader: self.loader, devices: &mut self.devices };
        if !self.pipeline.next_choice(&mut cx) {
            return Err(stop);
        }
        let next = &self.pipeline.choice().text;
        self.boot.warn(format!("root {text} is passed over for {next}: {}", stop.text));
        self.boot.record.root.passed_over.push(format!("{text}: {}", stop.text));
        self.stage = Stage::NeedsDevice(next.clone());
        self.deadline = deadline(self.boot, &self.pipeline, Duration::ZERO);
        self.began = boottime_ns();
        (self.not_before, self.last_error, self.device_change) = (0, None, true);
        Ok(())
    }

    /// A person at the console should know what the machine is waiting for.
    fn log_progress(&mut self) {
        let (Stage::NeedsDevice(what) | Stage::Polling(what)) = &self.stage else { return };
        if boottime_ns() < self.next_progress {
            return;
        }
        self.next_progress = after(PROGRESS_INTERVAL);
        let waited = self.waited();
        let mut line = format!("still waiting for {what} after {waited}");
        if matches!(self.stage, Stage::NeedsDevice(_)) {
            let number = self.devices.seen().len();
            line.push_str(&format!("; {number} block devices so far"));
        }
        self.boot.log.info(&line);
    }

    fn waited(&self) -> String {
        seconds(Duration::from_nanos(boottime_ns().saturating_sub(self.began)))
    }

    /// Why the time is over and the root is not mounted.
    fn timeout_error(&mut self) -> BootError {
        match (&self.last_error, &self.stage) {
            (Some((last_error, _)), _) => BootError::new(last_error.verdict, &last_error.text),
            (None, Stage::LoadingModules(modules)) => {
                let open: Vec<&str> = modules
                    .iter()
                    .filter(|m| !self.loader.is_done(std::slice::from_ref(*m)))
                    .map(ModuleName::as_str)
                    .collect();
                let text = format!(
                    "{}: modules do not come: {}",
                    self.pipeline.choice().text,
                    open.join(", ")
                );
                BootError::new(Verdict::MountFailed, text)
            }
            (None, Stage::NeedsDevice(what) | Stage::Polling(what)) => {
                let what = what.clone();
                self.root_not_found(&what)
            }
            (None, Stage::InProgress | Stage::Mounted) => {
                BootError::new(Verdict::MountFailed, "no end")
            }
        }
    }

    /// The device that the text of an awaited one names: the root's, or that of a parameter such as `mount.usr=`.
    fn awaited_name(&self, what: &str) -> Option<RootName> {
        let choice = self.pipeline.choice();
        if what == choice.text {
            return Some(choice.name.clone());
        }
        RootName::parse(what.split_once('=')?.1)
    }

    /// What was awaited, what is there instead, and what may be meant.
    fn root_not_found(&mut self, what: &str) -> BootError {
        let seen = self.devices.seen();
        let near = self.awaited_name(what).map_or_else(Vec::new, |name| near_misses(&name, &seen));
        let waited = boottime_ns().saturating_sub(self.began) / 1_000_000;
        let mut text = match self.boot.params.root.is_named() {
            true => format!("{what} did not come in {}", self.waited()),
            false => {
                "no root= on the kernel command line, and no partition that says it is one".into()
            }
        };
        for line in &near {
            text.push_str(&format!("\n  {line}"));
        }
        match seen.is_empty() {
            true => text.push_str("\n  no block device is there"),
            false => text.push_str("\nblock devices seen:"),
        }
        for device in &seen {
            text.push_str(&format!("\n  {}", device.line()));
        }
        let root = &mut self.boot.record.root;
        root.awaited = Some((what.to_owned(), waited));
        (root.seen, root.near) = (seen, near);
        BootError::new(Verdict::NoRoot, text)
    }

    /// Sleeps until a load ends, an event comes, a bus is quiet or the time is over; not at all when there was
    /// something new.
    fn sleep(&self, drained: Drained) {
        let now = boottime_ns();
        let quiet = self.coldplug.quiet_next().filter(|_| self.loader.is_idle());
        let retry = Some(self.not_before).filter(|at| *at > now);
        let soon = matches!(self.stage, Stage::InProgress | Stage::Polling(_));
        let busy = soon.then(|| after(CHILD_POLL_INTERVAL));
        let longest = after(if self.socket.is_some() { MAX_SLEEP } else { POLL_INTERVAL });
        let held = self.hold_until.filter(|at| *at > now);
        let until =
            [quiet, retry, self.deadline, held, busy].into_iter().flatten().fold(longest, u64::min);
        let new = drained.fresh || drained.lost;
        let left =
            if new { Duration::ZERO } else { Duration::from_nanos(until.saturating_sub(now)) };
        let mut fds = vec![PollFd::from_borrowed_fd(self.loader.wake_fd(), PollFlags::IN)];
        fds.extend(
            self.socket.as_ref().map(|s| PollFd::from_borrowed_fd(s.as_fd(), PollFlags::IN)),
        );
        // Interrupted or not: the loop looks at everything again.
        let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
        self.loader.clear_wake();
    }
}

/// Asks for the modules of the filesystems `types`, and gives those that are not built in.
pub(super) fn filesystem_modules(loader: &Loader, types: &[String]) -> Vec<ModuleName> {
    let names = types.iter().filter_map(|t| loader.want_name(&format!("fs-{t}"), Rank::Root));
    names.flatten().collect()
}

/// When the wait for the root that is being tried is over; `delay` is not part of it.
fn deadline(boot: &Boot, pipeline: &RootPipeline, delay: Duration) -> Option<u64> {
    let longest = pipeline.choice().wait.or(boot.params.root.timeout);
    longest.map(|longest| after(delay + longest))
}

fn after(duration: Duration) -> u64 {
    boottime_ns().saturating_add(nanoseconds(duration))
}
