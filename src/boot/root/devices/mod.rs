//! The block devices of the machine: what each holds, as far as it is known.
//!
//! PID 1 reads no disk: [`Probers`] do. A lookup answers from what they have said so far and returns
//! nothing as long as a device that may decide it has not been read. It is repeated when an answer
//! arrives.
//!
//! | age of a device in the list | a lookup |
//! | --- | --- |
//! | up to [`PATIENCE`] | waits for the device, unless the name is that of another one |
//! | up to `coldplug.probe_timeout=` | goes on without it; the boot does not give up yet |
//! | later | the device is skipped by name; an answer is used all the same |
//!
//! A device whose probers die is skipped too, and read again after a pause: the kernel may have
//! killed them for memory.

mod lookup;

pub(super) use lookup::{Candidate, Content};

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::probers::{Outcome, Probers};
use crate::boot::reporter::Reporter;
use crate::boot::seconds;
use crate::disk::seen::SeenDevice;
use crate::disk::{self, Member};
use crate::sys::block::{self, BlockDevice};
use crate::sys::probe_message::{Entry, Probe};
use crate::sys::{BootTime, DeviceError, Root};

/// Time for which lookups wait for each device that has not been read.
const PATIENCE: Duration = Duration::from_secs(1);
/// Interval at which a device without recognizable content is read again: it may not have been
/// ready.
const REREAD_INTERVAL: Duration = Duration::from_secs(1);

/// Pause before a device is read again whose probers have died. Each further death doubles it.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How often the pause is doubled: the longest one is 32 s.
const MAX_DOUBLINGS: u32 = 5;

/// What a device holds.
#[derive(Debug, Clone)]
struct ProbedDevice {
    device: BlockDevice,
    seen: SeenDevice,
    entry: Option<Entry>,
    member: Option<Member>,
    error: Option<DeviceError>,
    /// Whether the links in /dev/disk were asked for.
    has_links: bool,
}

/// A device that has been listed.
#[derive(Debug)]
struct Listed {
    device: BlockDevice,
    /// What it holds, once a prober has said so.
    probed: Option<ProbedDevice>,
    /// Time of the request that has not been answered.
    asked: Option<BootTime>,
    /// Time of the last answer.
    answered: BootTime,
    /// Whether the device has changed since the request.
    is_outdated: bool,
    /// Why the device is skipped.
    skipped: Option<String>,
    /// How often probers have died of it since the last answer.
    deaths: u32,
    /// Time at which it is read again, after such a death.
    retry_at: Option<BootTime>,
}

/// The block devices, and what each holds until something changes.
#[derive(Debug)]
pub(crate) struct Devices {
    dir: Root,
    probers: Probers,
    /// Time after which a device that has not been read is skipped.
    timeout: Duration,
    /// The devices with a medium, sorted by their names in the kernel.
    listed: Vec<Listed>,
    /// Whether devices may have appeared or changed since they were listed.
    is_stale: bool,
    /// Number of changes so far that may let a lookup find something else.
    changes: u32,
    /// Whether lookups may have waited for a device since [`Self::receive`] last had news.
    holds_lookups: bool,
    /// Number of the device that is used if a name stands for several.
    used: Option<(u32, u32)>,
}

impl Listed {
    fn new(device: BlockDevice) -> Self {
        Self {
            device,
            probed: None,
            asked: None,
            answered: BootTime::default(),
            is_outdated: false,
            skipped: None,
            deaths: 0,
            retry_at: None,
        }
    }

    /// Notes that the device may hold something else by now.
    fn outdate(&mut self) {
        self.probed = None;
        self.clear_faults();
        self.is_outdated = self.asked.is_some();
    }

    fn clear_faults(&mut self) {
        self.skipped = None;
        self.deaths = 0;
        self.retry_at = None;
    }

    /// Skips the device because its probers have died, and sets the time at which it is read again.
    fn give_up(&mut self, now: BootTime) {
        self.asked = None;
        self.skipped = Some("could not be read: its prober died".to_owned());
        self.retry_at = Some(now + RETRY_DELAY * (1 << self.deaths));
        self.deaths = MAX_DOUBLINGS.min(self.deaths + 1);
    }

