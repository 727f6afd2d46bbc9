//! Arrays of md: [`survey()`] finds out which ones the devices form, [`start()`] starts one.

mod start;
mod survey;

use std::path::{Path, PathBuf};

pub(crate) use start::start;
pub(crate) use survey::survey;

use super::Node;
use crate::escape;

/// The arrays of a set of devices.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Arrays, by their UUID.
    pub(crate) arrays: Vec<Array>,
    /// Messages about devices that cannot be a member, and about lines of mdadm.conf without effect.
    pub(crate) notes: Vec<String>,
}

/// An array, and what is there of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Array {
    /// UUID in the form of mdadm.
    pub(crate) uuid: String,
    /// Name in the superblock: `HOST:NAME`; for version 0.90 a number.
    pub(crate) name: String,
    /// The kernel's name of the level: `raid1`.
    pub(crate) level: &'static str,
    /// Version of the superblocks: `1.2`.
    pub(crate) version: &'static str,
    /// Module that implements the level.
    pub(crate) module: &'static str,
    /// Name of its device: `md127`.
    pub(crate) device: String,
    /// Name of the link in /dev/md.
    pub(crate) link: Option<String>,
    /// Number of slots.
    pub(crate) slots: u32,
    /// Devices that the array is started with.
    pub(crate) members: Vec<Node>,
    /// Devices that have its UUID but are not used, with the reason.
    pub(crate) left_out: Vec<(PathBuf, String)>,
    /// Slots without a device that is up to date.
    pub(crate) missing: Vec<u32>,
    pub(crate) state: State,
}

/// Whether an array can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It runs.
    Active,
    /// All that the newest superblock expects is there.
    Complete,
    /// Devices are missing; what is there suffices.
    Degraded,
    /// The members that are there suffice, but parity may be wrong where data is missing.
    DirtyDegraded,
    /// The members that are there do not suffice.
    Incomplete,
    /// It is not assembled, for this reason.
    Refused(String),
}

/// How far an array that is not complete may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Permission {
    /// Only if it is complete.
    Complete,
    /// With missing devices.
    Degraded,
    /// With missing devices, and with parity that may be wrong.
    DirtyDegraded,
}

/// An array that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started {
    /// Path of the node: `/dev/md127`.
    pub(crate) node: PathBuf,
    /// Device number: major, minor.
    pub(crate) number: (u32, u32),
    /// Links to it below /dev: `md/root`.
    pub(crate) links: Vec<String>,
}

impl Array {
    /// Returns the path of its node.
    pub(crate) fn node(&self) -> PathBuf {
        Path::new("/dev").join(&self.device)
    }

    /// Returns the name for messages: that of the link, or else that of the device.
    pub(crate) fn shown_name(&self) -> String {
        match &self.link {
            Some(link) => format!("/dev/md/{}", escape::value(link)),
            None if self.device.is_empty() => self.uuid.clone(),
            None => format!("/dev/{}", escape::value(&self.device)),
        }
    }
}

#[cfg(test)]
mod tests;
