//! From devices to modules: the scan of the devices that are there, and the uevents of later ones.
//! Each distinct modalias is requested once.

use std::collections::{BTreeMap, HashSet};

use super::bus_settle::{BusSettle, is_behind_slow_bus};
use crate::kmod::name::ModuleName;
use crate::kmod::uevent::{Modalias, Uevent};
use crate::load::{Loader, Rank};
use crate::report::UeventCounts;
use crate::scan::{RootHint, scan_order};
use crate::sys::uevent::{Received, Socket};
use crate::sys::{BootTime, Result, Root, device_tree, devices};

/// The devices seen so far.
#[derive(Debug)]
pub(super) struct Coldplug<'a> {
    dir: &'a Root,
    loader: &'a Loader,
    root_hint: RootHint,
    seen: HashSet<Modalias>,
    /// Whether devices of slow buses are requested in rounds: once all is quiet, those that have
    /// appeared since the last round, by path. The order then does not depend on which of two buses
    /// is faster.
    in_rounds: bool,
    /// Devices of the next round, by path.
    next_round: BTreeMap<String, Modalias>,
    buses: BusSettle,
    counts: UeventCounts,
    /// The highest SEQNUM seen.
    last_event: Option<u64>,
    /// Block devices that have changed or disappeared, since these were taken.
    changed_disks: Vec<String>,
}

/// What the uevent socket held.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drained {
    /// Whether a new modalias was among the events.
    pub(super) fresh: bool,
    /// Whether block devices have appeared or changed.
    pub(super) block: bool,
    /// Whether events were lost, so that all devices have to be scanned again.
    pub(super) lost: bool,
}

impl<'a> Coldplug<'a> {
    pub(super) fn new(
        dir: &'a Root,
        loader: &'a Loader,
        root_hint: &RootHint,
        in_rounds: bool,
    ) -> Self {
        Self {
            dir,
            loader,
            root_hint: root_hint.clone(),
            seen: HashSet::new(),
            in_rounds,
            next_round: BTreeMap::new(),
            buses: BusSettle::new(),
            counts: UeventCounts::default(),
            last_event: None,
            changed_disks: Vec::new(),
        }
    }

    /// Requests the modules of all devices, those that the root may be behind first, and suppliers
    /// before the devices that wait for them. Returns the number of modaliases not seen before.
    ///
    /// # Errors
    /// /sys/devices cannot be read.
    pub(super) fn scan(&mut self) -> Result<usize> {
        let devices::Scan { devices: found, mut links } = devices::scan(self.dir)?;
        self.counts.scans += 1;
        if found.iter().all(|device| self.seen.contains(&device.modalias)) {
            return Ok(0);
        }
        links.extend(device_tree::links(self.dir, &found));
        let found: Vec<(&str, &Modalias)> =
            found.iter().map(|device| (device.path.as_str(), &device.modalias)).collect();
        self.root_hint.note_devices(&found);
        let turns = scan_order(&self.root_hint, &found, &links);
        let new = turns.iter().filter(|turn| {
            let (path, modalias) = found[turn.device];
            self.request(path, modalias, turn.rank, turn.consumer.map(|at| found[at].0))
        });
        Ok(new.count())
    }

    /// Scans again after events were lost, and looks for modules that have become live meanwhile.
    ///
    /// # Errors
    /// /sys/devices cannot be read.
    pub(super) fn rescan(&mut self) -> Result<usize> {
        self.counts.rescans += 1;
        self.loader.poll_live();
        self.scan()
    }

    /// Requests the modules of all devices again. A module that was requested before is not loaded
    /// again.
    ///
    /// # Errors
    /// /sys/devices cannot be read.
    pub(super) fn request_again(&mut self) -> Result<usize> {
        self.seen.clear();
        self.scan()
    }

    /// Requests the modules of one device; `consumer` is a device that waits for it. Returns
    /// whether its modalias is new.
    fn request(
        &mut self,
        path: &str,
        modalias: &Modalias,
        rank: Rank,
        consumer: Option<&str>,
    ) -> bool {
        if self.seen.contains(modalias) {
            return false;
        }
        self.seen.insert(modalias.clone());
        let parents = devices::modules_of_ancestors(self.dir, path);
        self.loader.want_device(path, modalias, &parents, rank, consumer);
        true
    }

