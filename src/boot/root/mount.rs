//! Mounting a filesystem as one of several types.

use std::path::Path;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::devices::Candidate;
use super::worker::Mount;
use crate::cmdline::root::AUTO;
use crate::sys::{Cause, Error, Result, Root, mount, mount_options, procfs};

/// Returns the types to try, in order: the given ones, else the one that was detected. `auto` among
/// the given ones stands for the latter.
pub(super) fn types(dir: &Root, given: &[String], candidate: &Candidate) -> Vec<String> {
    if given.is_empty() {
        return detected(dir, candidate);
    }
    let mut types: Vec<String> = Vec::new();
    for fstype in given {
        let more = match fstype == AUTO {
            true => detected(dir, candidate),
            false => vec![fstype.clone()],
        };
        for fstype in more {
            if !types.contains(&fstype) {
                types.push(fstype);
            }
        }
    }
    types
}

/// Returns the type that was detected, else every type that the kernel knows.
fn detected(dir: &Root, candidate: &Candidate) -> Vec<String> {
    match &candidate.fstype {
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
                last = e.on(format!("{source} on {} as {fstype}", target.display()));
            }
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_stands_for_the_detected_type() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("proc")).unwrap();
        let known = "nodev\tproc\n\text4\n\tvfat\n";
        std::fs::write(scratch.path().join("proc/filesystems"), known).unwrap();
        let dir = Root::at(scratch.path());
        for (given, found, want) in [
            ("", Some("ext4"), "ext4"),
            ("", Some("ntfs"), "ntfs3 ntfs"),
            ("", None, "ext4 vfat"),
            ("xfs", Some("ext4"), "xfs"),
            ("auto xfs", Some("ext4"), "ext4 xfs"),
            ("xfs auto", Some("ext4"), "xfs ext4"),
            ("ext4 auto", Some("ext4"), "ext4"),
            ("vfat auto xfs", None, "vfat ext4 xfs"),
        ] {
            let given: Vec<String> = given.split_whitespace().map(str::to_owned).collect();
            let candidate = Candidate { fstype: found.map(str::to_owned), ..Candidate::default() };
            assert_eq!(types(&dir, &given, &candidate).join(" "), want, "{given:?} {found:?}");
        }
    }
}
