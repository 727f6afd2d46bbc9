//! From the names on the command line to a root that is mounted at /sysroot.
//!
//! A [`RootPipeline`] is a row of [`RootStep`]s: resume, find and mount the root, mount what goes
//! on top of it, mount /usr. A step neither waits nor blocks: it goes as far as it can, returns
//! what it needs, and is polled again when devices have appeared or loads have ended. What may block
//! is done by a child process, [`worker`]. A step that puts a filesystem on top of the root first
//! moves the mount at /sysroot to a directory below /run/coldplug, so that steps need not know each
//! other.

#[cfg(feature = "stacks")]
mod assembly;
#[cfg(not(feature = "stacks"))]
#[path = "no_assembly.rs"]
mod assembly;
mod awaited;
mod devices;
#[cfg(feature = "full")]
mod dhcp_client;
mod error;
mod filesystem;
#[cfg(feature = "full")]
mod fsck;
#[cfg(not(feature = "full"))]
#[path = "no_fsck.rs"]
mod fsck;
#[cfg(feature = "full")]
mod host_share;
#[cfg(feature = "full")]
mod image_file;
mod init_check;
mod member_device;
mod mount;
#[cfg(feature = "full")]
mod multi_device;
#[cfg(not(feature = "full"))]
#[path = "no_multi_device.rs"]
mod multi_device;
mod named_devices;
#[cfg(feature = "full")]
mod near_misses;
#[cfg(not(feature = "full"))]
#[path = "no_near_misses.rs"]
mod near_misses;
#[cfg(feature = "full")]
mod network;
#[cfg(feature = "full")]
mod nfs;
#[cfg(not(feature = "full"))]
mod no_layers;
#[cfg(feature = "full")]
mod overlay;
mod pipeline;
mod probers;
#[cfg(feature = "full")]
mod resume;
mod search;
#[cfg(feature = "full")]
mod slot;
mod state;
mod status;
#[cfg(feature = "full")]
mod ubi;
#[cfg(feature = "full")]
mod verity;
mod waiting_clock;
mod worker;

use std::fmt;
use std::time::Duration;

pub(super) use awaited::Awaited;
pub(super) use error::StepError;
pub(super) use search::RootSearch;
pub(super) use verity::DEVICE as VERITY_DEVICE;
pub(crate) use worker::serve as serve_mounts;
pub(super) use worker::{MountWorker, WorkerError};

use super::breakpoint::Breakpoint;
use super::reporter::Reporter;
use super::root_check::RootCheck;
use crate::byte_text;
use crate::cmdline::KernelCommandLine;
use crate::cmdline::boot::Break;
use crate::disk::seen::SeenDevice;
use crate::kmod::name::ModuleName;
use crate::load::{Loader, ModuleRecord, Outcome, Rank};
use crate::report::{Detail, Event};
use crate::sys::device_nodes::DeviceNodes;
use crate::sys::{BootTime, Root, procfs};
use assembly::Assembly;
use devices::{Candidate, Devices};
use near_misses::near_misses;
#[cfg(not(feature = "full"))]
use no_layers::{host_share, image_file, nfs, overlay, resume, slot, ubi, verity};
use pipeline::RootPipeline;
use state::RootState;
use waiting_clock::WaitingClock;
use worker::Operation;

/// How far a step has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The step needs a device; a uevent announces it.
    NeedsDevice(Awaited),
    /// The step needs something that no uevent announces. It is polled until the deadline of the
    /// root.
    Polling(Awaited),
    /// The step needs the end of these modules' loads.
    LoadingModules(Vec<ModuleName>),
    /// The step needs the end of a child process or of all loads. The step has a deadline of its
    /// own, and the time that passes does not count against the deadline of the root. The text names
    /// what the step waits for.
    Working(&'static str),
    /// The mount worker is at this operation, until the deadline of the root.
    Busy(Operation),
    /// The step is done.
    Done,
}

/// What a step works with.
#[derive(Debug)]
pub(super) struct StepContext<'a> {
    /// Prefix of every path.
    pub(super) dir: &'a Root,
    pub(super) params: &'a KernelCommandLine,
    pub(super) loader: &'a Loader,
    /// Whether nothing is left to load, except modules that are held back.
    pub(super) settled: bool,
    /// Whether a device is being made, or will be when its missing parts have had their time.
    pub(super) is_assembly_pending: bool,
    /// The clock for waits for devices.
    pub(super) clock: &'a WaitingClock,
    pub(super) devices: &'a mut Devices,
    pub(super) worker: &'a mut MountWorker,
    /// What other steps have found out.
    pub(super) state: &'a mut RootState,
    /// The log, and the sink of the record.
    pub(super) reporter: &'a mut Reporter,
    pub(super) breakpoint: &'a mut Breakpoint,
    /// The check that the root has passed, to be repeated before the switch.
    pub(super) root_check: &'a mut Option<RootCheck>,
}

