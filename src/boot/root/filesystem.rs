//! A filesystem on a block device: found, checked, mounted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::devices::{Candidate, Content};
use super::fsck::Fsck;
use super::multi_device::{DEGRADED, MultiDevice, is_degraded};
use super::named_devices::NamedDevices;
use super::worker::{Mount, READY, Request, WorkerError};
use super::{Awaited, Progress, RootStep, StepContext, StepError, UPPER, assembly, mount};
use crate::boot::SYSROOT;
use crate::boot::reporter::HAS_RECORD;
use crate::byte_text;
use crate::cmdline::mount_options::options;
use crate::cmdline::root::{AUTO, RootCandidate, RootParams};
use crate::cmdline::root_name::RootName;
use crate::kmod::name::ModuleName;
use crate::sys::{BootTime, devices};

/// Longest wait for the missing devices of a filesystem that can be mounted without them
/// (`rootflags=degraded`), and for the end of all loads before the kernel is asked about them.
const MEMBERS_TIMEOUT: Duration = Duration::from_secs(10);

/// A device that was found, and what its mount takes.
#[derive(Debug)]
struct Source {
    device: Candidate,
    /// Filesystem types to try, in order.
    types: Vec<String>,
    /// Options of the mount, and the devices that they name.
    named: NamedDevices,
    /// If the mount is a trial, what has been found according to the superblocks.
    trial: Option<String>,
}

/// The state of the step.
#[derive(Debug)]
enum State {
    /// The device has not been found yet.
    NeedsDevice,
    /// The modules of the filesystem types are being loaded.
    LoadingModules(Source),
    /// The worker tells the kernel about the devices of btrfs.
    Scanning(Source),
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
    /// Time at which devices of a multi-device filesystem were first missing.
    incomplete_since: Option<BootTime>,
    /// Time at which only the seed of a filesystem was found.
    seed_since: Option<BootTime>,
    /// The devices with which a mount was tried last, although some seem to be missing.
    tried: Vec<PathBuf>,
    /// Why that mount failed.
    trial_error: Option<String>,
    /// The types that modules were requested for last, and these modules.
    requested: (Vec<String>, Vec<ModuleName>),
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

