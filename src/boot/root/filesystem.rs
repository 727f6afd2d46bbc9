//! A filesystem on a block device: found, checked, mounted.

use std::path::Path;
use std::time::Duration;

use super::devices::{Candidate, Content};
use super::fsck::Fsck;
use super::multi_device::{self, MultiDevice};
use super::worker::{Mount, Request, WorkerError};
use super::{Awaited, Progress, RootStep, StepContext, StepError, UPPER, mount};
use crate::boot::SYSROOT;
use crate::cmdline::root::{RootCandidate, RootParams};
use crate::cmdline::root_name::RootName;
use crate::kmod::name::ModuleName;
use crate::sys::BootTime;

/// Longest wait for the missing devices of a filesystem that can be mounted without them
/// (`rootflags=degraded`).
const DEGRADED_TIMEOUT: Duration = Duration::from_secs(10);

/// A device that was found, and what its mount takes.
#[derive(Debug)]
struct Source {
    device: Candidate,
    /// Filesystem types to try, in order.
    types: Vec<String>,
    /// Modules of these types.
    modules: Vec<ModuleName>,
}

/// The state of the step.
#[derive(Debug)]
enum State {
    /// The device has not been found yet.
    NeedsDevice,
    /// The modules of the filesystem types are being loaded.
    LoadingModules(Source),
    /// The worker reads how many devices the filesystem has.
    Counting(Source),
    /// The filesystem is being checked.
    Checking(Fsck, Source),
    /// The worker mounts the filesystem.
    Mounting(Source),
}

/// A filesystem to be mounted.
#[derive(Debug)]
pub(super) struct Filesystem {
    name: RootName,
    /// The filesystem in messages: the root's name, or the parameter that names it.
    text: String,
    fstypes: Vec<String>,
    flags: String,
    writable: bool,
    /// Mount point, relative to the root directory.
    target: String,
    /// Whether this is the root filesystem itself.
    is_root: bool,
    /// Number of devices that the filesystem has, once it is known.
    total: Option<u64>,
    /// Time at which devices of a multi-device filesystem were first missing.
    incomplete_since: Option<BootTime>,
    state: State,
}

impl Filesystem {
    /// Returns the step that mounts the root.
    pub(super) fn root(choice: &RootCandidate, params: &RootParams) -> Self {
        Self {
            fstypes: params.fstypes.clone(),
            flags: params.flags.clone(),
            is_root: true,
            writable: params.is_writable(&params.flags),
            ..Self::new(choice.name.clone(), choice.text.clone(), SYSROOT.into(), false)
        }
    }

    /// Returns the step that mounts /usr, if the command line names a device for it.
    pub(super) fn usr(params: &RootParams) -> Option<Self> {
        let usr = &params.usr;
        let name = usr.name.clone()?;
        let (text, target) = (format!("mount.usr={name}"), format!("{SYSROOT}/usr"));
        Some(Self {
            fstypes: usr.fstypes.clone(),
            flags: usr.flags.clone(),
            ..Self::new(name, text, target, params.is_usr_writable())
        })
    }

    /// Returns the step that mounts the upper side of an overlay.
    pub(super) fn upper(name: &RootName) -> Self {
        Self::new(name.clone(), format!("coldplug.overlay={name}"), UPPER.into(), true)
    }

    /// Returns the step that mounts the loop device of the image file `path`.
    pub(super) fn image(node: &Path, path: &str) -> Self {
        let name = RootName::Device(node.display().to_string());
        Self::new(name, format!("coldplug.image={path}"), SYSROOT.into(), false)
    }

    fn new(name: RootName, text: String, target: String, writable: bool) -> Self {
        Self {
            name,
            text,
            fstypes: Vec::new(),
            flags: String::new(),
            writable,
            target,
            is_root: false,
            total: None,
            incomplete_since: None,
            state: State::NeedsDevice,
        }
    }

    fn awaited(&self) -> Awaited {
        match self.is_root {
            true => Awaited::root(&self.text, &self.name),
            false => Awaited::device(self.text.clone(), Some(&self.name)),
        }
    }

    /// Requests the modules for what the device holds.
    fn request_modules(&mut self, device: Candidate, cx: &mut StepContext<'_>) -> Progress {
        cx.warn_duplicates(&self.text, &device);
        if self.is_root {
            let node = device.node.display().to_string();
            cx.set_root_device(&node);
            cx.state.node = Some(node);
        }
        let types = mount::types(cx.dir, &self.fstypes, &device);
        let aliases: Vec<String> = types.iter().map(|t| format!("fs-{t}")).collect();
        let modules = cx.request_modules(&aliases.iter().map(String::as_str).collect::<Vec<_>>());
        self.state = State::LoadingModules(Source { device, types, modules: modules.clone() });
        Progress::LoadingModules(modules)
    }

