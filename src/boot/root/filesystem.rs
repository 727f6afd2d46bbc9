//! A filesystem on a block device: found, checked, mounted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::devices::{Candidate, Content};
use super::fsck::Fsck;
use super::multi_device::MultiDevice;
use super::{Progress, RootStep, StepContext, StepError, UPPER, mount};
use crate::boot::SYSROOT;
use crate::cmdline::boot::Break;
use crate::cmdline::root::{RootCandidate, RootParams};
use crate::cmdline::root_name::RootName;
use crate::kmod::name::ModuleName;
use crate::sys::boottime_ns;

/// How long the devices are waited for that a filesystem over several can do without (`rootflags=degraded`).
const DEGRADED_TIMEOUT: Duration = Duration::from_secs(10);

/// Where it stands.
#[derive(Debug)]
enum State {
    /// Its device has not come yet.
    NeedsDevice,
    /// The modules of its types are being loaded.
    Loading(Candidate, Vec<String>, Vec<ModuleName>),
    /// It is being checked.
    Checking(Fsck, Candidate, Vec<String>, Vec<ModuleName>),
}

/// A filesystem to be mounted.
#[derive(Debug)]
pub(super) struct Filesystem {
    name: RootName,
    /// What it is called in messages.
    text: String,
    fstypes: Vec<String>,
    flags: String,
    writable: bool,
    /// Below the root folder.
    target: PathBuf,
    /// Whether it is the root itself.
    is_root: bool,
    /// When devices were first missing of a filesystem over several, on CLOCK_BOOTTIME.
    incomplete_since: Option<u64>,
    state: State,
}

impl Filesystem {
    /// The root.
    pub(super) fn root(choice: &RootCandidate, params: &RootParams) -> Self {
        Self {
            name: choice.name.clone(),
            text: choice.text.clone(),
            fstypes: params.fstypes.clone(),
            flags: params.flags.clone(),
            writable: params.writable,
            target: SYSROOT.into(),
            is_root: true,
            incomplete_since: None,
            state: State::NeedsDevice,
        }
    }

    /// /usr, where the command line has one of its own.
    pub(super) fn usr(params: &RootParams) -> Option<Self> {
        let usr = &params.usr;
        let name = usr.name.clone()?;
        Some(Self {
            text: format!("mount.usr={name}"),
            name,
            fstypes: usr.fstypes.clone(),
            flags: usr.flags.clone(),
            writable: params.writable,
            target: PathBuf::from(SYSROOT).join("usr"),
            is_root: false,
            incomplete_since: None,
            state: State::NeedsDevice,
        })
    }

    /// The device that `coldplug.overlay=` names, for what is written.
    pub(super) fn upper(name: &RootName) -> Self {
        let text = format!("coldplug.overlay={name}");
        Self::other(name.clone(), text, UPPER, true)
    }

    /// The loop device that holds the image of the root.
    pub(super) fn image(node: &Path, path: &str) -> Self {
        let name = RootName::Device(node.display().to_string());
        Self::other(name, format!("coldplug.image={path}"), SYSROOT, false)
    }

    fn other(name: RootName, text: String, target: &str, writable: bool) -> Self {
        Self {
            name,
            text,
            fstypes: Vec::new(),
            flags: String::new(),
            writable,
            target: target.into(),
            is_root: false,
            incomplete_since: None,
            state: State::NeedsDevice,
        }
    }

    /// The device is there: asks for the modules of what it holds.
    fn request_modules(&mut self, candidate: Candidate, cx: &mut StepContext<'_>) -> Progress {
        let node = candidate.node.display().to_string();
        cx.boot.warn_duplicates(&self.text, &candidate);
        if self.is_root && cx.boot.record.root.device.as_ref() != Some(&node) {
            cx.boot.record.root.device = Some(node);
            cx.boot.end_phase("root device");
        }
        let types = mount::types(&cx.boot.root, &self.fstypes, &candidate);
        let aliases: Vec<String> = types.iter().map(|t| format!("fs-{t}")).collect();
        let modules = cx.request_modules(&aliases.iter().map(String::as_str).collect::<Vec<_>>());
        self.state = State::Loading(candidate, types, modules.clone());
        Progress::LoadingModules(modules)
    }

    /// Which devices of a filesystem over several have not come yet, in words. One that may be mounted without them
    /// waits for them only so long.
    fn missing(&mut self, candidate: &Candidate, cx: &mut StepContext<'_>) -> Option<String> {
        let lack = MultiDevice::find(candidate, cx)?.missing()?;
        let now = boottime_ns();
        let waited = now - *self.incomplete_since.get_or_insert(now);
        let text = format!("{} ({lack})", self.text);
        let degraded = self.flags.split(',').any(|word| word == "degraded");
        if degraded && u128::from(waited) >= DEGRADED_TIMEOUT.as_nanos() {
            cx.boot.warn_once(format!("{text}; going on without the rest"));
            return None;
        }
        Some(text)
    }

    fn mount(
        &self,
        candidate: &Candidate,
        types: &[String],
        modules: &[ModuleName],
        cx: &mut StepContext<'_>,
    ) -> Result<Progress, StepError> {
        cx.boot.break_at(Break::Mount);
        let target = cx.boot.root.join(&self.target);
        let own = || (candidate.node.clone(), self.flags.clone());
        let (node, flags) = MultiDevice::find(candidate, cx)
            .map_or_else(own, |members| members.source(candidate.node.clone(), &self.flags));
        let options = mount::Options {
            flags: &flags,
            writable: self.writable && !candidate.read_only,
            guess: self.fstypes.is_empty() && candidate.fstype.is_none(),
        };
        let source = Candidate { node, ..candidate.clone() };
        let fstype =
            mount::mount(&source, &target, types, &options).map_err(|e| match self.is_root {
                true => StepError::from(e),
                false => StepError::not_mounted(format!("{}: {e}", self.text)),
            })?;
        if self.is_root {
            cx.boot.record.root.fstype = Some(fstype);
            cx.boot.record.root.way = mount::way(&cx.boot.root, candidate, modules);
            cx.boot.end_phase("mount");
        }
        Ok(Progress::Done)
    }
}

impl RootStep for Filesystem {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        match std::mem::replace(&mut self.state, State::NeedsDevice) {
            State::NeedsDevice => match cx.devices.find(&self.name, Content::Filesystem) {
                Some(candidate) => Ok(self.request_modules(candidate, cx)),
                None => Ok(Progress::NeedsDevice(self.text.clone())),
            },
            State::Loading(candidate, types, modules) => {
                if let Some(missing) = self.missing(&candidate, cx) {
                    return Ok(Progress::NeedsDevice(missing));
                }
                match Fsck::start(&candidate, cx.boot.params.root.fsck, &cx.boot.root) {
                    Some(check) => {
                        self.state = State::Checking(check?, candidate, types, modules);
                        Ok(Progress::InProgress)
                    }
                    None => self.mount(&candidate, &types, &modules, cx),
                }
            }
            State::Checking(mut check, candidate, types, modules) => {
                if !check.poll(cx.boot)? {
                    self.state = State::Checking(check, candidate, types, modules);
                    return Ok(Progress::InProgress);
                }
                self.mount(&candidate, &types, &modules, cx)
            }
        }
    }
}
