//! switch_root: from the initramfs to the real root.
//!
//! All checks come first ([`super::new_root`]) and change nothing; [`Ready::switch`] does not
//! return to the initramfs. Up to Linux 6.x the initramfs is the root of the mount namespace, which
//! pivot_root(2) refuses. Then the new root is moved over it and entered with chroot(2). Since Linux
//! 7.0 pivot_root works, and the old root is unmounted.
//!
//! In both cases a separate process deletes the files of the initramfs, so that the real init need
//! not wait for that. The unmount alone frees nothing: the kernel thread kdevtmpfs has a mount
//! namespace of its own, a copy of the first one, in which the initramfs stays mounted.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, StatFs, fstat, fstatfs, stat, statat};
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;

use super::early_mounts::moved_mounts;
use super::root::WorkerError;
use super::root_check::{Tried, operation};
use super::seconds;
use crate::report::Verdict;
use crate::sys::tree::{self, Removed};
use crate::sys::{Error, Result, Root, mount, process};

/// Programs that the kernel tries in this order if there is no init=.
pub(super) const INITS: [&str; 4] = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];

/// The parameter that names the init.
pub(super) const INIT: &str = "init=";

const RAMFS_MAGIC: u32 = 0x8584_58f6;
const TMPFS_MAGIC: u32 = 0x0102_1994;

/// A root that can be switched to.
#[derive(Debug)]
pub(super) struct Ready {
    new_root: PathBuf,
    old_root: File,
}

/// The cause that a root cannot be switched to.
#[derive(Debug)]
pub(in crate::boot) enum SwitchRootError {
    /// The root holds no init that can be executed.
    NoInit {
        /// The root in messages.
        root: String,
        /// The parameter that names the only program to execute, if there is one.
        parameter: Option<&'static str>,
        /// Paths that were tried, and why each failed.
        tried: Vec<Tried>,
        /// Mount points that the root lacks too, separated by commas.
        missing: String,
        /// Kernel parameters that mount the /usr of its fstab, if it has one.
        usr: String,
        /// Whether a read failed. Then a retry may help.
        is_unreadable: bool,
    },
    /// The root device, by its node, has disappeared.
    Gone(String),
    /// The root cannot be read, or is on the same filesystem as the initramfs.
    Refused(String),
    /// The check of this root did not end in time.
    NoAnswer {
        /// The root in messages.
        root: String,
        /// How long it ran.
        waited: Duration,
    },
    /// The mount worker, which checks the root, failed.
    Worker(WorkerError),
}

impl SwitchRootError {
    /// Returns the verdict of a boot that ends with this error.
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::NoInit { .. } | Self::NoAnswer { .. } => Verdict::NoInit,
            Self::Gone(_) => Verdict::NoRoot,
            Self::Refused(_) | Self::Worker(_) => Verdict::SwitchFailed,
        }
    }

    /// Returns what a person can do about it, if that is known.
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::NoInit { usr, .. } if !usr.is_empty() => {
                Some(format!("hint: /usr is another filesystem in /etc/fstab: boot with {usr}"))
            }
            _ => None,
        }
    }

    /// Returns whether a retry is useless.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::NoInit { is_unreadable: false, .. })
    }
}

