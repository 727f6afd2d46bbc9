//! A file that replaces another when it is complete. Until then it has no name, so that whatever ends the program leaves
//! nothing behind (`O_TMPFILE`, open(2)); on filesystems that cannot do that it has one beside the other's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use rustix::io::Errno;

/// A file in the making; if it is dropped before [`NewFile::commit`], what was there is there still.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
    /// Where it is until it is complete.
    aside: Aside,
    size: u64,
}

#[derive(Debug)]
enum Aside {
    /// Nowhere.
    Nameless,
    /// In the same folder.
    At(PathBuf),
    /// It is what is at the path, and is written to as it is.
    None,
}

/// Links that lead to a file, at most: as many as the kernel follows.
const LINKS: usize = 40;
/// Names that are tried for a file that is not complete.
const NAMES: u32 = 1000;

impl NewFile {
    /// Begins a file that will be at `path`. A link is followed; what is there and no regular file, such as a device or
    /// a pipe, is written to as it is.
    ///
    /// # Errors
    /// The folder lacks or cannot be written to; `path` is a folder.
    pub fn create(path: &Path) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let file = File::options().write(true).open(path)?;
            return Ok(Self { file, path: path.to_owned(), aside: Aside::None, size: 0 });
        }
        let path = followed(path)?;
        let (file, aside) = match nameless(&path) {
            Some(file) => (file, Aside::Nameless),
            None => {
                let open = |aside: &Path| File::options().write(true).create_new(true).open(aside);
                let (file, aside) = beside(&path, open)?;
                (file, Aside::At(aside))
            }
        };
        Ok(Self { file, path, aside, size: 0 })
    }

    /// Puts the complete file in its place, when its bytes are on the medium; gives how many were written.
    ///
    /// # Errors
    /// Those of the filesystem.
    pub fn commit(mut self) -> io::Result<u64> {
        match self.file.sync_all() {
            // A pipe has no medium.
            Err(error) if error.raw_os_error() != Some(Errno::INVAL.raw_os_error()) => {
                return Err(error);
            }
            _ => {}
        }
        if matches!(self.aside, Aside::Nameless) {
            let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let link = |aside: &Path| {
                linkat(CWD, &own, CWD, aside, AtFlags::SYMLINK_FOLLOW).map_err(io::Error::from)
            };
            self.aside = Aside::At(beside(&self.path, link)?.1);
        }
        if let Aside::At(aside) = &self.aside {
            fs::rename(aside, &self.path)?;
            self.aside = Aside::None;
        }
        Ok(self.size)
    }
}

/// Where a path leads to, although there may be nothing yet.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.with_file_name("").join(target),
            // It is no link, or not there.
            Err(_) => return Ok(path),
        }
    }
    Err(Errno::LOOP.into())
}

/// Does `act` with a name beside `path` that nobody has; gives what it gave, and the name.
fn beside<T>(path: &Path, act: impl Fn(&Path) -> io::Result<T>) -> io::Result<(T, PathBuf)> {
    let own = path.file_name().unwrap_or_default().to_string_lossy();
    let mut taken = io::Error::from(Errno::EXIST);
    for number in 0..NAMES {
        let aside = path.with_file_name(format!(".{own}.{}-{number}", std::process::id()));
        match act(&aside) {
            Ok(done) => return Ok((done, aside)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

/// A file without a name in the folder of `path`, where the filesystem has such and /proc is there to name it.
fn nameless(path: &Path) -> Option<File> {
    let named = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = named.unwrap_or_else(|| Path::new("."));
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = File::from(open(folder, flags, Mode::from(0o666)).ok()?);
    Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())).exists().then_some(file)
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Aside::At(aside) = &self.aside {
            let _ = fs::remove_file(aside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn put(path: &Path, text: &str) -> io::Result<u64> {
        let mut file = NewFile::create(path)?;
        file.write_all(text.as_bytes())?;
        file.commit()
    }

    #[test]
    fn it_is_there_when_it_is_complete_and_nothing_else_is() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a");
        fs::write(&path, "old").unwrap();
        let mut half = NewFile::create(&path).unwrap();
        half.write_all(b"half").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        drop(half);
        assert_eq!(put(&path, "new").unwrap(), 3);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }

    /// As a killed one leaves it where no file can be without a name.
    #[test]
    fn a_name_that_is_taken_is_passed_over() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a");
        let stale = scratch.path().join(format!(".a.{}-0", std::process::id()));
        fs::write(&stale, "stale").unwrap();
        assert_eq!(put(&path, "new").unwrap(), 3);
        assert_eq!(fs::read_to_string(&stale).unwrap(), "stale");
        let create = |aside: &Path| File::options().write(true).create_new(true).open(aside);
        assert!(beside(&path, create).unwrap().1.ends_with(format!(".a.{}-1", std::process::id())));
    }

    #[test]
    fn links_are_followed_and_devices_written_to() {
        let scratch = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| scratch.path().join(name));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        put(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        fs::remove_file(&file).unwrap();
        put(&link, "again").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "again");
        let own = scratch.path().join("own");
        symlink("own", &own).unwrap();
        assert!(put(&own, "x").is_err());
        assert_eq!(put(Path::new("/dev/null"), "gone").unwrap(), 4);
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert_eq!(put(Path::new("/dev/full"), "x").unwrap_err().raw_os_error(), Some(28));
        assert!(put(scratch.path(), "x").is_err());
        assert!(put(&scratch.path().join("no/file"), "x").is_err());
    }
}
