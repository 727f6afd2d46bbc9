//! /sys: the state of modules, bound devices, and single settings of the kernel (the kernel's
//! ABI/testing/sysfs-module, sysfs-power).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::{Error, Result, Root, mount};
use crate::byte_text;
use crate::kmod::compress::Compression;
use crate::kmod::name::ModuleName;

/// Returns the names of the entries of a directory; none if it cannot be read.
pub(crate) fn entry_names(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(entries) = std::fs::read_dir(dir) {
        for entry in entries.flatten() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names
}

/// Returns the names of the devices on `bus` that are bound to `driver`.
pub(crate) fn bound_devices(root: &Root, bus: &str, driver: &str) -> Vec<String> {
    let dir = root.join("sys/bus").join(bus).join("drivers").join(driver);
    let mut names = entry_names(&dir);
    names.retain(|name| dir.join(name).join("subsystem").exists());
    names
}

/// Returns the mount tags of the filesystems of `fstype` (9p, virtiofs) that the host shares by
/// virtio, sorted, or `None` if the kernel does not list them: it lists those of virtiofs since
/// Linux 6.9.
pub(crate) fn host_share_tags(root: &Root, fstype: &str) -> Option<Vec<String>> {
    let (dir, devices, file) = if fstype == "9p" {
        let dir = root.join("sys/bus/virtio/drivers/9pnet_virtio");
        (dir, bound_devices(root, "virtio", "9pnet_virtio"), "mount_tag")
    } else {
        let dir = root.join("sys/fs/virtiofs");
        let devices = entry_names(&dir);
        (dir, devices, "tag")
    };
    if fstype != "9p" && !dir.exists() {
        return None;
    }
    let read = |device: &String| text(&dir.join(device).join(file));
    // Some kernels terminate the tag with a NUL.
    let tags = devices.iter().filter_map(read);
    let mut tags: Vec<String> = tags.map(|t| t.trim_end_matches(['\0', '\n']).to_owned()).collect();
    tags.sort_unstable();
    Some(tags)
}

/// Returns whether the kernel has the driver of 9p over virtio.
pub(crate) fn has_9p_virtio(root: &Root) -> bool {
    root.join("sys/bus/virtio/drivers/9pnet_virtio").exists()
}

/// State of a module, from /sys/module/NAME/initstate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InitState {
    /// Its init has returned 0.
    Live,
    /// Its init runs.
    Coming,
    /// It is being removed.
    Going,
}

/// Returns the directory of `module`, which exists if [`has_module`] says so.
pub(super) fn module_dir(root: &Root, module: &ModuleName) -> PathBuf {
    root.join("sys/module").join(super::path(module.as_bytes()))
}

/// Returns the state of `module`, or `None` if it is not loaded or is built in.
pub(crate) fn initstate(root: &Root, module: &ModuleName) -> Option<InitState> {
    let text = text(&module_dir(root, module).join("initstate"))?;
    match text.trim_end() {
        "live" => Some(InitState::Live),
        "coming" => Some(InitState::Coming),
        "going" => Some(InitState::Going),
        _ => None,
    }
}

/// Reports whether /sys/module has `module`: it is loaded, or built in and has parameters or a
/// version.
pub(crate) fn has_module(root: &Root, module: &ModuleName) -> bool {
    module_dir(root, module).is_dir()
}

/// Returns the reference count of `module`, or `None` if it is not loaded or the kernel was built
/// without CONFIG_MODULE_UNLOAD.
pub(crate) fn refcnt(root: &Root, module: &ModuleName) -> Option<i64> {
    text(&module_dir(root, module).join("refcnt"))?.trim_end().parse().ok()
}

/// Returns the size of `module` in memory, in bytes.
pub(crate) fn coresize(root: &Root, module: &ModuleName) -> Option<u64> {
    text(&module_dir(root, module).join("coresize"))?.trim_end().parse().ok()
}

/// Returns the modules that use `module`, in directory order; `None` if it is not loaded, or
/// without /sys.
pub(crate) fn holders(root: &Root, module: &ModuleName) -> Option<Vec<String>> {
    let entries = std::fs::read_dir(module_dir(root, module).join("holders")).ok()?;
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    Some(entries.flatten().map(name).collect())
}

/// Returns the name of a device that is bound to a driver of `module`.
pub(crate) fn bound_device(root: &Root, module: &ModuleName) -> Option<String> {
    let drivers = std::fs::read_dir(module_dir(root, module).join("drivers"));
    drivers.into_iter().flatten().flatten().find_map(|driver| {
        // Every link in a driver's directory leads to a bound device, except `module`.
        let links = std::fs::read_dir(driver.path()).into_iter().flatten().flatten();
        let mut devices = links.filter(|link| {
            link.file_name() != "module" && link.file_type().is_ok_and(|kind| kind.is_symlink())
        });
        devices.next().map(|link| link.file_name().to_string_lossy().into_owned())
    })
}

/// Sets the default of `async_probe` for modules whose parameters do not set it.
///
/// # Errors
/// The parameter does not exist (before Linux 6.0), or the write fails.
pub(crate) fn set_async_probe(root: &Root, on: bool) -> Result<()> {
    let path = root.join("sys/module/module/parameters/async_probe");
    let failed = |e: std::io::Error| Error::io("write", &path, &e);
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).map_err(failed)?;
    std::io::Write::write_all(&mut file, if on { b"1" } else { b"0" }).map_err(failed)
}

