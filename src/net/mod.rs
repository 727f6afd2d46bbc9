//! Messages of network protocols. Pure: bytes in, values out.

pub mod dhcp;
