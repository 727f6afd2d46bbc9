//! The child that reads and writes the stored boot. PID 1 kills it at a deadline.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::reply::Reply;
use super::{device, vacancy};
use crate::boot::RECORD;
use crate::boot::reporter::previous_lines;
use crate::cmdline::store_name::StoreName;
use crate::report::stored_boot::{HEAD, Head, Place, StoredBoot, unfinished};
use crate::sys::regular_file::{self, RECORD_LIMIT};
use crate::sys::store_file::{Access, StoreFile};
use crate::sys::{self, Cause, Root, kmsg, mount};

/// Bytes of the kernel log that are stored.
const LOG_LIMIT: usize = 64 << 10;

/// What an attempt to reach the place has come to.
enum Reached {
    /// The device has not appeared.
    Missing,
    /// The device is there, the file on it is not.
    NoFile,
    /// The place.
    Open(OpenPlace),
}

/// An open place.
struct OpenPlace {
    file: StoreFile,
    /// Size of the logical sectors of its disk.
    sector_size: u32,
    /// The filesystem that holds the file.
    _mount: Option<OwnedFd>,
}

/// Reports the boot that is stored at `name`, if no boot has done that. Nothing is written.
pub(super) fn read(root: &Root, name: &StoreName) -> Reply {
    match reach(root, name, Access::Read) {
        Ok(Reached::Missing) => Reply::Missing,
        Ok(Reached::NoFile) => Reply::Nothing,
        Ok(Reached::Open(place)) => read_place(&place).unwrap_or_else(|e| failed(&e)),
        Err(error) => failed(&error),
    }
}

/// A place that cannot be written is found here already, before a boot fails.
fn read_place(place: &OpenPlace) -> sys::Result<Reply> {
    let content = Place::parse(&place.file.read(0, HEAD)?);
    if let Some(refusal) = vacancy::refusal(&place.file, &content, place.sector_size)? {
        return Ok(Reply::Failed(refusal));
    }
    Ok(match content {
        Place::Damaged => Reply::Failed("the stored boot is damaged".to_owned()),
        content => match unseen(content) {
            Some(head) => Reply::Previous(head.sequence, head.summary),
            None => Reply::Nothing,
        },
    })
}

/// Returns the stored boot if no boot has reported it.
fn unseen(content: Place) -> Option<Head> {
    match content {
        Place::Boot(head) if !head.is_seen => Some(head),
        _ => None,
    }
}

/// Marks the boot that is stored at `name` under `number` as reported.
pub(super) fn mark(root: &Root, name: &StoreName, number: u64) -> Reply {
    match reach(root, name, Access::Write) {
        Ok(Reached::Missing | Reached::NoFile) => Reply::Missing,
        Ok(Reached::Open(place)) => mark_file(&place.file, number).unwrap_or_else(|e| failed(&e)),
        Err(error) => failed(&error),
    }
}

fn mark_file(file: &StoreFile, number: u64) -> sys::Result<Reply> {
    let head = unseen(Place::parse(&file.read(0, HEAD)?));
    if let Some(mut head) = head.filter(|head| head.sequence == number) {
        head.is_seen = true;
        file.write(0, &head.numbers())?;
    }
    Ok(Reply::Marked)
}

/// Stores this boot at `name`. This boot has reported the one that is stored there under the number
/// `known`, or has stored it itself.
pub(super) fn store(root: &Root, name: &StoreName, summary: &str, known: u64) -> Reply {
    match reach(root, name, Access::Create) {
        Ok(Reached::Missing | Reached::NoFile) => Reply::Missing,
        Ok(Reached::Open(place)) => {
            let record = regular_file::read_text(&root.join(RECORD), RECORD_LIMIT);
            let texts = (record.unwrap_or_default(), kernel_log(root));
            write_place(&place, summary, texts, known).unwrap_or_else(|error| failed(&error))
        }
        Err(error) => failed(&error),
    }
}

