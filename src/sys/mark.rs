//! /run/coldplug/autoclean: a file for each module that was loaded on demand. Each is written whole and by itself, so nobody
//! waits for anybody.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::{Result, Root, atomic_file};
use crate::kmod::autoclean::AutocleanMarker;
use crate::kmod::name::ModuleName;

const FOLDER: &str = "run/coldplug/autoclean";

fn path(root: &Root, module: &ModuleName) -> PathBuf {
    root.join(FOLDER).join(module.as_str())
}

/// Which load of `module` the kernel has; `None` where it has none. Two loads have two numbers.
pub fn instance(root: &Root, module: &ModuleName) -> Option<u64> {
    fs::metadata(root.join(format!("sys/module/{module}"))).ok().map(|folder| folder.ino())
}

/// The modules that have marks, whether they are loaded or not.
pub fn modules(root: &Root) -> Vec<ModuleName> {
    let entries = fs::read_dir(root.join(FOLDER)).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).map(|name| ModuleName::new(&name)).collect()
}

/// The mark of `module`, whatever load of it the mark is of.
pub fn read(root: &Root, module: &ModuleName) -> Option<AutocleanMarker> {
    AutocleanMarker::parse(&fs::read_to_string(path(root, module)).ok()?)
}

/// Marks `module` in the place of any earlier mark.
///
/// # Errors
/// The file cannot be written.
pub fn write(root: &Root, module: &ModuleName, mark: &AutocleanMarker) -> Result<()> {
    atomic_file::replace(&path(root, module), mark.to_string().as_bytes(), false)
}

/// Takes the mark of `module` away. Where there is none, nothing is done.
pub fn remove(root: &Root, module: &ModuleName) {
    // In a folder that can't be written to there are no marks of ours.
    let _ = fs::remove_file(path(root, module));
}
