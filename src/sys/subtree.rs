//! Files below one directory. No path leads out of it: symbolic links and `..` are not followed, not
//! even those that another process makes meanwhile.
//!
//! openat2(2) with RESOLVE_BENEATH opens the directory of a file. A kernel before Linux 5.6, or a
//! sandbox that forbids this call, gets one openat(2) with O_NOFOLLOW for each part of the path.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, chownat,
    fchmod, fchown, fstatvfs, futimens, linkat, makedev, mkdirat, mknodat, openat, openat2, statat,
    symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::{Error, Result, path};
use crate::escape;

/// How a directory is opened through which others are reached.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Owner, permissions and date of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// User and group ID; none if the owner stays the user of this process.
    pub(crate) owner: Option<(u32, u32)>,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Date in seconds since 1970.
    pub(crate) mtime: u32,
}

/// A directory with the files below it. Paths are relative to it, and have neither `..` nor a
/// leading slash.
#[derive(Debug)]
pub(crate) struct Subtree {
    top: OwnedFd,
    /// The path by which it was opened, for messages.
    name: String,
    /// The directory that was used last, because the files of a directory follow each other.
    last: Option<(Vec<u8>, OwnedFd)>,
}

impl Subtree {
    /// mkdir(2) and open(2): opens the directory at `path`, which is made if it is missing.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| Error::io("mkdir", path, &error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = openat(CWD, path, flags, Mode::empty())
            .map_err(|errno| Error::new("open", escape::path(path), errno))?;
        Ok(Self { top, name: escape::path(path).into_owned(), last: None })
    }

    /// fstatvfs(3): returns how many bytes this process may still write to the filesystem.
    ///
    /// # Errors
    /// The call fails.
    pub(crate) fn space(&self) -> Result<u64> {
        let stat = fstatvfs(&self.top).map_err(|errno| self.error("statvfs", b"", errno))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// mkdirat(2): makes a directory that only its owner may use. One that is there stays.
    ///
    /// # Errors
    /// It cannot be made, or there is another file.
    pub(crate) fn make_dir(&mut self, path: &[u8]) -> Result<()> {
        self.at("mkdir", path, |dir, name| match mkdirat(dir, name, Mode::RWXU) {
            Err(Errno::EXIST) => {
                let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory => Ok(()),
                    _ => Err(Errno::NOTDIR),
                }
            }
            made => made,
        })
    }

    /// openat(2): creates a regular file that only its owner may use, in the place of any file that
    /// is no directory.
    ///
    /// # Errors
    /// The errno of the call.
    pub(crate) fn create(&mut self, path: &[u8]) -> Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.at("create", path, |dir, name| {
            let create = || openat(dir, name, flags, Mode::RUSR | Mode::WUSR);
            replacing(dir, name, create).map(File::from)
        })
    }

    /// symlinkat(2): makes a symbolic link, in the place of any file that is no directory.
    ///
    /// # Errors
    /// The errno of the call.
    pub(crate) fn make_link(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        self.at("symlink", path, |dir, name| {
            replacing(dir, name, || symlinkat(super::path(target), dir, name))
        })
    }

    /// linkat(2): gives the file `from`, which is no symbolic link, another name.
    ///
    /// # Errors
    /// The errno of the call.
    pub(crate) fn hard_link(&mut self, from: &[u8], to: &[u8]) -> Result<()> {
        let (source, file) = self.parent("link", from)?;
        self.at("link", to, |dir, name| {
            replacing(dir, name, || linkat(&source, path(file), dir, name, AtFlags::empty()))
        })
    }

    /// mknodat(2): makes a device node, a FIFO or a socket, in the place of any file that is no
    /// directory. `bits` is its type as in stat(2), `device` major and minor number.
    ///
    /// # Errors
    /// The errno of the call.
    pub(crate) fn make_node(&mut self, path: &[u8], bits: u32, device: (u32, u32)) -> Result<()> {
        let (kind, device) = (FileType::from_raw_mode(bits), makedev(device.0, device.1));
        self.at("mknod", path, |dir, name| {
            let make = || mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, device);
            replacing(dir, name, make)
        })
    }

    /// fchown(2), fchmod(2) and futimens(3): sets the attributes of a directory or of a file that
    /// this process made.
    ///
    /// # Errors
    /// The errno of a call.
    pub(crate) fn set_attributes(
        &self,
        file: impl AsFd,
        path: &[u8],
        to: Attributes,
    ) -> Result<()> {
        if let Some((uid, gid)) = to.owner {
            fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .map_err(|errno| self.error("chown", path, errno))?;
        }
        // After the owner, because the change of the owner clears the bits that lend its rights.
        fchmod(&file, Mode::from_raw_mode(to.mode))
            .map_err(|errno| self.error("chmod", path, errno))?;
        futimens(&file, &to.times()).map_err(|errno| self.error("utimens", path, errno))
    }

    /// Does the same for a directory.
    ///
    /// # Errors
    /// It cannot be opened, or the errno of a call.
    pub(crate) fn set_dir_attributes(&mut self, path: &[u8], to: Attributes) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = self.at("open", path, |dir, name| openat(dir, name, flags, Mode::empty()))?;
        self.set_attributes(dir, path, to)
    }

    /// fchownat(2), fchmodat(2) and utimensat(2): does the same for a device node, a FIFO or a
    /// socket; for a symbolic link without the permissions, which it does not have.
    ///
    /// # Errors
    /// The errno of a call.
    pub(crate) fn set_node_attributes(
        &mut self,
        path: &[u8],
        to: Attributes,
        is_link: bool,
    ) -> Result<()> {
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        if let Some((uid, gid)) = to.owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            self.at("chown", path, |dir, name| chownat(dir, name, uid, gid, no_follow))?;
        }
        if !is_link {
            self.at("chmod", path, |dir, name| {
                // chmod(2) by the descriptor of the node itself: fchmodat(2) would follow a link.
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let node = openat(dir, name, flags, Mode::empty())?;
                let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&node));
                rustix::fs::chmod(&*link, Mode::from_raw_mode(to.mode))
            })?;
        }
        self.at("utimens", path, |dir, name| utimensat(dir, name, &to.times(), no_follow))
    }

    /// Calls `act` with the directory and the name of a file.
    fn at<T>(
        &mut self,
        op: &'static str,
        path: &[u8],
        act: impl Fn(&OwnedFd, &Path) -> rustix::io::Result<T>,
    ) -> Result<T> {
        let (dir, name) = self.parent(op, path)?;
        let done = act(&dir, super::path(name));
        let parent = path[..path.len() - name.len()].to_owned();
        self.last = Some((parent, dir));
        done.map_err(|errno| self.error(op, path, errno))
    }

    /// Returns the directory of a file, and the name of the file in it.
    fn parent<'p>(&mut self, op: &'static str, path: &'p [u8]) -> Result<(OwnedFd, &'p [u8])> {
        let at = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (parent, name) = path.split_at(at);
        if let Some((_, dir)) = self.last.take_if(|(last, _)| *last == parent) {
            return Ok((dir, name));
        }
        let opened = match parent.is_empty() {
            true => self.top.try_clone().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO)),
            false => open_beneath(&self.top, parent),
        };
        Ok((opened.map_err(|errno| self.error(op, path, errno))?, name))
    }

    fn error(&self, op: &'static str, path: &[u8], errno: Errno) -> Error {
        Error::new(op, format!("{}/{}", self.name, escape::bytes(path)), errno)
    }
}

