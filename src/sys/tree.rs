//! Folders with all that is below them: emptied without leaving their filesystem, copied.

use std::ffi::CString;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, fstat, openat, statat, unlinkat};
use rustix::io::Errno;

/// Copies what lies below `from` into the folder `to`: folders, files with their permissions, links as they are.
/// Everything else is left out.
///
/// # Errors
/// Something cannot be read or written; what has been copied until then stays.
pub fn copy(from: &Path, to: &Path) -> super::Result<()> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |e: std::io::Error| super::Error::io("copy", &path, &e)
    };
    for entry in fs::read_dir(from).map_err(failed(from))? {
        let entry = entry.map_err(failed(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(failed(&source))?;
        if kind.is_dir() {
            fs::create_dir(&target).map_err(failed(&target))?;
            copy(&source, &target)?;
            let mode = entry.metadata().map_err(failed(&source))?.permissions();
            fs::set_permissions(&target, mode).map_err(failed(&target))?;
        } else if kind.is_symlink() {
            let goal = fs::read_link(&source).map_err(failed(&source))?;
            std::os::unix::fs::symlink(goal, &target).map_err(failed(&target))?;
        } else if kind.is_file() {
            fs::copy(&source, &target).map_err(failed(&source))?;
        }
    }
    Ok(())
}

/// What [`empty`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Emptied {
    /// Entries that are gone.
    pub removed: u64,
    /// Entries that would not go, mount points and what is below them included.
    pub kept: u64,
}

/// Deepest folder gone into.
const DEPTH: usize = 64;

/// Deletes everything below `dir` that is on the same filesystem. Links are deleted and not followed,
/// and a folder on another device is left as it is. What can't be deleted is counted.
///
/// # Errors
/// `dir` itself cannot be looked at.
pub fn empty(dir: BorrowedFd<'_>) -> Result<Emptied, Errno> {
    let mut done = Emptied::default();
    empty_below(dir, fstat(dir)?.st_dev, 0, &mut done)?;
    Ok(done)
}

fn empty_below(
    dir: BorrowedFd<'_>,
    device: u64,
    depth: usize,
    done: &mut Emptied,
) -> Result<(), Errno> {
    for (name, is_folder) in entries(dir)? {
        let gone = match is_folder {
            false => unlinkat(dir, &name, AtFlags::empty()),
            true => empty_folder(dir, &name, device, depth, done),
        };
        match gone {
            Ok(()) => done.removed += 1,
            Err(_) => done.kept += 1,
        }
    }
    Ok(())
}

fn empty_folder(
    dir: BorrowedFd<'_>,
    name: &CString,
    device: u64,
    depth: usize,
    done: &mut Emptied,
) -> Result<(), Errno> {
    let folder: OwnedFd = openat(
        dir,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    if fstat(&folder)?.st_dev != device {
        return Err(Errno::XDEV);
    }
    if depth < DEPTH {
        empty_below(folder.as_fd(), device, depth + 1, done)?;
    }
    unlinkat(dir, name, AtFlags::REMOVEDIR)
}

/// All entries of a folder, each with whether it is a folder itself. They are read before any is
/// deleted: a listing that goes on while its folder changes may skip some.
fn entries(dir: BorrowedFd<'_>) -> Result<Vec<(CString, bool)>, Errno> {
    let mut found = Vec::new();
    let mut buffer = vec![MaybeUninit::uninit(); 16 << 10];
    let mut list = RawDir::new(dir, &mut buffer);
    while let Some(entry) = list.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |s| FileType::from_raw_mode(s.st_mode)),
            known => known,
        };
        found.push((name.to_owned(), kind == FileType::Directory));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn copies_keep_what_they_are() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("a/shutdown"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(from.join("a/shutdown"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(from.join("a/b"), fs::Permissions::from_mode(0o500)).unwrap();
        std::os::unix::fs::symlink("/nowhere", from.join("a/link")).unwrap();
        copy(&from, &to).unwrap();
        let mode = |name: &str| fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a/shutdown"), mode("a/b")), (0o700, 0o500));
        assert_eq!(fs::read_link(to.join("a/link")).unwrap(), Path::new("/nowhere"));
        assert!(copy(&scratch.path().join("none"), &to).is_err());
    }

    #[test]
    fn all_goes_and_links_are_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let (inside, outside) = (scratch.path().join("in"), scratch.path().join("out"));
        fs::create_dir_all(inside.join("a/b/c")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        for file in [inside.join("f"), inside.join("a/b/g"), outside.join("keep")] {
            fs::write(file, "x").unwrap();
        }
        std::os::unix::fs::symlink(&outside, inside.join("a/link")).unwrap();
        let done = empty(File::open(&inside).unwrap().as_fd()).unwrap();
        assert_eq!(done, Emptied { removed: 6, kept: 0 });
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 0);
        assert!(outside.join("keep").exists());
    }
}
