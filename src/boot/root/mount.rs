//! Mounting a filesystem as one of several types.

use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::devices::Candidate;
use crate::kmod::name::ModuleName;
use crate::sys::{Cause, Error, Result, Root, devices, mount, procfs};

/// Options of a mount.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options<'a> {
    /// The options of mount(8), separated by commas.
    pub(super) flags: &'a str,
    /// Whether to mount for writing, if the medium can be written.
    pub(super) writable: bool,
    /// Whether the types are guesses: then a type that does not fit is no error worth reporting.
    pub(super) guess: bool,
}

/// Returns the modules that a mounted filesystem needs: its own, and those of the drivers of the
/// devices below it.
pub(super) fn needed_modules(
    dir: &Root,
    candidate: &Candidate,
    filesystem: Vec<ModuleName>,
) -> Vec<ModuleName> {
    let device = devices::block_device_path(dir, candidate.number).unwrap_or_default();
    let mut modules = devices::modules_of_ancestors(dir, &device);
    modules.extend(filesystem);
    modules.sort_unstable();
    modules.dedup();
    modules
}

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

/// Mounts `source` at `target` as the first of `types` that fits, and returns that type. Like the
/// kernel, it mounts a medium that cannot be written read-only.
///
/// # Errors
/// None of the types fits; the error is that of the last type that the kernel knows.
pub(super) fn mount(
    source: &Path,
    target: &Path,
    types: &[String],
    options: &Options<'_>,
) -> Result<String> {
    let source = source.to_string_lossy();
    let (own, data) = mount::parse_flags(options.flags);
    let mode = if options.writable { MountFlags::empty() } else { MountFlags::RDONLY };
    let mut last =
        Error::new("mount", format_args!("{source} (no known filesystem)"), Errno::INVAL);
    let mut refused = false;
    // A mount point inside another filesystem exists already, or cannot be created.
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
            // The error of an earlier driver says more than the lack of this one.
            Err(e) if e.cause == Errno::NODEV && refused => {}
            Err(e) => {
                refused = true;
                last = Error { object: format!("{} as {fstype}", e.object), ..e };
            }
        }
    }
    Err(last)
}
