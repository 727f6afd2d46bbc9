//! The mounts of /proc, /dev, /sys and /run, before anything else. /proc comes first: the kernel
//! command line says what to do if another one fails.
//!
//! A kernel without devtmpfs gets a tmpfs on /dev, for the nodes of
//! [`DeviceNodes`](crate::sys::device_nodes::DeviceNodes).

use std::fs;

use rustix::fs::{AtFlags, CWD, statat};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::SYSROOT;
use crate::sys::{Error, Result, Root, mount, tree};

const RUN: &str = "run";
const DEVTMPFS: &str = "devtmpfs";
const TMPFS: &str = "tmpfs";
/// Files of the image for the shutdown of the real system.
const KEPT: &str = "run/initramfs";

/// An early mount.
struct Early {
    path: &'static str,
    fstype: &'static str,
    flags: MountFlags,
    data: &'static str,
    /// Whether the boot cannot go on without it.
    needed: bool,
}

const RESTRICTED: MountFlags =
    MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

const MOUNTS: [Early; 4] = [
    Early { path: "proc", fstype: "proc", flags: RESTRICTED, data: "", needed: true },
    Early {
        path: "dev",
        fstype: DEVTMPFS,
        flags: MountFlags::NOSUID,
        data: "mode=0755",
        needed: true,
    },
    Early { path: "sys", fstype: "sysfs", flags: RESTRICTED, data: "", needed: true },
    Early {
        path: "run",
        fstype: TMPFS,
        flags: MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::STRICTATIME),
        data: "mode=0755",
        needed: false,
    },
];

/// Returns the mount points that are moved into the real root.
pub(super) fn moved_mounts() -> impl Iterator<Item = &'static str> {
    MOUNTS.iter().map(|early| early.path)
}

/// Errors of early mounts.
#[derive(Debug, Default)]
pub(super) struct Failed {
    /// The first mount that the boot cannot go on without.
    pub(super) needed: Option<Error>,
    /// Other mounts.
    pub(super) others: Vec<Error>,
}

/// Mounts /proc, /dev, /sys and /run, each unless it is mounted already. A failed mount does not
/// keep the others from being tried: rescue needs what is there.
pub(super) fn mount_all(dir: &Root) -> Failed {
    let mut failed = Failed::default();
    for early in &MOUNTS {
        match mount_one(dir, early) {
            Err(error) if early.needed && failed.needed.is_none() => failed.needed = Some(error),
            Err(error) => failed.others.push(error),
            Ok(()) => {}
        }
    }
    failed
}

fn mount_one(dir: &Root, early: &Early) -> Result<()> {
    let target = dir.join(early.path);
    if is_mount_point(dir, early.path) {
        return Ok(());
    }
    if !target.is_dir() {
        // A file of the image at /run; the loader and the mounts of the root need the directory.
        if !early.needed {
            let _ = fs::remove_file(&target);
        }
        fs::create_dir_all(&target).map_err(|e| Error::io("mkdir", &target, &e))?;
    }
    if early.path == RUN && dir.join(KEPT).is_dir() {
        return mount_around(dir, early);
    }
    match mount::mount(early.fstype, &target, early.fstype, early.flags, early.data) {
        // The same filesystem is mounted there already.
        Err(error) if error.cause == Errno::BUSY => Ok(()),
        Err(error) if error.cause == Errno::NODEV && early.fstype == DEVTMPFS => {
            mount::mount(TMPFS, &target, TMPFS, early.flags, early.data)
        }
        result => result,
    }
}

/// Mounts over /run and keeps its content: the image's /run/initramfs is for the shutdown of the
/// real system, which runs /run/initramfs/shutdown (systemd-shutdown(8)).
fn mount_around(dir: &Root, early: &Early) -> Result<()> {
    let (target, aside) = (dir.join(early.path), dir.join(SYSROOT));
    fs::create_dir_all(&aside).map_err(|e| Error::io("mkdir", &aside, &e))?;
    mount::mount(early.fstype, &aside, early.fstype, early.flags, early.data)?;
    let copied = tree::copy_contents(&target, &aside);
    mount::move_mount(&aside, &target)?;
    copied
}

/// Returns whether `path` is on another device than its parent.
fn is_mount_point(dir: &Root, path: &str) -> bool {
    let device = |p: &std::path::Path| statat(CWD, p, AtFlags::empty()).map(|s| s.st_dev);
    let target = dir.join(path);
    let parent = target.parent().map(std::path::Path::to_path_buf);
    match (device(&target), parent.map(|p| device(&p))) {
        (Ok(own), Some(Ok(above))) => own != above,
        _ => false,
    }
}
