//! /dev/kmsg: writing records, and reading what was logged after a position (the kernel's
//! ABI/testing/dev-kmsg).

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use super::{Error, Result, Root};
use crate::escape;

/// Length of the longest record with its prefix, in bytes; longer ones are refused (EINVAL).
const MAX_RECORD: usize = 976;

/// Priorities of syslog(3) that coldplug uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// LOG_WARNING.
    Warning = 4,
    /// LOG_INFO.
    Info = 6,
    /// LOG_DEBUG.
    Debug = 7,
}

/// The kernel log, open for writing.
#[derive(Debug)]
pub(crate) struct Kmsg(File);

impl Kmsg {
    /// Opens /dev/kmsg.
    ///
    /// # Errors
    /// The node is missing, or the kernel was built without CONFIG_PRINTK.
    pub(crate) fn open(root: &Root) -> Result<Self> {
        let path = root.join("dev/kmsg");
        let file =
            OpenOptions::new().write(true).open(&path).map_err(|e| Error::io("open", &path, &e))?;
        Ok(Self(file))
    }

    /// Writes one record of `coldplug`, truncated to the length that the kernel accepts. Failures
    /// are ignored, because there is nowhere left to report them.
    pub(crate) fn write(&self, priority: Priority, text: &str) {
        self.write_as(priority as u8, "coldplug", text);
    }

    /// Writes one record of the program `ident`, as [`Self::write`] does. The kernel prints what it
    /// is given on the console, so the text is made printable.
    pub(crate) fn write_as(&self, priority: u8, ident: &str, text: &str) {
        // Facility 3 is "daemon".
        let text = escape::line(text);
        let mut record = format!("<{}>{ident}: {text}", 3 * 8 + priority);
        let mut end = record.len().min(MAX_RECORD - 1);
        while !record.is_char_boundary(end) {
            end -= 1;
        }
        record.truncate(end);
        // Without a newline the kernel holds the record back for a continuation.
        record.push('\n');
        let _ = (&self.0).write(record.as_bytes());
    }
}

/// Passes the records that the kernel log holds to `each`, oldest first: seconds and microseconds
/// since the start of the kernel, and the lines of the text.
///
/// # Errors
/// /dev/kmsg is missing or not readable.
pub(crate) fn records(root: &Root, mut each: impl FnMut(u64, u64, &str)) -> Result<()> {
    scan(root, &mut |time, text| {
        each(time / 1_000_000, time % 1_000_000, text);
        true
    })
}

/// Passes the records that the kernel log holds to `each`, oldest first, as long as it returns
/// true: the time in microseconds, by the clock of the log, and the lines of the text.
///
/// # Errors
/// /dev/kmsg is missing or not readable.
pub(crate) fn scan(root: &Root, each: &mut dyn FnMut(u64, &str) -> bool) -> Result<()> {
    let path = root.join("dev/kmsg");
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let open = OpenOptions::new().read(true).custom_flags(flags).open(&path);
    let mut file = open.map_err(|e| Error::io("open", &path, &e))?;
    let mut buffer = vec![0; 8192];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => {
                if let Some((time, text)) = parse_record(&buffer[..len])
                    && !each(time, &text)
                {
                    return Ok(());
                }
            }
            // EPIPE: the record was overwritten; the next read returns the one after it.
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(Error::io("read", &path, &e)),
        }
    }
}

/// Returns the time of a record in microseconds, and its text without the lines of its dictionary,
/// which begin with a space.
fn parse_record(record: &[u8]) -> Option<(u64, String)> {
    let record = String::from_utf8_lossy(record);
    let (prefix, text) = record.split_once(';')?;
    let time = prefix.split(',').nth(2)?.parse().ok()?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    Some((time, lines.join("\n")))
}

/// A position in the kernel log.
///
/// ```text
/// 6,1234,5140900,-;text      priority and facility, sequence number, microseconds, flags
/// ```
#[derive(Debug)]
pub(crate) struct LogPosition(Option<File>);

impl LogPosition {
    /// Returns the end of the log. If the log is not readable, [`Self::last_record`] finds nothing.
    /// A regular file in its place, as in a test tree, is read from its start.
    pub(crate) fn end(root: &Root) -> Self {
        let open = || -> std::io::Result<File> {
            let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
            let mut file =
                OpenOptions::new().read(true).custom_flags(flags).open(root.join("dev/kmsg"))?;
            if !file.metadata()?.is_file() {
                file.seek(SeekFrom::End(0))?;
            }
            Ok(file)
        };
        Self(open().ok())
    }

    /// Returns the text of the last record after this position that `wanted` accepts.
    pub(crate) fn last_record(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let mut file = self.0.as_ref()?;
        let mut buffer = vec![0; 8192];
        let mut found = None;
        loop {
            let len = match file.read(&mut buffer) {
                Ok(0) => return found,
                Ok(len) => len,
                // EPIPE: the record was overwritten; the next read returns the one after it.
                Err(e) if e.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {
                    continue;
                }
                Err(_) => return found,
            };
            found = record_text(&buffer[..len]).filter(|t| wanted(t)).or(found);
        }
    }
}

/// The records that the kernel prints on the console from now on.
#[cfg(feature = "stacks")]
#[derive(Debug)]
pub(crate) struct PrintedRecords {
    file: File,
    /// Priority below which a record is printed.
    limit: u8,
}

#[cfg(feature = "stacks")]
impl PrintedRecords {
    /// Returns the end of the log; `None` if it is not readable.
    pub(crate) fn end(root: &Root, limit: u8) -> Option<Self> {
        LogPosition::end(root).0.map(|file| Self { file, limit })
    }

    /// Returns whether a record was printed since the last call.
    pub(crate) fn any(&self) -> bool {
        let mut buffer = vec![0; 8192];
        let (mut file, mut found) = (&self.file, false);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return found,
                Ok(len) => found |= priority(&buffer[..len]).is_some_and(|p| p < self.limit),
                // EPIPE: records were overwritten.
                Err(e) if e.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {
                    found = true;
                }
                Err(_) => return found,
            }
        }
    }
}

#[cfg(feature = "stacks")]
impl std::os::fd::AsFd for PrintedRecords {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Returns the priority of a record.
#[cfg(feature = "stacks")]
fn priority(record: &[u8]) -> Option<u8> {
    let end = record.iter().position(|byte| *byte == b',')?;
    let number: u32 = std::str::from_utf8(record.get(..end)?).ok()?.parse().ok()?;
    u8::try_from(number % 8).ok()
}

/// Returns the first line of the text of a record.
fn record_text(record: &[u8]) -> Option<String> {
    let record = String::from_utf8_lossy(record);
    let (_, text) = record.split_once(';')?;
    Some(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_the_kernel_are_parsed() {
        let record = b"4,12,5000,-;ext9: Unknown symbol x (err -2)\n SUBSYSTEM=module\n";
        assert_eq!(record_text(record).as_deref(), Some("ext9: Unknown symbol x (err -2)"));
        assert_eq!(record_text(b"garbage"), None);
        assert_eq!((priority(record), priority(b"30,1,2,-;x")), (Some(4), Some(6)));
        assert_eq!((priority(b"garbage"), priority(b",")), (None, None));
        let text = "ext9: Unknown symbol x (err -2)".to_owned();
        assert_eq!(parse_record(record), Some((5000, text)));
        assert_eq!(parse_record(b"4,12;x"), None);
    }
}
