//! Emptying a directory without leaving its filesystem.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, fstat, openat, statat, unlinkat};
use rustix::io::Errno;

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
