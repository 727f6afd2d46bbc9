//! switch_root: from the initramfs to the real root.
//!
//! All checks come first and undo nothing; [`Ready::switch`] does not come back to the initramfs. Up to
//! Linux 6.x the initramfs is the root of the mount namespace, which pivot_root(2) refuses: then the new root is
//! moved over it and chroot(2)ed into, and the files that lie below it are deleted, by a process of its own: the real
//! init need not wait for that. Since Linux 7.0 pivot_root works, and the old root goes as a whole.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FsWord, Mode, OFlags, ResolveFlags, fstat, fstatfs, openat2, stat, statat,
};
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;

use super::early_mounts::moved_mounts;
use crate::sys::tree::{self, Emptied};
use crate::sys::{Error, Result, Root, mount, process};

/// What the kernel tries where init= is not given, in its order.
const INITS: [&str; 4] = ["/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];

const RAMFS_MAGIC: FsWord = 0x8584_58f6;
const TMPFS_MAGIC: FsWord = 0x0102_1994;

/// A root that has passed every check.
#[derive(Debug)]
pub(super) struct Ready {
    new_root: PathBuf,
    old_root: File,
    /// The init to start, as its path in the new root.
    pub(super) init: String,
}

/// Why a root is not fit to be switched to.
#[derive(Debug)]
pub(super) enum SwitchRootError {
    /// It holds no init that can be run; these were tried.
    NoInit(Vec<(String, Errno)>),
    /// Something about it is not as it must be.
    Other(Error),
}

/// Checks `new_root` and its init. `init` is what `init=` says.
///
/// # Errors
/// It is no directory of another filesystem, or holds no init that can be run.
pub(super) fn prepare(
    root: &Root,
    new_root: &Path,
    init: Option<&str>,
) -> std::result::Result<Ready, SwitchRootError> {
    let open = |path: &Path| {
        File::open(path).map_err(|e| SwitchRootError::Other(Error::io("open", path, &e)))
    };
    let stat_of = |file: &File, path: &Path| {
        fstat(file).map_err(|e| SwitchRootError::Other(Error::new("fstat", path.display(), e)))
    };
    let old_path = root.join("/");
    let (old_root, new) = (open(&old_path)?, open(new_root)?);
    let (old_stat, new_stat) = (stat_of(&old_root, &old_path)?, stat_of(&new, new_root)?);
    if old_stat.st_dev == new_stat.st_dev {
        return Err(SwitchRootError::Other(Error::new(
            "switch_root",
            new_root.display(),
            Errno::XDEV,
        )));
    }
    let init = find_init(&new, init).map_err(SwitchRootError::NoInit)?;
    Ok(Ready { new_root: new_root.to_owned(), old_root, init })
}

/// The first init that is an executable file in the new root, links resolved inside it.
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

/// Deletes the files of an initramfs that has been switched away from; `dir` is its root folder.
///
/// # Errors
/// XDEV where `dir` is no such folder: not in memory, without our /init, or the root that is in use.
pub fn free_initramfs(dir: BorrowedFd<'_>) -> std::result::Result<Emptied, Errno> {
    let in_memory = fstatfs(dir).is_ok_and(|s| matches!(s.f_type, RAMFS_MAGIC | TMPFS_MAGIC));
    let in_use = fstat(dir)?.st_dev == stat("/")?.st_dev;
    let ours = statat(dir, "init", AtFlags::SYMLINK_NOFOLLOW).is_ok();
    if in_memory && ours && !in_use { tree::empty(dir) } else { Err(Errno::XDEV) }
}

impl Ready {
    /// Moves /dev, /proc, /sys and /run into the new root, makes it the root, and has freed what the old one
    /// held.
    ///
    /// # Errors
    /// The new root cannot be made the root. The mounts have been moved by then.
    pub(super) fn switch(self, root: &Root) -> Result<()> {
        // Neither MS_MOVE nor pivot_root works on shared mounts; a fresh boot has none.
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        let _ = rustix::mount::mount_change("/", private);
        for folder in moved_mounts() {
            self.move_mount(root, folder);
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

    /// Moves one mount into the new root; where that has no place for it, it is taken away.
    fn move_mount(&self, root: &Root, folder: &str) {
        let (from, to) = (root.join(folder), self.new_root.join(folder));
        if !to.is_dir() {
            // A read-only root without the folder goes without the mount.
            let _ = fs::create_dir(&to);
        }
        if mount::move_to(&from, &to).is_err() {
            let _ = mount::detach(&from);
        }
    }

    /// Has the files of the initramfs deleted, which nothing can reach any more.
    fn spawn_free(&self) {
        let aside =
            self.old_root.try_clone().map(|dir| process::spawn_self("free-initramfs", &[], dir));
        if !matches!(aside, Ok(Ok(_))) {
            // What can't be deleted costs memory and nothing else.
            let _ = free_initramfs(self.old_root.as_fd());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn an_init_is_looked_for_inside_the_new_root() {
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
            // The scratch folder is in memory on some machines, and on none the root that is in use.
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
        let error = prepare(&Root::default(), Path::new("/"), None).unwrap_err();
        assert!(matches!(error, SwitchRootError::Other(e) if e.cause == Errno::XDEV));
    }
}