    /// Returns the devices that a multi-device filesystem still lacks. If the filesystem may be
    /// mounted degraded, they are awaited for [`DEGRADED_TIMEOUT`] only.
    fn missing(&mut self, device: &Candidate, cx: &mut StepContext<'_>) -> Option<Awaited> {
        let missing = MultiDevice::find(device, self.total?, cx)?.missing()?;
        let now = BootTime::now();
        let waited = now - *self.incomplete_since.get_or_insert(now);
        let text = format!("{} ({missing})", self.text);
        let degraded = self.flags.split(',').any(|word| word == "degraded");
        if degraded && waited >= DEGRADED_TIMEOUT {
            cx.reporter.warn_once(format!("{text}; mounting degraded"));
            return None;
        }
        Some(Awaited::members(text))
    }

    /// Has the worker count the devices of the filesystem, if there may be several.
    fn count(&mut self, source: Source, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let device = &source.device;
        if self.total.is_some() || !device.kind.is_some_and(multi_device::is_multi_device_type) {
            return self.check(source, cx);
        }
        let text = self.message(&format!("read of {}", device.node.display()));
        let progress = cx.worker.request(Request::Members { number: device.number }, text)?;
        self.state = State::Counting(source);
        Ok(progress)
    }

    /// Starts the check of the filesystem, or mounts it if no check is needed.
    fn check(&mut self, source: Source, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        if let Some(awaited) = self.missing(&source.device, cx) {
            return Ok(Progress::NeedsDevice(awaited));
        }
        match Fsck::start(&source.device, self.name_for_systemd(), cx) {
            Some(check) => {
                self.state = State::Checking(check, source);
                Ok(Progress::Working)
            }
            None => self.mount(source, cx),
        }
    }

    /// Returns the name of the mount point in systemd's units that check filesystems; `None` for
    /// one below another filesystem of the boot.
    fn name_for_systemd(&self) -> Option<&'static str> {
        match self.target.strip_prefix(SYSROOT) {
            Some("") if self.is_root => Some("root"),
            Some("/usr") => Some("usr"),
            _ => None,
        }
    }

    /// Has the worker mount the filesystem.
    fn mount(&mut self, source: Source, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        cx.reach_mount()?;
        let device = &source.device;
        let members = self.total.and_then(|total| MultiDevice::find(device, total, cx));
        let (node, options) = match members {
            Some(members) => members.source(device.node.clone(), &self.flags),
            None => (device.node.clone(), self.flags.clone()),
        };
        let request = Mount {
            source: node.to_string_lossy().into_owned(),
            target: self.target.clone(),
            writable: self.writable && !device.read_only,
            guess: self.fstypes.is_empty() && device.fstype.is_none(),
            options,
            types: source.types.clone(),
        };
        let text = self.message(&request.to_string());
        let progress = cx.worker.request(Request::Mount(request), text)?;
        self.state = State::Mounting(source);
        Ok(progress)
    }

    /// Returns the name of an operation in messages.
    fn message(&self, operation: &str) -> String {
        match self.is_root {
            true => operation.to_owned(),
            false => format!("{}: {operation}", self.text),
        }
    }

    /// Notes that the filesystem is mounted, or returns why it is not.
    fn finish(
        &self,
        result: Result<Vec<u8>, WorkerError>,
        source: Source,
        cx: &mut StepContext<'_>,
    ) -> Result<Progress, StepError> {
        let fstype = result.map_err(|error| match self.is_root {
            true => error.into(),
            false => StepError::of_parameter(self.text.clone(), error),
        })?;
        if self.is_root {
            let modules = mount::needed_modules(cx.dir, &source.device, source.modules);
            cx.record_mount(&String::from_utf8_lossy(&fstype), modules);
        }
        Ok(Progress::Done)
    }
}

impl RootStep for Filesystem {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        match std::mem::replace(&mut self.state, State::NeedsDevice) {
            State::NeedsDevice => match cx.devices.find(&self.name, Content::Filesystem) {
                Some(Candidate { error: Some(error), .. }) if self.fstypes.is_empty() => {
                    Err(StepError::Device(error))
                }
                Some(device) => Ok(self.request_modules(device, cx)),
                None => Ok(Progress::NeedsDevice(self.awaited())),
            },
            State::LoadingModules(source) => self.count(source, cx),
            State::Counting(source) => match cx.worker.poll() {
                None => {
                    self.state = State::Counting(source);
                    Ok(cx.worker.progress())
                }
                Some(count) => {
                    let text = String::from_utf8(count?).unwrap_or_default();
                    self.total = Some(text.parse().unwrap_or(1));
                    self.check(source, cx)
                }
            },
            State::Checking(mut check, source) => {
                if !check.poll(cx.reporter)? {
                    self.state = State::Checking(check, source);
                    return Ok(Progress::Working);
                }
                self.mount(source, cx)
            }
            State::Mounting(source) => match cx.worker.poll() {
                None => {
                    self.state = State::Mounting(source);
                    Ok(cx.worker.progress())
                }
                Some(result) => self.finish(result, source, cx),
            },
        }
    }
}
