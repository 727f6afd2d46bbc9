//! /dev/kmsg: one record, one write; and what the kernel has logged since a moment.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use super::{Error, Result, Root};

/// The longest record the kernel takes, its prefix included: longer ones are refused (EINVAL).
const RECORD: usize = 976;

/// Priorities of syslog(3), as far as they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// 3
    Err = 3,
    /// 4
    Warning = 4,
    /// 6
    Info = 6,
    /// 7
    Debug = 7,
}

/// The kernel's log, open for writing.
#[derive(Debug)]
pub struct Kmsg(File);

impl Kmsg {
    /// Opens /dev/kmsg.
    ///
    /// # Errors
    /// The node is missing, or the kernel was built without.
    pub fn open(root: &Root) -> Result<Self> {
        let path = root.join("dev/kmsg");
        let file =
            OpenOptions::new().write(true).open(&path).map_err(|e| Error::io("open", &path, &e))?;
        Ok(Self(file))
    }

    /// Writes one record, cut to what the kernel takes. A log that cannot be written is no reason to stop.
    pub fn write(&self, priority: Priority, text: &str) {
        self.write_as(priority as u8, "coldplug", text);
    }

    /// As [`Self::write`], by the program `ident`.
    pub fn write_as(&self, priority: u8, ident: &str, text: &str) {
        // Facility 3 is "daemon".
        let mut record = format!("<{}>{ident}: {text}", 3 * 8 + priority);
        let mut end = record.len().min(RECORD - 1);
        while !record.is_char_boundary(end) {
            end -= 1;
        }
        record.truncate(end);
        // Without it the kernel keeps the record back until the next one comes: it might go on.
        record.push('\n');
        let _ = (&self.0).write(record.as_bytes());
    }
}

/// A place in the kernel's log: what comes behind it can be read.
///
/// ```text
/// 6,1234,5140900,-;the text      priority and facility, number, microseconds, flags
/// ```
#[derive(Debug)]
pub struct Mark(Option<File>);

impl Mark {
    /// The end of the log as it is now. Where the log may not be read, nothing comes behind it. A plain file in its
    /// place, in a tree of files, is read from its start.
    pub fn now(root: &Root) -> Self {
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

    /// The last record behind the mark that `wanted` takes.
    pub fn last(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let mut file = self.0.as_ref()?;
        let mut buffer = vec![0; 8192];
        let mut found = None;
        loop {
            let len = match file.read(&mut buffer) {
                Ok(0) => return found,
                Ok(len) => len,
                // The record was overwritten while we read: the next one is there.
                Err(e) if e.raw_os_error() == Some(rustix::io::Errno::PIPE.raw_os_error()) => {
                    continue;
                }
                Err(_) => return found,
            };
            found = record_text(&buffer[..len]).filter(|t| wanted(t)).or(found);
        }
    }
}

/// The first line of a record's text.
fn record_text(record: &[u8]) -> Option<String> {
    let record = String::from_utf8_lossy(record);
    let (_, text) = record.split_once(';')?;
    Some(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_the_kernel_writes_them() {
        let record = b"4,12,5000,-;ext9: Unknown symbol x (err -2)\n SUBSYSTEM=module\n";
        assert_eq!(record_text(record).as_deref(), Some("ext9: Unknown symbol x (err -2)"));
        assert_eq!(record_text(b"garbage"), None);
    }
}