impl Attributes {
    fn times(self) -> Timestamps {
        let time = Timespec { tv_sec: self.mtime.into(), tv_nsec: 0 };
        Timestamps { last_access: time, last_modification: time }
    }
}

/// Makes the file `name` after the one that is there is removed.
fn replacing<T>(
    dir: &OwnedFd,
    name: &Path,
    make: impl Fn() -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    match make() {
        Err(Errno::EXIST) => {
            unlinkat(dir, name, AtFlags::empty())?;
            make()
        }
        made => made,
    }
}

/// openat2(2): opens the directory at `path` below `top`.
fn open_beneath(top: &OwnedFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(top, super::path(path), DIRECTORY, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => open_by_steps(top, path),
        opened => opened,
    }
}

/// openat(2): does the same one directory at a time.
fn open_by_steps(top: &OwnedFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let mut dir = None;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        if name == b".." {
            return Err(Errno::XDEV);
        }
        let at = dir.as_ref().unwrap_or(top);
        dir = Some(openat(at, super::path(name), DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?);
    }
    dir.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn no_path_leads_out() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("top");
        fs::create_dir_all(dir.join("a/b")).unwrap();
        fs::create_dir(scratch.path().join("outside")).unwrap();
        symlink("../outside", dir.join("relative")).unwrap();
        symlink(scratch.path().join("outside"), dir.join("absolute")).unwrap();
        symlink("b", dir.join("a/inside")).unwrap();
        fs::write(dir.join("file"), "").unwrap();
        let top = Subtree::open(&dir).unwrap();
        for (path, want) in [
            ("a/b/", Ok(())),
            ("a//./b/", Ok(())),
            ("relative/", Err(Errno::LOOP)),
            ("absolute/", Err(Errno::LOOP)),
            ("a/inside/", Err(Errno::LOOP)),
            ("../outside/", Err(Errno::XDEV)),
            ("a/../../outside/", Err(Errno::XDEV)),
            ("file/", Err(Errno::NOTDIR)),
            ("none/", Err(Errno::NOENT)),
        ] {
            let path = path.as_bytes();
            assert_eq!(open_beneath(&top.top, path).map(drop), want, "{}", escape::bytes(path));
            let by_steps = open_by_steps(&top.top, path).map(drop);
            // openat(2) with O_DIRECTORY and O_NOFOLLOW reports a link as no directory.
            let same =
                by_steps == want || (want, by_steps) == (Err(Errno::LOOP), Err(Errno::NOTDIR));
            assert!(same, "{}: {by_steps:?}", escape::bytes(path));
        }
        let mut top = Subtree::open(&dir).unwrap();
        assert!(top.create(b"relative/x").is_err());
        assert!(top.make_dir(b"relative").is_err());
        assert!(fs::read_dir(scratch.path().join("outside")).unwrap().next().is_none());
    }

    #[test]
    fn files_are_replaced_and_not_written_through() {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, outside) = (scratch.path().join("top"), scratch.path().join("outside"));
        fs::write(&outside, "outside").unwrap();
        let mut top = Subtree::open(&dir).unwrap();
        fs::hard_link(&outside, dir.join("hard")).unwrap();
        symlink(&outside, dir.join("soft")).unwrap();
        let to = Attributes { owner: None, mode: 0o640, mtime: 7 };
        for name in ["hard", "soft"] {
            let mut file = top.create(name.as_bytes()).unwrap();
            std::io::Write::write_all(&mut file, b"inside").unwrap();
            top.set_attributes(&file, name.as_bytes(), to).unwrap();
            let metadata = dir.join(name).symlink_metadata().unwrap();
            assert!(metadata.is_file() && metadata.permissions().mode() & 0o7777 == 0o640);
            assert_eq!((metadata.mtime(), metadata.len()), (7, 6));
        }
        assert_eq!(fs::read(&outside).unwrap(), b"outside");
        top.hard_link(b"hard", b"other").unwrap();
        top.make_link(b"link", b"/etc/passwd").unwrap();
        top.set_node_attributes(b"link", to, true).unwrap();
        assert_eq!(fs::read_link(dir.join("link")).unwrap(), Path::new("/etc/passwd"));
        assert_eq!(dir.join("other").metadata().unwrap().nlink(), 2);
        top.make_node(b"fifo", 0o010_000, (0, 0)).unwrap();
        top.set_node_attributes(b"fifo", to, false).unwrap();
        assert_eq!(dir.join("fifo").metadata().unwrap().permissions().mode(), 0o010_640);
        top.make_dir(b"dir").unwrap();
        let error = top.create(b"dir").unwrap_err().to_string();
        assert!(error.ends_with("top/dir: Is a directory"), "{error}");
        top.make_dir(b"dir/in").unwrap();
        top.set_dir_attributes(b"dir/in", Attributes { mode: 0o511, ..to }).unwrap();
        let metadata = dir.join("dir/in").metadata().unwrap();
        assert_eq!((metadata.permissions().mode(), metadata.mtime()), (0o040_511, 7));
    }
}