    /// Returns the step that mounts /usr from the device `name`, if there is one.
    pub(super) fn usr(params: &RootParams, name: Option<RootName>) -> Option<Self> {
        let (usr, name) = (&params.usr, name?);
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
        let name = RootName::Device(byte_text::from_path(&node).into_owned());
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
            incomplete_since: None,
            seed_since: None,
            tried: Vec::new(),
            trial_error: None,
            requested: Default::default(),
            state: State::NeedsDevice,
        }
    }

    fn awaited(&self) -> Awaited {
        match self.is_root {
            true => Awaited::root(&self.text, &self.name),
            false => Awaited::device(self.text.clone(), Some(&self.name)),
        }
    }

    /// Requests the modules for what the device holds, once: the step comes here at every wakeup
    /// while it waits for further devices.
    fn request_modules(&mut self, device: Candidate, cx: &mut StepContext<'_>) -> Progress {
        cx.warn_duplicates(&self.text, &device);
        if self.is_root {
            let node = byte_text::from_path(&device.node).into_owned();
            cx.set_root_device(&node);
            cx.state.node = Some(node);
        }
        let types = mount::types(cx.dir, &self.fstypes, &device);
        if self.requested.0 != types {
            let aliases: Vec<String> = types.iter().map(|t| format!("fs-{t}")).collect();
            let aliases: Vec<&str> = aliases.iter().map(String::as_str).collect();
            self.requested = (types.clone(), cx.request_modules(&aliases));
        }
        let (named, trial) = (NamedDevices::default(), None);
        self.state = State::LoadingModules(Source { device, types, named, trial });
        Progress::LoadingModules(self.requested.1.clone())
    }

    /// Returns what to wait for if the device is a seed and the filesystem that was made of it may
    /// still appear: both have the same label.
    fn awaits_sprout(&mut self, device: &Candidate, cx: &mut StepContext<'_>) -> Option<Awaited> {
        let is_seed = device.member.is_some_and(|member| member.is_seed);
        if !is_seed || !matches!(self.name, RootName::Label(_)) {
            return None;
        }
        let now = cx.clock.now();
        let waited = now - *self.seed_since.get_or_insert(now);
        let text =
            format!("{} ({} is a btrfs seed)", self.text, byte_text::from_path(&device.node));
        (!cx.has_settled() && waited < MEMBERS_TIMEOUT).then(|| Awaited::members(text))
    }

    /// Waits for the devices that the options name and for those of the same filesystem.
    fn gather(
        &mut self,
        mut source: Source,
        cx: &mut StepContext<'_>,
    ) -> Result<Progress, StepError> {
        source.named = NamedDevices::find(&self.flags, cx.devices);
        let members = MultiDevice::find(&source.device, &source.named, cx);
        let is_degraded = is_degraded(&self.flags);
        let may_lack = is_degraded && members.as_ref().is_some_and(MultiDevice::is_btrfs);
        let missing = source.named.missing().first();
        if let Some((word, name)) = missing.filter(|_| !may_lack) {
            let text = format!("{} ({word})", self.text);
            return Ok(Progress::NeedsDevice(Awaited::device(text, Some(name))));
        }
        let is_lacking = missing.is_some();
        let Some(members) = members else { return self.check(source, cx) };
        // A copy may be newer than what has been read, and may have appeared since the name was
        // looked up. Only a name that stands for one device is no reason to read others.
        let is_shared = !matches!(
            self.name,
            RootName::Device(_) | RootName::Number(..) | RootName::Link(_) | RootName::Other(_)
        );
        if (members.is_plural() || is_shared) && !cx.devices.is_complete() {
            let text = format!("{} ({}; reading others)", self.text, members.summary());
            return Ok(Progress::NeedsDevice(Awaited::members(text)));
        }
        let newer = match is_shared {
            true => newer_copy(&source.device, cx.devices.find(&self.name, Content::Filesystem)),
            false => None,
        };
        if let Some(newer) = newer {
            return Ok(self.request_modules(newer, cx));
        }
        members.warn_copies(&self.text, cx.reporter);
        match members.is_short() || is_lacking || is_degraded && members.may_be_outdated() {
            true => self.gather_rest(source, &members, cx),
            false => self.check(source, cx),
        }
    }

    /// Waits for the missing devices of a multi-device filesystem. Once no device is expected any
    /// more, the kernel is asked, and a mount is tried: devices of a seed have another UUID. If the
    /// filesystem may be mounted degraded, its devices are awaited for [`MEMBERS_TIMEOUT`] only.
    /// Options that name devices which have not been found are left out of the mount.
    fn gather_rest(
        &mut self,
        mut source: Source,
        members: &MultiDevice,
        cx: &mut StepContext<'_>,
    ) -> Result<Progress, StepError> {
        let now = cx.clock.now();
        let waited = now - *self.incomplete_since.get_or_insert(now);
        let is_over = waited >= MEMBERS_TIMEOUT;
        let found = members.summary();
        let is_due = is_over || !members.is_short() || cx.has_settled();
        if members.is_btrfs() && is_due && self.tried != members.all() {
            self.tried = members.all().to_vec();
            source.trial = Some(found);
            return self.scan(source, cx);
        }
        if is_degraded(&self.flags) && is_over {
            cx.reporter.warn_once(format!("{} ({found}); mounting degraded", self.text));
            return self.check(source, cx);
        }
        Ok(self.awaits_members(&found, &source.named))
    }

    /// Waits for further devices of the filesystem, of which these have been `found`.
    fn awaits_members(&self, found: &str, named: &NamedDevices) -> Progress {
        let mut text = format!("{} ({found}", self.text);
        let missing = named.missing().iter().map(|(word, _)| format!("no btrfs on {word}"));
        for more in missing.chain(self.trial_error.clone()) {
            text.push_str("; ");
            text.push_str(&more);
        }
        text.push(')');
        Progress::NeedsDevice(Awaited::members(text))
    }

    /// Has the worker tell the kernel about all devices of btrfs.
    fn scan(&mut self, source: Source, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let node = &source.device.node;
        let others = self.tried.iter().filter(|other| *other != node);
        let nodes = std::iter::once(node).chain(others);
        let request =
            Request::Scan(nodes.map(|node| byte_text::from_path(&node).into_owned()).collect());
        let text = self.message(&format!("scan of {}", byte_text::from_path(&node)));
        let progress = cx.worker.request(request, text)?;
        self.state = State::Scanning(source);
        Ok(progress)
    }

    /// Starts the check of the filesystem, or mounts it if no check is needed.
    fn check(&mut self, source: Source, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        match Fsck::start(&source.device, self.name_for_systemd(), cx) {
            Some(check) => {
                self.state = State::Checking(check, source);
                Ok(Progress::Working("fsck"))
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
        let mut flags = source.named.flags().to_owned();
        if source.trial.is_some() {
            let words = options(&flags).filter(|word| *word != DEGRADED);
            flags = words.collect::<Vec<_>>().join(",");
        }
        let (node, options) = match MultiDevice::find(device, &source.named, cx) {
            Some(members) => members.source(device.node.clone(), &flags),
            None => (device.node.clone(), flags),
        };
        let request = Mount {
            source: byte_text::from_path(&node).into_owned(),
            target: self.target.clone(),
            writable: self.writable && !device.read_only,
            guess: self.is_detected() && device.fstype.is_none(),
            options,
            types: source.types.clone(),
        };
        let text = self.message(&request.to_string());
        let progress = cx.worker.request(Request::Mount(request), text)?;
        self.state = State::Mounting(source);
        Ok(progress)
    }

    /// Returns whether the type that is detected is tried.
    fn is_detected(&self) -> bool {
        self.fstypes.is_empty() || self.fstypes.iter().any(|fstype| fstype == AUTO)
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
        &mut self,
        result: Result<Vec<u8>, WorkerError>,
        source: Source,
        cx: &mut StepContext<'_>,
    ) -> Result<Progress, StepError> {
        if let (Err(error), Some(found)) = (&result, &source.trial) {
            cx.reporter.log().info(&format!("{} ({found}): {error}", self.text));
            self.trial_error = Some(error.to_string());
            return Ok(self.awaits_members(found, &source.named));
        }
        let fstype = result.map_err(|error| match self.is_root {
            true => error.into(),
            false => StepError::of_parameter(self.text.clone(), error),
        })?;
        for (word, _) in source.named.missing() {
            let text = &self.text;
            cx.reporter.warn_once(format!("{text}: mounted without {word}: no btrfs found there"));
        }
        let members = MultiDevice::find(&source.device, &source.named, cx);
        let members = members.map(|members| members.numbers()).unwrap_or_default();
        let named = source.named.numbers();
        let numbers = [&[source.device.number], named, &members].concat();
        assembly::record_layers(&numbers, cx);
        let below = |number: &(u32, u32)| devices::modules_below(cx.dir, *number);
        let drivers = match HAS_RECORD {
            true => numbers.iter().flat_map(below).collect(),
            false => Vec::new(),
        };
        match self.is_root {
            true => cx.record_mount(&String::from_utf8_lossy(&fstype), drivers),
            false => cx.record_modules(drivers),
        }
        Ok(Progress::Done)
    }
}

/// Returns `found`, which has the name of the root, if it is a copy of the device `used` and newer.
fn newer_copy(used: &Candidate, found: Option<Candidate>) -> Option<Candidate> {
    let (used, found) = (used.member?, found?);
    let member = found.member?;
    let is_same = (member.filesystem, member.index) == (used.filesystem, used.index);
    (is_same && member.generation > used.generation).then_some(found)
}

impl RootStep for Filesystem {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        match std::mem::replace(&mut self.state, State::NeedsDevice) {
            State::NeedsDevice => match cx.devices.find(&self.name, Content::Filesystem) {
                Some(Candidate { error: Some(error), .. }) if self.fstypes.is_empty() => {
                    Err(StepError::Device(error))
                }
                Some(device) => Ok(match self.awaits_sprout(&device, cx) {
                    Some(awaited) => Progress::NeedsDevice(awaited),
                    None => self.request_modules(device, cx),
                }),
                None => Ok(Progress::NeedsDevice(self.awaited())),
            },
            State::LoadingModules(source) => self.gather(source, cx),
            State::Scanning(mut source) => match cx.worker.poll() {
                None => {
                    self.state = State::Scanning(source);
                    Ok(cx.worker.progress())
                }
                Some(result) => {
                    // If the mount may be degraded, only one that is not shows that all are there.
                    let is_ready = result.as_deref() == Ok(READY) && !is_degraded(&self.flags);
                    source.trial = source.trial.filter(|_| !is_ready);
                    self.check(source, cx)
                }
            },
            State::Checking(mut check, source) => {
                if !check.poll(cx.reporter)? {
                    self.state = State::Checking(check, source);
                    return Ok(Progress::Working("fsck"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Member;

    /// Returns a device with this filesystem, index and generation; none of them if they are not
    /// known.
    fn device(node: &str, member: Option<(u128, u64, u64)>) -> Candidate {
        let member = member.map(|(filesystem, index, generation)| Member {
            filesystem,
            index,
            generation,
            total: 1,
            is_seed: false,
        });
        Candidate { node: node.into(), member, ..Candidate::default() }
    }

    #[test]
    fn only_a_newer_copy_replaces_the_device() {
        for (used, found, is_newer) in [
            (Some((1, 1, 5)), Some(Some((1, 1, 4))), false),
            (Some((1, 1, 5)), Some(Some((1, 1, 6))), true),
            (Some((1, 1, 5)), Some(Some((1, 1, 5))), false),
            // Another device of the filesystem, and another filesystem.
            (Some((1, 1, 5)), Some(Some((1, 2, 6))), false),
            (Some((1, 1, 5)), Some(Some((2, 1, 6))), false),
            // No filesystem that can have copies, and none that has been read.
            (Some((1, 1, 5)), Some(None), false),
            (None, Some(Some((1, 1, 6))), false),
            (Some((1, 1, 5)), None, false),
        ] {
            let found = found.map(|member| device("/dev/vdb", member));
            let newer = newer_copy(&device("/dev/vda", used), found.clone());
            assert_eq!(newer, found.filter(|_| is_newer), "{used:?}");
        }
    }

    #[test]
    fn a_wait_for_devices_says_what_is_missing_and_why_the_mount_failed() {
        let name = RootName::parse("LABEL=x").unwrap();
        let found = "1 of 2 btrfs devices found: /dev/vda";
        for (missing, error, want) in [
            ("", None, ""),
            ("", Some("mount: Invalid argument"), "; mount: Invalid argument"),
            ("ssd,device=/dev/vdb", None, "; no btrfs on device=/dev/vdb"),
            (
                "device=/dev/vdb,device=UUID=5",
                Some("mount: No such file or directory"),
                "; no btrfs on device=/dev/vdb; no btrfs on device=UUID=5; mount: No such file or \
                 directory",
            ),
        ] {
            let mut root = Filesystem::new(name.clone(), "LABEL=x".into(), SYSROOT.into(), false);
            root.trial_error = error.map(str::to_owned);
            let named = NamedDevices::find_by(missing, |_| None);
            let awaited = match root.awaits_members(found, &named) {
                Progress::NeedsDevice(awaited) => awaited,
                other => panic!("{other:?}"),
            };
            assert_eq!(awaited.text(), format!("LABEL=x ({found}{want})"), "{missing}");
            assert!(awaited.is_timed());
            let failure = format!("LABEL=x ({found}{want}) incomplete after 5 s");
            assert_eq!(awaited.failure("5 s"), failure, "{missing}");
        }
    }
}
