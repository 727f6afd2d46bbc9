//! mount(2), and what a path is mounted from.

use std::ffi::CString;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::{Error, Result};

/// Mounts `source` on `target` as `fstype` with the filesystem's own options `data`.
///
/// # Errors
/// The kernel's answer.
pub fn mount(
    source: &str,
    target: &Path,
    fstype: &str,
    flags: MountFlags,
    data: &str,
) -> Result<()> {
    let failed =
        |errno| Error::new("mount", format_args!("{source} on {}", target.display()), errno);
    let data = CString::new(data).map_err(|_| failed(Errno::INVAL))?;
    rustix::mount::mount(source, target, fstype, flags, data.as_c_str()).map_err(failed)
}

/// Moves the mount at `from` to `to` (MS_MOVE).
///
/// # Errors
/// The kernel's answer.
pub fn move_to(from: &Path, to: &Path) -> Result<()> {
    rustix::mount::mount_move(from, to).map_err(|e| {
        Error::new("move mount", format_args!("{} to {}", from.display(), to.display()), e)
    })
}

/// Takes the mount at `path` out of sight at once; it goes when its last user does (MNT_DETACH).
///
/// # Errors
/// The kernel's answer.
pub fn detach(path: &Path) -> Result<()> {
    rustix::mount::unmount(path, UnmountFlags::DETACH)
        .map_err(|e| Error::new("umount", path.display(), e))
}

/// Flags and filesystem options of a comma list as mount(8) and `rootflags=` have it.
pub fn parse_flags(list: &str) -> (MountFlags, String) {
    const KNOWN: [(&str, MountFlags); 8] = [
        ("nosuid", MountFlags::NOSUID),
        ("nodev", MountFlags::NODEV),
        ("noexec", MountFlags::NOEXEC),
        ("noatime", MountFlags::NOATIME),
        ("nodiratime", MountFlags::NODIRATIME),
        ("relatime", MountFlags::RELATIME),
        ("strictatime", MountFlags::STRICTATIME),
        ("sync", MountFlags::SYNCHRONOUS),
    ];
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for word in list.split(',').filter(|w| !w.is_empty() && *w != "defaults") {
        match KNOWN.iter().find(|(name, _)| *name == word) {
            Some((_, flag)) => flags |= *flag,
            None => data.push(word),
        }
    }
    (flags, data.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_taken_out_of_the_list() {
        let (flags, data) = parse_flags("noatime,subvol=@,defaults,nodev,,x=1");
        assert_eq!(flags, MountFlags::NOATIME | MountFlags::NODEV);
        assert_eq!(data, "subvol=@,x=1");
    }
}
