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
mod unlock;
mod volumes;

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::devices::Content;
use super::{Awaited, StepContext};
use crate::boot::reporter::Reporter;
use crate::cmdline::KernelCommandLine;
use crate::cmdline::assembly::AssemblyParams;
use crate::cmdline::crypttab;
use crate::cmdline::luks::LuksDevice;
use crate::cmdline::root_name::RootName;
use crate::cmdline::storage::OverlayParams;
use crate::escape;
use crate::stacks::Node;
use crate::sys::block::BlockDevice;
use crate::sys::regular_file::{self, CONFIG_LIMIT};
use crate::sys::{BootTime, Root};
use arrays::Arrays;
use external::External;
use job::Job;
use unlock::Unlocker;
use volumes::Volumes;

/// Time after which a volume group is used without missing physical volumes, if that is allowed.
const MISSING_TIMEOUT: Duration = Duration::from_secs(30);

/// blkid's types of devices that others are made of.
const KINDS: [&str; 3] = [arrays::KIND, unlock::KIND, volumes::KIND];

/// Returns whether a device of this type is there.
fn holds(cx: &StepContext<'_>, kind: &str) -> bool {
    cx.devices.of_kind(kind).next().is_some()
}

/// Returns the devices of a type.
fn nodes(cx: &StepContext<'_>, kind: &str) -> Vec<Node> {
    let node = |device: &BlockDevice| Node {
        path: device.node(cx.dir),
        number: device.number,
        size: device.size,
    };
    cx.devices.of_kind(kind).map(node).collect()
}

/// Logs and records what was made.
fn note_made(cx: &mut StepContext<'_>, what: &str, texts: &[String]) {
    for text in texts {
        cx.reporter.log().info(&format!("{what} {text}"));
        cx.reporter.add_layer(format!("{what} {text}"));
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
}

impl Assembly {
    /// Returns the state at the start of an attempt to boot.
    pub(super) fn new(dir: &Root, line: &KernelCommandLine, reporter: &mut Reporter) -> Self {
        let (named, params) = (named_devices(line), line.stacks.assembly.clone());
        let crypttab = read_crypttab(dir, reporter);
        let (devices, problems) = line.stacks.luks.devices(crypttab);
        problems.into_iter().for_each(|problem| reporter.warn(problem));
        let locked = Unlocker::new(devices, !line.stacks.luks.off);
        let external = External::new(dir, reporter);
        let by_name = params.names_any() || locked.has_named() || external.kinds().next().is_some();
        Self {
            needs_all: by_name || named.iter().any(may_be_assembled),
            named,
            params,
            arrays: Arrays::default(),
            locked,
            volumes: Volumes::default(),
            external,
        }
    }

    /// Goes as far as possible. A step of the pipeline waits for `awaited`.
    pub(super) fn advance(&mut self, cx: &mut StepContext<'_>, awaited: Option<&Awaited>) {
        if self.needs_all {
            cx.devices.probe_all();
        }
        // Most machines hold nothing of the kind.
        if self.jobs().next().is_none()
            && !self.locked.has_named()
            && !KINDS.into_iter().chain(self.external.kinds()).any(|kind| holds(cx, kind))
        {
            return;
        }
        let names = self.named.iter().chain(awaited.and_then(Awaited::name));
        // Other devices of the filesystem may be on anything that its first one may be on.
        let is_short = awaited.is_some_and(Awaited::is_timed);
        let is_missing =
            |name: &&RootName| is_short || cx.devices.find(name, Content::Any).is_none();
        let missing: Vec<RootName> = names.filter(is_missing).cloned().collect();
        let news = self.arrays.advance(cx)
            | self.locked.advance(cx, !missing.is_empty())
            | self.volumes.advance(cx, &missing)
            | self.external.advance(cx, !missing.is_empty());
        if news {
            cx.devices.note_new();
        }
    }

    /// Returns what may explain that `wanted` was not found.
    pub(super) fn hints(&self, wanted: Option<&RootName>) -> Vec<String> {
        let mut lines = hints::hints(wanted, self.volumes.groups(), self.arrays.arrays());
        lines.extend(self.locked.locked());
        let errors = [self.arrays.errors(), self.volumes.errors(), self.external.errors()];
        lines.extend(errors.into_iter().flatten().cloned());
        lines.iter_mut().for_each(|line| *line = escape::line(line).into_owned());
        lines
    }

    fn jobs(&self) -> impl Iterator<Item = &Job> {
        let jobs = [self.arrays.job(), self.volumes.job(), self.external.job()];
        jobs.into_iter().flatten().chain(self.locked.jobs())
    }

    /// Returns whether a person is asked, a key is derived, or a program of the image runs.
    pub(super) fn is_asking(&self) -> bool {
        self.locked.is_asking() || self.external.job().is_some()
    }

    /// Returns whether a device stays locked, so that nothing else can be expected.
    pub(super) fn has_given_up(&self) -> bool {
        self.locked.has_given_up() && !self.is_busy()
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
        let params = &self.params;
        let (arrays, volumes) = (self.arrays.wakeup(params), self.volumes.wakeup(params));
        let now = BootTime::now();
        let times = self.jobs().filter_map(Job::wakeup).chain(arrays).chain(volumes);
        let times = times.chain(self.locked.wakeup());
        times.filter(|at| *at > now).min()
    }
}

impl Drop for Assembly {
    /// Lets children end what they are doing: one that is killed may leave half of a device.
    fn drop(&mut self) {
        let jobs = [self.arrays.take_job(), self.volumes.take_job(), self.external.take_job()];
        let jobs = jobs.into_iter().flatten().chain(self.locked.take_making());
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