/// Returns the end of the kernel log, with the times that dmesg(1) prints; empty if it cannot be
/// read.
fn kernel_log(root: &Root) -> String {
    let mut log = String::new();
    let mut add = |seconds, micros, text: &str| {
        for line in text.lines() {
            log.push_str(&format!("[{seconds:5}.{micros:06}] {line}\n"));
        }
        if log.len() > 2 * LOG_LIMIT {
            keep_end(&mut log, LOG_LIMIT);
        }
    };
    // What was read before an error is kept.
    let _ = kmsg::records(root, &mut add);
    keep_end(&mut log, LOG_LIMIT);
    log
}

/// Keeps the last lines of `log`, at most `limit` bytes.
fn keep_end(log: &mut String, limit: usize) {
    let start = log.len().saturating_sub(limit);
    if start > 0 {
        let next_line = log.as_bytes()[start..].iter().position(|byte| *byte == b'\n');
        log.drain(..next_line.map_or(log.len(), |at| start + at + 1));
    }
}

/// Writes a boot with these texts: its record and its log. What ended a boot that nobody has seen
/// goes into the log of the boot that takes its place.
fn write_place(
    place: &OpenPlace,
    summary: &str,
    (record, mut log): (String, String),
    known: u64,
) -> sys::Result<Reply> {
    let file = &place.file;
    let content = Place::parse(&file.read(0, HEAD)?);
    if let Some(refusal) = vacancy::refusal(file, &content, place.sector_size)? {
        return Ok(Reply::Failed(refusal));
    }
    let sequence = content.next_sequence();
    let lost = unseen(content).filter(|head| head.sequence != known);
    let lost = lost.map(|head| head.summary).unwrap_or_default();
    let lines = previous_lines(&lost).map(|line| line + "\n");
    log.extend(lines);
    let Some(boot) = StoredBoot::new(sequence, summary, record, log, file.capacity()) else {
        return Ok(Reply::Failed(format!("smaller than {HEAD} bytes")));
    };
    let (head, body) = boot.encode();
    // A write that is cut off leaves a damaged boot, which the next boot reports and may overwrite.
    file.write(0, &unfinished())?;
    file.write(HEAD as u64, &body)?;
    file.write(0, &head)?;
    Ok(Reply::Stored(sequence, lost))
}

fn failed(error: &sys::Error) -> Reply {
    Reply::Failed(error.to_string())
}

fn reach(root: &Root, name: &StoreName, access: Access) -> sys::Result<Reached> {
    let Some(device) = device::find(root, &name.device) else { return Ok(Reached::Missing) };
    let node = device.node(root);
    let sector_size = device.sector_size(root);
    let open = |file, mount| Reached::Open(OpenPlace { file, sector_size, _mount: mount });
    let Some(path) = &name.path else {
        return Ok(open(StoreFile::open_device(&node, device.size, access)?, None));
    };
    let Some(content) = device::superblock(root, &device) else {
        let cause = Cause::Other("no known filesystem".to_owned());
        return Err(sys::Error::new("mount", node.display(), cause));
    };
    let options = if access.writes() { &[] } else { read_only_options(content.kind) };
    let mounted = mount::mount_detached(content.kind, Some(&node), options)?;
    match StoreFile::open_file(mounted.as_fd(), path, access) {
        Ok(file) => Ok(open(file, Some(mounted))),
        Err(error) if error.cause == Errno::NOENT && access != Access::Create => {
            Ok(Reached::NoFile)
        }
        Err(error) => Err(error),
    }
}