/// Writes /sys/power/resume: resumes the hibernated system whose image starts at page `offset` of
/// the device `number` (major, minor). Returns if there is no image.
///
/// # Errors
/// The kernel was built without hibernation, or refuses the image.
pub(crate) fn resume_hibernation(root: &Root, number: (u32, u32), offset: u64) -> Result<()> {
    let put = |name: &str, text: String| {
        let path = root.join("sys/power").join(name);
        let failed = |e: std::io::Error| Error::io("write", &path, &e);
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).map_err(failed)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)
    };
    if offset > 0 {
        put("resume_offset", offset.to_string())?;
    }
    put("resume", format!("{}:{}", number.0, number.1))
}

/// Returns the compression that the kernel itself can decode, from /sys/module/compression.
pub(crate) fn kernel_compression(root: &Root) -> Option<Compression> {
    Compression::from_kernel(&text(&root.join("sys/module/compression"))?)
}

/// Returns the lockdown mode of the kernel, such as `integrity`; `None` if the kernel was built
/// without lockdown. It needs no /sys: securityfs is mounted at no place in the tree.
///
/// ```text
/// none [integrity] confidentiality
/// ```
///
/// # Errors
/// The mode cannot be read.
pub(crate) fn lockdown() -> Result<Option<String>> {
    const FILE: &str = "lockdown";
    let securityfs = match mount::mount_detached("securityfs", None, &[]) {
        Err(error) if error.cause == Errno::NODEV => return Ok(None),
        securityfs => securityfs?,
    };
    let file = match openat(&securityfs, FILE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        file => file.map_err(|errno| Error::new("open", FILE, errno))?,
    };
    let mut text = String::new();
    File::from(file)
        .read_to_string(&mut text)
        .map_err(|e| Error::io("read", Path::new(FILE), &e))?;
    let mode = bracketed(&text).ok_or_else(|| Error::new("parse", FILE, Errno::INVAL))?;
    Ok(Some(mode.to_owned()))
}

/// Returns the word in brackets, which is the one of a list that is in effect.
pub(super) fn bracketed(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word)
}

/// Reports whether /dev/console is a screen: the last one of the active consoles is a virtual
/// terminal.
pub(crate) fn has_screen(root: &Root) -> bool {
    let active = std::fs::read_to_string(root.join("sys/class/tty/console/active"));
    let last = active.as_deref().unwrap_or_default().trim_end().rsplit(' ').next();
    let number = last.and_then(|name| name.strip_prefix("tty")?.as_bytes().first());
    // Other terminals have letters there: ttyS0, ttyAMA0.
    number.is_some_and(u8::is_ascii_digit)
}

/// Reports whether the kernel prints every record on the console, whatever its priority.
pub(crate) fn ignores_loglevel(root: &Root) -> bool {
    let text = text(&root.join("sys/module/printk/parameters/ignore_loglevel"));
    text.is_some_and(|text| text.trim_end() == "Y")
}

/// Reads a file as text that keeps bytes; `None` if it is missing.
pub(super) fn text(path: &Path) -> Option<String> {
    Some(byte_text::from_bytes(&std::fs::read(path).ok()?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_word_in_brackets_is_in_effect() {
        for (text, mode) in [
            ("none integrity [confidentiality]\n", Some("confidentiality")),
            ("[none] integrity confidentiality\n", Some("none")),
            ("none\n", None),
            ("", None),
        ] {
            assert_eq!(bracketed(text), mode);
        }
    }

    #[test]
    fn the_last_active_console_may_be_a_screen() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        assert!(!has_screen(&root));
        let dir = scratch.path().join("sys/class/tty/console");
        fs::create_dir_all(&dir).unwrap();
        for (active, want) in
            [("tty0\n", true), ("ttyS0 tty0\n", true), ("tty0 ttyS0\n", false), ("hvc0\n", false)]
        {
            fs::write(dir.join("active"), active).unwrap();
            assert_eq!(has_screen(&root), want, "{active}");
        }
    }

    #[test]
    fn tags_keep_their_bytes() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        assert_eq!(host_share_tags(&root, "virtiofs"), None);
        for (file, tag) in [
            ("fs/virtiofs/0/tag", &b"M\xf6b\n"[..]),
            ("fs/virtiofs/1/tag", b"a\n"),
            ("bus/virtio/drivers/9pnet_virtio/virtio2/mount_tag", b"\xff\0"),
            ("bus/virtio/drivers/9pnet_virtio/virtio2/subsystem", b""),
        ] {
            let path = scratch.path().join("sys").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, tag).unwrap();
        }
        assert_eq!(host_share_tags(&root, "virtiofs").unwrap(), ["M\u{10fff6}b", "a"]);
        assert_eq!(host_share_tags(&root, "9p").unwrap(), ["\u{10ffff}"]);
    }

    #[test]
    fn module_states_are_read() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        fs::create_dir_all(scratch.path().join("sys/module/a")).unwrap();
        assert_eq!(initstate(&root, &"a".into()), None);
        fs::write(scratch.path().join("sys/module/a/initstate"), "coming\n").unwrap();
        assert_eq!(initstate(&root, &"a".into()), Some(InitState::Coming));
        assert_eq!(kernel_compression(&root), None);
        fs::write(scratch.path().join("sys/module/compression"), "xz\n").unwrap();
        assert_eq!(kernel_compression(&root), Some(Compression::Xz));
    }
}
