//! A failed boot that `coldplug.persist=` has stored.

use std::io::Read;
use std::path::Path;

use crate::applet::message::Error;
use crate::escape;
use crate::report::Record;
use crate::report::stored_boot::{Damaged, HEAD, Place, StoredBoot};
use crate::sys;
use crate::sys::regular_file;

/// Reads the stored boot in the file or on the device at `path`.
///
/// # Errors
/// It cannot be read, or holds no stored boot, or a damaged one.
pub(super) fn read(path: &Path) -> Result<StoredBoot, Error> {
    let io = |e: std::io::Error| Error::from(sys::Error::io("read", path, &e));
    let mut file = regular_file::open_or_device(path)?;
    let mut take = |len: usize| -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        file.by_ref().take(len as u64).read_to_end(&mut bytes).map_err(io)?;
        Ok(bytes)
    };
    let failed = |text: &str| Error::Failed(format!("{}: {text}", escape::path(&path)));
    let head = match Place::parse(&take(HEAD)?) {
        Place::Boot(head) => head,
        Place::Free => return Err(failed("no boot is stored")),
        Place::OtherVersion(_) => return Err(failed("stored by another version of coldplug")),
        Place::Damaged => return Err(failed(&Damaged.to_string())),
        Place::Foreign => return Err(failed("not a stored boot")),
    };
    let body = take(head.body_len())?;
    head.with_body(&body).map_err(|error| failed(&error.to_string()))
}

/// Returns what ended a stored boot, its record and the end of the kernel log.
pub(super) fn text(boot: &StoredBoot) -> String {
    let seen = if boot.head.is_seen { ", reported by a later boot" } else { "" };
    let mut text = format!("boot {}{seen}\n", boot.head.sequence);
    let lines = |text: &str| {
        text.lines().map(|line| escape::line(line).to_string() + "\n").collect::<String>()
    };
    text += &lines(&boot.head.summary);
    text += &Record::table(&boot.record).map(|table| format!("\n{table}")).unwrap_or_default();
    text += "\n";
    text += &lines(&boot.log);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_boot_is_shown() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("part");
        let (record, log) = ("{}".to_owned(), "[    1.000000] x\u{1b}[1m\n".to_owned());
        let boot = StoredBoot::new(3, "verdict=no-root: a", record, log, 1 << 20).unwrap();
        let (head, body) = boot.encode();
        let mut bytes = [head, body].concat();
        bytes.resize(1 << 20, 0);
        std::fs::write(&path, &bytes).unwrap();
        let text = "boot 3\nverdict=no-root: a\n\n[    1.000000] x\\x1b[1m\n";
        assert_eq!(super::text(&read(&path).unwrap()), text);
        bytes[5000] ^= 1;
        for (content, want) in [
            (&bytes[..4096], "the stored boot is damaged"),
            (&[0; 5000], "no boot is stored"),
            (b"text", "not a stored boot"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert_eq!(error, format!("{}: {want}", path.display()));
        }
    }
}
