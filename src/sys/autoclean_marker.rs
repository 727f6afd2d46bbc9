//! Markers of modules that were loaded on demand: one file per module in /run/coldplug/autoclean.
//! Each file is replaced as a whole, so that no lock is needed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::regular_file::{self, CONFIG_LIMIT};
use super::{Result, Root, atomic_file, sysfs};
use crate::kmod::autoclean::AutocleanMarker;
use crate::kmod::name::ModuleName;

const DIR: &str = "run/coldplug/autoclean";

fn path(root: &Root, module: &ModuleName) -> PathBuf {
    root.join(DIR).join(super::path(module.as_bytes()))
}

/// Returns the inode number of /sys/module/NAME, which is another one after each load of the
/// module, or `None` if the module is not loaded.
pub(crate) fn sysfs_inode(root: &Root, module: &ModuleName) -> Option<u64> {
    fs::metadata(sysfs::module_dir(root, module)).ok().map(|dir| dir.ino())
}

/// Lists the modules with a marker, loaded or not.
pub(crate) fn modules(root: &Root) -> Vec<ModuleName> {
    let entries = fs::read_dir(root.join(DIR)).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().into_encoded_bytes());
    names.filter(|name| !name.starts_with(b".")).map(ModuleName::new).collect()
}

/// Reads the marker of `module`, which may belong to an earlier load of it.
pub(crate) fn read(root: &Root, module: &ModuleName) -> Option<AutocleanMarker> {
    AutocleanMarker::parse(&regular_file::read_text(&path(root, module), CONFIG_LIMIT).ok()?)
}

/// Writes the marker of `module` and replaces an earlier one.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(root: &Root, module: &ModuleName, marker: &AutocleanMarker) -> Result<()> {
    atomic_file::replace(&path(root, module), marker.to_string().as_bytes(), false)
}

/// Removes the marker of `module`, if there is one.
pub(crate) fn remove(root: &Root, module: &ModuleName) {
    // A directory that is not writable holds no markers of ours.
    let _ = fs::remove_file(path(root, module));
}
