//! Descriptions of machines: the texts that `coldplug scan --save` writes and `coldplug plan
//! --from` reads, and the device trees of boards. Pure.

pub mod capture;
pub(crate) mod device_tree;
