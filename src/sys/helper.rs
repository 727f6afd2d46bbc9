//! The program that the kernel starts when it wants a module, `PATH -q -- NAME`: /proc/sys/kernel/modprobe.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Error, Result, Root, procfs};

/// The program that runs.
pub const OURSELVES: &str = "/proc/self/exe";
const SYSCTL: &str = "kernel/modprobe";
/// KMOD_PATH_LEN of the kernel, its NUL included.
const LONGEST: usize = 256;

/// The program's path; `None` where the kernel asks for nothing.
///
/// # Errors
/// The kernel has no such switch: it was built without modules, or /proc is not mounted.
pub fn path(root: &Root) -> Result<Option<String>> {
    Ok(Some(procfs::sysctl(root, SYSCTL)?).filter(|path| !path.is_empty()))
}

/// Makes `path` the program, or none.
///
/// # Errors
/// ENAMETOOLONG and EINVAL for a path that the kernel would cut; its own refusal.
pub fn set(root: &Root, path: Option<&Path>) -> Result<()> {
    let path = path.unwrap_or_else(|| Path::new(""));
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= LONGEST {
        return Err(Error::new("write", path.display(), Errno::NAMETOOLONG));
    }
    let (Some(text), false) = (path.to_str(), bytes.contains(&b'\n')) else {
        return Err(Error::new("write", path.display(), Errno::INVAL));
    };
    // Without a newline an empty text would be no write at all.
    procfs::set_sysctl(root, SYSCTL, &format!("{text}\n"))
}

/// Sees to it that the program the kernel is configured to start is there, by a link to this program. The switch stays as it
/// is: it is the real root's too. Nothing is done where the kernel asks for nothing, or its program is there.
///
/// # Errors
/// The link cannot be made.
pub fn provide(root: &Root) -> Result<()> {
    let Ok(Some(path)) = path(root) else { return Ok(()) };
    let target =
        std::env::current_exe().map_err(|e| Error::io("readlink", Path::new(OURSELVES), &e))?;
    let link = root.join(&path);
    if fs::symlink_metadata(&link).is_ok() {
        return Ok(());
    }
    let folder = link.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(folder).map_err(|e| Error::io("mkdir", folder, &e))?;
    symlink(&target, &link).map_err(|e| Error::io("symlink", &link, &e))
}

/// Whether the kernel has started us: our parent is one of its threads, which have no program. Where /proc is not there, it
/// has not.
pub fn called_by_kernel() -> bool {
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
        set(&root, Some(Path::new("/x/y"))).unwrap();
        assert_eq!(path(&root).unwrap().as_deref(), Some("/x/y"));
        set(&root, None).unwrap();
        assert_eq!(path(&root), Ok(None));
        let text = fs::read(scratch.path().join("proc/sys/kernel/modprobe")).unwrap();
        assert_eq!(text, b"\n");
        let long = "/".repeat(LONGEST);
        for (bad, errno) in [(long.as_str(), Errno::NAMETOOLONG), ("/a\nb", Errno::INVAL)] {
            assert_eq!(set(&root, Some(Path::new(bad))).unwrap_err().cause, Cause::Errno(errno));
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_provided() {
        let target = std::env::current_exe().unwrap();
        for (program, link) in [
            ("/usr/bin/modprobe\n", Some("usr/bin/modprobe")),
            ("/a/b/c\n", Some("a/b/c")),
            ("\n", None),
        ] {
            let (scratch, root) = machine(program);
            provide(&root).unwrap();
            provide(&root).unwrap();
            let made = link.map(|link| fs::read_link(scratch.path().join(link)).unwrap());
            assert_eq!(made.as_ref(), link.map(|_| &target), "{program}");
        }
        let (scratch, root) = machine("/own\n");
        fs::write(scratch.path().join("own"), "x").unwrap();
        provide(&root).unwrap();
        assert_eq!(fs::read(scratch.path().join("own")).unwrap(), b"x");
        provide(&Root::at("/nonexistent")).unwrap();
    }

    #[test]
    fn a_test_is_not_called_by_the_kernel() {
        assert!(!called_by_kernel());
    }
}
