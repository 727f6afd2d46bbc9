//! /dev/kmsg: one record, one write.

use std::fs::{File, OpenOptions};
use std::io::Write;

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
        // Facility 3 is "daemon".
        let mut record = format!("<{}>coldplug: {text}", 3 * 8 + priority as u8);
        let mut end = record.len().min(RECORD);
        while !record.is_char_boundary(end) {
            end -= 1;
        }
        record.truncate(end);
        let _ = (&self.0).write(record.as_bytes());
    }
}
