//! Devices that are made of others: when arrays are started, LUKS devices unlocked and logical
//! volumes activated, on the way to the devices that the boot waits for.
//!
//! PID 1 decides; children (`coldplug assemble`, [`crate::stacks`]) read the metadata and make the
//! devices, which then appear like any other. So one may be made of another in any order, and no
//! step of the pipeline knows of them.

mod arrays;
mod external;
mod hints;
mod job;
mod luks_target;
mod survey;
mod unlock;
mod volumes;

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use super::devices::Content;
use super::{Awaited, StepContext};
use crate::boot::reporter::Reporter;
use crate::byte_text;
use crate::cmdline::KernelCommandLine;
use crate::cmdline::assembly::AssemblyParams;
use crate::cmdline::crypttab;
use crate::cmdline::luks::LuksDevice;
use crate::cmdline::root_name::RootName;
use crate::cmdline::storage::OverlayParams;
use crate::disk::seen::SeenDevice;
use crate::escape;
use crate::load::Loader;
use crate::stacks::Node;
use crate::sys::block::{self, BlockDevice};
use crate::sys::regular_file::{self, CONFIG_LIMIT};
use crate::sys::{BootTime, Root, devices};
use arrays::Arrays;
use external::External;
use job::Job;
use survey::Survey;
use unlock::Unlocker;
use volumes::Volumes;

/// Time after which a volume group is used without missing physical volumes, if that is allowed.
const MISSING_TIMEOUT: Duration = Duration::from_secs(30);

/// blkid's types of devices that others are made of.
const KINDS: [&str; 3] = [arrays::KIND, luks_target::KIND, volumes::KIND];

/// blkid's types of disks that the firmware combines.
const FIRMWARE_KINDS: [&str; 2] = ["isw_raid_member", "ddf_raid_member"];

/// Returns whether a device of this type is there.
fn holds(cx: &StepContext<'_>, kind: &str) -> bool {
    cx.devices.of_kind(kind).next().is_some()
}

/// Returns the node of a device.
fn node(dir: &Root, device: &BlockDevice) -> Node {
    Node { path: device.node(dir), number: device.number, size: device.size }
}

/// Logs what was made, and notes it for the record if the root turns out to be on it. Each text
/// begins with a path below /dev.
fn note_made(cx: &mut StepContext<'_>, what: &str, texts: &[String]) {
    for text in texts {
        let line = format!("{what} {text}");
        cx.reporter.log().info(&line);
        let path = text.split(' ').next().unwrap_or_default();
        let node = cx.dir.join(Path::new("/dev").join(&*byte_text::to_path(path)));
        let number = block::number_at(&node).unwrap_or_default();
        cx.state.layers.push((line, number));
    }
}

/// Records which of the assembled devices are below those with these numbers, which the boot uses.
pub(super) fn record_layers(numbers: &[(u32, u32)], cx: &mut StepContext<'_>) {
    let below = numbers.iter().flat_map(|number| devices::stack_below(cx.dir, *number));
    let below: Vec<String> = below.collect();
    for (line, number) in cx.state.layers.iter().rev() {
        let path = devices::block_device_path(cx.dir, *number);
        // A partition is below its disk in sysfs.
        let is_used =
            path.is_some_and(|path| below.iter().any(|b| Path::new(b).starts_with(&path)));
        if is_used {
            cx.reporter.add_lowest_layer(line);
        }
    }
}

/// Everything that is assembled, or may be.
#[derive(Debug)]
pub(super) struct Assembly {
    /// The devices that the command line names on the way to the root.
    named: Vec<RootName>,
    /// Whether all disks must be read to find these devices.
    needs_all: bool,
    params: AssemblyParams,
    arrays: Arrays,
    locked: Unlocker,
    volumes: Volumes,
    external: External,
    /// At the last look: the changes of devices, the device that a step waited for, and whether it
    /// was another one of several.
    looked: Option<(u32, Option<RootName>, bool)>,
    /// Whether there may be something to assemble.
    is_needed: bool,
    /// The devices that the boot waits for, as far as they are known.
    missing: Vec<RootName>,
}

