//! Reads at an offset that go on until all is read.

use std::fs::File;
use std::io::{ErrorKind, Result};
use std::os::unix::fs::FileExt;

/// pread(2): returns `len` bytes at `offset`, or fewer at the end of the file.
///
/// # Errors
/// The errno of the call.
pub(crate) fn read_at(file: &File, offset: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut found = 0;
    while let Some(rest) = bytes.get_mut(found..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(found as u64)) {
            Ok(0) => break,
            Ok(count) => found += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(found);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_ends_at_the_end_of_the_file() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        std::fs::write(&path, "abcdef").unwrap();
        let file = File::open(&path).unwrap();
        for (offset, len, want) in [(0, 6, "abcdef"), (2, 3, "cde"), (4, 9, "ef"), (6, 1, "")] {
            assert_eq!(read_at(&file, offset, len).unwrap(), want.as_bytes(), "{offset} {len}");
        }
        assert!(read_at(&file, u64::MAX, 1).is_err());
    }
}
