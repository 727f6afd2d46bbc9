//! switch_root: from the initramfs to the real root.
//!
//! All checks come first and change nothing; [`Ready::switch`] does not return to the initramfs. Up
//! to Linux 6.x the initramfs is the root of the mount namespace, which pivot_root(2) refuses. Then
//! the new root is moved over it and entered with chroot(2), and a separate process deletes the
//! files below it, so that the real init need not wait for that. Since Linux 7.0 pivot_root works,
//! and the old root is unmounted as a whole.

use std::fmt;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FsWord, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat2, stat, statat,
};
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;

use super::early_mounts::moved_mounts;
use crate::report::Verdict;
use crate::sys::tree::{self, Removed};
use crate::sys::{Error, Result, Root, errno, mount, process};

/// Programs that the kernel tries in this order if there is no init=.
const INITS: [&str; 4] = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];

const RAMFS_MAGIC: FsWord = 0x8584_58f6;
const TMPFS_MAGIC: FsWord = 0x0102_1994;

/// A root that has passed every check.
#[derive(Debug)]
pub(super) struct Ready {
    new_root: PathBuf,
    old_root: File,
    /// Path of the init in the new root.
    pub(super) init: String,
}

/// The cause that a root cannot be switched to.
#[derive(Debug)]
pub(super) enum SwitchRootError {
    /// The root holds no init that can be executed.
    NoInit {
        /// The root in messages.
        root: String,
        /// Paths that were tried, and why each failed.
        tried: Vec<(String, Errno)>,
    },
    /// An operation failed, or the root is on the same filesystem as the initramfs.
    System(Error),
}

impl SwitchRootError {
    /// Returns the verdict of a boot that ends with this error.
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::NoInit { .. } => Verdict::NoInit,
            Self::System(_) => Verdict::SwitchFailed,
        }
    }
}

impl From<Error> for SwitchRootError {
    fn from(error: Error) -> Self {
        Self::System(error)
    }
}

impl fmt::Display for SwitchRootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInit { root, tried } => {
                let each = |(path, cause): &(String, _)| format!("{path}: {}", errno::text(*cause));
                let tried: Vec<String> = tried.iter().map(each).collect();
                write!(f, "root {root}: no init found ({})", tried.join("; "))
            }
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SwitchRootError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoInit { .. } => None,
            Self::System(error) => Some(error),
        }
    }
}

/// Checks `new_root` and its init. `name` is the root in messages; `init` is the value of `init=`.
///
/// # Errors
/// `new_root` is not a directory of another filesystem, or holds no init that can be executed.
pub(super) fn prepare(
    dir: &Root,
    new_root: &Path,
    name: &str,
    init: Option<&str>,
) -> std::result::Result<Ready, SwitchRootError> {
    let open = |path: &Path| File::open(path).map_err(|e| Error::io("open", path, &e));
    let device = |file: &File, path: &Path| {
        let stat = fstat(file).map_err(|e| Error::new("fstat", path.display(), e));
        stat.map(|stat| stat.st_dev)
    };
    let old_path = dir.join("/");
    let (old_root, new) = (open(&old_path)?, open(new_root)?);
    if device(&old_root, &old_path)? == device(&new, new_root)? {
        return Err(Error::new("switch_root", new_root.display(), Errno::XDEV).into());
    }
    match find_init(&new, init) {
        Ok(init) => Ok(Ready { new_root: new_root.to_owned(), old_root, init }),
        Err(tried) => Err(SwitchRootError::NoInit { root: name.to_owned(), tried }),
    }
}

/// Returns the first init that is an executable file in the new root. Links are resolved inside it.
fn find_init(new: &File, init: Option<&str>) -> std::result::Result<String, Vec<(String, Errno)>> {
    let candidates: Vec<&str> = init.map_or_else(|| INITS.to_vec(), |init| vec![init]);
    let mut tried = Vec::new();
    for path in candidates {
        match is_executable(new, path) {
            Ok(()) => return Ok(path.to_owned()),
            Err(errno) => tried.push((path.to_owned(), errno)),
        }
    }
    Err(tried)
}

fn is_executable(new: &File, path: &str) -> std::result::Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    // As the kernel will see it after the switch: absolute links start at the new root.
    let file = openat2(new, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
    let stat = fstat(&file)?;
    let regular = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
    if regular && stat.st_mode & 0o111 != 0 { Ok(()) } else { Err(Errno::ACCESS) }
}

