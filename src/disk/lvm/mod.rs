//! LVM2: physical volumes, their metadata, and the mapped devices of logical volumes.
//!
//! ```text
//! device ── label ── metadata areas ── text ── Group ─┬─ state of each volume
//!           (label)  (area)            (text)  (group) └─ tables of the device mapper (activation)
//!
//! several devices ── members ── one Group for each UUID, with the devices of its physical volumes
//! ```
//!
//! Names, UUIDs and tables are those that lvm2 2.03 builds, so that its commands in the real system
//! find the devices as their own.

pub(super) mod probe;

#[cfg(all(test, feature = "stacks"))]
pub(crate) mod device_for_tests;

#[cfg(feature = "stacks")]
pub(crate) mod activation;
#[cfg(feature = "stacks")]
mod area;
#[cfg(feature = "stacks")]
pub(crate) mod availability;
#[cfg(feature = "stacks")]
pub(crate) mod devices_file;
#[cfg(feature = "stacks")]
mod flags;
#[cfg(feature = "stacks")]
mod fuzzing;
#[cfg(feature = "stacks")]
pub(crate) mod group;
#[cfg(feature = "stacks")]
pub(crate) mod host;
#[cfg(feature = "stacks")]
mod id;
#[cfg(feature = "stacks")]
mod label;
#[cfg(feature = "stacks")]
pub(crate) mod members;
#[cfg(feature = "stacks")]
mod segment;
#[cfg(feature = "stacks")]
mod table;
#[cfg(feature = "stacks")]
mod text;

#[cfg(feature = "stacks")]
pub use fuzzing::{check, check_text};
