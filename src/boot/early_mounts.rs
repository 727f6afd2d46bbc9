//! The early mounts.

use std::fs;

use rustix::fs::{AtFlags, CWD, statat};
use rustix::mount::MountFlags;

use super::SYSROOT;
use crate::sys::{Error, Result, Root, mount, tree};

const RUN: &str = "run";
/// What the image has for the shutdown.
const KEPT: &str = "run/initramfs";

/// A mount that everything else stands on.
struct Early {
    path: &'static str,
    fstype: &'static str,
    flags: MountFlags,
    data: &'static str,
    /// Without it there is no boot.
    needed: bool,
}

const NOTHING: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

const MOUNTS: [Early; 4] = [
    Early {
        path: "dev",
        fstype: "devtmpfs",
        flags: MountFlags::NOSUID,
        data: "mode=0755",
        needed: true,
    },
    Early { path: "proc", fstype: "proc", flags: NOTHING, data: "", needed: true },
    Early { path: "sys", fstype: "sysfs", flags: NOTHING, data: "", needed: true },
    Early {
        path: "run",
        fstype: "tmpfs",
        flags: MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::STRICTATIME),
        data: "mode=0755",
        needed: false,
    },
];

/// The folders that are handed on to the real root.
pub(super) fn moved_mounts() -> impl Iterator<Item = &'static str> {
    MOUNTS.iter().map(|early| early.path)
}

/// Mounts /dev, /proc, /sys and /run; what is mounted already stays. Gives the errors of mounts that the
/// boot can do without.
///
/// # Errors
/// One that it cannot do without.
pub(super) fn mount_all(root: &Root) -> Result<Vec<Error>> {
    let mut lacking = Vec::new();
    for early in &MOUNTS {
        match mount_one(root, early) {
            Err(error) if early.needed => return Err(error),
            Err(error) => lacking.push(error),
            Ok(()) => {}
        }
    }
    Ok(lacking)
}

fn mount_one(root: &Root, early: &Early) -> Result<()> {
    let target = root.join(early.path);
    if is_mount_point(root, early.path) {
        return Ok(());
    }
    if !target.is_dir() {
        fs::create_dir_all(&target).map_err(|e| Error::io("mkdir", &target, &e))?;
    }
    if early.path == RUN && root.join(KEPT).is_dir() {
        return mount_around(root, early);
    }
    match mount::mount(early.fstype, &target, early.fstype, early.flags, early.data) {
        // The same filesystem is there already.
        Err(error) if error.cause == rustix::io::Errno::BUSY => Ok(()),
        result => result,
    }
}

/// Mounts over a folder whose content stays: what the image has in /run/initramfs is for the shutdown of the real
/// system, which runs /run/initramfs/shutdown (systemd-shutdown(8)).
fn mount_around(root: &Root, early: &Early) -> Result<()> {
    let (target, aside) = (root.join(early.path), root.join(SYSROOT));
    fs::create_dir_all(&aside).map_err(|e| Error::io("mkdir", &aside, &e))?;
    mount::mount(early.fstype, &aside, early.fstype, early.flags, early.data)?;
    let copied = tree::copy(&target, &aside);
    mount::move_to(&aside, &target)?;
    copied
}

/// Whether `path` is on another device than its parent.
fn is_mount_point(root: &Root, path: &str) -> bool {
    let device = |p: &std::path::Path| statat(CWD, p, AtFlags::empty()).map(|s| s.st_dev);
    let target = root.join(path);
    let parent = target.parent().map(std::path::Path::to_path_buf);
    match (device(&target), parent.map(|p| device(&p))) {
        (Ok(own), Some(Ok(above))) => own != above,
        _ => false,
    }
}
