//! From the devices of a machine to the order of their modules: which devices may lead to the root,
//! in which order those of a scan are requested, and on the host a whole boot without a kernel.

mod order;
mod root_hint;
#[cfg(feature = "host")]
pub(crate) mod simulation;

pub(crate) use order::scan_order;
pub(crate) use root_hint::{RootHint, leads_to_storage};
