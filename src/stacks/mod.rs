//! Block devices that are made of others: LUKS devices are opened, logical volumes activated, arrays
//! of md started.
//!
//! This is what the child `coldplug assemble` does. It may read slow disks, compute for seconds and
//! wait for the kernel; PID 1 decides what is assembled and when.

pub(crate) mod external;
pub mod luks;
mod luks_session;
mod luks_tpm;
pub(crate) mod lvm;
pub(crate) mod mapped;
pub(crate) mod md;
pub(crate) mod message;
mod place;
mod serve;
mod summary;
pub mod tpm;
mod udev_db;

use std::path::PathBuf;

pub(crate) use serve::serve;

/// A block device to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Path of the node: `/dev/sda2`.
    pub(crate) path: PathBuf,
    /// Device number: major, minor.
    pub(crate) number: (u32, u32),
    /// Size in bytes.
    pub(crate) size: u64,
}
