//! Small files that are whole at every moment: written aside, then renamed into place.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::{Error, Result};

/// Puts `bytes` in the place of the file at `path`, with the folders above it. Where `durable` is set the bytes are on the
/// medium before they get the name. Nobody sees half of it, and the last of several writers wins.
///
/// # Errors
/// It cannot be written; what was there is there still.
pub fn replace(path: &Path, bytes: &[u8], durable: bool) -> Result<()> {
    let failed = |op| move |e: std::io::Error| Error::io(op, path, &e);
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(folder).map_err(|e| Error::io("mkdir", folder, &e))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A dot before it: lists of such files pass it over.
    let aside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        if durable { file.sync_data() } else { Ok(()) }
    });
    let done = written.map_err(failed("write"));
    let done = done.and_then(|()| fs::rename(&aside, path).map_err(failed("rename")));
    if done.is_err() {
        // The error that counts is the first one.
        let _ = fs::remove_file(&aside);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a/b/c");
        replace(&path, b"1", true).unwrap();
        replace(&path, b"2", false).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        let folder = path.parent().unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
        let error = replace(&folder.join("c/d"), b"3", false).unwrap_err();
        assert!(error.to_string().starts_with("mkdir "), "{error}");
        fs::create_dir(folder.join("e")).unwrap();
        assert!(replace(&folder.join("e"), b"3", false).is_err());
        assert_eq!(fs::read_dir(folder).unwrap().count(), 2);
    }
}