    /// Returns what the device holds if that is known, with its links if these are wanted.
    fn known(&self, wants_links: bool) -> Option<&ProbedDevice> {
        self.probed.as_ref().filter(|probed| probed.has_links || !wants_links)
    }

    /// Returns whether the device should be read.
    fn is_due(&self, now: BootTime, wants_links: bool) -> bool {
        if self.asked.is_some() {
            return false;
        }
        if self.skipped.is_some() {
            return self.retry_at.is_some_and(|at| now >= at);
        }
        let Some(probed) = self.known(wants_links) else { return true };
        let has_table = probed.device.partition.is_none() && probed.seen.table.is_some();
        probed.seen.kinds.is_empty() && !has_table && now >= self.answered + REREAD_INTERVAL
    }

    /// Returns the time of the request if the device is not known and not skipped.
    fn awaited_since(&self, wants_links: bool) -> Option<BootTime> {
        self.asked.filter(|_| self.known(wants_links).is_none() && self.skipped.is_none())
    }
}

impl Devices {
    pub(crate) fn new(dir: &Root, timeout: Duration) -> Self {
        Self {
            dir: dir.clone(),
            probers: Probers::new(dir),
            timeout,
            listed: Vec::new(),
            is_stale: true,
            changes: 0,
            holds_lookups: false,
            used: None,
        }
    }

    /// Notes that devices may have appeared.
    pub(crate) fn note_new(&mut self) {
        self.is_stale = true;
        self.note_lookup_change();
    }

    /// Notes that the device `name`, spelt as in sysfs, may hold something else by now. The
    /// partitions of a disk change with it.
    pub(crate) fn note_change(&mut self, name: &str) {
        self.note_new();
        let is_of =
            |device: &BlockDevice| device.name == name || device.disk.as_deref() == Some(name);
        self.listed.iter_mut().filter(|l| is_of(&l.device)).for_each(Listed::outdate);
    }

    /// Notes that every device may have changed.
    pub(crate) fn forget_changed(&mut self) {
        self.note_new();
        self.listed.iter_mut().for_each(Listed::outdate);
    }

    /// Takes the answers of the probers, and skips devices whose time is over. Returns whether
    /// lookups may find more than before.
    pub(crate) fn receive(&mut self, reporter: &mut Reporter) -> bool {
        let outcomes = self.probers.receive();
        let mut news = !outcomes.is_empty();
        for outcome in outcomes {
            match outcome {
                Outcome::Probed(device, probe) => self.accept(&device, *probe),
                Outcome::Died(device) => self.give_up(&device, reporter),
            }
        }
        news |= self.skip_overdue(reporter);
        news |= self.releases_lookups();
        self.dispatch(reporter);
        if news {
            self.note_lookup_change();
        }
        news
    }

    fn note_lookup_change(&mut self) {
        self.changes = self.changes.wrapping_add(1);
    }

    /// Returns a number that is another one whenever lookups may find something else than before.
    #[cfg(feature = "stacks")]
    pub(super) fn changes(&self) -> u32 {
        self.changes
    }

    fn accept(&mut self, device: &BlockDevice, probe: Probe) {
        let Some(listed) = find(&mut self.listed, &device.name) else { return };
        listed.asked = None;
        let is_outdated = std::mem::take(&mut listed.is_outdated) || listed.device != *device;
        if is_outdated {
            self.is_stale = true;
        } else {
            listed.clear_faults();
            listed.answered = BootTime::now();
            listed.probed = Some(probed(&self.dir, device, probe));
        }
    }

    /// Skips a device that several probers have died of, for some time.
    fn give_up(&mut self, device: &BlockDevice, reporter: &mut Reporter) {
        let node = format!("/dev/{}", disk::name::from_sysfs(&device.name));
        reporter.warn_once(format!("{node} could not be read: its prober died; skipped"));
        if let Some(listed) = find(&mut self.listed, &device.name) {
            listed.give_up(BootTime::now());
        }
    }