impl StepContext<'_> {
    /// Requests modules by name or alias (`overlay`, `fs-ext4`). Returns those that are not built
    /// in.
    fn request_modules(&mut self, names: &[&str]) -> Vec<ModuleName> {
        let found = names.iter().filter_map(|n| self.loader.want_name(n, Rank::Root));
        let modules: Vec<_> = found.flatten().collect();
        self.state.add_modules(modules.iter().cloned());
        modules
    }

    /// Returns whether no further device is expected.
    fn has_settled(&mut self) -> bool {
        self.settled && !self.loader.has_held() && self.devices.is_complete()
    }

    /// Checks that the kernel has a filesystem, now that the loads of `modules` have ended.
    ///
    /// # Errors
    /// It does not, and no wait helps.
    fn require_filesystem(&self, fstype: &str, modules: &[ModuleName]) -> Result<(), StepError> {
        match procfs::may_have_filesystem(self.dir, fstype) {
            true => Ok(()),
            false => Err(self.not_in_kernel(format!("filesystem {fstype}"), modules)),
        }
    }

    /// Returns the error for something that the kernel lacks although the loads of `modules` have
    /// ended.
    fn not_in_kernel(&self, feature: String, modules: &[ModuleName]) -> StepError {
        let records = self.loader.records();
        let failed = records.iter().filter(|record| modules.contains(&record.name));
        let modules = failed.filter_map(|ModuleRecord { name, outcome, .. }| match outcome {
            Outcome::Missing => Some(format!("{name} is not in the image")),
            outcome if outcome.is_live() => None,
            outcome => {
                let reason = outcome.reason();
                let reason = reason.unwrap_or_else(|| outcome.as_str().to_owned());
                Some(format!("{name}: {reason}"))
            }
        });
        StepError::NotInKernel { feature, modules: modules.collect() }
    }

    /// Stops for a shell before a mount if `coldplug.break=mount` is set.
    ///
    /// # Errors
    /// The person ends the boot there.
    fn reach_mount(&mut self) -> Result<(), StepError> {
        let reached = self.breakpoint.reach(Break::Mount, self.dir, self.reporter);
        reached.map_err(StepError::Interrupted)
    }

    /// Notes the root device. The first time that this device is found ends a phase of the boot.
    fn set_root_device(&mut self, device: &str) {
        if self.state.device.as_deref() != Some(device) {
            self.note_root_device(device);
            self.reporter.end_phase("root device");
        }
    }

    /// Notes the root device without the end of a phase.
    fn note_root_device(&mut self, device: &str) {
        // Shares and volumes of flash have no size.
        let size = device.strip_prefix("/dev/").and_then(|name| self.devices.size_of(name));
        let details = [Detail::Device(device), Detail::Size(size)];
        self.reporter.reach_with(Event::RootFound, &details);
        self.state.device = Some(device.to_owned());
        self.state.node = None;
        self.reporter.set_root_device(device);
    }

    /// Records the mount of the root filesystem, and `drivers`, the modules of the devices below it.
    fn record_mount(&mut self, fstype: &str, drivers: Vec<ModuleName>) {
        self.reporter.set_root_fstype(fstype);
        let device = self.state.device.as_deref().unwrap_or_default();
        let details = [Detail::Device(device), Detail::Text(fstype)];
        self.reporter.reach_with(Event::RootMounted, &details);
        self.record_modules(drivers);
        self.reporter.end_phase("mount");
    }

    /// Records the modules that steps have requested so far, and `drivers`.
    fn record_modules(&mut self, drivers: Vec<ModuleName>) {
        self.state.add_modules(drivers);
        self.state.modules.sort_unstable();
        self.reporter.set_root_modules(self.state.modules.clone());
    }

    /// Warns about other devices that have the name `text` too.
    fn warn_duplicates(&mut self, text: &str, candidate: &Candidate) {
        for duplicate in &candidate.duplicates {
            let node = byte_text::from_path(&candidate.node);
            self.reporter.warn_once(format!("{text} matches {node} (used) and {duplicate}"));
        }
    }
}

/// One step towards the root.
pub(super) trait RootStep {
    /// Goes as far as possible.
    ///
    /// # Errors
    /// The step failed. The pipeline then undoes all steps and starts again from the first one.
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError>;

    /// Returns the error that explains why a later step failed, if this step knows.
    fn explain_failure(&self, _cx: &StepContext<'_>) -> Option<StepError> {
        None
    }
}

impl fmt::Debug for dyn RootStep {
    /// Prints the type's name alone: the fields of each step would enlarge every image.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootStep")
    }
}

/// The filesystem that holds what is written over the root.
const UPPER: &str = "run/coldplug/upper";
/// The root below an overlay.
const LOWER: &str = "run/coldplug/lower";
/// The filesystem that holds the image file of the root.
const MEDIUM: &str = "run/coldplug/medium";

/// Returns every block device with a medium, and its content. Waits until each has been read or is
/// skipped.
pub(crate) fn block_devices(dir: &Root) -> Vec<SeenDevice> {
    const POLL_INTERVAL: Duration = Duration::from_millis(10);
    let timeout = procfs::kernel_command_line(dir).root.probe_timeout;
    if let Some(mut nodes) = DeviceNodes::of_kernel_without_devtmpfs(dir) {
        // PID 1 makes none while a person is at the prompt. A missing node is an error of its disk.
        let _ = nodes.update(dir);
    }
    let mut devices = Devices::new(dir, timeout);
    let mut reporter = Reporter::new(BootTime::now());
    devices.request_links();
    while devices.is_reading() {
        std::thread::sleep(POLL_INTERVAL);
        devices.receive(&mut reporter);
    }
    devices.seen()
}
