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

use super::{LOWER, Progress, Refused, Site, Step, UPPER, aside};
use crate::boot::SYSROOT;
use crate::cmdline::storage::Overlay as Words;
use crate::sys::{Error, Result, Root, mount};

/// The mount of the overlay; where the upper side is a device's, that is mounted before.
#[derive(Debug)]
pub(super) struct Overlay {
    words: Words,
    asked: bool,
}

impl Overlay {
    pub(super) fn new(words: &Words) -> Self {
        Self { words: words.clone(), asked: false }
    }

    fn mount(&self, root: &Root) -> Result<()> {
        let upper = root.join(UPPER);
        if let Words::Tmpfs(size) = &self.words {
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
        aside(root, LOWER)?;
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
            Words::Tmpfs(_) => "coldplug.overlay=tmpfs".to_owned(),
            Words::Device(name) => format!("coldplug.overlay={name}"),
        }
    }
}

impl Step for Overlay {
    fn advance(&mut self, site: &mut Site<'_>) -> std::result::Result<Progress, Refused> {
        if !self.asked {
            self.asked = true;
            return Ok(Progress::Loads(site.ask_for(&["overlay"])));
        }
        self.mount(&site.boot.root)
            .map_err(|e| Refused::not_mounted(format!("{}: {e}", self.text())))?;
        site.boot.record.root.layers.push(self.text());
        Ok(Progress::Done)
    }
}
