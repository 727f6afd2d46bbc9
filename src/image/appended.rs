//! An archive behind an image, with one more file: the kernel unpacks one archive after the other.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::newc::{Entry, Kind, Writer};

/// Appends an archive with the file `name`, and the directories above it, to the image at `path`,
/// which a [`Writer`] has written: it ends where the next archive may start.
///
/// # Errors
/// The image cannot be opened or written, or `content` has 4 GiB or more.
pub(crate) fn append_file(path: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let image = File::options().append(true).open(path)?;
    let mut writer = Writer::new(BufWriter::new(image), 0);
    let entry = |name, mode, kind| Entry { name, mode, uid: 0, gid: 0, kind };
    for (end, _) in name.match_indices('/') {
        writer.append(&entry(&name.as_bytes()[..end], 0o755, Kind::Dir))?;
    }
    writer.append(&entry(name.as_bytes(), 0o600, Kind::File(content)))?;
    writer.finish()?.0.flush()
}

#[cfg(test)]
mod tests {
    use super::super::newc::read;
    use super::*;
    use std::fs;

    #[test]
    fn the_directories_of_a_file_come_first() {
        let image = tempfile::NamedTempFile::new().unwrap();
        fs::write(image.path(), Writer::new(Vec::new(), 0).finish().unwrap().0).unwrap();
        append_file(image.path(), "etc/a/file", b"content").unwrap();
        let bytes = fs::read(image.path()).unwrap();
        let members: Vec<_> = read(&bytes[..]).map(Result::unwrap).collect();
        let names: Vec<_> = members.iter().map(|m| (&*m.name, m.mode_text(), m.size)).collect();
        let want = |name: &'static str, mode: &str, size| (name.as_bytes(), mode.to_owned(), size);
        assert_eq!(
            names,
            [
                want("etc", "drwxr-xr-x", 0),
                want("etc/a", "drwxr-xr-x", 0),
                want("etc/a/file", "-rw-------", 7),
            ]
        );
        assert!(bytes.windows(7).any(|window| window == b"content"));
    }
}
