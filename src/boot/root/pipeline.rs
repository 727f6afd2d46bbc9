//! The row of steps to one of the roots that the command line names.

use std::collections::VecDeque;

use super::filesystem::Filesystem;
use super::host_share::HostShare;
use super::image_file::ImageFile;
use super::init_check::InitCheck;
use super::multi_device::MultiDevice;
use super::named_devices::NamedDevices;
use super::nfs::{self, Nfs};
use super::overlay::Overlay;
use super::resume::Resume;
use super::slot::ChooseSlot;
use super::verity::Verity;
use super::worker::UNDO;
use super::{LOWER, MEDIUM, Progress, RootStep, StepContext, StepError, UPPER, ubi};
use crate::boot::SYSROOT;
use crate::byte_text;
use crate::cmdline::root::{RootCandidate, RootParams};
use crate::cmdline::root_name::RootName;
use crate::cmdline::slots::EnvironmentPlace;
use crate::cmdline::storage::{OverlayParams, StorageParams};

/// Mount points that steps use, uppermost first.
pub(super) const MOUNT_POINTS: [&str; 4] = [SYSROOT, UPPER, LOWER, MEDIUM];

/// The steps to the root that is being tried, and the roots that are left to try.
#[derive(Debug)]
pub(in crate::boot) struct RootPipeline {
    params: RootParams,
    storage: StorageParams,
    choice: RootCandidate,
    others: VecDeque<RootCandidate>,
    slots: Option<Slots>,
    done: Vec<Box<dyn RootStep>>,
    steps: VecDeque<Box<dyn RootStep>>,
    /// Whether the resume step is over. It runs once, before the first mount.
    resumed: bool,
}

/// The slots, if their attempts are counted.
#[derive(Debug, Default)]
struct Slots {
    /// Slots that were tried.
    tried: Vec<String>,
    /// Whether the root that is being tried is the one of a slot that was chosen.
    is_chosen: bool,
}

impl RootPipeline {
    /// Plans the steps to the first root. `resumed` tells that the resume step is over.
    pub(in crate::boot) fn new(params: &RootParams, storage: StorageParams, resumed: bool) -> Self {
        let mut others = VecDeque::from(params.candidates());
        let is_counted = !params.slots.is_empty() && !params.slots_env.is_empty();
        let first = if is_counted { Some(next_slot(params)) } else { others.pop_front() };
        let implied = || RootCandidate { name: RootName::GptAuto, text: String::new(), wait: None };
        let mut pipeline = Self {
            params: params.clone(),
            storage,
            choice: first.unwrap_or_else(implied),
            others,
            slots: is_counted.then(Slots::default),
            done: Vec::new(),
            steps: VecDeque::new(),
            resumed,
        };
        pipeline.plan();
        pipeline
    }

    /// Returns the root that is being tried.
    pub(in crate::boot) fn choice(&self) -> &RootCandidate {
        &self.choice
    }

    /// Returns whether the kernel will resume no hibernated system any more.
    pub(in crate::boot) fn is_resume_over(&self) -> bool {
        // The resume is the first step.
        self.params.resume.is_none() || self.resumed || !self.done.is_empty()
    }

    /// Returns whether another root is left to try.
    pub(in crate::boot) fn has_more(&self) -> bool {
        !self.others.is_empty()
    }

    /// Plans the steps to the root that is being tried.
    fn plan(&mut self) {
        let mut steps: Vec<Box<dyn RootStep>> = Vec::new();
        let resume = self.params.resume.clone().filter(|_| !self.resumed);
        if let Some(device) = resume {
            steps.push(Box::new(Resume::new(device, self.params.resume_offset)));
        }
        if let Some(Slots { tried, is_chosen: false }) = &self.slots {
            let (places, slots) = (&self.params.slots_env, &self.params.slots);
            steps.push(Box::new(ChooseSlot::new(places, slots, tried)));
            self.steps = steps.into();
            return;
        }
        self.plan_root(&mut steps);
        let usr = Filesystem::usr(&self.params, self.device_of_usr());
        steps.extend(usr.map(|usr| Box::new(usr) as Box<dyn RootStep>));
        let is_verified = self.storage.verity.is_some();
        steps.push(Box::new(InitCheck::new(&self.choice.text, is_verified)));
        self.steps = steps.into();
    }

    /// Returns the device of /usr. As in systemd it is that of the root if the command line has
    /// only mount options for /usr, such as those of a btrfs subvolume.
    fn device_of_usr(&self) -> Option<RootName> {
        let (usr, choice) = (&self.params.usr, &self.choice);
        let shares_device = !usr.flags.is_empty() && is_block_device(choice, &self.params);
        usr.name.clone().or_else(|| shares_device.then(|| choice.name.clone()))
    }

    /// Plans the root filesystem with what lies below and above it.
    fn plan_root(&self, steps: &mut Vec<Box<dyn RootStep>>) {
        let storage = &self.storage;
        let mut params = self.params.clone();
        // The lower side of an overlay is only read.
        if storage.overlay.is_some() {
            params.writable = Some(false);
        }
        let is_volume = ubi::is_volume(&self.choice.text);
        if is_volume || !storage.ubi_mtd.is_empty() {
            steps.push(Box::new(ubi::Attach::new(&storage.ubi_mtd)));
        }
        if let Some(verity) = &storage.verity {
            steps.push(Box::new(Verity::new(verity.clone())));
        }
        if is_volume {
            steps.push(Box::new(ubi::Volume::root(&self.choice, &params)));
        } else {
            steps.extend(root_steps(&self.choice, &params));
        }
        if let Some(path) = &storage.image {
            steps.push(Box::new(ImageFile::new(path)));
        }
        if let Some(overlay) = &storage.overlay {
            if let OverlayParams::Device(name) = overlay {
                steps.push(Box::new(Filesystem::upper(name)));
            }
            steps.push(Box::new(Overlay::new(overlay)));
        }
    }

