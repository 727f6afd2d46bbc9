//! A root that its host exports under a tag: 9p over virtio and virtiofs. There is no block device to wait for.
//!
//! ```text
//! root=TAG rootfstype=9p rootflags=trans=virtio,version=9p2000.L        the kernel's own form
//! root=TAG rootfstype=virtiofs
//! root=9p:TAG   root=virtiofs:TAG                                       without rootfstype=
//! ```

use std::time::Duration;

use super::{Progress, RootStep, StepContext, StepError};
use crate::boot::{SYSROOT, nanoseconds};
use crate::cmdline::boot::Break;
use crate::cmdline::root::{RootCandidate, RootParams};
use crate::kmod::name::ModuleName;
use crate::sys::{Cause, boottime_ns, mount, sysfs};
use rustix::io::Errno;
use rustix::mount::MountFlags;

/// The filesystems that are named by a tag.
const FILESYSTEMS: [&str; 2] = ["9p", "virtiofs"];

/// The first pause after a mount in vain, which is a line in the kernel's log each time; the next are twice as long.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(100);
/// The longest of them.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// A filesystem behind a tag.
#[derive(Debug)]
pub(super) struct HostShare {
    tag: String,
    fstype: &'static str,
    flags: String,
    writable: bool,
    modules: Option<Vec<ModuleName>>,
    /// How long to let be after the kernel has said that there is no such tag.
    retry_delay: u64,
    /// When to try again, on CLOCK_BOOTTIME.
    retry_at: u64,
}

impl HostShare {
    /// The root, if it is named by a tag.
    pub(super) fn root(choice: &RootCandidate, params: &RootParams) -> Option<Self> {
        let text = choice.text.as_str();
        let by_name = FILESYSTEMS
            .iter()
            .find_map(|kind| Some((*kind, text.strip_prefix(kind)?.strip_prefix(':')?)));
        let by_type = || {
            let kind =
                FILESYSTEMS.iter().find(|kind| params.fstypes.first().is_some_and(|t| t == *kind));
            kind.filter(|_| params.is_named()).map(|kind| (*kind, text))
        };
        let (fstype, tag) = by_name.or_else(by_type)?;
        Some(Self {
            tag: tag.to_owned(),
            fstype,
            flags: params.flags.clone(),
            writable: params.writable,
            modules: None,
            retry_delay: nanoseconds(FIRST_RETRY_DELAY),
            retry_at: 0,
        })
    }

    /// How the host brings 9p here: virtio, unless the options say otherwise.
    fn transport(&self) -> &str {
        let mut options = self.flags.split(',');
        options.find_map(|option| option.strip_prefix("trans=")).unwrap_or("virtio")
    }

    /// The options of the mount. What the kernel would take for 9p without being told is not there in every kernel.
    fn data(&self, own: String) -> String {
        let told = |name: &str| own.split(',').any(|o| o.split('=').next() == Some(name));
        if self.fstype != "9p" || told("trans") {
            return own;
        }
        if own.is_empty() { "trans=virtio".into() } else { format!("trans=virtio,{own}") }
    }

    /// Mounts; `is_listed` where the kernel says that the tag is there.
    fn mount(&mut self, is_listed: bool, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        cx.boot.break_at(Break::Mount);
        let target = cx.boot.root.join(SYSROOT);
        let (flags, data) = mount::parse_flags(&self.flags);
        let data = self.data(data);
        let mode = if self.writable { MountFlags::empty() } else { MountFlags::RDONLY };
        // The folder is there already where a mount was tried before.
        let _ = std::fs::create_dir_all(&target);
        match mount::mount(&self.tag, &target, self.fstype, flags | mode, &data) {
            Ok(()) => {
                let record = &mut cx.boot.record.root;
                record.device = Some(self.tag.clone());
                record.fstype = Some(self.fstype.to_owned());
                record.way = self.modules.take().unwrap_or_default();
                cx.boot.end_phase("mount");
                Ok(Progress::Done)
            }
            Err(error) if !is_listed && is_unknown(&error.cause) => {
                self.retry_at = boottime_ns().saturating_add(self.retry_delay);
                self.retry_delay = (self.retry_delay * 2).min(nanoseconds(MAX_RETRY_DELAY));
                Ok(self.poll_status(cx))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Names the tag, and those that are there instead.
    fn poll_status(&self, cx: &StepContext<'_>) -> Progress {
        let tags = sysfs::export_tags(&cx.boot.root, self.fstype);
        let there = match tags.as_deref() {
            Some([]) => "none is there".to_owned(),
            Some(tags) => format!("there: {}", tags.join(", ")),
            None => "this kernel does not tell which are there".to_owned(),
        };
        Progress::Polling(format!("{} tag {} ({there})", self.fstype, self.tag))
    }
}

impl RootStep for HostShare {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
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
        let by_virtio = self.fstype != "9p" || self.transport() == "virtio";
        let tags = sysfs::export_tags(&cx.boot.root, self.fstype).filter(|_| by_virtio);
        // A device that is bound may not have told its tag yet: without a list, only trying tells.
        let is_listed = tags.map(|tags| tags.contains(&self.tag));
        if is_listed != Some(false) && boottime_ns() >= self.retry_at {
            return self.mount(is_listed.is_some(), cx);
        }
        Ok(self.poll_status(cx))
    }
}

/// Whether this is what the kernel says of a tag that it does not know.
fn is_unknown(cause: &Cause) -> bool {
    matches!(cause, Cause::Errno(Errno::INVAL | Errno::NOENT | Errno::NODEV))
}
