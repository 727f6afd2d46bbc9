//! The wait: devices come, modules load, until the root is mounted and, by default, everything has settled.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::coldplug::{Coldplug, Drained};
use super::root::{self, Candidate, Finder};
use super::{Boot, SYSROOT, Stop, root_words, seconds};
use crate::kmod::name::ModuleName;
use crate::kmod::params::{Break, Settle};
use crate::load::{Loader, Rank};
use crate::report::Verdict;
use crate::sys::uevent::Socket;
use crate::sys::{Error, boottime_ns};

/// How often devices are looked for where the kernel has no event socket.
pub(super) const POLL: Duration = Duration::from_millis(250);
/// How long a module of `coldplug.modules=` may take before the boot goes on without it.
pub(super) const LISTED: Duration = Duration::from_secs(30);
/// How long the rest may take once the root is mounted.
const SETTLE: Duration = Duration::from_secs(60);
/// How long a root that cannot be mounted is tried again, once nothing is on its way any more.
const REFUSED: Duration = Duration::from_secs(5);
/// How often the console is told that the root has not come yet.
const TELL: Duration = Duration::from_secs(5);
/// How long what is not on the way to the root waits for it, where only the root is waited for; and how long after
/// that all but storage does.
const HOLD: Duration = Duration::from_secs(2);
/// The longest sleep, so that a device that gave no event is found all the same.
const NAP: Duration = Duration::from_secs(1);

/// Where the wait for the root stands.
#[derive(Debug)]
enum Stage {
    /// It has not come yet.
    Looking,
    /// The modules of its filesystem are being loaded.
    Found(Candidate, Vec<String>, Vec<ModuleName>),
    /// It is mounted.
    Mounted,
}

pub(super) struct Wait<'a, 'b> {
    boot: &'a mut Boot,
    loader: &'a Loader,
    coldplug: &'a mut Coldplug<'b>,
    socket: Option<Socket>,
    /// Nothing to find where no root is named.
    finder: Option<Finder<'a>>,
    stage: Stage,
    /// When the wait is over, on CLOCK_BOOTTIME; `None` is never.
    deadline: Option<u64>,
    /// When to say next that the root has not come, on CLOCK_BOOTTIME.
    tell: u64,
    /// Before this time, on CLOCK_BOOTTIME, the root is not looked for (`rootdelay=`, or a mount that failed).
    not_before: u64,
    /// Why the root that was found could not be mounted, and when that was tried first.
    refused: Option<(Error, u64)>,
    /// Block devices may have come since the last look.
    look: bool,
    /// Until when only what is on the way to the root is loaded, on CLOCK_BOOTTIME.
    hold_until: Option<u64>,
    /// The last scan, made when nothing was left to do, found nothing new.
    complete: bool,
}

impl<'a, 'b> Wait<'a, 'b> {
    pub(super) fn new(
        boot: &'a mut Boot,
        loader: &'a Loader,
        coldplug: &'a mut Coldplug<'b>,
        socket: Option<Socket>,
        finder: Option<Finder<'a>>,
    ) -> Self {
        let not_before = after(boot.params.delay);
        let hold = boot.params.settle == Settle::Root;
        let deadline = boot.params.timeout.map(|timeout| after(boot.params.delay + timeout));
        Self {
            boot,
            loader,
            coldplug,
            socket,
            finder,
            stage: Stage::Looking,
            deadline,
            tell: after(TELL),
            not_before,
            refused: None,
            look: true,
            hold_until: hold.then(|| after(HOLD)),
            complete: false,
        }
    }