/// Returns the mount options with which reading writes nothing: `ro` alone replays a journal.
fn read_only_options(kind: &str) -> &'static [&'static str] {
    match kind {
        "btrfs" | "ext3" | "ext4" | "f2fs" | "xfs" => &["ro", "norecovery"],
        _ => &["ro"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn an_unseen_boot_is_not_lost() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = File::open(scratch.path()).unwrap();
        let open = |access| OpenPlace {
            file: StoreFile::open_file(dir.as_fd(), "f", access).unwrap(),
            sector_size: 512,
            _mount: None,
        };
        let store = |summary: &str, known| {
            let texts = ("{}".to_owned(), "log\n".to_owned());
            write_place(&open(Access::Create), summary, texts, known).unwrap()
        };
        let read = || read_place(&open(Access::Read)).unwrap();
        let mark = |number| mark_file(&open(Access::Write).file, number).unwrap();
        assert_eq!(store("a", 0), Reply::Stored(1, String::new()));
        // Reading writes nothing.
        assert_eq!(read(), Reply::Previous(1, "a".into()));
        assert_eq!(read(), Reply::Previous(1, "a".into()));
        assert_eq!(store("b\nc", 0), Reply::Stored(2, "a".into()));
        let Place::Boot(head) = Place::parse(&open(Access::Read).file.read(0, HEAD).unwrap())
        else {
            panic!("not stored");
        };
        let body = open(Access::Read).file.read(HEAD as u64, head.body_len()).unwrap();
        assert_eq!(head.with_body(&body).unwrap().log, "log\nlast boot: a\n");
        // This boot has reported it.
        assert_eq!(store("d", 2), Reply::Stored(3, String::new()));
        assert_eq!((mark(2), read()), (Reply::Marked, Reply::Previous(3, "d".into())));
        assert_eq!((mark(3), read()), (Reply::Marked, Reply::Nothing));
        assert_eq!(store("e", 0), Reply::Stored(4, String::new()));
    }

    #[test]
    fn a_store_that_is_cut_off_is_reported_and_overwritten() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = File::open(scratch.path()).unwrap();
        let texts = || ("{}".to_owned(), "log\n".to_owned());
        let place = OpenPlace {
            file: StoreFile::open_file(dir.as_fd(), "f", Access::Create).unwrap(),
            sector_size: 512,
            _mount: None,
        };
        let (_, body) = StoredBoot::new(1, "a", texts().0, texts().1, 1 << 20).unwrap().encode();
        for cut in [0, 1, body.len()] {
            place.file.write(0, &unfinished()).unwrap();
            place.file.write(HEAD as u64, &body[..cut]).unwrap();
            let damaged = Reply::Failed("the stored boot is damaged".to_owned());
            assert_eq!(read_place(&place).unwrap(), damaged, "{cut}");
            let stored = write_place(&place, "b", texts(), 0).unwrap();
            assert_eq!(stored, Reply::Stored(1, String::new()), "{cut}");
            assert_eq!(read_place(&place).unwrap(), Reply::Previous(1, "b".to_owned()), "{cut}");
        }
    }

    #[test]
    fn a_place_of_others_is_not_written() {
        let scratch = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; 1 << 20];
        bytes[0x1_0040..0x1_0048].copy_from_slice(b"_BHRfS_M");
        std::fs::write(scratch.path().join("f"), &bytes).unwrap();
        let dir = File::open(scratch.path()).unwrap();
        let file = StoreFile::open_file(dir.as_fd(), "f", Access::Write).unwrap();
        let place = OpenPlace { file, sector_size: 512, _mount: None };
        let texts = (String::new(), String::new());
        let replies = [read_place(&place).unwrap(), write_place(&place, "a", texts, 0).unwrap()];
        for reply in replies {
            let Reply::Failed(text) = reply else { panic!("{reply:?}") };
            assert!(text.starts_with("holds btrfs\n"), "{text}");
        }
        assert!(std::fs::read(scratch.path().join("f")).unwrap() == bytes);
    }

    #[test]
    fn the_end_of_a_log_is_whole_lines() {
        for (limit, want) in
            [(100, "ab\ncd\nef\n"), (9, "ab\ncd\nef\n"), (6, "ef\n"), (7, "cd\nef\n"), (2, "")]
        {
            let mut log = "ab\ncd\nef\n".to_owned();
            keep_end(&mut log, limit);
            assert_eq!(log, want, "{limit}");
        }
    }
}
