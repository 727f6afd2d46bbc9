//! Directory trees: copying, and removing their contents without leaving the filesystem.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, fstat, openat, sendfile, statat, unlinkat,
};
use rustix::io::Errno;

/// Copies the contents of the directory `from` into the directory `to`: directories and files with
/// their permissions, and symbolic links. Other file types are skipped.
///
/// # Errors
/// An entry cannot be read or written. What was copied before it stays.
pub(crate) fn copy_contents(from: &Path, to: &Path) -> super::Result<()> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |e: io::Error| super::Error::io("copy", &path, &e)
    };
    for entry in fs::read_dir(from).map_err(failed(from))? {
        let entry = entry.map_err(failed(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(failed(&source))?;
        if kind.is_dir() {
            fs::create_dir(&target).map_err(failed(&target))?;
            copy_contents(&source, &target)?;
            let mode = entry.metadata().map_err(failed(&source))?.permissions();
            fs::set_permissions(&target, mode).map_err(failed(&target))?;
        } else if kind.is_symlink() {
            let goal = fs::read_link(&source).map_err(failed(&source))?;
            std::os::unix::fs::symlink(goal, &target).map_err(failed(&target))?;
        } else if kind.is_file() {
            copy_file(&source, &target).map_err(failed(&source))?;
        }
    }
    Ok(())
}

/// Bytes that one sendfile(2) copies at most.
const COPY_CHUNK: usize = 1 << 20;

/// sendfile(2): copies a file with its permissions. `fs::copy` also knows other system calls, which
/// are 3 KB of code.
fn copy_file(source: &Path, target: &Path) -> io::Result<()> {
    let from = File::open(source)?;
    let permissions = from.metadata()?.permissions();
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(permissions.mode());
    let to = options.open(target)?;
    // The umask does not apply.
    to.set_permissions(permissions)?;
    while rustix::io::retry_on_intr(|| sendfile(&to, &from, None, COPY_CHUNK))? > 0 {}
    Ok(())
}

/// What [`remove_contents`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Removed {
    /// Number of entries removed.
    pub(crate) removed: u64,
    /// Number of entries that could not be removed: mount points, and directories above them.
    pub(crate) kept: u64,
}

/// Depth at which the descent stops.
const MAX_DEPTH: usize = 64;

/// unlinkat(2), recursively: removes everything below `dir` that is on the same filesystem.
/// Symbolic links are removed and not followed. A directory on another device stays. Failures are
/// counted.
///
/// # Errors
/// fstat(2) or getdents64(2) fails for `dir` itself.
pub(crate) fn remove_contents(dir: BorrowedFd<'_>) -> Result<Removed, Errno> {
    let mut done = Removed::default();
    remove_below(dir, fstat(dir)?.st_dev, 0, &mut done)?;
    Ok(done)
}

fn remove_below(
    dir: BorrowedFd<'_>,
    device: u64,
    depth: usize,
    done: &mut Removed,
) -> Result<(), Errno> {
    for (name, is_dir) in entries(dir)? {
        let gone = match is_dir {
            false => unlinkat(dir, &name, AtFlags::empty()),
            true => remove_dir(dir, &name, device, depth, done),
        };
        match gone {
            Ok(()) => done.removed += 1,
            Err(_) => done.kept += 1,
        }
    }
    Ok(())
}

fn remove_dir(
    dir: BorrowedFd<'_>,
    name: &CString,
    device: u64,
    depth: usize,
    done: &mut Removed,
) -> Result<(), Errno> {
    let child: OwnedFd = openat(
        dir,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    if fstat(&child)?.st_dev != device {
        return Err(Errno::XDEV);
    }
    if depth < MAX_DEPTH {
        remove_below(child.as_fd(), device, depth + 1, done)?;
    }
    unlinkat(dir, name, AtFlags::REMOVEDIR)
}

/// Returns the entries of a directory, and for each whether it is a directory. All are read before
/// one is removed, because a listing of a directory that changes may skip entries.
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
    fn copies_keep_types_and_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("a/shutdown"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(from.join("a/shutdown"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(from.join("a/b"), fs::Permissions::from_mode(0o500)).unwrap();
        std::os::unix::fs::symlink("/nowhere", from.join("a/link")).unwrap();
        copy_contents(&from, &to).unwrap();
        let mode = |name: &str| fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a/shutdown"), mode("a/b")), (0o700, 0o500));
        assert_eq!(fs::read_link(to.join("a/link")).unwrap(), Path::new("/nowhere"));
        assert!(copy_contents(&scratch.path().join("none"), &to).is_err());
    }

    #[test]
    fn contents_are_removed_and_links_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let (inside, outside) = (scratch.path().join("in"), scratch.path().join("out"));
        fs::create_dir_all(inside.join("a/b/c")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        for file in [inside.join("f"), inside.join("a/b/g"), outside.join("keep")] {
            fs::write(file, "x").unwrap();
        }
        std::os::unix::fs::symlink(&outside, inside.join("a/link")).unwrap();
        let done = remove_contents(File::open(&inside).unwrap().as_fd()).unwrap();
        assert_eq!(done, Removed { removed: 6, kept: 0 });
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 0);
        assert!(outside.join("keep").exists());
    }
}
