//! Buses that probe for devices on their own time: how long after a uevent more devices may appear.
//!
//! While nothing is being loaded, such a bus shows no other sign of work.

use std::time::Duration;

use crate::kmod::uevent::Uevent;
use crate::load::Loader;
use crate::sys::{self, BootTime, Root, usb};

/// How long after a uevent of a subsystem more may follow.
const QUIET: [(&str, Duration); 2] =
    [("mmc_host", Duration::from_millis(300)), ("mmc", Duration::from_millis(100))];
/// The same for USB, if the kernel does not report that all hubs have gone through their ports: a
/// hub debounces a port for 100 ms, resets it, and continues with the next.
const USB_QUIET: Duration = Duration::from_millis(400);
/// The same if the kernel does report it: a device has 100 ms from power to enumeration, which its
/// hub has waited for.
const USB_HUBS_IDLE: Duration = Duration::from_millis(100);
/// Interval between polls of the hubs.
const HUB_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The times until which buses may still find devices.
#[derive(Debug)]
pub(super) struct BusSettle {
    /// Time at which all buses but USB are quiet.
    quiet_at: BootTime,
    usb: Usb,
    processors: usize,
    /// State at the last call of [`Self::tick`].
    last: Tick,
}

/// Times at which USB is quiet.
#[derive(Debug, Default)]
struct Usb {
    /// If its hubs are idle by then.
    hubs_idle: BootTime,
    /// In any case.
    latest: BootTime,
}

/// The load on the processors at one moment.
#[derive(Debug)]
struct Tick {
    time: BootTime,
    /// Number of loads that are working.
    busy: usize,
    /// Number of loads started so far.
    started: u64,
}

impl BusSettle {
    pub(super) fn new() -> Self {
        Self {
            quiet_at: BootTime::default(),
            usb: Usb::default(),
            processors: sys::processors(),
            last: Tick { time: BootTime::now(), busy: 0, started: 0 },
        }
    }

    /// Notes the uevent of a device.
    pub(super) fn note(&mut self, event: &Uevent<'_>) {
        let Some(subsystem) = event.get("SUBSYSTEM") else { return };
        let now = BootTime::now();
        if subsystem == b"usb" {
            self.usb = Usb {
                hubs_idle: now + USB_HUBS_IDLE,
                latest: self.usb.latest.max(now + USB_QUIET),
            };
        }
        if let Some((_, quiet)) = QUIET.iter().find(|(name, _)| name.as_bytes() == subsystem) {
            self.quiet_at = self.quiet_at.max(now + *quiet);
        }
    }

    /// Extends the times by what a bus has lost to loads since the last call. A bus probes with
    /// the processor time that loads leave: if there are more tasks than processors, time counts
    /// only by the share that one more task gets.
    pub(super) fn tick(&mut self, loader: &Loader) {
        let (time, started) = (BootTime::now(), loader.started());
        // A load may have started and ended since the last call.
        let missed = usize::from(started != self.last.started);
        let busy = loader.busy().max(missed);
        let last = std::mem::replace(&mut self.last, Tick { time, busy, started });
        let tasks = last.busy.max(busy) + 1;
        let lost = lost(time - last.time, tasks, self.processors);
        let ends = [&mut self.quiet_at, &mut self.usb.hubs_idle, &mut self.usb.latest];
        for end in ends.into_iter().filter(|end| **end > last.time) {
            *end = *end + lost;
        }
    }

    /// Returns whether no bus may still find devices.
    pub(super) fn is_quiet(&self, dir: &Root) -> bool {
        let now = BootTime::now();
        let hubs_idle = || now >= self.usb.hubs_idle && usb::hubs_idle(dir) == Some(true);
        now >= self.quiet_at && (now >= self.usb.latest || hubs_idle())
    }

    /// Returns the time of the next check, or `None` if time alone changes nothing.
    pub(super) fn next_check(&self) -> Option<BootTime> {
        let now = BootTime::now();
        let usb_quiet = match now < self.usb.latest {
            true => self.usb.latest.min(self.usb.hubs_idle.max(now + HUB_POLL_INTERVAL)),
            false => BootTime::default(),
        };
        Some(self.quiet_at.max(usb_quiet)).filter(|at| *at > now)
    }
}

/// Returns how much of `time` one of `tasks` tasks does not run, on this number of processors.
fn lost(time: Duration, tasks: usize, processors: usize) -> Duration {
    if tasks <= processors {
        return Duration::ZERO;
    }
    let [tasks, processors] = [tasks, processors].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    time / tasks * (tasks - processors)
}

/// Returns whether a device may appear long after the load of its host's driver: it is behind a
/// USB, SCSI or MMC host, on a serial port or on an HD audio bus.
pub(super) fn is_behind_slow_bus(path: &str) -> bool {
    path.split('/').any(|part| {
        ["usb", "host", "mmc", "serio", "hdaudioC"].iter().any(|host| {
            part.strip_prefix(host).is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_by_the_share_of_a_processor() {
        for (tasks, processors, want) in
            [(1, 1, 0), (2, 2, 0), (2, 1, 600), (4, 1, 900), (4, 3, 300)]
        {
            let lost = lost(Duration::from_nanos(1200), tasks, processors);
            assert_eq!(lost, Duration::from_nanos(want), "{tasks} on {processors}");
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
            assert_eq!(is_behind_slow_bus(path), slow, "{path}");
        }
    }
}
