//! The child that reads and writes the stored boot. PID 1 kills it at a deadline.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::device;
use super::reply::Reply;
use crate::boot::RECORD;
use crate::cmdline::store_name::StoreName;
use crate::report::stored_boot::{HEAD, Place, StoredBoot};
use crate::sys::regular_file::{self, RECORD_LIMIT};
use crate::sys::store_file::StoreFile;
use crate::sys::{self, Cause, Root, kmsg, mount};

/// Bytes of the kernel log that are stored.
const LOG_LIMIT: usize = 64 << 10;

/// What an attempt to reach the place has come to.
enum Reached {
    /// The device has not appeared.
    Missing,
    /// The device is there, the file on it is not.
    NoFile,
    /// The place, and the mount that it is on.
    Open(StoreFile, Option<OwnedFd>),
}

/// Reports the boot that is stored at `name`, if no boot has done that, and marks it as reported.
pub(super) fn read(root: &Root, name: &StoreName) -> Reply {
    match reach(root, name, false) {
        Ok(Reached::Missing) => Reply::Missing,
        Ok(Reached::NoFile) => Reply::Nothing,
        Ok(Reached::Open(file, _mount)) => read_file(&file).unwrap_or_else(|e| failed(&e)),
        Err(error) => failed(&error),
    }
}

fn read_file(file: &StoreFile) -> sys::Result<Reply> {
    let mut head = match Place::parse(&file.read(0, HEAD)?) {
        Place::Boot(head) => head,
        Place::Free => return Ok(Reply::Nothing),
        place => return Ok(Reply::Failed(refusal(&place))),
    };
    if head.is_seen {
        return Ok(Reply::Nothing);
    }
    head.is_seen = true;
    file.write(0, &head.numbers())?;
    Ok(Reply::Previous(head.summary))
}

/// Stores this boot at `name`.
pub(super) fn store(root: &Root, name: &StoreName, summary: &str) -> Reply {
    match reach(root, name, true) {
        Ok(Reached::Missing | Reached::NoFile) => Reply::Missing,
        Ok(Reached::Open(file, _mount)) => {
            let record = regular_file::read_text(&root.join(RECORD), RECORD_LIMIT);
            let log = kernel_log(root);
            write_file(&file, summary, record.unwrap_or_default(), log)
                .unwrap_or_else(|error| failed(&error))
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

fn write_file(file: &StoreFile, summary: &str, record: String, log: String) -> sys::Result<Reply> {
    let place = Place::parse(&file.read(0, HEAD)?);
    let Some(sequence) = place.next_sequence() else {
        return Ok(Reply::Failed(refusal(&place)));
    };
    let Some(boot) = StoredBoot::new(sequence, summary, record, log, file.capacity()) else {
        return Ok(Reply::Failed(format!("smaller than {HEAD} bytes")));
    };
    let (head, body) = boot.encode();
    // The head last: until then the checksum of the old head does not fit.
    file.write(HEAD as u64, &body)?;
    file.write(0, &head)?;
    Ok(Reply::Stored(sequence))
}

/// Returns why the place cannot be used.
fn refusal(place: &Place) -> String {
    match place {
        Place::OtherVersion(version) => format!("stored by another version ({version})"),
        Place::Damaged => "the stored boot is damaged".to_owned(),
        _ => "holds something else: a place must be zero in its first 4096 bytes".to_owned(),
    }
}

fn failed(error: &sys::Error) -> Reply {
    Reply::Failed(error.to_string())
}

fn reach(root: &Root, name: &StoreName, create: bool) -> sys::Result<Reached> {
    let Some(device) = device::find(root, &name.device) else { return Ok(Reached::Missing) };
    let node = device.node(root);
    let Some(path) = &name.path else {
        return Ok(Reached::Open(StoreFile::open_device(&node, device.size)?, None));
    };
    let Some(content) = device::superblock(root, &device) else {
        let cause = Cause::Other("no known filesystem".to_owned());
        return Err(sys::Error::new("mount", node.display(), cause));
    };
    let mounted = mount::mount_detached(content.kind, Some(&node))?;
    match StoreFile::open_file(mounted.as_fd(), path, create) {
        Ok(file) => Ok(Reached::Open(file, Some(mounted))),
        Err(error) if error.cause == Errno::NOENT && !create => Ok(Reached::NoFile),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
