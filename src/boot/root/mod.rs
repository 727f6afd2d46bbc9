//! From the names on the command line to a root that is mounted at /sysroot.
//!
//! An [`RootPipeline`] is a row of [`Step`]s: resume, find and mount the root, what goes on top of it, /usr. No step waits
//! or blocks: it goes as far as it can, says what it lacks, and is called again when devices have come or modules have
//! ended. A step that puts something on top of the root moves what is mounted at /sysroot to a place below
//! /run/coldplug and mounts its own there, so that steps need not know of each other.

mod devices;
mod dhcp_client;
mod filesystem;
mod fsck;
mod host_share;
mod image_file;
mod init_check;
mod mount;
mod multi_device;
mod near_misses;
mod network;
mod nfs;
mod overlay;
mod resume;
mod ubi;
mod verity;

use std::collections::VecDeque;
use std::fmt;

pub(super) use devices::Devices;
use devices::{Candidate, Content};
pub(super) use near_misses::near_misses;
pub(super) use verity::DEVICE as VERITY_DEVICE;

use super::{Boot, SYSROOT};
use crate::cmdline::root::{RootCandidate, RootParams};
use crate::cmdline::root_name::RootName;
use crate::cmdline::storage::{OverlayParams, StorageParams};
use crate::kmod::name::ModuleName;
use crate::load::{Loader, Rank};
use crate::report::Verdict;
use crate::sys::{self, Error, Root, mount as mounts};
use filesystem::Filesystem;
use host_share::HostShare;
use image_file::ImageFile;
use init_check::InitCheck;
use network::Network;
use nfs::Nfs;
use overlay::Overlay;
use resume::Resume;
use verity::{ReadInit, Verity};

/// How far a step has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// This has to come first: a device, as the command line names it.
    NeedsDevice(String),
    /// This has to come first, and no device tells of it: to be asked again soon, as long as the root may take.
    Polling(String),
    /// Nothing is left to do for these modules first.
    LoadingModules(Vec<ModuleName>),
    /// A process of ours, or the engine, has to end first; to be asked again soon.
    InProgress,
    /// The step is done.
    Done,
}

/// Why a step cannot be done as things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StepError {
    /// In words, with name and cause.
    pub(super) text: String,
    /// How the boot ends if it stays so.
    pub(super) verdict: Verdict,
    /// Trying again is of no use.
    pub(super) is_final: bool,
}

impl StepError {
    /// A mount that failed; something that is on its way may help.
    fn not_mounted(text: String) -> Self {
        Self { text, verdict: Verdict::MountFailed, is_final: false }
    }
}

impl From<Error> for StepError {
    fn from(error: Error) -> Self {
        Self::not_mounted(error.to_string())
    }
}

/// What steps work with.
#[derive(Debug)]
pub(super) struct StepContext<'a> {
    pub(super) boot: &'a mut Boot,
    pub(super) loader: &'a Loader,
    pub(super) devices: &'a mut Devices,
}

impl StepContext<'_> {
    /// Asks for modules by name or alias (`overlay`, `fs-ext4`); gives those that are not built in.
    pub(super) fn request_modules(&self, names: &[&str]) -> Vec<ModuleName> {
        let found = names.iter().filter_map(|n| self.loader.want_name(n, Rank::Root));
        found.flatten().collect()
    }
}

/// One step towards the root.
pub(super) trait RootStep {
    /// Goes as far as it can. After an error the whole row is built anew and starts from its first step.
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError>;

    /// Why what is on top of this step fails, where the step can tell.
    fn explain_failure(&self, _site: &StepContext<'_>) -> Option<String> {
        None
    }

    /// Undoes what the step has set up besides mounts at the places of [`MOUNT_POINTS`].
    fn undo(&mut self, _site: &mut StepContext<'_>) {}
}

impl Boot {
    fn warn_duplicates(&mut self, text: &str, candidate: &Candidate) {
        // Those of a filesystem over several devices are one.
        let one = candidate.kind.is_some_and(multi_device::is_multi_device_type);
        for duplicate in candidate.duplicates.iter().filter(|_| !one) {
            let node = candidate.node.display();
            self.warn_once(format!("{text} is {node}, which is taken, and also {duplicate}"));
        }
    }
}

impl fmt::Debug for dyn RootStep {
    /// Nobody looks into steps; what can be seen of one would be carried in every image.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Step")
    }
}

/// Where steps mount, uppermost first.
const MOUNT_POINTS: [&str; 4] = [SYSROOT, UPPER, LOWER, MEDIUM];
/// What is written over the root.
const UPPER: &str = "run/coldplug/upper";
/// The root below what is written over it.
const LOWER: &str = "run/coldplug/lower";
/// The filesystem that holds the image of the root.
const MEDIUM: &str = "run/coldplug/medium";

/// Moves what is mounted at /sysroot to `place`.
fn move_sysroot_to(root: &Root, place: &str) -> sys::Result<()> {
    let place = root.join(place);
    std::fs::create_dir_all(&place).map_err(|e| Error::io("mkdir", &place, &e))?;
    mounts::move_to(&root.join(SYSROOT), &place)
}

/// What is to be done for one of the roots that the command line names.
#[derive(Debug)]
pub(super) struct RootPipeline {
    params: RootParams,
    storage: StorageParams,
    choice: RootCandidate,
    others: VecDeque<RootCandidate>,
    done: Vec<Box<dyn RootStep>>,
    steps: VecDeque<Box<dyn RootStep>>,
    /// Whether a hibernated system has been looked for: once, before anything is mounted.
    resumed: bool,
}

