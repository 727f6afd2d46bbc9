//! Whether a stored boot may be written to a place: it must hold nothing, or a stored boot.
//!
//! ```text
//! anywhere     no superblock and no partition table. That of btrfs is at 64 KiB, that of md 1.2 at
//!              4 KiB, so the first bytes do not tell, whether they are zero or a stored boot
//! 0 to 2 MiB   zero, unless a stored boot begins there. At most 1 MiB is written; the rest guards
//!              what no superblock format known here announces
//! ```

use rustix::io::Errno;

use super::HINT;
use crate::disk::Examination;
use crate::report::stored_boot::Place;
use crate::sys;
use crate::sys::store_file::StoreFile;

/// Length of the area that must be zero.
const ZERO_AREA: u64 = 2 << 20;
/// Length of a read.
const CHUNK: usize = 64 << 10;

/// Returns why a stored boot must not be written to `file`, whose first bytes are `place`; `None`
/// if it may. The sectors of its disk have `sector_size` bytes.
///
/// # Errors
/// A part of `file` that decides this cannot be read.
pub(super) fn refusal(
    file: &StoreFile,
    place: &Place,
    sector_size: u32,
) -> sys::Result<Option<String>> {
    const NAME_ANOTHER: &str = "name a partition or a file that holds nothing else";
    const ZERO: &str = "if it is not needed, zero the first 2 MiB";
    let examination = Examination::new(file);
    let refused = |what: &str, hint: &str| Ok(Some(format!("holds {what}{HINT}{hint}")));
    if let Some(found) = examination.content().superblocks.first() {
        return refused(found.kind, NAME_ANOTHER);
    }
    if let Some(table) = examination.partition_table(sector_size) {
        return refused(&format!("a partition table ({})", table.kind), NAME_ANOTHER);
    }
    if let Some(error) = examination.error() {
        let object = format_args!("{} at byte {}", file.path().display(), error.offset);
        return Err(sys::Error::new("read", object, Errno::from_raw_os_error(error.errno)));
    }
    match place {
        Place::Boot(_) | Place::Damaged => Ok(None),
        Place::OtherVersion(version) => {
            refused(&format!("a boot stored in format version {version}"), ZERO)
        }
        Place::Free | Place::Foreign if is_zero(file)? => Ok(None),
        Place::Free | Place::Foreign => refused("data of an unknown format", ZERO),
    }
}

/// Returns whether the area that must be zero is, as far as there is one.
fn is_zero(file: &StoreFile) -> sys::Result<bool> {
    for offset in (0..ZERO_AREA).step_by(CHUNK) {
        let bytes = file.read(offset, CHUNK)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        if bytes.len() < CHUNK {
            break;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::stored_boot::{HEAD, StoredBoot};
    use crate::sys::store_file::Access;
    use std::fs::File;
    use std::os::fd::AsFd;

    /// Returns an image of 4 MiB that holds `parts` and is zero elsewhere.
    fn image(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; 4 << 20];
        for (at, part) in parts {
            bytes[*at..at + part.len()].copy_from_slice(part);
        }
        bytes
    }

    /// Returns the refusal of a place with these bytes.
    fn refused(bytes: &[u8]) -> Option<String> {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("f"), bytes).unwrap();
        let dir = File::open(scratch.path()).unwrap();
        let file = StoreFile::open_file(dir.as_fd(), "f", Access::Write).unwrap();
        let place = Place::parse(&file.read(0, HEAD).unwrap());
        refusal(&file, &place, 512).unwrap()
    }

    #[test]
    fn only_what_is_empty_or_ours_is_written() {
        let btrfs: (usize, &[u8]) = (0x1_0040, b"_BHRfS_M");
        // Version 1 with its own sector, 8.
        let md = [&0xa92b_4efc_u32.to_le_bytes()[..], &1_u32.to_le_bytes()].concat();
        let md: [(usize, &[u8]); 2] = [(4096, &md), (4096 + 144, &8_u64.to_le_bytes())];
        let bcache: [(usize, &[u8]); 2] = [
            (4096 + 8, &8_u64.to_le_bytes()),
            (4096 + 24, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
        ];
        let mut partition = [0; 16];
        partition[4] = 0x83;
        partition[8..].copy_from_slice(&[0, 8, 0, 0, 0, 8, 0, 0]);
        let log = "verdict=ok\n".repeat(5000);
        let (head, body) = StoredBoot::new(1, "a", "{}\n".into(), log, 1 << 20).unwrap().encode();
        let (head, body) = ((0, &head[..]), (HEAD, &body[..]));
        let end = usize::try_from(ZERO_AREA).unwrap();
        for (what, bytes, want) in [
            ("empty", vec![], None),
            ("zero", image(&[]), None),
            ("a short file of zeros", vec![0; 5000], None),
            ("a byte behind the area", image(&[(end, b"x")]), None),
            (
                "a byte at its end",
                image(&[(end - 1, b"x")]),
                Some("holds data of an unknown format\n"),
            ),
            (
                "a byte behind the head",
                image(&[(HEAD, b"x")]),
                Some("holds data of an unknown format\n"),
            ),
            ("text", b"hello".to_vec(), Some("holds data of an unknown format\n")),
            ("btrfs", image(&[btrfs]), Some("holds btrfs\n")),
            ("md 1.2", image(&md), Some("holds linux_raid_member\n")),
            ("bcache", image(&bcache), Some("holds bcache\n")),
            (
                "an MBR",
                image(&[(446, &partition), (510, b"\x55\xaa")]),
                Some("holds a partition table (dos)\n"),
            ),
            ("a stored boot", image(&[head, body]), None),
            ("a damaged one", image(&[head, body, (20, b"x")]), None),
            (
                "another version",
                image(&[head, (8, b"\x02")]),
                Some("holds a boot stored in format version 2\n"),
            ),
            ("btrfs over a stored boot", image(&[head, btrfs]), Some("holds btrfs\n")),
            ("md over a stored boot", image(&[head, md[0], md[1]]), Some("holds linux_raid_")),
        ] {
            let found = refused(&bytes);
            match want {
                Some(want) => assert!(
                    found.as_ref().is_some_and(|t| t.starts_with(want)),
                    "{what}: {found:?}"
                ),
                None => assert_eq!(found, None, "{what}"),
            }
        }
    }
}