    /// Returns whether lookups have waited for a device and go on without it from now on.
    fn releases_lookups(&mut self) -> bool {
        let is_over = self.holds_lookups && !self.is_undecided();
        self.holds_lookups &= !is_over;
        is_over
    }

    /// Skips the devices that have not answered for too long. Returns whether there are any.
    fn skip_overdue(&mut self, reporter: &mut Reporter) -> bool {
        let now = BootTime::now();
        let text = format!("did not answer within {}", seconds(self.timeout));
        let mut any = false;
        for listed in self.listed.iter_mut() {
            let since = listed.awaited_since(self.probers.wants_links);
            if since.is_some_and(|since| now >= since + self.timeout) {
                let disk = listed.device.disk.as_ref().unwrap_or(&listed.device.name);
                let node = disk::name::from_sysfs(disk);
                reporter.warn_once(format!("/dev/{node} {text}; skipped"));
                listed.skipped = Some(text.clone());
                any = true;
            }
        }
        any
    }

    fn dispatch(&mut self, reporter: &mut Reporter) {
        if let Err(error) = self.probers.dispatch() {
            reporter.warn_once(format!("disks cannot be read yet: {error}"));
        }
    }

    /// Lists the devices and has all read that are due.
    pub(crate) fn probe_all(&mut self) {
        self.list();
        self.ask(|_| true);
    }

    /// Has the links in /dev/disk read of all devices, from now on. Returns whether a lookup would
    /// wait for some.
    pub(super) fn request_links(&mut self) -> bool {
        self.probers.wants_links = true;
        self.probe_all();
        self.is_undecided()
    }

    /// Has those of the listed devices read that are due and that `wanted` accepts.
    fn ask(&mut self, wanted: impl Fn(&BlockDevice) -> bool) {
        let now = BootTime::now();
        let links = self.probers.wants_links;
        let due = self.listed.iter_mut().filter(|l| wanted(&l.device) && l.is_due(now, links));
        for listed in due {
            listed.asked = Some(now);
            self.holds_lookups = true;
            self.probers.probe(&listed.device);
        }
        // `receive` reports a failure, as it repeats the attempt.
        let _ = self.probers.dispatch();
    }

    /// Lists the devices if they may have changed.
    fn list(&mut self) {
        if !std::mem::take(&mut self.is_stale) {
            return;
        }
        let mut before = std::mem::take(&mut self.listed);
        let devices = block::list(&self.dir).unwrap_or_default();
        for device in devices.into_iter().filter(|device| device.size > 0) {
            let known = before.iter().position(|l| l.device.name == device.name);
            let known = known.map(|at| before.swap_remove(at));
            let mut listed = known.unwrap_or_else(|| Listed::new(device.clone()));
            if listed.device != device {
                listed.device = device;
                listed.outdate();
            }
            self.listed.push(listed);
        }
    }

    /// Lists the devices, and returns whether all that have been there for [`PATIENCE`] have been
    /// read or are skipped. Until then [`Self::warn_later_duplicates`] may miss one.
    ///
    /// [`Self::warn_later_duplicates`]: super::RootPipeline::warn_later_duplicates
    pub(super) fn is_complete(&mut self) -> bool {
        self.probe_all();
        !self.is_undecided()
    }

    /// Returns whether a lookup would wait for a device.
    pub(super) fn is_undecided(&self) -> bool {
        self.undecided_until().is_some()
    }

    /// Returns the time until which a lookup would wait for devices; `None` if it would not.
    pub(super) fn undecided_until(&self) -> Option<BootTime> {
        let (now, patience) = (BootTime::now(), PATIENCE.min(self.timeout));
        self.awaited().map(|since| since + patience).filter(|until| *until > now).max()
    }

    /// Returns whether a device is being read whose time is not over.
    pub(super) fn is_reading(&self) -> bool {
        self.awaited().next().is_some()
    }

    /// Returns whether a device that is skipped is going to be read again.
    pub(super) fn has_retries(&self) -> bool {
        self.listed.iter().any(|listed| listed.retry_at.is_some())
    }

    /// Returns whether a prober is in a read, which may not be interruptible.
    pub(super) fn has_running_read(&self) -> bool {
        self.probers.is_reading()
    }

