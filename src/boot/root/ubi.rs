//! UBI volumes: flash without a block device. The kernel mounts them by name, and /sys/class/ubi
//! shows when they appear.
//!
//! ```text
//! ubi0:rootfs  ubi:rootfs     the volume of that name on device 0; `!` may stand for `:`
//! ubi0_3  /dev/ubi0_3         volume 3 of device 0
//! ubi3                        volume 3 of device 0
//! ```
//!
//! fs/ubifs/super.c, drivers/mtd/ubi.

use super::worker::{Mount, Request};
use super::{Awaited, Progress, RootStep, StepContext, StepError};
use crate::boot::SYSROOT;
use crate::cmdline::root::{AUTO, RootCandidate, RootParams};
use crate::cmdline::root_name::RootName;
use crate::kmod::name::ModuleName;
use crate::sys::flash;

/// Returns whether `root=` names a volume.
pub(super) fn is_volume(text: &str) -> bool {
    let name = text.strip_prefix("/dev/").unwrap_or(text);
    let Some(rest) = name.strip_prefix("ubi") else { return false };
    let number = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = rest.len() > number.len();
    match number.as_bytes().first() {
        None => digits,
        Some(b':' | b'!') => name == text && number.len() > 1,
        Some(b'_') => digits && number.len() > 1 && number[1..].bytes().all(|b| b.is_ascii_digit()),
        Some(_) => false,
    }
}

/// Attaches flash as the parameter `ubi.mtd=` says. The module does that once, when it is loaded,
/// so the MTD devices must exist before that.
#[derive(Debug)]
pub(super) struct Attach {
    mtd: Vec<String>,
    /// The modules of MTD itself, once they have been requested because a device is missing.
    core: Option<Vec<ModuleName>>,
    /// Whether the module has been requested.
    requested: bool,
}

impl Attach {
    pub(super) fn new(mtd: &[String]) -> Self {
        Self { mtd: mtd.to_vec(), core: None, requested: false }
    }
}

impl RootStep for Attach {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        if let Some(missing) = self.mtd.iter().find(|mtd| !flash::has_mtd(cx.dir, mtd)) {
            let Some(core) = &self.core else {
                let core = cx.request_modules(&["mtd"]);
                self.core = Some(core.clone());
                return Ok(Progress::LoadingModules(core));
            };
            if !flash::is_supported(cx.dir) {
                return Err(cx.not_in_kernel(format!("MTD (ubi.mtd={missing})"), core));
            }
            let name = RootName::parse(missing);
            let awaited = Awaited::device(format!("ubi.mtd={missing}"), name.as_ref());
            return Ok(Progress::NeedsDevice(awaited));
        }
        if !self.requested {
            self.requested = true;
            return Ok(Progress::LoadingModules(cx.request_modules(&["ubi"])));
        }
        cx.state.add_modules(flash::modules_below_ubi(cx.dir));
        Ok(Progress::Done)
    }
}

/// Mounts a volume.
#[derive(Debug)]
pub(super) struct Volume {
    choice: RootCandidate,
    fstype: String,
    flags: String,
    writable: bool,
    /// The modules, once they have been requested.
    modules: Option<Vec<ModuleName>>,
    /// Whether the worker mounts the volume.
    mounting: bool,
}

impl Volume {
    /// Returns the step that mounts the root.
    pub(super) fn root(choice: &RootCandidate, params: &RootParams) -> Self {
        Self {
            choice: choice.clone(),
            fstype: params
                .fstypes
                .iter()
                .find(|t| *t != AUTO)
                .map_or("ubifs", String::as_str)
                .into(),
            flags: params.flags.clone(),
            writable: params.is_writable(&params.flags),
            modules: None,
            mounting: false,
        }
    }

    /// Returns whether the volume exists.
    fn exists(&self, cx: &StepContext<'_>) -> bool {
        let text = &self.choice.text;
        let name = text.strip_prefix("/dev/").unwrap_or(text);
        let rest = name.strip_prefix("ubi").unwrap_or(name);
        let (device, volume) = rest.split_once([':', '!', '_']).unwrap_or(("0", rest));
        let device = if device.is_empty() { "0" } else { device };
        if rest.contains([':', '!']) {
            flash::has_volume_named(cx.dir, device, volume)
        } else {
            flash::has_volume(cx.dir, device, volume)
        }
    }
}

impl RootStep for Volume {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        if self.mounting {
            let Some(result) = cx.worker.poll() else { return Ok(cx.worker.progress()) };
            result?;
            cx.record_mount(&self.fstype, Vec::new());
            return Ok(Progress::Done);
        }
        let name = &self.choice.text;
        let Some(modules) = &self.modules else {
            let filesystem = format!("fs-{}", self.fstype);
            let modules = cx.request_modules(&["ubi", &filesystem]);
            self.modules = Some(modules.clone());
            return Ok(Progress::LoadingModules(modules));
        };
        cx.require_filesystem(&self.fstype, modules)?;
        if !self.exists(cx) {
            return Ok(Progress::NeedsDevice(Awaited::root(name, &self.choice.name)));
        }
        cx.set_root_device(name);
        cx.reach_mount()?;
        let request = Mount {
            source: name.clone(),
            target: SYSROOT.to_owned(),
            writable: self.writable,
            guess: false,
            options: self.flags.clone(),
            types: vec![self.fstype.clone()],
        };
        self.mounting = true;
        let text = request.to_string();
        Ok(cx.worker.request(Request::Mount(request), text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_told_from_devices() {
        for name in ["ubi0:rootfs", "ubi:r", "ubi!r", "ubi12!r", "ubi0_1", "ubi3", "/dev/ubi0_1"] {
            assert!(is_volume(name), "{name}");
        }
        for name in [
            "ubi",
            "ubi:",
            "ubi0_",
            "ubi_1",
            "ubi0_x",
            "/dev/ubiblock0_0",
            "/dev/sda",
            "/dev/ubi0:a",
            "ubifs",
        ] {
            assert!(!is_volume(name), "{name}");
        }
    }
}
