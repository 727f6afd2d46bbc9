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
#[allow(dead_code, reason = "not all is used yet")]
pub(crate) mod activation;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
mod area;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
pub(crate) mod availability;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
pub(crate) mod devices_file;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
mod flags;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
mod fuzzing;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
pub(crate) mod group;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
pub(crate) mod host;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
mod id;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
mod label;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
pub(crate) mod members;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
mod segment;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
mod table;
#[cfg(feature = "stacks")]
#[allow(dead_code, reason = "not all is used yet")]
mod text;

#[cfg(feature = "stacks")]
pub use fuzzing::{check, check_text};
