//! UBI volumes: flash without a block device. The kernel mounts them by their names, and they are waited for in
//! /sys/class/ubi.
//!
//! ```text
//! ubi0:rootfs  ubi:rootfs     the volume of that name on device 0; `!` may stand for `:`
//! ubi0_3  /dev/ubi0_3         volume 3 of device 0
//! ubi3                        volume 3 of device 0
//! ```
//!
//! fs/ubifs/super.c, drivers/mtd/ubi.

use rustix::mount::MountFlags;

use super::{Progress, RootStep, StepContext, StepError};
use crate::boot::SYSROOT;
use crate::cmdline::root::{RootCandidate, RootParams};
use crate::sys::{flash, mount};

/// Whether `root=` names a volume.
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

/// Attaches flash, as the parameter `ubi.mtd=` has it: the module does that once, so what it names must be there first.
#[derive(Debug)]
pub(super) struct Attach {
    mtd: Vec<String>,
    asked: bool,
}

impl Attach {
    pub(super) fn new(mtd: &[String]) -> Self {
        Self { mtd: mtd.to_vec(), asked: false }
    }
}

impl RootStep for Attach {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let there = |mtd: &&String| flash::has_mtd(&cx.boot.root, mtd);
        if let Some(missing) = self.mtd.iter().find(|mtd| !there(mtd)) {
            return Ok(Progress::NeedsDevice(format!("ubi.mtd={missing}")));
        }
        if !self.asked {
            self.asked = true;
            return Ok(Progress::LoadingModules(cx.request_modules(&["ubi"])));
        }
        Ok(Progress::Done)
    }
}

/// Mounts a volume.
#[derive(Debug)]
pub(super) struct Volume {
    name: String,
    fstype: String,
    flags: String,
    writable: bool,
    asked: bool,
}

impl Volume {
    pub(super) fn root(choice: &RootCandidate, params: &RootParams) -> Self {
        Self {
            name: choice.text.clone(),
            fstype: params.fstypes.first().map_or("ubifs", String::as_str).to_owned(),
            flags: params.flags.clone(),
            writable: params.writable,
            asked: false,
        }
    }

    /// Whether the volume is there.
    fn is_there(&self, cx: &StepContext<'_>) -> bool {
        let name = self.name.strip_prefix("/dev/").unwrap_or(&self.name);
        let rest = name.strip_prefix("ubi").unwrap_or(name);
        let (device, volume) = rest.split_once([':', '!', '_']).unwrap_or(("0", rest));
        let device = if device.is_empty() { "0" } else { device };
        if rest.contains([':', '!']) {
            flash::has_volume_called(&cx.boot.root, device, volume)
        } else {
            flash::has_volume(&cx.boot.root, device, volume)
        }
    }
}

impl RootStep for Volume {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        if !self.asked {
            self.asked = true;
            let filesystem = format!("fs-{}", self.fstype);
            return Ok(Progress::LoadingModules(cx.request_modules(&["ubi", &filesystem])));
        }
        if !self.is_there(cx) {
            return Ok(Progress::NeedsDevice(format!("root={}", self.name)));
        }
        let boot = &mut cx.boot;
        boot.record.root.device = Some(self.name.clone());
        boot.end_phase("root device");
        let target = boot.root.join(SYSROOT);
        let (own, data) = mount::parse_flags(&self.flags);
        let mode = if self.writable { MountFlags::empty() } else { MountFlags::RDONLY };
        let _ = std::fs::create_dir_all(&target);
        mount::mount(&self.name, &target, &self.fstype, own | mode, &data)?;
        boot.record.root.fstype = Some(self.fstype.clone());
        boot.end_phase("mount");
        Ok(Progress::Done)
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
