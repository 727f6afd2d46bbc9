//! mount(2) and umount2(2).

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

use super::{Error, Result};
use crate::byte_text;
use crate::escape;

/// mount(2): mounts `source` on `target` as `fstype`, with the filesystem's own options in `data`.
/// The kernel receives the bytes that the texts keep.
///
/// # Errors
/// The errno of the call.
pub(crate) fn mount(
    source: &str,
    target: &Path,
    fstype: &str,
    flags: MountFlags,
    data: &str,
) -> Result<()> {
    let failed =
        |errno| Error::new("mount", format_args!("{source} on {}", escape::path(&target)), errno);
    let data = CString::new(&*byte_text::to_bytes(data)).map_err(|_| failed(Errno::INVAL))?;
    let raw = byte_text::to_bytes(source);
    rustix::mount::mount(&*raw, target, fstype, flags, data.as_c_str()).map_err(failed)
}

/// mount(2) with MS_MOVE: moves the mount at `from` to `to`.
///
/// # Errors
/// The errno of the call.
pub(crate) fn move_mount(from: &Path, to: &Path) -> Result<()> {
    rustix::mount::mount_move(from, to).map_err(|e| {
        Error::new(
            "move mount",
            format_args!("{} to {}", escape::path(&from), escape::path(&to)),
            e,
        )
    })
}

/// umount2(2) with MNT_DETACH: detaches the mount at `path` from the tree. The filesystem is
/// released with its last user.
///
/// # Errors
/// The errno of the call.
pub(crate) fn detach(path: &Path) -> Result<()> {
    rustix::mount::unmount(path, UnmountFlags::DETACH)
        .map_err(|e| Error::new("umount", escape::path(&path), e))
}

/// fsopen(2), fsmount(2): mounts a filesystem at no place in the tree, with options that have no
/// value, and returns its root directory. Closing it is the umount.
///
/// # Errors
/// The errno of the calls, which exist since Linux 5.2.
pub(crate) fn mount_detached(
    fstype: &str,
    source: Option<&Path>,
    options: &[&str],
) -> Result<OwnedFd> {
    let object = source.map_or_else(|| fstype.into(), escape::path);
    let failed = |errno| Error::new("fsmount", &object, errno);
    let context = fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed)?;
    if let Some(source) = source {
        fsconfig_set_string(&context, "source", source).map_err(failed)?;
    }
    for option in options {
        fsconfig_set_flag(&context, *option).map_err(failed)?;
    }
    fsconfig_create(&context).map_err(failed)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).map_err(failed)
}