impl Assembly {
    /// Returns the state at the start of an attempt to boot.
    pub(super) fn new(dir: &Root, line: &KernelCommandLine, reporter: &mut Reporter) -> Self {
        let (named, params) = (named_devices(line), line.stacks.assembly.clone());
        let crypttab = read_crypttab(dir, reporter);
        let (devices, problems) = line.stacks.luks.devices(crypttab);
        problems.into_iter().for_each(|problem| reporter.warn(problem));
        let unnamed = devices.is_empty() && !line.stacks.luks.off;
        let locked = Unlocker::new(devices, unnamed);
        let external = External::new(dir, reporter);
        let by_name = params.names_any() || locked.has_named() || external.kinds().next().is_some();
        Self {
            needs_all: by_name || named.iter().any(may_be_assembled),
            named,
            params,
            arrays: Arrays::new(),
            locked,
            volumes: Volumes::new(),
            looked: None,
            is_needed: false,
            missing: Vec::new(),
            external,
        }
    }

    /// Goes as far as possible. A step of the pipeline waits for `awaited`. Returns whether devices,
    /// or links to them, may have appeared.
    pub(super) fn advance(&mut self, cx: &mut StepContext<'_>, awaited: Option<&Awaited>) -> bool {
        if self.needs_all {
            cx.devices.probe_all();
        }
        self.look(cx, awaited);
        // Most machines hold nothing of the kind.
        if !self.is_needed {
            return false;
        }
        let news = self.arrays.advance(cx)
            | self.locked.advance(cx, !self.missing.is_empty())
            | self.volumes.advance(cx, &self.missing)
            | self.external.advance(cx, !self.missing.is_empty());
        if news {
            cx.devices.note_new();
        }
        news
    }

    /// Looks up what the boot waits for, if the result may be another one than that of the last look.
    fn look(&mut self, cx: &mut StepContext<'_>, awaited: Option<&Awaited>) {
        let name = awaited.and_then(Awaited::name);
        // Other devices of the filesystem may be on anything that its first one may be on.
        let is_short = awaited.is_some_and(Awaited::is_timed);
        let look = Some((cx.devices.changes(), name.cloned(), is_short));
        if self.looked == look {
            return;
        }
        self.looked = look;
        self.is_needed = self.jobs().next().is_some()
            || self.locked.has_named()
            || KINDS.into_iter().chain(self.external.kinds()).any(|kind| holds(cx, kind));
        if self.is_needed {
            let names = self.named.iter().chain(name);
            let is_missing =
                |name: &&RootName| is_short || cx.devices.find(name, Content::Any).is_none();
            self.missing = names.filter(is_missing).cloned().collect();
        }
    }

    /// Returns what may explain that `wanted` was not found.
    pub(super) fn hints(&self, wanted: Option<&RootName>, seen: &[SeenDevice]) -> Vec<String> {
        let groups = self.volumes.groups();
        let mut lines = hints::hints(wanted, groups, self.arrays.arrays());
        let mut conflicts: Vec<String> = groups
            .iter()
            .filter_map(|group| volumes::conflict(group, groups, &self.params))
            .collect();
        conflicts.dedup();
        lines.extend(conflicts);
        lines.extend(FIRMWARE_KINDS.iter().filter_map(|kind| {
            let members = seen.iter().filter(|device| device.kinds == [*kind]);
            hints::firmware_line(kind, members.map(|d| format!("/dev/{}", d.name)).collect())
        }));
        lines.extend(self.locked.locked());
        lines.extend(self.surveys().into_iter().flat_map(Survey::messages).cloned());
        lines.extend(self.external.errors().iter().cloned());
        lines.iter_mut().for_each(|line| *line = escape::line(line).into_owned());
        lines
    }

    fn jobs(&self) -> impl Iterator<Item = &Job> {
        let surveys = self.surveys().into_iter().filter_map(Survey::job);
        surveys.chain(self.external.job()).chain(self.locked.jobs())
    }

    fn surveys(&self) -> [&Survey; 2] {
        [self.arrays.survey(), self.volumes.survey()]
    }

    /// Returns whether a person is asked, a key is derived, or a program of the image runs.
    pub(super) fn is_asking(&self) -> bool {
        self.locked.is_asking() || self.external.job().is_some()
    }

