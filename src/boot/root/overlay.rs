//! `coldplug.overlay=`: the root is only read, and writes go to another filesystem.
//!
//! ```text
//! /run/coldplug/lower     the root as it is
//! /run/coldplug/upper     upper/ holds what is written, work/ belongs to overlayfs;
//!                         a tmpfs, or the filesystem on a device
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

/// The mount of the overlay. If the upper side is on a device, an earlier step has mounted it.
#[derive(Debug)]
pub(super) struct Overlay {
    params: OverlayParams,
    /// Whether the module has been requested.
    requested: bool,
}

impl Overlay {
    pub(super) fn new(params: &OverlayParams) -> Self {
        Self { params: params.clone(), requested: false }
    }

    fn mount(&self, dir: &Root) -> Result<()> {
        let upper = dir.join(UPPER);
        if let OverlayParams::Tmpfs(size) = &self.params {
            let size = size.as_ref().map(|size| format!(",size={size}")).unwrap_or_default();
            fs::create_dir_all(&upper).map_err(|e| Error::io("mkdir", &upper, &e))?;
            // Device nodes and set-uid programs are allowed by the overlay, not by its upper side.
            let flags = MountFlags::NODEV | MountFlags::NOSUID;
            mount::mount("tmpfs", &upper, "tmpfs", flags, &format!("mode=0755{size}"))?;
        }
        let (data, work) = (upper.join("upper"), upper.join("work"));
        for directory in [&data, &work] {
            fs::create_dir_all(directory).map_err(|e| Error::io("mkdir", directory, &e))?;
        }
        move_sysroot_to(dir, LOWER)?;
        let lower = dir.join(LOWER);
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            data.display(),
            work.display()
        );
        mount::mount("overlay", &dir.join(SYSROOT), "overlay", MountFlags::empty(), &options)
    }

    fn parameter(&self) -> String {
        match &self.params {
            OverlayParams::Tmpfs(_) => "coldplug.overlay=tmpfs".to_owned(),
            OverlayParams::Device(name) => format!("coldplug.overlay={name}"),
        }
    }
}

impl RootStep for Overlay {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> std::result::Result<Progress, StepError> {
        if !self.requested {
            self.requested = true;
            return Ok(Progress::LoadingModules(cx.request_modules(&["overlay"])));
        }
        let parameter = self.parameter();
        match self.mount(cx.dir) {
            Ok(()) => {
                cx.reporter.add_layer(parameter);
                Ok(Progress::Done)
            }
            Err(error) => Err(StepError::Parameter { parameter, error }),
        }
    }
}
