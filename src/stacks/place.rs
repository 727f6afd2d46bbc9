//! Files in the image, on the filesystem of a device, or a device itself: key files and headers.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::mount::MountFlags;

use super::message::Place;
use crate::byte_text;
use crate::sys::{Root, mount};

/// Where filesystems of key files are mounted for a moment.
const MOUNT_POINT: &str = "run/coldplug/keys";

/// Opens what `place` names. Returns a path to it, and the file that has to stay open for the path.
///
/// # Errors
/// The device cannot be mounted, or has no such file: the reason.
pub(super) fn open(dir: &Root, place: &Place) -> Result<(Option<File>, PathBuf), String> {
    let path = byte_text::to_path(&place.path).into_owned();
    let device = byte_text::to_path(&place.device).into_owned();
    match (place.path.is_empty(), place.device.is_empty()) {
        (true, _) => Ok((None, device)),
        (false, true) => Ok((None, dir.join(path))),
        (false, false) => {
            let file = on_device(dir, place, &path)?;
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            Ok((Some(file), path.into()))
        }
    }
}

/// Opens a file on the filesystem of a device, which stays mounted only for the open file.
fn on_device(dir: &Root, place: &Place, path: &Path) -> Result<File, String> {
    let point = dir.join(format!("{MOUNT_POINT}-{}", std::process::id()));
    fs::create_dir_all(&point).map_err(|error| format!("mkdir {}: {error}", point.display()))?;
    let result = mount_any(place, &point).and_then(|()| {
        let file = point.join(path.strip_prefix("/").unwrap_or(path));
        let opened = File::open(&file)
            .map_err(|error| format!("open {} on {}: {error}", place.path, place.device));
        let _ = mount::detach(&point);
        opened
    });
    let _ = fs::remove_dir(&point);
    result
}

/// Mounts a device read-only as the first of its types that fits.
fn mount_any(place: &Place, point: &Path) -> Result<(), String> {
    let mut last = format!("mount {}: no known filesystem", place.device);
    for fstype in place.fstypes.split(',').filter(|fstype| !fstype.is_empty()) {
        // Not even the journal is written: a hibernated system may have the filesystem in use.
        let options = match fstype {
            "ext3" | "ext4" => "noload",
            "xfs" => "norecovery",
            _ => "",
        };
        let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID;
        match mount::mount(&place.device, point, fstype, flags, options) {
            Ok(()) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}
