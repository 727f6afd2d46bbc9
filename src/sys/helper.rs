//! The usermode helper that the kernel starts to request a module, as `PATH -q -- NAME`:
//! /proc/sys/kernel/modprobe (the kernel's admin-guide/sysctl/kernel).

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Error, Result, Root, procfs};
use crate::escape;

const SYSCTL: &str = "kernel/modprobe";
/// KMOD_PATH_LEN of the kernel, with the NUL.
const MAX_PATH_LEN: usize = 256;

/// Returns the path of the helper, or `None` if the kernel requests no modules.
///
/// # Errors
/// The sysctl does not exist: the kernel was built without modules, or /proc is not mounted.
pub(crate) fn path(root: &Root) -> Result<Option<String>> {
    Ok(Some(procfs::sysctl(root, SYSCTL)?).filter(|path| !path.is_empty()))
}

/// Sets the path of the helper; `None` stops module requests.
///
/// # Errors
/// ENAMETOOLONG or EINVAL for a path that the kernel would truncate, or the kernel's own errno.
pub(crate) fn set_path(root: &Root, path: Option<&Path>) -> Result<()> {
    let path = path.unwrap_or_else(|| Path::new(""));
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= MAX_PATH_LEN {
        return Err(Error::new("write", escape::path(&path), Errno::NAMETOOLONG));
    }
    let (Some(text), false) = (path.to_str(), bytes.contains(&b'\n')) else {
        return Err(Error::new("write", escape::path(&path), Errno::INVAL));
    };
    // With the newline, an empty path is still a write.
    procfs::set_sysctl(root, SYSCTL, &format!("{text}\n"))
}

/// Reports whether the kernel started this process: its parent is then a kernel thread, which has
/// no executable. Without /proc the answer is no.
pub(crate) fn called_by_kernel() -> bool {
    let program = |process: &str| fs::read_link(PathBuf::from(format!("/proc/{process}/exe")));
    let Some(parent) = rustix::process::getppid() else { return false };
    let parent = program(&parent.as_raw_nonzero().to_string());
    parent.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) && program("self").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Cause;

    fn machine(program: &str) -> (tempfile::TempDir, Root) {
        let scratch = tempfile::tempdir().unwrap();
        let sysctl = scratch.path().join("proc/sys/kernel");
        fs::create_dir_all(&sysctl).unwrap();
        fs::write(sysctl.join("modprobe"), program).unwrap();
        let root = Root::at(scratch.path());
        (scratch, root)
    }

    #[test]
    fn the_path_is_read_and_written() {
        let (scratch, root) = machine("/sbin/modprobe\n");
        assert_eq!(path(&root).unwrap().as_deref(), Some("/sbin/modprobe"));
        set_path(&root, Some(Path::new("/x/y"))).unwrap();
        assert_eq!(path(&root).unwrap().as_deref(), Some("/x/y"));
        set_path(&root, None).unwrap();
        assert_eq!(path(&root), Ok(None));
        let text = fs::read(scratch.path().join("proc/sys/kernel/modprobe")).unwrap();
        assert_eq!(text, b"\n");
        let long = "/".repeat(MAX_PATH_LEN);
        for (bad, errno) in [(long.as_str(), Errno::NAMETOOLONG), ("/a\nb", Errno::INVAL)] {
            assert_eq!(
                set_path(&root, Some(Path::new(bad))).unwrap_err().cause,
                Cause::Errno(errno)
            );
        }
    }

    #[test]
    fn a_test_is_not_called_by_the_kernel() {
        assert!(!called_by_kernel());
    }
}
