//! The failure to open or read a block device.

use std::fmt;

use rustix::io::Errno;

use super::errno;
use super::{Cause, Error};
use crate::disk;

/// Why a block device, or a part of it, cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceError {
    /// Name of the device below /dev.
    name: String,
    /// Offset of the failed read, in bytes; `None` if the device cannot be opened.
    pub(crate) offset: Option<u64>,
    /// The error number of the kernel.
    pub(crate) errno: Errno,
}

impl DeviceError {
    /// Returns the failure of the device that sysfs calls `name`.
    pub(crate) fn new(name: &str, offset: Option<u64>, errno: Errno) -> Self {
        Self { name: disk::name::from_sysfs(name).into_owned(), offset, errno }
    }

    /// Returns the failure to open the device that sysfs calls `name`.
    pub(crate) fn of_open(name: &str, error: &Error) -> Self {
        let errno = match error.cause {
            Cause::Errno(errno) => errno,
            _ => Errno::IO,
        };
        Self::new(name, None, errno)
    }

    /// Returns the message without the device: `read error: Input/output error`.
    pub(crate) fn cause(&self) -> String {
        let what = if self.offset.is_some() { "read error" } else { "cannot be opened" };
        format!("{what}: {}", errno::text(self.errno))
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.offset.is_some() { "read error on" } else { "open" };
        write!(f, "{what} /dev/{}: {}", self.name, errno::text(self.errno))
    }
}

impl std::error::Error for DeviceError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_device_and_the_cause() {
        let read = DeviceError::new("cciss!c0d0", Some(512), Errno::IO);
        assert_eq!(read.to_string(), "read error on /dev/cciss/c0d0: Input/output error");
        assert_eq!(read.cause(), "read error: Input/output error");
        let open = DeviceError::new("sr0", None, Errno::NOMEDIUM);
        assert_eq!(open.to_string(), "open /dev/sr0: No medium found");
        assert_eq!(open.cause(), "cannot be opened: No medium found");
    }
}
