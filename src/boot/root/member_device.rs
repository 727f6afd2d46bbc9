//! A device of a filesystem that may span several, and the mount option that allows fewer.

use std::path::PathBuf;

use crate::cmdline::mount_options::options;
use crate::disk::Member;

/// The option that allows a mount without all devices.
pub(super) const DEGRADED: &str = "degraded";

/// Returns whether options allow a mount without all devices.
pub(super) fn is_degraded(flags: &str) -> bool {
    options(flags).any(|word| word == DEGRADED)
}

/// A device that belongs to a filesystem which may span several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemberDevice {
    /// Path of the node.
    pub(super) node: PathBuf,
    /// Device number: major and minor.
    pub(super) number: (u32, u32),
    pub(super) member: Member,
}