    /// Loads what devices want until the root is mounted at /sysroot.
    ///
    /// # Errors
    /// The root does not come in time, or cannot be mounted.
    pub(super) fn run(mut self) -> Result<(), Stop> {
        self.scan();
        self.boot.end_phase("scan");
        loop {
            // Asked before the events are taken: what a load that has ended set off is then in the socket.
            let idle = self.loader.is_idle();
            self.coldplug.tick();
            let drained = self.take_events();
            let settled = self.is_settled(idle, drained);
            self.advance(settled);
            if self.lets_go(settled, drained.fresh) {
                continue;
            }
            if self.is_over(settled)? {
                break;
            }
            self.tell_of_waiting();
            self.loader.drive();
            self.nap(drained);
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
            self.look = true;
            let new = self.scan();
            return Drained { fresh: new, ..Drained::default() };
        };
        let drained = self.coldplug.drain(socket).unwrap_or_else(|error| {
            self.boot
                .warn(format!("{error}; looking for new devices every {} ms", POLL.as_millis()));
            self.socket = None;
            Drained { lost: true, ..Drained::default() }
        });
        if drained.lost
            && let Err(error) = self.coldplug.rescan()
        {
            self.boot.warn(format!("scan: {error}"));
        }
        if drained.block || drained.lost {
            self.look = true;
            if let Some(finder) = &mut self.finder {
                finder.forget_changed();
            }
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
            || boottime_ns() < self.coldplug.quiet_at
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
    fn lets_go(&mut self, settled: bool, fresh: bool) -> bool {
        let looking = matches!(self.stage, Stage::Looking);
        let late = self.hold_until.is_some_and(|until| looking && boottime_ns() >= until);
        let quiet = boottime_ns() >= self.coldplug.quiet_at;
        let root_first = self.hold_until.is_some() && looking && quiet && !fresh;
        let stuck = (settled || root_first) && self.loader.is_holding();
        if late || stuck {
            self.hold_until = self.hold_until.map(|_| after(HOLD));
            self.complete = false;
            self.loader.let_go();
        }
        late || stuck
    }

    /// Takes the root one step further, where that is possible now.
    fn advance(&mut self, settled: bool) {
        let reason = self.look || settled || self.refused.is_some();
        if matches!(self.stage, Stage::Looking) && reason && boottime_ns() >= self.not_before {
            self.look = false;
            if let Some(candidate) = self.finder.as_mut().and_then(Finder::look) {
                self.found(candidate);
            }
        }
        match std::mem::replace(&mut self.stage, Stage::Looking) {
            Stage::Found(candidate, types, modules) if self.loader.is_done(&modules) => {
                self.mount(&candidate, &types, &modules);
            }
            other => self.stage = other,
        }
    }

    /// The root's device is there: asks for the modules of its filesystem.
    fn found(&mut self, candidate: Candidate) {
        for twin in self.finder.as_ref().map(|f| f.twins.clone()).unwrap_or_default() {
            let name = candidate.node.display();
            self.boot.warn(format!(
                "{} is {name} and also {twin}; taking the first",
                root_words(&self.boot.params)
            ));
        }
        self.boot.record.root.device = Some(candidate.node.display().to_string());
        self.boot.end_phase("root device");
        let types = root::types(&self.boot.root, &self.boot.params, &candidate);
        let modules = filesystem_modules(self.loader, &types);
        self.stage = Stage::Found(candidate, types, modules);
    }

    /// Mounts the root, which needs the modules of its filesystem live. A failure may be for want of a module or a medium that is still on its way: then the
    /// root is looked for again.
    fn mount(&mut self, candidate: &Candidate, types: &[String], modules: &[ModuleName]) {
        if self.refused.is_none() {
            self.boot.pause_at(Break::Mount);
        }
        let target = self.boot.root.join(SYSROOT);
        match root::mount_root(candidate, &target, types, &self.boot.params) {
            Ok(fstype) => {
                self.boot.record.root.fstype = Some(fstype);
                self.boot.record.root.way = root::way(&self.boot.root, candidate, modules);
                self.boot.end_phase("mount");
                self.deadline = Some(after(SETTLE));
                self.stage = Stage::Mounted;
            }
            Err(error) => {
                let first = self.refused.take().map_or_else(boottime_ns, |(_, first)| first);
                self.refused = Some((error, first));
                self.not_before = after(NAP);
                if let Some(finder) = &mut self.finder {
                    finder.forget_changed();
                }
            }
        }
    }

    /// Whether the wait has come to its good end.
    fn is_over(&mut self, settled: bool) -> Result<bool, Stop> {
        let late = self.deadline.is_some_and(|d| boottime_ns() >= d);
        match (&self.stage, self.boot.params.settle) {
            (Stage::Mounted, Settle::Root) => Ok(true),
            (Stage::Mounted, Settle::All) if late => {
                self.boot
                    .warn(format!("modules are still loading after {}; going on", seconds(SETTLE)));
                Ok(true)
            }
            (Stage::Mounted, Settle::All) => Ok(settled),
            _ if late || self.is_hopeless(settled) => Err(self.give_up()),
            _ => Ok(false),
        }
    }

    /// Whether waiting on has no sense, although the time is not over: no root is named, or the one that was
    /// found cannot be mounted and nothing is on its way that could help. `rootwait` waits all the same.
    fn is_hopeless(&self, settled: bool) -> bool {
        let refused = self.refused.as_ref().is_some_and(|(_, first)| {
            boottime_ns() >= first.saturating_add(nanoseconds(REFUSED))
                && self.boot.params.timeout.is_some()
        });
        settled && (self.finder.is_none() || refused)
    }

    /// A person at the console should know what the machine is waiting for.
    fn tell_of_waiting(&mut self) {
        if !matches!(self.stage, Stage::Looking) || boottime_ns() < self.tell {
            return;
        }
        self.tell = after(TELL);
        let waited = seconds(Duration::from_nanos(boottime_ns() - self.boot.began));
        let number = self.finder.as_mut().map_or(0, |f| f.seen().len());
        let words = root_words(&self.boot.params);
        self.boot.log.info(&format!(
            "still waiting for {words} after {waited}; {number} block devices so far"
        ));
    }

    /// Why the time is over and the root is not mounted.
    fn give_up(&mut self) -> Stop {
        match (&self.refused, &self.stage) {
            (Some((error, _)), _) => Stop::new(Verdict::MountFailed, error),
            (None, Stage::Found(candidate, types, _)) => {
                let text = format!(
                    "{}: modules of {} do not come",
                    candidate.node.display(),
                    types.join(", ")
                );
                Stop::new(Verdict::MountFailed, text)
            }
            (None, _) => self.no_root(),
        }
    }

    /// What was awaited, and what is there instead.
    fn no_root(&mut self) -> Stop {
        let seen = self.finder.as_mut().map(Finder::seen).unwrap_or_default();
        let there = if seen.is_empty() {
            "no block device".to_owned()
        } else {
            format!("\n  {}", seen.join("\n  "))
        };
        self.boot.record.root.seen = seen;
        let waited = seconds(Duration::from_nanos(boottime_ns() - self.boot.began));
        let text = match self.finder {
            Some(_) => {
                format!("{} did not come in {waited}; seen: {there}", root_words(&self.boot.params))
            }
            None => root_words(&self.boot.params),
        };
        Stop::new(Verdict::NoRoot, text)
    }

    /// Sleeps until a load ends, an event comes, a bus is quiet or the time is over; not at all when there was
    /// something new.
    fn nap(&self, drained: Drained) {
        let now = boottime_ns();
        let quiet = Some(self.coldplug.quiet_at).filter(|at| *at > now && self.loader.is_idle());
        let retry = Some(self.not_before).filter(|at| *at > now);
        let longest = after(if self.socket.is_some() { NAP } else { POLL });
        let held = self.hold_until.filter(|at| *at > now);
        let until =
            [quiet, retry, self.deadline, held].into_iter().flatten().fold(longest, u64::min);
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

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn after(duration: Duration) -> u64 {
    boottime_ns().saturating_add(nanoseconds(duration))
}