    /// Goes as far as possible. [`Progress::Done`] means that the root is mounted.
    ///
    /// # Errors
    /// A step failed. All steps have been undone; the next call starts from the first one.
    pub(in crate::boot) fn advance(
        &mut self,
        cx: &mut StepContext<'_>,
    ) -> Result<Progress, StepError> {
        cx.worker.receive();
        if cx.worker.is_undoing() {
            return Ok(Progress::Working(UNDO));
        }
        while let Some(step) = self.steps.front_mut() {
            match step.advance(cx) {
                Ok(Progress::Done) => {
                    self.done.extend(self.steps.pop_front());
                    if self.steps.is_empty() {
                        self.use_slot(cx.state.slot.take());
                    }
                }
                Ok(progress) => return Ok(progress),
                // Neither another step nor another root has anything to do with it.
                Err(error) if error.ends_the_boot() => return Err(error),
                Err(error) => {
                    let explanation = self.done.iter().find_map(|step| step.explain_failure(cx));
                    self.reset(cx);
                    return Err(match explanation {
                        Some(explanation) => explanation.with_failure(error),
                        None => error,
                    });
                }
            }
        }
        Ok(Progress::Done)
    }

    /// If the next slot has been chosen, plans the steps to its root. Without a choice (`None`) the
    /// slots that are left are tried in their order.
    fn use_slot(&mut self, slot: Option<String>) {
        let Some(slots) = self.slots.as_mut().filter(|slots| !slots.is_chosen) else { return };
        let number = slot.as_ref().and_then(|slot| {
            let all = &self.params.slots;
            let mut left = all.iter().filter(|other| !slots.tried.contains(other));
            left.position(|other| other == slot)
        });
        match slot {
            Some(slot) => {
                slots.tried.push(slot);
                slots.is_chosen = true;
            }
            None => self.slots = None,
        }
        if let Some(root) = self.others.remove(number.unwrap_or(0)) {
            self.choice = root;
        }
        self.resumed = true;
        self.plan();
    }

    /// Switches to the next root. Returns `false` if none is left.
    pub(in crate::boot) fn next_choice(&mut self, cx: &mut StepContext<'_>) -> bool {
        match &mut self.slots {
            Some(slots) if slots.is_chosen && !self.others.is_empty() => {
                slots.is_chosen = false;
                self.choice = next_slot(&self.params);
            }
            // Without a choice in time nothing is counted.
            slots => {
                let Some(next) = self.others.pop_front() else { return false };
                *slots = None;
                self.choice = next;
            }
        }
        self.reset(cx);
        true
    }

    /// Returns whether several devices may have the root's name; the kernel's own names are unique.
    pub(in crate::boot) fn may_have_duplicates(&self) -> bool {
        let name = &self.choice.name;
        !matches!(name, RootName::Device(_) | RootName::Number(..) | RootName::Other(_))
    }

    /// Warns about devices that have the root's name too and appeared after the root was found.
    pub(in crate::boot) fn warn_later_duplicates(&self, cx: &mut StepContext<'_>) {
        if !self.may_have_duplicates() {
            return;
        }
        let name = &self.choice.name;
        let used = cx.state.device.clone().unwrap_or_default();
        let Some(mut first) = cx.devices.find_used(name, &used) else { return };
        let node = byte_text::from_path(&first.node).into_owned();
        first.duplicates.retain(|duplicate| *duplicate != used);
        let text = &self.choice.text;
        if node != used {
            first.duplicates.insert(0, node);
            first.node = byte_text::to_path(&used).into_owned();
        } else {
            let named = NamedDevices::find(&self.params.flags, cx.devices);
            if let Some(members) = MultiDevice::find(&first, &named, cx) {
                members.warn_copies(text, cx.reporter);
            }
        }
        cx.warn_duplicates(text, &first);
    }

    /// Undoes all steps and plans them anew.
    fn reset(&mut self, cx: &mut StepContext<'_>) {
        cx.worker.undo(self.storage.verity.is_some());
        self.resumed |= !self.done.is_empty();
        self.done.clear();
        cx.reporter.clear_layers();
        cx.state.modules.clear();
        cx.devices.forget_changed();
        self.plan();
    }
}

/// Returns what stands for the root of the slot that will be chosen.
fn next_slot(params: &RootParams) -> RootCandidate {
    let name = params.slots_env.first().map_or(RootName::GptAuto, EnvironmentPlace::name);
    RootCandidate { name, text: "the next slot".to_owned(), wait: None }
}

/// Returns whether the root is a filesystem on a block device.
fn is_block_device(choice: &RootCandidate, params: &RootParams) -> bool {
    let is_share = HostShare::root(choice, params).is_some();
    !is_share && Nfs::root(choice, params).is_none() && !ubi::is_volume(&choice.text)
}

/// Returns the steps to the root itself: on a host share, on a server, on a block device.
fn root_steps(choice: &RootCandidate, params: &RootParams) -> Vec<Box<dyn RootStep>> {
    if let Some(share) = HostShare::root(choice, params) {
        return vec![Box::new(share)];
    }
    match Nfs::root(choice, params) {
        Some(nfs) => vec![Box::new(nfs::Client::new(&params.network)), Box::new(nfs)],
        None => vec![Box::new(Filesystem::root(choice, params))],
    }
}