    /// Returns the times of the requests that lookups wait for.
    fn awaited(&self) -> impl Iterator<Item = BootTime> {
        let links = self.probers.wants_links;
        self.listed.iter().filter_map(move |listed| listed.awaited_since(links))
    }

    /// Returns the descriptors that become readable when [`Self::receive`] is due.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.probers.fds()
    }

    /// Returns the time at which [`Self::receive`] or a lookup is due without an answer.
    pub(super) fn wakeup(&self) -> Option<BootTime> {
        let now = BootTime::now();
        let ends = self.awaited().flat_map(|since| [since + PATIENCE, since + self.timeout]);
        let retries = self.listed.iter().filter_map(|listed| listed.retry_at);
        ends.chain(retries).chain(self.probers.next_start()).filter(|at| *at > now).min()
    }

    /// Returns the names of block devices with a medium, of the first ones if there are many, or
    /// `none`.
    pub(crate) fn names(&self) -> String {
        const MAX_NAMES: usize = 8;
        let names = self.listed.iter().take(MAX_NAMES).map(|listed| listed.device.name.as_str());
        match self.listed.is_empty() {
            true => "none".to_owned(),
            false => names.collect::<Vec<_>>().join(", "),
        }
    }

    /// Returns the size in bytes of the device with this name below /dev.
    pub(crate) fn size_of(&self, name: &str) -> Option<u64> {
        let found = self.listed.iter().find(|listed| listed.device.name == name);
        found.map(|listed| listed.device.size)
    }

    /// Returns every block device with a medium, and its content as far as it is known, for the
    /// record.
    pub(crate) fn seen(&mut self) -> Vec<SeenDevice> {
        self.list();
        let seen = |listed: &Listed| {
            let seen = match &listed.probed {
                Some(known) => known.seen.clone(),
                None => {
                    let error = listed.skipped.as_deref().unwrap_or("not read yet").to_owned();
                    SeenDevice { error: Some(error), ..described(&self.dir, &listed.device) }
                }
            };
            // The links of a mapped device may be made after it was read.
            #[cfg(feature = "stacks")]
            let seen = SeenDevice { usual_name: listed.device.usual_name(&self.dir), ..seen };
            seen
        };
        self.listed.iter().map(seen).collect()
    }

    /// Returns the devices that have been read, sorted by name.
    fn probed(&self) -> impl Iterator<Item = &ProbedDevice> {
        self.listed.iter().filter_map(|listed| listed.probed.as_ref())
    }
}

/// Returns the device with what a prober has read of it.
fn probed(dir: &Root, device: &BlockDevice, probe: Probe) -> ProbedDevice {
    let Probe { table, entry, kinds, is_filesystem, uuid, label, member, links, error } = probe;
    let has_links = links.is_some();
    let names = described(dir, device);
    let of_entry = |field: fn(&Entry) -> &Option<String>| field(entry.as_ref()?).clone();
    let seen = SeenDevice {
        table,
        kinds,
        is_filesystem,
        uuid,
        label,
        links: links.unwrap_or_default(),
        part_uuid: names.part_uuid.clone().or_else(|| of_entry(|entry| &entry.uuid)),
        part_label: names.part_label.clone().or_else(|| of_entry(|entry| &entry.label)),
        error: error.as_ref().map(DeviceError::cause),
        ..names
    };
    ProbedDevice { device: device.clone(), seen, entry, member, error, has_links }
}

/// Returns what sysfs tells of a device.
fn described(dir: &Root, device: &BlockDevice) -> SeenDevice {
    let (part_uuid, part_label) = block::partition_names(dir, &device.name);
    SeenDevice {
        name: disk::name::from_sysfs(&device.name).into_owned(),
        size: device.size,
        disk: device.disk.clone(),
        partition: device.partition,
        part_uuid,
        part_label,
        ..SeenDevice::default()
    }
}

/// Returns the device `name` in `listed`.
fn find<'l>(listed: &'l mut [Listed], name: &str) -> Option<&'l mut Listed> {
    listed.iter_mut().find(|listed| listed.device.name == name)
}
