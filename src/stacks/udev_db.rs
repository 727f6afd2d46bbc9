//! Entries in udev's database for devices of the device mapper.
//!
//! ```text
//! /run/udev/data/bMAJOR:MINOR      E:NAME=VALUE    a property of the device
//! ```
//!
//! lvm2's udev rules ignore a mapped device whose activation they have not seen: the real system
//! would have no links to it and systemd would wait for it in vain. The rules take the property
//! DM_UDEV_PRIMARY_SOURCE_FLAG from the database of an initramfs with udev; here is none, so this
//! writes what the rules would have stored.

use std::fs;

use crate::sys::{Error, Result, Root};

/// Writes the entry of a mapped device.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(dir: &Root, number: (u32, u32)) -> Result<()> {
    let directory = dir.join("run/udev/data");
    fs::create_dir_all(&directory).map_err(|e| Error::io("mkdir", &directory, &e))?;
    let path = directory.join(format!("b{}:{}", number.0, number.1));
    fs::write(&path, "E:DM_UDEV_PRIMARY_SOURCE_FLAG=1\n").map_err(|e| Error::io("write", &path, &e))
}