    /// Returns whether a device stays locked, so that nothing else can be expected.
    pub(super) fn has_given_up(&self) -> bool {
        self.locked.has_given_up() && !self.is_pending()
    }

    /// Returns whether a child is at work, or will be at the next call of [`Self::advance`].
    pub(super) fn is_advancing(&self, loader: &Loader) -> bool {
        let mut jobs = self.external.job().into_iter().chain(self.locked.jobs());
        jobs.any(|job| job.is_advancing(loader))
            || self.surveys().into_iter().any(|survey| survey.is_advancing(loader))
    }

    /// Returns whether a child makes devices, which does not take long.
    pub(super) fn is_making(&self) -> bool {
        self.locked.is_making() || self.surveys().into_iter().any(Survey::is_making)
    }

    /// Returns whether a child is at work, or something is made without what is missing after a time.
    pub(super) fn is_pending(&self) -> bool {
        self.is_busy() || self.degraded_starts().any(|at| at >= BootTime::now())
    }

    /// Returns the times at which arrays and groups are used without what is missing.
    fn degraded_starts(&self) -> impl Iterator<Item = BootTime> {
        let (arrays, volumes) =
            (self.arrays.wakeup(&self.params), self.volumes.wakeup(&self.params));
        arrays.into_iter().chain(volumes)
    }

    /// Returns whether a child is at work.
    pub(super) fn is_busy(&self) -> bool {
        self.jobs().any(Job::is_busy)
    }

    /// Returns the descriptors that become readable when [`Self::advance`] is due.
    pub(super) fn wake_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.jobs().filter_map(Job::wake_fd).chain(self.locked.wake_fds())
    }

    /// Returns the time at which [`Self::advance`] is due without an answer.
    pub(super) fn wakeup(&self) -> Option<BootTime> {
        let now = BootTime::now();
        let times = self.jobs().filter_map(Job::wakeup).chain(self.degraded_starts());
        let times = times.chain(self.locked.deadlines());
        times.filter(|at| *at > now).min()
    }
}

impl Drop for Assembly {
    /// Lets children end what they are doing: one that is killed may leave half of a device.
    fn drop(&mut self) {
        let surveys = [self.arrays.survey_mut(), self.volumes.survey_mut()];
        let jobs = surveys.into_iter().filter_map(Survey::take_job);
        let jobs = jobs.chain(self.external.take_job()).chain(self.locked.take_making());
        jobs.for_each(Job::release);
    }
}

/// Path of crypttab(5) in the image.
const CRYPTTAB: &str = "etc/crypttab";

/// Returns the LUKS devices of crypttab(5) in the image.
fn read_crypttab(dir: &Root, reporter: &mut Reporter) -> Vec<LuksDevice> {
    let bytes = regular_file::read_if_opened(&dir.join(CRYPTTAB), CONFIG_LIMIT);
    let bytes = bytes.unwrap_or_else(|error| {
        reporter.warn(error.to_string());
        None
    });
    let (devices, warnings) = crypttab::parse(CRYPTTAB, &bytes.unwrap_or_default());
    warnings.iter().for_each(|warning| reporter.warn(warning.to_string()));
    devices
}

/// Returns the devices that the command line names on the way to the root.
fn named_devices(line: &KernelCommandLine) -> Vec<RootName> {
    let root = &line.root;
    let mut names: Vec<RootName> = root.candidates().into_iter().map(|root| root.name).collect();
    names.extend(root.usr.name.clone());
    names.extend(root.resume.clone());
    if let Ok(storage) = &line.storage {
        if let Some(verity) = &storage.verity {
            let devices = [&verity.data, &verity.hash, &verity.fec_device];
            names.extend(devices.into_iter().flatten().cloned());
        }
        if let Some(OverlayParams::Device(name)) = &storage.overlay {
            names.push(name.clone());
        }
    }
    names
}

/// Returns whether a node of this name is made by the device mapper or md, so that all disks have
/// to be read for it.
fn may_be_assembled(name: &RootName) -> bool {
    let RootName::Device(path) = name else { return false };
    let name = path.trim_start_matches("/dev/");
    name.contains('/') || name.starts_with("md") || name.starts_with("dm-")
}
