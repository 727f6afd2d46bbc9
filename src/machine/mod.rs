//! Descriptions of machines: the texts that `coldplug scan --save` writes and `coldplug plan
//! --from` reads, also over a serial line, the device trees of boards, and the
//! order in which suppliers come before those that need them. Pure.

pub mod capture;
pub mod device_tree;
pub(crate) mod serial_lines;
pub mod supplier_order;
