//! The event loop of a boot: devices appear and modules load until the root is mounted and, by
//! default, all devices have settled.
//!
//! [`super::finish()`] has the only other loop that waits for events; it runs in the real system.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::coldplug::{Coldplug, Drained};
use super::error::{BootError, Interruption};
use super::root::RootSearch;
use super::{Boot, seconds};
use crate::cmdline::boot::Settle;
use crate::load::Loader;
use crate::report::Event;
use crate::sys::uevent::Socket;
use crate::sys::{BootTime, Error, signals};

/// Interval between scans if there is no uevent socket, in milliseconds.
const SCAN_INTERVAL_MS: u64 = 250;
/// How long after a scan that has found something nothing has settled, if there is no uevent socket:
/// buses that are still probing are known by their uevents alone.
const SCAN_QUIET: Duration = Duration::from_millis(500);
/// Longest wait for further modules once the root is mounted.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
/// With `coldplug.settle=root`: how long modules that the root does not need are held back, and how
/// long after that all modules except those of storage.
const HOLD_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest sleep, so that a device without a uevent is found too.
const MAX_SLEEP: Duration = Duration::from_secs(1);

pub(super) struct EventLoop<'a, 'b> {
    boot: &'a mut Boot,
    loader: &'a Loader,
    coldplug: &'a mut Coldplug<'b>,
    socket: Option<Socket>,
    /// Without a socket: time before which nothing has settled.
    quiet_at: BootTime,
    search: RootSearch,
    /// Time at which the wait for further modules ends, once the root is mounted.
    settle_until: Option<BootTime>,
    /// Time until which modules that the root does not need are held back.
    hold_until: Option<BootTime>,
    /// Whether the last scan, made when nothing was left to do, found nothing new.
    complete: bool,
    /// Whether the indexes were compared with their texts.
    indexes_checked: bool,
}

impl<'a, 'b> EventLoop<'a, 'b> {
    pub(super) fn new(
        boot: &'a mut Boot,
        loader: &'a Loader,
        coldplug: &'a mut Coldplug<'b>,
        socket: Option<Socket>,
        search: RootSearch,
    ) -> Self {
        let hold = boot.params.boot.settle == Settle::Root;
        Self {
            boot,
            loader,
            coldplug,
            socket,
            quiet_at: BootTime::default(),
            search,
            settle_until: None,
            hold_until: hold.then(|| BootTime::now() + HOLD_TIMEOUT),
            complete: false,
            indexes_checked: false,
        }
    }

    /// Loads what devices need until the root is mounted at /sysroot. Returns the time at which the
    /// loop ended.
    ///
    /// # Errors
    /// The root was not found in time, or cannot be mounted.
    pub(super) fn run(mut self) -> Result<BootTime, BootError> {
        self.scan();
        self.boot.request_listed(self.loader);
        self.boot.reporter.end_phase("scan");
        let found = format!("{} modaliases", self.coldplug.modaliases());
        self.boot.reporter.reach(Event::Scan, &found);
        self.search.begin_wait();
        let result = self.run_loop();
        self.search.end_wait(&mut self.boot.reporter);
        result?;
        if self.boot.params.boot.settle == Settle::All {
            self.search.warn_later_duplicates(self.boot, self.loader);
        }
        self.boot.reporter.end_phase("load");
        Ok(BootTime::now())
    }

    /// Takes turns at events, loads and the root until the boot can go on or has failed.
    fn run_loop(&mut self) -> Result<(), BootError> {
        loop {
            if signals::is_ctrl_alt_del_pressed() {
                return Err(BootError::Interrupted(Interruption::CtrlAltDel));
            }
            self.boot.tend_watchdog();
            // Read before the events: then those that a finished load caused are in the socket.
            let (idle, loading) = (self.loader.is_idle(), self.loader.is_loading());
            self.boot.reporter.warn_all(self.loader.take_notices());
            self.coldplug.tick();
            let drained = self.take_events();
            // Before the disks are read that these events have announced.
            self.boot.make_device_nodes();
            let settled = self.is_settled(idle, drained);
            self.search.advance(self.boot, self.loader, settled);
            self.boot.tend_persistence(drained.block || drained.lost, &self.search);
            if self.release_held(settled, drained.fresh) || self.finds_damaged_index(settled) {
                continue;
            }
            if self.is_over(settled)? {
                return Ok(());
            }
            // A sequential load that has ended since may have caused events that decide which module
            // is the next one.
            let waits = loading || self.search.is_reading();
            if self.boot.params.boot.jobs != Some(1) || !waits {
                self.loader.drive();
            }
            self.sleep(drained);
        }
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
            self.search.note_device_change();
            let new = self.scan();
            if new {
                self.quiet_at = BootTime::now() + SCAN_QUIET;
            }
            return Drained { fresh: new, block: true, lost: false };
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
        for disk in self.coldplug.take_changed_disks() {
            self.search.note_disk_change(&disk);
        }
        if drained.lost {
            self.search.forget_devices();
        } else if drained.block {
            self.search.note_device_change();
        }
        drained
    }

