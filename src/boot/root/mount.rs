//! Mounting a filesystem as one of several types.

use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::devices::Candidate;
use crate::kmod::name::ModuleName;
use crate::sys::{Cause, Error, Result, Root, mount, procfs, sysfs};

/// How to mount.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options<'a> {
    /// As mount(8) has them.
    pub(super) flags: &'a str,
    /// Mount for writing, if the medium can be written.
    pub(super) writable: bool,
    /// The types are guesses: that one does not fit is no news.
    pub(super) guess: bool,
}

/// The modules of the filesystem, and those whose drivers hold the devices that it is on.
pub(super) fn way(
    root: &Root,
    candidate: &Candidate,
    filesystem: &[ModuleName],
) -> Vec<ModuleName> {
    let device = sysfs::block_path(root, candidate.number).unwrap_or_default();
    let mut way = sysfs::modules_above(root, &device);
    way.extend(filesystem.iter().cloned());
    way.sort_unstable();
    way.dedup();
    way
}

/// The types to try, in order: those that were given, else the one that was found, else every type that the kernel
/// knows.
pub(super) fn types(root: &Root, given: &[String], candidate: &Candidate) -> Vec<String> {
    match &candidate.fstype {
        _ if !given.is_empty() => given.to_vec(),
        // The kernel's driver is called otherwise than the filesystem, and was once another.
        Some(fstype) if fstype == "ntfs" => vec!["ntfs3".into(), fstype.clone()],
        Some(fstype) => vec![fstype.clone()],
        None => procfs::filesystems(root).unwrap_or_default(),
    }
}

/// Mounts the device at `target` as the first of `types` that fits; gives that type. As the kernel does, a medium that
/// cannot be written is mounted read-only.
///
/// # Errors
/// None of the types fits; the error is that of the last one that the kernel knows.
pub(super) fn mount(
    candidate: &Candidate,
    target: &Path,
    types: &[String],
    options: &Options<'_>,
) -> Result<String> {
    let source = candidate.node.to_string_lossy();
    let (own, data) = mount::parse_flags(options.flags);
    let mode = if options.writable { MountFlags::empty() } else { MountFlags::RDONLY };
    let mut last =
        Error::new("mount", format_args!("{source} (no filesystem known there)"), Errno::INVAL);
    let mut refused = false;
    // A place inside another filesystem is there, or cannot be made.
    let _ = fs::create_dir_all(target);
    for fstype in types {
        let attempt = |flags| mount::mount(&source, target, fstype, flags, &data);
        let result = match attempt(own | mode) {
            Err(e) if matches!(e.cause, Cause::Errno(Errno::ACCESS | Errno::ROFS)) => {
                attempt(own | MountFlags::RDONLY)
            }
            result => result,
        };
        match result {
            Ok(()) => return Ok(fstype.clone()),
            Err(_) if options.guess => {}
            // A driver that is not there says less than one that was before it.
            Err(e) if e.cause == Errno::NODEV && refused => {}
            Err(e) => {
                refused = true;
                last = Error { object: format!("{} as {fstype}", e.object), ..e };
            }
        }
    }
    Err(last)
}