    /// Returns the number of distinct modaliases seen.
    pub(super) fn modaliases(&self) -> u64 {
        self.seen.len() as u64
    }

    pub(super) fn counts(&self) -> UeventCounts {
        self.counts
    }

    /// Handles all events in the socket.
    ///
    /// # Errors
    /// The socket cannot be read.
    pub(super) fn drain(&mut self, socket: &Socket) -> Result<Drained> {
        let mut buffer = [0; 8192];
        let mut drained = Drained::default();
        loop {
            match socket.receive(&mut buffer)? {
                Received::Message(message) => {
                    self.counts.received += 1;
                    if let Some(event) = Uevent::parse(message) {
                        drained.block |= self.note_block(&event);
                        drained.lost |= self.is_gap(&event);
                        drained.fresh |= self.handle(&event);
                    }
                }
                Received::Lost => {
                    self.counts.lost += 1;
                    drained.lost = true;
                }
                Received::Truncated => {
                    self.counts.truncated += 1;
                    drained.lost = true;
                }
                Received::Foreign => self.counts.foreign += 1,
                Received::Empty => return Ok(drained),
            }
        }
    }

    /// Returns whether the event is one of a block device, and notes a device that has changed or
    /// disappeared.
    fn note_block(&mut self, event: &Uevent<'_>) -> bool {
        let is_block = event.get("SUBSYSTEM") == Some(b"block");
        if is_block && event.action != b"add" {
            let name = event.devpath.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            self.changed_disks.push(String::from_utf8_lossy(name).into_owned());
        }
        is_block
    }

    /// Takes the names of the block devices that have changed or disappeared.
    pub(super) fn take_changed_disks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.changed_disks)
    }

    /// Returns whether events before this one are missing. Newer kernels may deliver events
    /// slightly out of order; that costs one unneeded scan.
    fn is_gap(&mut self, event: &Uevent<'_>) -> bool {
        let Some(number) = event.seqnum() else { return false };
        let expected = self.last_event.map_or(number, |last| last + 1);
        self.last_event = self.last_event.max(Some(number));
        let gap = number > expected;
        self.counts.gaps += u64::from(gap);
        gap
    }

    /// Handles one event. Returns whether it led to the request of a new modalias.
    fn handle(&mut self, event: &Uevent<'_>) -> bool {
        if event.action != b"add" {
            return false;
        }
        if let Some(module) = event.devpath.strip_prefix(b"/module/") {
            self.loader.note_live(&ModuleName::new(module));
        }
        let Some(device) = event.devpath.strip_prefix(b"/devices/") else { return false };
        self.counts.added += 1;
        self.buses.note(event);
        let path = String::from_utf8_lossy(device);
        // The kernel leaves a modalias out of the event if it does not fit; the file has it.
        let modalias = match event.get("MODALIAS") {
            Some(text) => Modalias::new(text),
            None => devices::modalias_of(self.dir, &path),
        };
        let Some(modalias) = modalias else { return false };
        if !self.in_rounds || !is_behind_slow_bus(&path) {
            return self.request(&path, &modalias, self.root_hint.rank(&modalias), None);
        }
        if !self.seen.contains(&modalias) {
            self.next_round.insert(path.into_owned(), modalias);
        }
        false
    }

    /// Requests the modules of the devices that have appeared since the last round. Returns the
    /// number of modaliases not seen before.
    pub(super) fn next_round(&mut self) -> usize {
        let devices = std::mem::take(&mut self.next_round);
        let new = devices.iter().filter(|(path, modalias)| {
            self.request(path, modalias, self.root_hint.rank(modalias), None)
        });
        new.count()
    }

    /// Accounts for the processor time that loads have taken from buses since the last call.
    pub(super) fn tick(&mut self) {
        self.buses.tick(self.loader);
    }

    /// Returns whether no bus may still find devices.
    pub(super) fn is_quiet(&self) -> bool {
        self.buses.is_quiet(self.dir)
    }

    /// Returns the time at which buses may be quiet next, or `None` if time alone changes nothing.
    pub(super) fn next_check(&self) -> Option<BootTime> {
        self.buses.next_check()
    }
}
