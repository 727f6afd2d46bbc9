//! Descriptions of machines: the texts that `coldplug scan --save` writes and `coldplug plan
//! --from` reads, also over a serial line, and the device trees of boards. Pure.

pub mod capture;
pub(crate) mod device_tree;
pub(crate) mod serial_lines;