impl RootPipeline {
    pub(super) fn new(params: &RootParams, storage: StorageParams) -> Self {
        let mut others = VecDeque::from(params.candidates());
        let first = others.pop_front();
        let implied = || RootCandidate { name: RootName::GptAuto, text: String::new(), wait: None };
        let mut pipeline = Self {
            params: params.clone(),
            storage,
            choice: first.unwrap_or_else(implied),
            others,
            done: Vec::new(),
            steps: VecDeque::new(),
            resumed: false,
        };
        pipeline.plan();
        pipeline
    }

    /// The root that is being tried.
    pub(super) fn choice(&self) -> &RootCandidate {
        &self.choice
    }

    /// Whether another root is tried if this one does not come.
    pub(super) fn has_more(&self) -> bool {
        !self.others.is_empty()
    }

    /// The steps to the root that is being tried.
    fn plan(&mut self) {
        let mut steps: Vec<Box<dyn RootStep>> = Vec::new();
        let resume = self.params.resume.clone().filter(|_| !self.resumed);
        if let Some(device) = resume {
            steps.push(Box::new(Resume::new(device, self.params.resume_offset)));
        }
        self.plan_root(&mut steps);
        steps.extend(Filesystem::usr(&self.params).map(|usr| Box::new(usr) as Box<dyn RootStep>));
        if self.storage.verity.is_some() {
            steps.push(Box::new(ReadInit));
        } else if self.has_more() {
            steps.push(Box::new(InitCheck));
        }
        self.steps = steps.into();
    }

    /// Says which devices that came after the root's have its name too.
    pub(super) fn warn_later_duplicates(&self, boot: &mut Boot, devices: &mut Devices) {
        let name = &self.choice.name;
        let found = boot.record.root.device.clone();
        // A kernel's name is never that of two.
        if matches!(name, RootName::Device(_) | RootName::Number(..) | RootName::Other(_)) {
            return;
        }
        if let Some(mut first) = devices.find(name, Content::Filesystem) {
            let others = std::mem::take(&mut first.duplicates);
            let all = std::iter::once(first.node.display().to_string()).chain(others);
            first.duplicates = all.filter(|node| Some(node) != found.as_ref()).collect();
            first.node = found.unwrap_or_default().into();
            boot.warn_duplicates(&self.choice.text, &first);
        }
    }

    /// The root filesystem with what lies below and above it.
    fn plan_root(&self, steps: &mut Vec<Box<dyn RootStep>>) {
        let storage = &self.storage;
        // What an overlay covers is only read.
        let mut params = self.params.clone();
        params.writable &= storage.overlay.is_none();
        let is_volume = ubi::is_volume(&self.choice.text);
        if is_volume || !storage.ubi_mtd.is_empty() {
            steps.push(Box::new(ubi::Attach::new(&storage.ubi_mtd)));
        }
        if let Some(words) = &storage.verity {
            steps.push(Box::new(Verity::new(words.clone())));
        }
        if is_volume {
            steps.push(Box::new(ubi::Volume::root(&self.choice, &params)));
        } else {
            steps.extend(root_steps(&self.choice, &params));
        }
        if let Some(path) = &storage.image {
            steps.push(Box::new(ImageFile::new(path)));
        }
        if let Some(words) = &storage.overlay {
            if let OverlayParams::Device(name) = words {
                steps.push(Box::new(Filesystem::upper(name)));
            }
            steps.push(Box::new(Overlay::new(words)));
        }
    }

    /// Goes as far as possible; [`Progress::Done`] is a root that is mounted.
    pub(super) fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        while let Some(step) = self.steps.front_mut() {
            match step.advance(cx) {
                Ok(Progress::Done) => {
                    self.done.extend(self.steps.pop_front());
                }
                Ok(progress) => return Ok(progress),
                Err(refused) => {
                    let explanation = self.done.iter().find_map(|step| step.explain_failure(cx));
                    self.reset(cx);
                    return Err(match explanation {
                        Some(explanation) => StepError {
                            text: format!("{explanation} ({})", refused.text),
                            verdict: Verdict::MountFailed,
                            is_final: true,
                        },
                        None => refused,
                    });
                }
            }
        }
        Ok(Progress::Done)
    }

    /// Turns to the next root; false where there is none.
    pub(super) fn next_choice(&mut self, cx: &mut StepContext<'_>) -> bool {
        let Some(next) = self.others.pop_front() else { return false };
        self.choice = next;
        self.reset(cx);
        true
    }

    /// Undoes all, so that the row can be tried from its first step.
    fn reset(&mut self, cx: &mut StepContext<'_>) {
        for place in MOUNT_POINTS {
            let _ = mounts::detach(&cx.boot.root.join(place));
        }
        let begun = self.steps.front_mut().into_iter();
        for step in begun.chain(self.done.iter_mut().rev()) {
            step.undo(cx);
        }
        self.resumed |= !self.done.is_empty();
        self.done.clear();
        cx.boot.record.root.layers.clear();
        cx.devices.forget_changed();
        self.plan();
    }
}

/// The steps to the root itself, by where it lies: behind a tag of the host, on a server, on a block device.
fn root_steps(choice: &RootCandidate, params: &RootParams) -> Vec<Box<dyn RootStep>> {
    if let Some(tag) = HostShare::root(choice, params) {
        return vec![Box::new(tag)];
    }
    match Nfs::root(choice, params) {
        Some(nfs) => vec![Box::new(Network::new(&params.network)), Box::new(nfs)],
        None => vec![Box::new(Filesystem::root(choice, params))],
    }
}