/// Deletes the files of an initramfs after the switch; `dir` is its root directory.
///
/// # Errors
/// XDEV if `dir` is not such a directory: it is not in memory, holds no /init, or is the current
/// root.
pub(crate) fn free_initramfs(dir: BorrowedFd<'_>) -> std::result::Result<Removed, Errno> {
    let in_memory = fstatfs(dir).is_ok_and(|s| matches!(s.f_type, RAMFS_MAGIC | TMPFS_MAGIC));
    let in_use = fstat(dir)?.st_dev == stat("/")?.st_dev;
    let ours = statat(dir, "init", AtFlags::SYMLINK_NOFOLLOW).is_ok();
    if in_memory && ours && !in_use { tree::remove_contents(dir) } else { Err(Errno::XDEV) }
}

impl Ready {
    /// Moves /dev, /proc, /sys and /run into the new root, makes it the root, and frees the old
    /// one.
    ///
    /// # Errors
    /// The new root cannot be made the root. The mounts have moved by then.
    pub(super) fn switch(self, dir: &Root) -> Result<()> {
        // Neither MS_MOVE nor pivot_root works on shared mounts; a fresh boot has none.
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        let _ = rustix::mount::mount_change("/", private);
        for path in moved_mounts() {
            self.move_mount(dir, path);
        }
        let failed = |op: &'static str, errno| Error::new(op, self.new_root.display(), errno);
        rustix::process::chdir(&self.new_root).map_err(|e| failed("chdir", e))?;
        if rustix::process::pivot_root(".", ".").is_ok() {
            return mount::detach(Path::new("."));
        }
        rustix::mount::mount_move(".", "/").map_err(|e| failed("move mount", e))?;
        rustix::process::chroot(".").map_err(|e| failed("chroot", e))?;
        rustix::process::chdir("/").map_err(|e| failed("chdir", e))?;
        self.spawn_free();
        Ok(())
    }

    /// Moves one mount into the new root. If that has no directory for it, the mount is detached.
    fn move_mount(&self, dir: &Root, path: &str) {
        let (from, to) = (dir.join(path), self.new_root.join(path));
        if !to.is_dir() {
            // A read-only root without this directory goes without the mount.
            let _ = fs::create_dir(&to);
        }
        if mount::move_mount(&from, &to).is_err() {
            let _ = mount::detach(&from);
        }
    }

    /// Starts the process that deletes the files of the initramfs, which nothing can reach any
    /// more.
    fn spawn_free(&self) {
        let spawned =
            self.old_root.try_clone().map(|dir| process::spawn_self("free-initramfs", &[], dir));
        if !matches!(spawned, Ok(Ok(_))) {
            // Files that cannot be deleted cost memory and nothing else.
            let _ = free_initramfs(self.old_root.as_fd());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn init_is_found_inside_the_new_root() {
        let scratch = tempfile::tempdir().unwrap();
        let put = |path: &str, mode: u32| {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        put("lib/systemd/systemd", 0o755);
        put("etc/init", 0o644);
        put("opt/own", 0o755);
        fs::create_dir_all(scratch.path().join("sbin")).unwrap();
        let new = File::open(scratch.path()).unwrap();
        let tried = find_init(&new, None).unwrap_err();
        assert_eq!(tried[0], ("/sbin/init".to_owned(), Errno::NOENT));
        assert_eq!(tried[1], ("/etc/init".to_owned(), Errno::ACCESS));
        symlink("/lib/systemd/systemd", scratch.path().join("sbin/init")).unwrap();
        assert_eq!(find_init(&new, None).unwrap(), "/sbin/init");
        assert_eq!(find_init(&new, Some("/opt/own")).unwrap(), "/opt/own");
        // A link out of the root must not find a file of the host.
        symlink("../../../../../../bin/sh", scratch.path().join("opt/out")).unwrap();
        assert!(find_init(&new, Some("/opt/out")).is_err());
        assert!(find_init(&new, Some("/opt")).is_err());
    }

    #[test]
    fn only_an_initramfs_is_freed() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("init"), "x").unwrap();
        for path in [Path::new("/"), Path::new("/proc"), Path::new("/dev"), scratch.path()] {
            // The scratch directory is in memory on some machines; it is never the current root.
            let in_memory = rustix::fs::statfs(path)
                .is_ok_and(|s| matches!(s.f_type, RAMFS_MAGIC | TMPFS_MAGIC));
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

    #[test]
    fn a_root_on_the_same_filesystem_is_refused() {
        let error = prepare(&Root::default(), Path::new("/"), "/", None).unwrap_err();
        assert!(matches!(error, SwitchRootError::System(e) if e.cause == Errno::XDEV));
    }
}
