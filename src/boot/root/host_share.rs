//! A root that the host exports under a tag: 9p over virtio, and virtiofs. There is no block
//! device.
//!
//! ```text
//! root=TAG rootfstype=9p rootflags=trans=virtio,version=9p2000.L        the kernel's own form
//! root=TAG rootfstype=virtiofs
//! root=9p:TAG   root=virtiofs:TAG                                       without rootfstype=
//! ```

use std::time::Duration;

use super::worker::{Mount, Request, WorkerError};
use super::{Awaited, Progress, RootStep, StepContext, StepError};
use crate::boot::SYSROOT;
use crate::cmdline::root::{RootCandidate, RootParams};
use crate::kmod::name::ModuleName;
use crate::sys::devices::modules_above;
use crate::sys::{BootTime, Cause, sysfs};
use rustix::io::Errno;

/// The filesystems that are named by a tag.
const FILESYSTEMS: [&str; 2] = ["9p", "virtiofs"];

/// Delay after the first failed mount. Each failure is a line in the kernel's log, so the delay
/// doubles every time.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(100);
/// Longest delay.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// A filesystem behind a tag.
#[derive(Debug)]
pub(super) struct HostShare {
    tag: String,
    fstype: &'static str,
    flags: String,
    writable: bool,
    modules: Option<Vec<ModuleName>>,
    /// Whether the worker mounts the share, and if so, whether the kernel lists the tag.
    mounting: Option<bool>,
    /// Delay of the next retry after the kernel has reported an unknown tag.
    retry_delay: Duration,
    /// Time of the next attempt.
    retry_at: BootTime,
}

impl HostShare {
    /// Returns the step that mounts the root, if the root is named by a tag.
    pub(super) fn root(choice: &RootCandidate, params: &RootParams) -> Option<Self> {
        let text = choice.text.as_str();
        let by_name = FILESYSTEMS
            .iter()
            .find_map(|fstype| Some((*fstype, text.strip_prefix(fstype)?.strip_prefix(':')?)));
        let by_type = || {
            let first = params.fstypes.first();
            let fstype = FILESYSTEMS.iter().find(|fstype| first.is_some_and(|f| f == *fstype));
            fstype.filter(|_| params.is_named()).map(|fstype| (*fstype, text))
        };
        let (fstype, tag) = by_name.or_else(by_type)?;
        Some(Self {
            tag: tag.to_owned(),
            fstype,
            flags: params.flags.clone(),
            writable: params.is_writable(&params.flags),
            modules: None,
            mounting: None,
            retry_delay: FIRST_RETRY_DELAY,
            retry_at: BootTime::default(),
        })
    }

    /// Returns the transport of 9p: virtio, unless the options name another one.
    fn transport(&self) -> &str {
        let mut options = self.flags.split(',');
        options.find_map(|option| option.strip_prefix("trans=")).unwrap_or("virtio")
    }

    /// Returns the options of the mount. The transport of 9p is always among them, because not
    /// every kernel has the default that fits.
    fn options(&self) -> String {
        let own = &self.flags;
        let has = |name: &str| own.split(',').any(|o| o.split('=').next() == Some(name));
        if self.fstype != "9p" || has("trans") {
            return own.clone();
        }
        if own.is_empty() { "trans=virtio".into() } else { format!("trans=virtio,{own}") }
    }

    /// Has the worker mount the share. `is_listed` says that the kernel lists the tag.
    fn mount(&mut self, is_listed: bool, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        cx.reach_mount()?;
        let request = Mount {
            source: self.tag.clone(),
            target: SYSROOT.to_owned(),
            writable: self.writable,
            guess: false,
            options: self.options(),
            types: vec![self.fstype.to_owned()],
        };
        self.mounting = Some(is_listed);
        let text = request.to_string();
        Ok(cx.worker.request(Request::Mount(request), text)?)
    }

    /// Notes that the share is mounted. If the kernel does not know the tag, another attempt
    /// follows.
    fn finish(
        &mut self,
        result: Result<Vec<u8>, WorkerError>,
        is_listed: bool,
        cx: &mut StepContext<'_>,
    ) -> Result<Progress, StepError> {
        match result {
            Ok(_) => {
                cx.note_root_device(&self.tag);
                let driver = if self.fstype == "9p" { "9pnet_virtio" } else { "virtiofs" };
                let bound = sysfs::bound_devices(cx.dir, "virtio", driver).into_iter();
                let below = |device| format!("sys/bus/virtio/devices/{device}");
                let drivers = bound.flat_map(|device| modules_above(cx.dir, &below(device)));
                cx.record_mount(self.fstype, drivers.collect());
                Ok(Progress::Done)
            }
            Err(WorkerError::System(error)) if !is_listed && is_unknown_tag(&error.cause) => {
                self.retry_at = BootTime::now() + self.retry_delay;
                self.retry_delay = (self.retry_delay * 2).min(MAX_RETRY_DELAY);
                Ok(self.polling(cx))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the progress of a tag that is not there yet, with the tags that are.
    fn polling(&self, cx: &StepContext<'_>) -> Progress {
        let tags = sysfs::host_share_tags(cx.dir, self.fstype);
        let available = match tags.as_deref() {
            Some([]) => "none available".to_owned(),
            Some(tags) => format!("available: {}", tags.join(", ")),
            None => "this kernel does not list tags".to_owned(),
        };
        Progress::Polling(Awaited::reply(format!("{} tag {} ({available})", self.fstype, self.tag)))
    }
}

impl RootStep for HostShare {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        if let Some(is_listed) = self.mounting {
            let Some(result) = cx.worker.poll() else { return Ok(cx.worker.progress()) };
            self.mounting = None;
            return self.finish(result, is_listed, cx);
        }
        let Some(modules) = &self.modules else {
            let transport = format!("9pnet_{}", self.transport());
            let names = match self.fstype {
                "9p" => vec!["fs-9p", transport.as_str()],
                _ => vec!["fs-virtiofs"],
            };
            let modules = cx.request_modules(&names);
            self.modules = Some(modules.clone());
            return Ok(Progress::LoadingModules(modules));
        };
        if !cx.loader.is_done(modules) {
            return Ok(Progress::LoadingModules(modules.clone()));
        }
        cx.require_filesystem(self.fstype, modules)?;
        if self.fstype == "9p" && self.transport() == "virtio" && !sysfs::has_9p_virtio(cx.dir) {
            return Err(cx.not_in_kernel("transport virtio of 9p".to_owned(), modules));
        }
        let by_virtio = self.fstype != "9p" || self.transport() == "virtio";
        let tags = sysfs::host_share_tags(cx.dir, self.fstype).filter(|_| by_virtio);
        // A device that is bound may not have announced its tag yet. If the kernel has no list of
        // tags, only an attempt to mount shows whether the tag exists.
        let is_listed = tags.map(|tags| tags.contains(&self.tag));
        if is_listed != Some(false) && BootTime::now() >= self.retry_at {
            return self.mount(is_listed.is_some(), cx);
        }
        Ok(self.polling(cx))
    }
}

/// Returns whether the kernel reports a tag that it does not know with this error.
fn is_unknown_tag(cause: &Cause) -> bool {
    matches!(cause, Cause::Errno(Errno::INVAL | Errno::NOENT | Errno::NODEV))
}
