//! A file that replaces another when it is complete. Until then it has no name, so that whatever ends the program leaves
//! nothing behind (`O_TMPFILE`, open(2)); on filesystems that cannot do that it has one beside the other's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};

/// A file in the making; if it is dropped before [`NewFile::commit`], what was there is there still.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
    /// The name it has until it is complete, and whether it has that by now; `None` for what is written to as it is.
    aside: Option<(PathBuf, bool)>,
}

impl NewFile {
    /// Begins a file that will be at `path`. A link is followed; what is there and no regular file, such as a device or
    /// a pipe, is written to as it is.
    ///
    /// # Errors
    /// The folder lacks or cannot be written to; `path` is a folder.
    pub fn create(path: &Path) -> io::Result<Self> {
        let there = fs::metadata(path);
        if there.as_ref().is_ok_and(|there| !there.is_file()) {
            let file = File::options().write(true).open(path)?;
            return Ok(Self { file, path: path.to_owned(), aside: None });
        }
        let path = if there.is_ok() { fs::canonicalize(path)? } else { path.to_owned() };
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}", std::process::id()));
        let aside = path.with_file_name(name);
        let (file, named) = match nameless(&path) {
            Some(file) => (file, false),
            None => (File::create(&aside)?, true),
        };
        Ok(Self { file, path, aside: Some((aside, named)) })
    }

    /// Puts the complete file in its place, when its bytes are on the medium; gives its size in bytes, of what is no
    /// regular file 0.
    ///
    /// # Errors
    /// Those of the filesystem.
    pub fn commit(mut self) -> io::Result<u64> {
        let Some((aside, named)) = &mut self.aside else { return Ok(0) };
        self.file.sync_all()?;
        let size = self.file.metadata()?.len();
        if !*named {
            let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            linkat(CWD, own, CWD, &*aside, AtFlags::SYMLINK_FOLLOW)?;
            *named = true;
        }
        fs::rename(&*aside, &self.path)?;
        self.aside = None;
        Ok(size)
    }
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
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some((aside, true)) = &self.aside {
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

    #[test]
    fn links_are_followed_and_devices_written_to() {
        let scratch = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| scratch.path().join(name));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        put(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        put(Path::new("/dev/null"), "gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert_eq!(put(Path::new("/dev/full"), "x").unwrap_err().raw_os_error(), Some(28));
        assert!(put(scratch.path(), "x").is_err());
        assert!(put(&scratch.path().join("no/file"), "x").is_err());
    }
}
