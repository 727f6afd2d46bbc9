//! /proc: the kernel command line, modules, filesystems, sysctls and memory use, proc(5).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};

use super::{Error, Result, Root, mount};
use crate::cmdline::KernelCommandLine;

/// Returns /proc/cmdline.
///
/// # Errors
/// The file cannot be read: /proc is not mounted.
pub(crate) fn cmdline(root: &Root) -> Result<Vec<u8>> {
    read_bytes(&root.join("proc/cmdline"))
}

/// Returns the kernel command line, parsed; without /proc that of an empty line.
pub(crate) fn kernel_command_line(root: &Root) -> KernelCommandLine {
    KernelCommandLine::parse(cmdline(root).unwrap_or_default())
}

/// Returns the kernel command line, even if proc cannot be mounted on /proc.
///
/// # Errors
/// The kernel refuses to mount proc at all, or is older than Linux 5.2.
pub(crate) fn cmdline_in_any_case(root: &Root) -> Result<Vec<u8>> {
    cmdline(root).or_else(|_| cmdline_without_mount())
}

fn cmdline_without_mount() -> Result<Vec<u8>> {
    let failed = |errno| Error::new("open", "cmdline", errno);
    let proc = mount::mount_detached("proc", None, &[])?;
    let file = openat(&proc, "cmdline", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let mut bytes = Vec::new();
    File::from(file.map_err(failed)?)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io("read", Path::new("cmdline"), &e))?;
    Ok(bytes)
}

/// Splits a line of /proc/PID/mountinfo: device number, mount point, and the fields from the type
/// on.
///
/// ```text
/// ID PARENT MAJOR:MINOR ROOT POINT OPTIONS TAG… - TYPE SOURCE OPTIONS       proc_pid_mountinfo(5)
/// ```
pub(super) fn mount_fields(line: &str) -> Option<(&str, &str, &str)> {
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ').skip(2);
    Some((front.next()?, front.nth(1)?, back))
}

/// Returns /proc/modules. Bytes that are not UTF-8 are replaced.
///
/// # Errors
/// The file cannot be read: /proc is not mounted, or the kernel was built without modules.
pub(crate) fn modules(root: &Root) -> Result<String> {
    read(&root.join("proc/modules"))
}

/// Returns the filesystems in /proc/filesystems that need a block device, in the kernel's order.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn filesystems(root: &Root) -> Result<Vec<String>> {
    let text = read(&root.join("proc/filesystems"))?;
    Ok(text.lines().filter_map(|line| line.strip_prefix('\t')).map(str::to_owned).collect())
}

/// Returns whether the kernel has the filesystem `name` now: built in, or by a module. Without
/// /proc/filesystems it may have any.
pub(crate) fn may_have_filesystem(root: &Root, name: &str) -> bool {
    let is_it = |line: &str| line.split('\t').next_back() == Some(name);
    read(&root.join("proc/filesystems")).map_or(true, |text| text.lines().any(is_it))
}

/// Returns the names of the consoles in /proc/consoles: `tty0`, `ttyS0`.
///
/// ```text
/// ttyS0                -W- (EC p a)    4:64
/// ```
pub(crate) fn consoles(root: &Root) -> Vec<String> {
    let text = read(&root.join("proc/consoles")).unwrap_or_default();
    text.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

/// Returns how many bytes programs can still use without swap: MemAvailable of /proc/meminfo.
///
/// ```text
/// MemAvailable:    3906484 kB
/// ```
pub(crate) fn available_memory(root: &Root) -> Option<u64> {
    memory_field(&root.join("proc/meminfo"), "MemAvailable:")
}

/// Writes `value` to the sysctl `name`, such as `kernel/printk_devkmsg`.
///
/// # Errors
/// There is no such sysctl, or the kernel refuses the value.
pub(crate) fn set_sysctl(root: &Root, name: &str, value: &str) -> Result<()> {
    let path = root.join("proc/sys").join(name);
    std::fs::write(&path, value).map_err(|e| Error::io("write", &path, &e))
}

/// Returns the value of the sysctl `name` without its newline.
///
/// # Errors
/// There is no such sysctl.
pub(crate) fn sysctl(root: &Root, name: &str) -> Result<String> {
    Ok(read(&root.join("proc/sys").join(name))?.trim_end().to_owned())
}

/// Returns the peak resident set size of a process (an ID or `self`) in bytes: VmHWM of its status
/// file, proc_pid_status(5).
pub(crate) fn peak_memory(root: &Root, process: &str) -> Option<u64> {
    memory_field(&root.join("proc").join(process).join("status"), "VmHWM:")
}

/// Returns the bytes in the line of a file that begins with `name`, where they are kibibytes.
fn memory_field(path: &Path, name: &str) -> Option<u64> {
    let text = read(path).ok()?;
    let number = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(number.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.saturating_mul(1024))
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io("read", path, &e))
}

fn read(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&read_bytes(path)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filesystems_are_found_with_and_without_a_device() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Root::at(scratch.path());
        assert!(may_have_filesystem(&dir, "9p"), "without /proc");
        std::fs::create_dir(scratch.path().join("proc")).unwrap();
        let text = "nodev\tsysfs\nnodev\t9p\n\text4\nnodev\tnfs4\n";
        std::fs::write(scratch.path().join("proc/filesystems"), text).unwrap();
        for (name, want) in
            [("9p", true), ("ext4", true), ("nfs", false), ("nodev", false), ("", false)]
        {
            assert_eq!(may_have_filesystem(&dir, name), want, "{name}");
        }
        assert_eq!(filesystems(&dir).unwrap(), ["ext4"]);
    }
}
