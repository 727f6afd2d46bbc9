//! From devices to modules: the scan of the devices that are there, and the uevents of later ones.
//! Each distinct modalias is requested once.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::kmod::name::ModuleName;
use crate::kmod::uevent::{Modalias, Uevent};
use crate::load::Loader;
use crate::report::UeventCounts;
use crate::sys::uevent::{Received, Socket};
use crate::sys::{self, BootTime, Result, Root, devices, usb};

use super::root_hint::RootHint;

/// How long after an event more of the same may come, although nothing is being loaded. A bus that looks
/// for its devices in its own time gives no other sign of being done.
const QUIET: [(&str, Duration); 2] =
    [("mmc_host", Duration::from_millis(300)), ("mmc", Duration::from_millis(100))];
/// The same of USB, where the kernel does not say that all hubs have gone through their ports: a hub debounces a port
/// for 100 ms, resets it, and goes on with the next.
const USB: Duration = Duration::from_millis(400);
/// The same where it says so: a device has 100 ms from power to showing itself, which its hub has waited for.
const USB_TOLD: Duration = Duration::from_millis(100);
/// How soon it is asked again.
const ASK: Duration = Duration::from_millis(20);

/// The set of devices seen, and what their events tell.
#[derive(Debug)]
pub(super) struct Coldplug<'a> {
    root: &'a Root,
    loader: &'a Loader,
    root_hint: &'a RootHint,
    seen: HashSet<Modalias>,
    /// Devices of buses that look for them in their own time are asked for in rounds: when all is quiet those that have come
    /// since, by path. So the order does not hang on which of two buses is faster this time.
    in_rounds: bool,
    /// What the next round asks for.
    arrived: BTreeMap<String, Modalias>,
    /// The time until which a bus may still be looking for devices.
    quiet_at: BootTime,
    /// The same for USB.
    usb: Usb,
    processors: usize,
    /// When [`Self::tick`] was last called, and how many loads were at work.
    ticked: BootTime,
    busy: usize,
    /// How many had been started then.
    started: u64,
    pub(super) counts: UeventCounts,
    /// The highest SEQNUM seen.
    last_event: Option<u64>,
}

/// Until when USB may still be looking for devices.
#[derive(Debug, Default)]
struct Usb {
    /// If its hubs say that they are done.
    told: BootTime,
    /// In any case.
    latest: BootTime,
}

/// What a look at the socket gave.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drained {
    /// Something is new: a modalias that was not known before, or events that were lost.
    pub(super) fresh: bool,
    /// Block devices have come or changed.
    pub(super) block: bool,
    /// Events were lost: what is there has to be scanned again.
    pub(super) lost: bool,
}

impl<'a> Coldplug<'a> {
    pub(super) fn new(
        root: &'a Root,
        loader: &'a Loader,
        root_hint: &'a RootHint,
        in_rounds: bool,
    ) -> Self {
        let counts = UeventCounts::default();
        Self {
            root,
            loader,
            root_hint,
            seen: HashSet::new(),
            in_rounds,
            arrived: BTreeMap::new(),
            quiet_at: BootTime::default(),
            usb: Usb::default(),
            processors: sys::processors(),
            ticked: BootTime::now(),
            busy: 0,
            started: 0,
            counts,
            last_event: None,
        }
    }

    /// Asks for the modules of every device there is: first of those that the root may be behind. Gives the number
    /// of modaliases not seen before.
    ///
    /// # Errors
    /// /sys/devices cannot be read.
    pub(super) fn scan(&mut self) -> Result<usize> {
        let mut devices = devices::modaliases(self.root)?;
        self.counts.scans += 1;
        devices.sort_by_key(|d| self.root_hint.scan_priority(&d.modalias));
        Ok(devices.iter().filter(|d| self.device(&d.path, &d.modalias)).count())
    }

    /// Asks for the modules of one device; gives whether its modalias is new.
    fn device(&mut self, path: &str, modalias: &Modalias) -> bool {
        if self.seen.contains(modalias) {
            return false;
        }
        self.seen.insert(modalias.clone());
        let rank = self.root_hint.rank(modalias);
        self.loader.want_device(
            path,
            modalias,
            &devices::modules_of_ancestors(self.root, path),
            rank,
        );
        true
    }

