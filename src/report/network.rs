//! The network in the record: the interface that leads to the root, and its address.

use core::net::Ipv4Addr;

use super::writer::JsonWriter;

/// Origin of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressOrigin {
    /// A DHCP server.
    Dhcp,
    /// `ip=` of the command line.
    Static,
    /// The kernel, which set up the interface before init started.
    Kernel,
}

impl AddressOrigin {
    /// Returns the origin's word in the record.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Static => "static",
            Self::Kernel => "kernel",
        }
    }
}

/// The interface that was set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NetworkRecord {
    /// Interface name.
    pub(crate) interface: String,
    /// Address of the interface.
    pub(crate) address: Option<Ipv4Addr>,
    /// Length of the network prefix in bits, if known.
    pub(crate) prefix: Option<u8>,
    /// Origin of the address.
    pub(crate) origin: AddressOrigin,
    /// The router.
    pub(crate) router: Option<Ipv4Addr>,
    /// DHCP server that leased the address.
    pub(crate) dhcp_server: Option<Ipv4Addr>,
    /// Next server of the boot (siaddr of DHCP).
    pub(crate) next_server: Option<Ipv4Addr>,
    /// Path of the root on that server (DHCP option 17).
    pub(crate) root_path: Option<String>,
}

impl NetworkRecord {
    /// Writes the member `network`.
    pub(super) fn write(&self, json: &mut JsonWriter) {
        json.begin("network", '{');
        let mut address = |name: &str, address: Option<Ipv4Addr>, suffix: &str| {
            let text = address.map(|address| address.to_string() + suffix);
            json.text_or_null(name, text.as_deref());
        };
        let prefix = self.prefix.map_or_else(String::new, |prefix| format!("/{prefix}"));
        address("address", self.address, &prefix);
        address("router", self.router, "");
        address("dhcp_server", self.dhcp_server, "");
        address("next_server", self.next_server, "");
        json.text("interface", &self.interface);
        json.text("by", self.origin.as_str());
        json.text_or_null("root_path", self.root_path.as_deref());
        json.end('}');
    }
}
