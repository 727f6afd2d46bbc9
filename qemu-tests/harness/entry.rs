//! Entries that a test puts into an image or a root, whatever their type.
//!
//! An image gets them as a newc archive, which the kernel unpacks after the image:
//!
//! ```text
//! 070701                     magic
//! 13 fields of 8 hex digits  ino mode uid gid nlink mtime filesize devmajor devminor
//!                            rdevmajor rdevminor namesize check
//! NAME 0                     padded to a multiple of 4, counted from the magic
//! DATA                       padded to a multiple of 4
//! …
//! TRAILER!!!                 an entry without data
//! ```

use rustix::fs::{CWD, FileType, Mode, mkdirat, mknodat};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// An entry of an image or of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file with these bytes, which may be executed.
    File(Vec<u8>),
    /// A symbolic link to this path.
    Link(String),
    /// An empty directory.
    Directory,
    /// A FIFO.
    Fifo,
    /// A character device with these numbers.
    Device(u32, u32),
}

impl Entry {
    fn mode(&self) -> u32 {
        match self {
            Self::File(_) => 0o100_755,
            Self::Link(_) => 0o120_777,
            Self::Directory => 0o040_755,
            Self::Fifo => 0o010_644,
            Self::Device(..) => 0o020_644,
        }
    }

    fn data(&self) -> &[u8] {
        match self {
            Self::File(bytes) => bytes,
            Self::Link(target) => target.as_bytes(),
            _ => &[],
        }
    }

    /// Makes the entry at `path`, with the directories above it; replaces a file.
    ///
    /// # Panics
    ///
    /// If this process may not make it: devices need root.
    pub fn make(&self, path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(path);
        match self {
            Self::File(bytes) => {
                fs::write(path, bytes).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            Self::Link(target) => symlink(target, path).unwrap(),
            Self::Directory => mkdirat(CWD, path, Mode::from_raw_mode(0o755)).unwrap(),
            Self::Fifo => {
                mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
            }
            Self::Device(major, minor) => {
                let device = rustix::fs::makedev(*major, *minor);
                let mode = Mode::from_raw_mode(0o644);
                mknodat(CWD, path, FileType::CharacterDevice, mode, device).unwrap();
            }
        }
    }
}

/// Returns a newc archive of `entries`, each after the directories above it.
pub fn archive(entries: &[(String, Entry)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut made = BTreeSet::new();
    for (name, entry) in entries {
        let above = name.match_indices('/').map(|(at, _)| &name[..at]);
        for directory in above.filter(|directory| !directory.is_empty()) {
            if made.insert(directory) {
                push(&mut bytes, directory, &Entry::Directory);
            }
        }
        push(&mut bytes, name, entry);
    }
    push(&mut bytes, "TRAILER!!!", &Entry::File(Vec::new()));
    bytes
}

fn push(archive: &mut Vec<u8>, name: &str, entry: &Entry) {
    let (major, minor) = match entry {
        Entry::Device(major, minor) => (*major, *minor),
        _ => (0, 0),
    };
    let [size, name_size] = [entry.data().len(), name.len() + 1].map(|n| u32::try_from(n).unwrap());
    let fields = [0, entry.mode(), 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0];
    archive.extend(b"070701");
    archive.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
    archive.extend(name.as_bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(entry.data());
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool;

    #[test]
    fn cpio_reads_the_archive() {
        let entries = [
            ("a/b/file".to_owned(), Entry::File(b"text".to_vec())),
            ("a/link".to_owned(), Entry::Link("b/file".into())),
            ("a/fifo".to_owned(), Entry::Fifo),
        ];
        let (dir, archive) = (tempfile::tempdir().unwrap(), archive(&entries));
        let mut cpio = tool::command("cpio", "cpio");
        tool::feed(cpio.args(["-i", "--quiet", "-d"]).current_dir(dir.path()), &archive);
        assert_eq!(fs::read(dir.path().join("a/link")).unwrap(), b"text");
        let fifo = fs::metadata(dir.path().join("a/fifo")).unwrap();
        assert!(FileType::from_raw_mode(std::os::unix::fs::MetadataExt::mode(&fifo)).is_fifo());
    }
}
