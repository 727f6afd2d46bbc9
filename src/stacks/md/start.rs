//! The start of an array, and what makes its device known: the link in /dev/md, and mdadm's map.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use super::{Array, Permission, Started, State};
use crate::byte_text;
use crate::escape;
use crate::sys::{Cause, Error, Result, Root, md};

/// Starts an array with the members that the survey found. It is read-only until the first write,
/// as after `mdadm --assemble`.
///
/// # Errors
/// The array may not be started so, or the kernel refuses.
pub(crate) fn start(dir: &Root, array: &Array, permission: Permission) -> Result<Started> {
    let refused =
        |why: &str| Error::new("start the array", array.shown_name(), Cause::Other(why.to_owned()));
    match &array.state {
        State::Active => return started(dir, array),
        State::Complete => {}
        State::Degraded if permission >= Permission::Degraded => {}
        State::DirtyDegraded if permission >= Permission::DirtyDegraded => {}
        State::Degraded => return Err(refused("devices are missing")),
        State::DirtyDegraded => return Err(refused("devices are missing and parity may be wrong")),
        State::Incomplete => return Err(refused("too few devices")),
        State::Refused(reason) => return Err(refused(reason)),
    }
    // An attempt of before, or the kernel's own, may have left members in an array.
    for name in array.members.iter().filter_map(|node| md::holder(dir, node.number)) {
        if md::state(dir, &name).is_some_and(|state| md::is_stopped(&state)) {
            md::stop(dir, &name)?;
        }
    }
    let device = md::Array::create(dir, &array.device)?;
    assemble(dir, &device, array).inspect_err(|_| {
        let _ = device.clear();
    })?;
    started(dir, array)
}

/// Adds the members and starts the array.
fn assemble(dir: &Root, device: &md::Array, array: &Array) -> Result<()> {
    device.set_version(array.version)?;
    for node in &array.members {
        device.add(node.number)?;
    }
    match array.state {
        State::DirtyDegraded => md::trusting_parity(dir, || device.start()),
        _ => device.start(),
    }
}

/// Makes the node of a running array known: partitions, the link in /dev/md, and mdadm's map.
fn started(dir: &Root, array: &Array) -> Result<Started> {
    let node = array.node();
    let path = dir.join(&node);
    let gone = || Error::new("find", escape::path(&node), rustix::io::Errno::NODEV);
    let number = md::number(dir, &array.device).ok_or_else(gone)?;
    // The kernel reads the partition table when the device is opened for the first time.
    File::open(&path).map_err(|e| Error::io("open", &path, &e))?;
    if let Some(link) = &array.link {
        create_link(dir, link, &array.device)?;
    }
    add_to_map(dir, array)?;
    let links = array.link.iter().map(|link| format!("md/{link}")).collect();
    Ok(Started { node, number, links })
}

/// symlink(2): links /dev/md/`link` to the device, as udev does.
fn create_link(dir: &Root, link: &str, device: &str) -> Result<()> {
    let directory = dir.join("dev/md");
    fs::create_dir_all(&directory).map_err(|e| Error::io("mkdir", &directory, &e))?;
    let path = directory.join(&*byte_text::to_path(link));
    let _ = fs::remove_file(&path);
    symlink(format!("../{device}"), &path).map_err(|e| Error::io("symlink", &path, &e))
}

/// Adds the array to mdadm's map, from which `mdadm --detail` and udev's rules have its name.
///
/// ```text
/// /run/mdadm/map     md127 1.2 UUID /dev/md/root
/// ```
fn add_to_map(dir: &Root, array: &Array) -> Result<()> {
    let path = dir.join("run/mdadm/map");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let start = format!("{} ", array.device);
    let mut lines: String =
        text.lines().filter(|l| !l.starts_with(&start)).flat_map(|l| [l, "\n"]).collect();
    let name = match &array.link {
        Some(link) => format!("/dev/md/{link}"),
        None => format!("/dev/{}", array.device),
    };
    lines.push_str(&format!("{start}{} {} {name}\n", array.version, array.uuid));
    let directory = dir.join("run/mdadm");
    fs::create_dir_all(&directory).map_err(|e| Error::io("mkdir", &directory, &e))?;
    fs::write(&path, &*byte_text::to_bytes(&lines)).map_err(|e| Error::io("write", &path, &e))
}
