//! The kernel command line. Pure: text in, values out.

pub mod boot;
pub mod link_name;
pub mod modules;
pub mod network;
pub mod root;
pub mod root_name;
pub mod storage;
pub mod words;
