//! `coldplug.overlay=`: the root is only read, and what is written goes elsewhere.
//!
//! ```text
//! /run/coldplug/lower     the root as it is
//! /run/coldplug/upper     upper/ what was written, work/ overlayfs' own: a tmpfs, or the filesystem on a device
//! /sysroot                the overlay of both
//! ```
//!
//! The kernel's filesystems/overlayfs.

use std::fs;

use rustix::mount::MountFlags;

use super::{LOWER, Progress, RootStep, StepContext, StepError, UPPER, move_sysroot_to};
use crate::boot::SYSROOT;
use crate::cmdline::storage::OverlayParams;
use crate::sys::{Error, Result, Root, mount};

/// The mount of the overlay; where the upper side is a device's, that is mounted before.
#[derive(Debug)]
pub(super) struct Overlay {
    words: OverlayParams,
    asked: bool,
}

impl Overlay {
    pub(super) fn new(words: &OverlayParams) -> Self {
        Self { words: words.clone(), asked: false }
    }

    fn mount(&self, root: &Root) -> Result<()> {
        let upper = root.join(UPPER);
        if let OverlayParams::Tmpfs(size) = &self.words {
            let size = size.as_ref().map(|size| format!(",size={size}")).unwrap_or_default();
            fs::create_dir_all(&upper).map_err(|e| Error::io("mkdir", &upper, &e))?;
            let flags = MountFlags::NODEV | MountFlags::NOSUID;
            // Devices and set-uid programs are the overlay's to allow.
            mount::mount("tmpfs", &upper, "tmpfs", flags, &format!("mode=0755{size}"))?;
        }
        let (data, work) = (upper.join("upper"), upper.join("work"));
        for folder in [&data, &work] {
            fs::create_dir_all(folder).map_err(|e| Error::io("mkdir", folder, &e))?;
        }
        move_sysroot_to(root, LOWER)?;
        let lower = root.join(LOWER);
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            data.display(),
            work.display()
        );
        mount::mount("overlay", &root.join(SYSROOT), "overlay", MountFlags::empty(), &options)
    }

    fn text(&self) -> String {
        match &self.words {
            OverlayParams::Tmpfs(_) => "coldplug.overlay=tmpfs".to_owned(),
            OverlayParams::Device(name) => format!("coldplug.overlay={name}"),
        }
    }
}

impl RootStep for Overlay {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> std::result::Result<Progress, StepError> {
        if !self.asked {
            self.asked = true;
            return Ok(Progress::LoadingModules(cx.request_modules(&["overlay"])));
        }
        self.mount(&cx.boot.root)
            .map_err(|e| StepError::not_mounted(format!("{}: {e}", self.text())))?;
        cx.boot.record.root.layers.push(self.text());
        Ok(Progress::Done)
    }
}