    /// Distinct modaliases seen.
    pub(super) fn modaliases(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Takes every event that waits on the socket.
    ///
    /// # Errors
    /// The socket is broken.
    pub(super) fn drain(&mut self, socket: &Socket) -> Result<Drained> {
        let mut buffer = [0; 8192];
        let mut drained = Drained::default();
        loop {
            match socket.receive(&mut buffer)? {
                Received::Message(message) => {
                    self.counts.received += 1;
                    if let Some(event) = Uevent::parse(message) {
                        drained.block |= event.get("SUBSYSTEM") == Some(b"block");
                        drained.lost |= self.is_gap(&event);
                        drained.fresh |= self.event(&event);
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

    /// After events were lost: asks for every device there is, and looks which modules have come live meanwhile.
    ///
    /// # Errors
    /// /sys/devices cannot be read.
    pub(super) fn rescan(&mut self) -> Result<usize> {
        self.counts.rescans += 1;
        self.loader.look_for_live();
        self.scan()
    }

    /// Whether events are missing before this one. Newer kernels may send them a little out of order; then there
    /// is a scan too many.
    fn is_gap(&mut self, event: &Uevent<'_>) -> bool {
        let Some(number) = event.seqnum() else { return false };
        let expected = self.last_event.map_or(number, |last| last + 1);
        self.last_event = self.last_event.max(Some(number));
        let gap = number > expected;
        self.counts.gaps += u64::from(gap);
        gap
    }

    /// Takes one event; gives whether it brought a modalias that was not known before.
    fn event(&mut self, event: &Uevent<'_>) -> bool {
        if let (b"add", Some(module)) = (event.action, event.devpath.strip_prefix(b"/module/")) {
            self.loader.note_live(&ModuleName::new(&String::from_utf8_lossy(module)));
        }
        let Some(device) =
            event.devpath.strip_prefix(b"/devices/").filter(|_| event.action == b"add")
        else {
            return false;
        };
        self.counts.added += 1;
        self.note_bus(event);
        let path = String::from_utf8_lossy(device);
        // A modalias that does not fit into the event is left out of it; the file still has it.
        let modalias = match event.get("MODALIAS") {
            Some(text) => Modalias::new(text),
            None => devices::modalias_of(self.root, &path),
        };
        let Some(modalias) = modalias else { return false };
        if !self.in_rounds || !comes_in_its_own_time(&path) {
            return self.device(&path, &modalias);
        }
        if !self.seen.contains(&modalias) {
            self.arrived.insert(path.into_owned(), modalias);
        }
        false
    }

    /// Asks for the modules of what has come up since the last round. Gives the number of modaliases not seen before.
    pub(super) fn next_round(&mut self) -> usize {
        let arrived = std::mem::take(&mut self.arrived);
        arrived.iter().filter(|(path, modalias)| self.device(path, modalias)).count()
    }

    /// A bus looks for its devices with what the loads leave of the processors: while they take more than there are, time
    /// counts towards its quiet by the share that one more task gets.
    pub(super) fn tick(&mut self) {
        let now = BootTime::now();
        let last = std::mem::replace(&mut self.ticked, now);
        let (busy, started) = (self.loader.busy(), self.loader.started());
        // A load may have come and gone since.
        let gone = usize::from(std::mem::replace(&mut self.started, started) != started);
        let busy = busy.max(gone);
        let tasks = std::mem::replace(&mut self.busy, busy).max(busy) + 1;
        let lost = lost(now - last, tasks, self.processors);
        let ends = [&mut self.quiet_at, &mut self.usb.told, &mut self.usb.latest];
        for end in ends.into_iter().filter(|end| **end > last) {
            *end = *end + lost;
        }
    }

    /// Whether no bus may still be looking for devices.
    pub(super) fn is_quiet(&self) -> bool {
        let now = BootTime::now();
        let told = || now >= self.usb.told && usb::hubs_idle(self.root) == Some(true);
        now >= self.quiet_at && (now >= self.usb.latest || told())
    }

    /// When it may be quiet next; `None` where time brings nothing new.
    pub(super) fn quiet_next(&self) -> Option<BootTime> {
        let now = BootTime::now();
        let open = now < self.usb.latest;
        let usb = if open { self.usb.latest.min(self.usb.told.max(now + ASK)) } else { now };
        Some(self.quiet_at.max(usb)).filter(|at| *at > now)
    }

    fn note_bus(&mut self, event: &Uevent<'_>) {
        let Some(subsystem) = event.get("SUBSYSTEM") else { return };
        let now = BootTime::now();
        if subsystem == b"usb" {
            self.usb = Usb { told: now + USB_TOLD, latest: self.usb.latest.max(now + USB) };
        }
        if let Some((_, quiet)) = QUIET.iter().find(|(name, _)| name.as_bytes() == subsystem) {
            self.quiet_at = self.quiet_at.max(now + *quiet);
        }
    }
}

/// What one of `tasks` on so many `processors` does without, of this time.
fn lost(time: Duration, tasks: usize, processors: usize) -> Duration {
    let [tasks, processors] = [tasks, processors].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    time / tasks.max(1) * tasks.saturating_sub(processors)
}

/// Whether a device is behind a USB, SCSI or MMC host, on a serial port or an HD audio bus, and may come up long after the load
/// that brought the host.
fn comes_in_its_own_time(path: &str) -> bool {
    path.split('/').any(|part| {
        ["usb", "host", "mmc", "serio", "hdaudioC"].iter().any(|host| {
            part.strip_prefix(host).is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{comes_in_its_own_time, lost};

    #[test]
    fn time_counts_by_the_share_of_a_processor() {
        for (tasks, processors, want) in
            [(1, 1, 0), (2, 2, 0), (2, 1, 600), (4, 1, 900), (4, 3, 300)]
        {
            assert_eq!(
                lost(Duration::from_nanos(1200), tasks, processors),
                Duration::from_nanos(want),
                "{tasks} on {processors}"
            );
        }
    }

    #[test]
    fn slow_buses_are_known_by_their_hosts() {
        for (path, slow) in [
            ("pci0000:00/0000:00:03.0/usb1/1-1/1-1:1.0", true),
            ("pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0", true),
            ("pci0000:00/0000:00:04.0/mmc_host/mmc0/mmc0:4567", true),
            ("pci0000:00/0000:00:1b.0/sound/card0/hdaudioC0D0", true),
            ("platform/i8042/serio0", true),
            ("pci0000:00/0000:00:05.0/virtio1", false),
            ("platform/hostess/usbmisc", false),
        ] {
            assert_eq!(comes_in_its_own_time(path), slow, "{path}");
        }
    }
}