impl fmt::Display for SwitchRootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInit { root, parameter, tried, missing, .. } => {
                let tried: Vec<String> = tried.iter().map(ToString::to_string).collect();
                let tried = tried.join("; ");
                match parameter {
                    None => write!(f, "root {root}: no init found ({tried})"),
                    Some(INIT) => write!(
                        f,
                        "root {root}: {INIT}{tried}; as in the kernel, no other init is tried"
                    ),
                    Some(parameter) => write!(f, "root {root}: {parameter}: {tried}"),
                }?;
                if missing.is_empty() {
                    Ok(())
                } else {
                    write!(f, "; the root has no mount points {missing}")
                }
            }
            Self::Gone(device) => write!(f, "root device {device} has disappeared"),
            Self::Refused(text) => f.write_str(text),
            Self::NoAnswer { root, waited } => {
                write!(f, "{} did not end within {}", operation(root), seconds(*waited))
            }
            Self::Worker(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SwitchRootError {}

/// Deletes the files of an initramfs after the switch; `dir` is its root directory.
///
/// # Errors
/// XDEV if `dir` is not such a directory: it is not in memory, holds no /init, or is the current
/// root.
pub(crate) fn free_initramfs(dir: BorrowedFd<'_>) -> std::result::Result<Removed, Errno> {
    let in_memory = fstatfs(dir).is_ok_and(|fs| is_in_memory(&fs));
    let in_use = fstat(dir)?.st_dev == stat("/")?.st_dev;
    let ours = statat(dir, "init", AtFlags::SYMLINK_NOFOLLOW).is_ok();
    if in_memory && ours && !in_use { tree::remove_contents(dir) } else { Err(Errno::XDEV) }
}

/// Returns whether a filesystem keeps its files in memory.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "32 bits everywhere")]
fn is_in_memory(fs: &StatFs) -> bool {
    // The field has 32 or 64 bits and is signed or not, depending on the machine. On s390x its type
    // is not rustix's FsWord.
    matches!(fs.f_type as u32, RAMFS_MAGIC | TMPFS_MAGIC)
}

impl Ready {
    /// Prepares the switch to `new_root`, which has been checked.
    ///
    /// # Errors
    /// The root of the initramfs cannot be opened.
    pub(super) fn new(dir: &Root, new_root: &Path) -> Result<Self> {
        let path = dir.join("/");
        let old_root = File::open(&path).map_err(|e| Error::io("open", &path, &e))?;
        Ok(Self { new_root: new_root.to_owned(), old_root })
    }

    /// Moves /dev, /proc, /sys and /run into the new root, makes it the root, and frees the old
    /// one. Returns how, for the record.
    ///
    /// # Errors
    /// The new root cannot be made the root. The mounts have moved by then.
    pub(super) fn switch(self, dir: &Root) -> Result<&'static str> {
        // Neither MS_MOVE nor pivot_root works on shared mounts; a fresh boot has none.
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        let _ = rustix::mount::mount_change("/", private);
        for path in moved_mounts() {
            self.move_mount(dir, path);
        }
        let failed = |op: &'static str, errno| Error::new(op, self.new_root.display(), errno);
        rustix::process::chdir(&self.new_root).map_err(|e| failed("chdir", e))?;
        if rustix::process::pivot_root(".", ".").is_ok() {
            mount::detach(Path::new("."))?;
            self.spawn_free();
            return Ok("pivot_root");
        }
        rustix::mount::mount_move(".", "/").map_err(|e| failed("move mount", e))?;
        rustix::process::chroot(".").map_err(|e| failed("chroot", e))?;
        rustix::process::chdir("/").map_err(|e| failed("chdir", e))?;
        self.spawn_free();
        Ok("move mount")
    }

    /// Moves one mount into the new root. If that has no directory for it, which the check of a
    /// root creates, the mount is detached.
    fn move_mount(&self, dir: &Root, path: &str) {
        let (from, to) = (dir.join(path), self.new_root.join(path));
        if mount::move_mount(&from, &to).is_err() {
            let _ = mount::detach(&from);
        }
    }

    /// Starts the process that deletes the files of the initramfs, which nothing can reach any
    /// more.
    fn spawn_free(&self) {
        let spawned = self
            .old_root
            .try_clone()
            .map(|dir| process::spawn_self("free-initramfs", &[], dir, None));
        if !matches!(spawned, Ok(Ok(_))) {
            // Files that cannot be deleted cost memory and nothing else.
            let _ = free_initramfs(self.old_root.as_fd());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_an_initramfs_is_freed() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("init"), "x").unwrap();
        for path in [Path::new("/"), Path::new("/proc"), Path::new("/dev"), scratch.path()] {
            // The scratch directory is in memory on some machines; it is never the current root.
            let in_memory = rustix::fs::statfs(path).is_ok_and(|fs| is_in_memory(&fs));
            if !(in_memory && path == scratch.path()) {
                assert_eq!(
                    free_initramfs(File::open(path).unwrap().as_fd()),
                    Err(Errno::XDEV),
                    "{}",
                    path.display()
                );
            }
        }
    }
}
