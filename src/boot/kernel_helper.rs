//! The program that the kernel starts to request a module, in an image that lacks it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::sys::process::SELF_EXE;
use crate::sys::{Error, Result, Root, helper};

/// Links the path that the kernel is configured to start to this program, unless something exists
/// there or the kernel requests no modules. The sysctl stays as it is, because the real root uses
/// it too.
///
/// # Errors
/// The link cannot be created.
pub(super) fn link_if_missing(root: &Root) -> Result<()> {
    let Ok(Some(path)) = helper::path(root) else { return Ok(()) };
    let target =
        std::env::current_exe().map_err(|e| Error::io("readlink", Path::new(SELF_EXE), &e))?;
    let link = root.join(&path);
    if fs::symlink_metadata(&link).is_ok() {
        return Ok(());
    }
    let dir = link.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(dir).map_err(|e| Error::io("mkdir", dir, &e))?;
    symlink(&target, &link).map_err(|e| Error::io("symlink", &link, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(program: &str) -> (tempfile::TempDir, Root) {
        let scratch = tempfile::tempdir().unwrap();
        let sysctl = scratch.path().join("proc/sys/kernel");
        fs::create_dir_all(&sysctl).unwrap();
        fs::write(sysctl.join("modprobe"), program).unwrap();
        let root = Root::at(scratch.path());
        (scratch, root)
    }

    #[test]
    fn a_missing_helper_is_linked() {
        let target = std::env::current_exe().unwrap();
        for (program, link) in [
            ("/usr/bin/modprobe\n", Some("usr/bin/modprobe")),
            ("/a/b/c\n", Some("a/b/c")),
            ("\n", None),
        ] {
            let (scratch, root) = machine(program);
            link_if_missing(&root).unwrap();
            link_if_missing(&root).unwrap();
            let made = link.map(|link| fs::read_link(scratch.path().join(link)).unwrap());
            assert_eq!(made.as_ref(), link.map(|_| &target), "{program}");
        }
        let (scratch, root) = machine("/own\n");
        fs::write(scratch.path().join("own"), "x").unwrap();
        link_if_missing(&root).unwrap();
        assert_eq!(fs::read(scratch.path().join("own")).unwrap(), b"x");
        link_if_missing(&Root::at("/nonexistent")).unwrap();
    }
}