    /// Returns whether nothing is left to do: no load, no event, no bus that may still be probing,
    /// no device that is read or made for the root, and a scan that found nothing new.
    fn is_settled(&mut self, idle: bool, drained: Drained) -> bool {
        let busy = !idle
            || drained.fresh
            || drained.lost
            || !self.loader.is_idle()
            || self.search.is_coming(self.loader)
            || !self.coldplug.is_quiet()
            || BootTime::now() < self.quiet_at;
        if busy || self.coldplug.next_round() > 0 {
            self.complete = false;
        } else if !self.complete {
            self.complete = !self.scan();
        }
        self.complete
    }

    /// Releases loads that were held back, if those for the root have ended without finding it, or
    /// the next module of a replayed record does not appear. Returns whether it did.
    fn release_held(&mut self, settled: bool, fresh: bool) -> bool {
        let waiting = self.search.is_waiting();
        let late = self.hold_until.is_some_and(|until| waiting && BootTime::now() >= until);
        let held = self.hold_until.is_some();
        let root_first = held && waiting && !fresh && self.coldplug.is_quiet();
        let stuck = (settled || root_first)
            && self.loader.has_held()
            && !self.search.is_coming(self.loader);
        if late || stuck {
            self.hold_until = self.hold_until.map(|_| BootTime::now() + HOLD_TIMEOUT);
            self.complete = false;
            self.loader.release();
        }
        late || stuck
    }

    /// If nothing is left to load and the root is missing, compares the indexes with their texts
    /// once. If one is damaged, requests the modules of all devices again and returns true.
    fn finds_damaged_index(&mut self, settled: bool) -> bool {
        if !settled || self.indexes_checked || !self.search.is_waiting() {
            return false;
        }
        self.indexes_checked = true;
        let damaged = self.loader.check_indexes();
        if damaged && let Err(error) = self.coldplug.request_again() {
            self.boot.reporter.warn(format!("scan: {error}"));
        }
        self.complete &= !damaged;
        damaged
    }

    /// Returns whether the loop is over: the root is mounted and, by default, all has settled.
    ///
    /// # Errors
    /// No root could be mounted.
    fn is_over(&mut self, settled: bool) -> Result<bool, BootError> {
        if !self.search.is_mounted() {
            return self.search.check(self.boot, self.loader, settled).map(|()| false);
        }
        if self.boot.params.boot.settle == Settle::Root {
            return Ok(true);
        }
        let now = BootTime::now();
        let until = *self.settle_until.get_or_insert(now + SETTLE_TIMEOUT);
        if now >= until {
            let timeout = seconds(SETTLE_TIMEOUT);
            let text = format!("modules still loading after {timeout}; continuing the boot");
            self.boot.reporter.warn(text);
            return Ok(true);
        }
        Ok(settled && self.search.knows_duplicates())
    }

    /// Returns the time of the next wakeup if no event comes first.
    fn wakeup(&self) -> BootTime {
        let now = BootTime::now();
        let scan = Duration::from_millis(SCAN_INTERVAL_MS);
        let latest = now + if self.socket.is_some() { MAX_SLEEP } else { scan };
        let bus = self.coldplug.next_check().filter(|_| self.loader.is_idle());
        let held = self.hold_until.filter(|at| *at > now);
        let ping = self.boot.watchdog.next_ping();
        let store = self.boot.persistence.deadline();
        let times = [bus, self.search.wakeup(), self.settle_until, held, ping, store];
        times.into_iter().flatten().fold(latest, BootTime::min)
    }

    /// Sleeps until a load ends, an event or a signal arrives, a bus is quiet or a deadline passes.
    /// If the last events brought something new, it only clears the wakeups. Reaps orphans.
    fn sleep(&self, drained: Drained) {
        let new = drained.fresh || drained.lost;
        let left = if new { Duration::ZERO } else { self.wakeup() - BootTime::now() };
        let mut fds = vec![PollFd::from_borrowed_fd(self.loader.wake_fd(), PollFlags::IN)];
        fds.extend(
            self.socket.as_ref().map(|s| PollFd::from_borrowed_fd(s.as_fd(), PollFlags::IN)),
        );
        fds.extend(self.search.wake_fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        fds.extend(
            self.boot.persistence.wake_fd().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
        );
        fds.extend(signals::wake_fd().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        // Interrupted or not: the loop checks everything again.
        let _ = poll(&mut fds, Timespec::try_from(left).ok().as_ref());
        self.loader.clear_wake();
        signals::clear_wake();
    }
}

/// Returns the warning about the loss of the uevent socket.
pub(super) fn scanning_text(error: &Error) -> String {
    format!("{error}; scanning for devices every {SCAN_INTERVAL_MS} ms")
}
