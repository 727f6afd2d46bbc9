//! The network in the record: which interface the root came over, and who gave it its address.

use core::net::Ipv4Addr;

use serde_json::{Value, json};

/// Where an address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressBy {
    /// A DHCP server.
    Dhcp,
    /// `ip=` of the command line.
    Static,
    /// The kernel has set it up before us.
    Kernel,
}

impl AddressBy {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Static => "static",
            Self::Kernel => "kernel",
        }
    }
}

/// The interface that was set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRecord {
    /// Its name.
    pub interface: String,
    /// Its address.
    pub address: Option<Ipv4Addr>,
    /// How much of the address is the network's, where that is known.
    pub prefix: Option<u8>,
    /// Where it comes from.
    pub by: AddressBy,
    /// The router.
    pub router: Option<Ipv4Addr>,
    /// Who gave the address.
    pub dhcp_server: Option<Ipv4Addr>,
    /// The server that the boot goes on with.
    pub next_server: Option<Ipv4Addr>,
    /// Where that says that the root is.
    pub root_path: Option<String>,
}

impl NetworkRecord {
    pub(super) fn to_json(&self) -> Value {
        let text = |address: Option<Ipv4Addr>| address.map(|a| a.to_string());
        let prefix = self.prefix.map_or_else(String::new, |prefix| format!("/{prefix}"));
        json!({"interface": self.interface, "by": self.by.as_str(),
            "address": text(self.address).map(|address| address + &prefix),
            "router": text(self.router), "dhcp_server": text(self.dhcp_server),
            "next_server": text(self.next_server), "root_path": self.root_path})
    }
}
