//! /proc: the command line, the filesystems, what is mounted.

use std::path::Path;

use super::{Error, Result, Root};
use crate::cmdline::KernelCommandLine;

/// /proc/cmdline, bytes that are not UTF-8 replaced.
///
/// # Errors
/// The file cannot be read: /proc is not mounted.
pub fn cmdline(root: &Root) -> Result<String> {
    read(&root.join("proc/cmdline"))
}

/// Returns the kernel command line, parsed; without /proc that of an empty line.
pub fn kernel_command_line(root: &Root) -> KernelCommandLine {
    KernelCommandLine::parse(&cmdline(root).unwrap_or_default())
}

/// /proc/modules, bytes that are not UTF-8 replaced.
///
/// # Errors
/// The file cannot be read: /proc is not mounted, or the kernel knows no modules.
pub fn modules(root: &Root) -> Result<String> {
    read(&root.join("proc/modules"))
}

/// The filesystems of /proc/filesystems that live on a device, in the kernel's order.
///
/// # Errors
/// The file cannot be read.
pub fn filesystems(root: &Root) -> Result<Vec<String>> {
    let text = read(&root.join("proc/filesystems"))?;
    Ok(text.lines().filter_map(|line| line.strip_prefix('\t')).map(str::to_owned).collect())
}

/// Writes `value` to the sysctl `name`, such as `kernel/printk_devkmsg`.
///
/// # Errors
/// There is no such sysctl, or the kernel refuses the value.
pub fn set_sysctl(root: &Root, name: &str, value: &str) -> Result<()> {
    let path = root.join("proc/sys").join(name);
    std::fs::write(&path, value).map_err(|e| Error::io("write", &path, &e))
}

/// The value of the sysctl `name`, without its newline.
///
/// # Errors
/// There is no such sysctl.
pub fn sysctl(root: &Root, name: &str) -> Result<String> {
    Ok(read(&root.join("proc/sys").join(name))?.trim_end().to_owned())
}

/// The most memory that a process (its number, or `self`) has had, in bytes: VmHWM of its status file.
pub fn peak_memory(root: &Root, process: &str) -> Option<u64> {
    let text = read(&root.join("proc").join(process).join("status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
