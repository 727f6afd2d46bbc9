//! Mounting a filesystem as one of several types.

use std::path::Path;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::devices::Candidate;
use super::worker::Mount;
use crate::sys::{Cause, Error, Result, Root, mount, mount_options, procfs};

/// Returns the types to try, in order: the given ones, else the one that was detected, else every
/// type that the kernel knows.
pub(super) fn types(dir: &Root, given: &[String], candidate: &Candidate) -> Vec<String> {
    match &candidate.fstype {
        _ if !given.is_empty() => given.to_vec(),
        // The kernel's driver has another name than the filesystem, and used to be another driver.
        Some(fstype) if fstype == "ntfs" => vec!["ntfs3".into(), fstype.clone()],
        Some(fstype) => vec![fstype.clone()],
        None => procfs::filesystems(dir).unwrap_or_default(),
    }
}

/// Mounts at `place` as the first of the types that fits, and returns that type. Like the kernel,
/// it mounts a medium that cannot be written read-only. `target` is the mount point in messages.
///
/// # Errors
/// None of the types fits; the error is that of the last type that the kernel knows.
pub(super) fn mount(request: &Mount, place: &Path, target: &Path) -> Result<String> {
    let source = &request.source;
    let (mut own, data) = mount_options::parse(&request.options);
    own.set(MountFlags::RDONLY, !request.writable);
    let mut last =
        Error::new("mount", format_args!("{source} (no known filesystem)"), Errno::INVAL);
    let mut refused = false;
    for fstype in &request.types {
        let attempt = |flags| mount::mount(source, place, fstype, flags, &data);
        let result = match attempt(own) {
            Err(e) if matches!(e.cause, Cause::Errno(Errno::ACCESS | Errno::ROFS)) => {
                attempt(own | MountFlags::RDONLY)
            }
            result => result,
        };
        match result {
            Ok(()) => return Ok(fstype.clone()),
            Err(_) if request.guess => {}
            // The error of an earlier driver says more than the lack of this one.
            Err(e) if e.cause == Errno::NODEV && refused => {}
            Err(e) => {
                refused = true;
                last =
                    Error { object: format!("{source} on {} as {fstype}", target.display()), ..e };
            }
        }
    }
    Err(last)
}
