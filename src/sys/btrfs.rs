//! The control device of btrfs: which devices the kernel knows.
//!
//! ```text
//! struct btrfs_ioctl_vol_args    0 unused, s64 │ 8 path, ends with a NUL │ 4096
//! ```
//!
//! linux/btrfs.h.

use std::fs::{File, OpenOptions};

use rustix::io::Errno;

use super::{Error, Result, Root, raw};
use crate::byte_text;

const PATH: usize = 8;

/// The control device.
#[derive(Debug)]
pub(crate) struct Control(File);

impl Control {
    /// Opens the control device, which exists once the driver is loaded.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open(root: &Root) -> Result<Self> {
        let path = root.join("dev/btrfs-control");
        let file = OpenOptions::new().read(true).write(true).open(&path);
        file.map(Self).map_err(|e| Error::io("open", &path, &e))
    }

    /// BTRFS_IOC_SCAN_DEV: tells the kernel about a device. The kernel then finds it by itself if a
    /// mount needs it.
    ///
    /// # Errors
    /// The device holds no btrfs, or the kernel knows a newer copy of it.
    pub(crate) fn scan(&self, node: &str) -> Result<()> {
        raw::btrfs_scan(&self.0, &mut arguments(node)?).map_err(|e| Error::new("scan", node, e))
    }

    /// BTRFS_IOC_DEVICES_READY: returns whether the kernel knows as many devices of the filesystem
    /// on `node` as it has. Devices of a seed are not among those that it counts.
    ///
    /// # Errors
    /// The device holds no btrfs.
    pub(crate) fn is_ready(&self, node: &str) -> Result<bool> {
        raw::btrfs_ready(&self.0, &mut arguments(node)?).map_err(|e| Error::new("scan", node, e))
    }
}

/// Returns a `struct btrfs_ioctl_vol_args`.
fn arguments(node: &str) -> Result<[u8; raw::BTRFS_ARGUMENTS]> {
    let mut arguments = [0; raw::BTRFS_ARGUMENTS];
    let path = byte_text::to_bytes(node);
    // The last byte stays 0.
    let place = arguments
        .get_mut(PATH..PATH + path.len())
        .filter(|place| place.len() < raw::BTRFS_ARGUMENTS - PATH);
    place.ok_or_else(|| Error::new("scan", node, Errno::NAMETOOLONG))?.copy_from_slice(&path);
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_ends_with_a_nul() {
        let bytes = arguments("/dev/vda").unwrap();
        assert_eq!((&bytes[..8], &bytes[8..17]), (&[0; 8][..], &b"/dev/vda\0"[..]));
        assert_eq!(arguments("/dev/\u{10fff6}").unwrap()[8..15], *b"/dev/\xf6\0");
        assert_eq!(arguments(&"x".repeat(4087)).unwrap()[4094..], *b"x\0");
        for length in [4088, 4089, 5000] {
            assert!(arguments(&"x".repeat(length)).is_err(), "{length}");
        }
    }
}
