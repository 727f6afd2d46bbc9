//! The network of a root on a server: an interface with a carrier, an address, a route.
//!
//! A configuration by the kernel itself (CONFIG_IP_PNP) is used as it is. The configuration is kept
//! after the switch.
//!
//! ```text
//! /run/net-INTERFACE.conf      the configuration, in the format of klibc's ipconfig, which
//!                              initramfs-tools and cloud-init read
//! /run/coldplug/resolv.conf    name servers, resolv.conf(5)
//! ```

use std::fmt::Display;
use std::net::Ipv4Addr;

use super::dhcp_client::DhcpClient;
use super::state::NetworkState;
use super::{Awaited, Progress, RootStep, StepContext, StepError};
use crate::boot::write;
use crate::cmdline::network::{AddressSource, NetworkParams};
use crate::net::dhcp::Lease;
use crate::report::{AddressOrigin, NetworkRecord};
use crate::sys::Root;
use crate::sys::net::{self, Interface};

const RESOLV: &str = "run/coldplug/resolv.conf";
/// Index of the loopback interface.
const LOOPBACK: u32 = 1;

/// An interface that may lead to the server.
#[derive(Debug)]
struct Port {
    interface: Interface,
    client: Option<DhcpClient>,
}

/// The step that configures the network.
#[derive(Debug)]
pub(super) struct Network {
    params: NetworkParams,
    ports: Vec<Port>,
}

impl Network {
    pub(super) fn new(params: &NetworkParams) -> Self {
        Self { params: params.clone(), ports: Vec::new() }
    }

    /// Brings up interfaces that have appeared.
    fn bring_up_new(&mut self, cx: &mut StepContext<'_>) {
        for interface in net::interfaces(cx.dir) {
            let known = self.ports.iter().any(|port| port.interface == interface);
            if known || !self.is_selected(&interface) {
                continue;
            }
            match net::bring_up(interface.index) {
                Ok(()) => self.ports.push(Port { interface, client: None }),
                Err(error) => cx.reporter.warn_once(format!("{}: {error}", interface.name)),
            }
        }
    }

    fn is_selected(&self, interface: &Interface) -> bool {
        match (&self.params.ip.device, self.params.boot_mac) {
            (Some(name), _) => *name == interface.name,
            (None, Some(mac)) => mac == interface.mac,
            (None, None) => true,
        }
    }

    /// Returns what the configuration still needs, for messages.
    fn missing(&self, dir: &Root) -> String {
        if !self.ports.is_empty() {
            let status = |port: &Port| match &port.client {
                Some(client) => client.status(&port.interface),
                None => format!("a carrier on {}", port.interface.name),
            };
            return self.ports.iter().map(status).collect::<Vec<_>>().join(", or ");
        }
        let names: Vec<String> =
            net::interfaces(dir).into_iter().map(|interface| interface.name).collect();
        let found = match names.as_slice() {
            [] => "none found".to_owned(),
            names => format!("found: {}", names.join(", ")),
        };
        match (&self.params.ip.device, self.params.boot_mac) {
            (Some(name), _) => format!("network interface {name} ({found})"),
            (None, Some(_)) => format!("the network interface of BOOTIF= ({found})"),
            (None, None) => format!("an Ethernet interface ({found})"),
        }
    }

    /// Returns the static configuration of `ip=` as a lease.
    fn static_lease(&self) -> Option<Lease> {
        let ip = &self.params.ip;
        Some(Lease {
            address: Some(ip.client?),
            prefix: ip.prefix.unwrap_or_default(),
            router: ip.gateway,
            dns: ip.dns.clone(),
            hostname: ip.hostname.clone(),
            next_server: ip.server,
            ..Lease::default()
        })
    }

    /// Returns the first interface with a carrier and a lease.
    fn lease(&mut self, dir: &Root) -> Result<Option<(Interface, Lease)>, StepError> {
        let fixed = self.static_lease();
        let hostname = self.params.ip.hostname.clone();
        for port in &mut self.ports {
            if !net::has_carrier(dir, &port.interface) {
                continue;
            }
            if let Some(lease) = fixed {
                return Ok(Some((port.interface.clone(), lease)));
            }
            let client = match &mut port.client {
                Some(client) => client,
                none => none.insert(DhcpClient::new(&port.interface)?),
            };
            if let Some(lease) = client.advance(&port.interface, hostname.as_deref()) {
                return Ok(Some((port.interface.clone(), lease)));
            }
        }
        Ok(None)
    }
}

impl RootStep for Network {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        if cx.state.network.is_some() {
            return Ok(Progress::Done);
        }
        if let Some((interface, server)) = net::configured_by_kernel(cx.dir) {
            record(cx, by_kernel(interface, server));
            return Ok(Progress::Done);
        }
        if self.params.ip.source == AddressSource::Static && self.params.ip.client.is_none() {
            return Err(StepError::NoAddress);
        }
        self.bring_up_new(cx);
        match self.lease(cx.dir)? {
            Some((interface, lease)) => {
                let origin = match self.static_lease() {
                    Some(_) => AddressOrigin::Static,
                    None => AddressOrigin::Dhcp,
                };
                apply(&interface, &lease, origin, cx)?;
                Ok(Progress::Done)
            }
            None => Ok(Progress::Polling(Awaited::reply(self.missing(cx.dir)))),
        }
    }
}

fn by_kernel(interface: String, server: Option<Ipv4Addr>) -> NetworkRecord {
    NetworkRecord {
        interface,
        address: server.and_then(net::source_address_for),
        prefix: None,
        origin: AddressOrigin::Kernel,
        router: None,
        dhcp_server: None,
        next_server: server,
        root_path: None,
    }
}

/// Keeps the configuration for later steps, and records it.
fn record(cx: &mut StepContext<'_>, network: NetworkRecord) {
    cx.state.network = Some(NetworkState {
        interface: network.interface.clone(),
        address: network.address,
        server: network.next_server.or(network.dhcp_server),
        root_path: network.root_path.clone(),
    });
    cx.reporter.set_network(network);
}

/// Configures the interface as the lease says.
fn apply(
    interface: &Interface,
    lease: &Lease,
    origin: AddressOrigin,
    cx: &mut StepContext<'_>,
) -> Result<(), StepError> {
    let Some(address) = lease.address else { return Ok(()) };
    // The kernel's own traffic uses the loopback interface.
    let _ = net::bring_up(LOOPBACK);
    net::add_address(interface, address, lease.prefix)?;
    if let Some(router) = lease.router {
        let direct = (u32::from(address) ^ u32::from(router)) & mask(lease) != 0;
        net::add_default_route(interface, router, direct)?;
    }
    if let Some(name) = &lease.hostname
        && let Err(errno) = rustix::system::sethostname(name.as_bytes())
    {
        cx.reporter.warn_once(format!("hostname {name}: {}", crate::sys::errno::text(errno)));
    }
    write_files(interface, lease, origin, cx);
    let network = NetworkRecord {
        interface: interface.name.clone(),
        address: Some(address),
        prefix: Some(lease.prefix),
        origin,
        router: lease.router,
        dhcp_server: lease.server,
        next_server: lease.next_server,
        root_path: lease.root_path.clone(),
    };
    record(cx, network);
    cx.reporter.end_phase("network");
    Ok(())
}

/// Logs the configuration and writes the files for the real system.
fn write_files(
    interface: &Interface,
    lease: &Lease,
    origin: AddressOrigin,
    cx: &mut StepContext<'_>,
) {
    let address = lease.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let text = format!("{}: {address}/{} ({})", interface.name, lease.prefix, origin.as_str());
    cx.reporter.log().info(&text);
    let conf = cx.dir.join(format!("run/net-{}.conf", interface.name));
    let mut files = vec![(conf, conf_text(interface, lease, origin))];
    let mut resolv: String =
        lease.domain.iter().map(|domain| format!("search {domain}\n")).collect();
    resolv.extend(lease.dns.iter().map(|server| format!("nameserver {server}\n")));
    files.push((cx.dir.join(RESOLV), resolv));
    for (path, text) in files.into_iter().filter(|(_, text)| !text.is_empty()) {
        if let Err(error) = write(&path, text.as_bytes()) {
            cx.reporter.warn_once(error.to_string());
        }
    }
}

/// Returns the assignments of net-INTERFACE.conf, which shells read. Unknown values are left out.
fn conf_text(interface: &Interface, lease: &Lease, origin: AddressOrigin) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: Option<&dyn Display>| {
        if let Some(value) = value {
            // Text from a server must not close the quotes.
            let value = value.to_string().replace('\'', "");
            text.extend([name, "='", &value, "'\n"]);
        }
    };
    let mask = mask(lease);
    let own = lease.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let server = lease.next_server.or(lease.server);
    line("DEVICE", Some(&interface.name));
    line("PROTO", Some(&if origin == AddressOrigin::Dhcp { "dhcp" } else { "none" }));
    line("IPV4ADDR", Some(&own));
    line("IPV4BROADCAST", Some(&Ipv4Addr::from(u32::from(own) | !mask)));
    line("IPV4NETMASK", Some(&Ipv4Addr::from(mask)));
    line("IPV4GATEWAY", lease.router.as_ref().map(|a| a as _));
    line("IPV4DNS0", lease.dns.first().map(|a| a as _));
    line("IPV4DNS1", lease.dns.get(1).map(|a| a as _));
    line("HOSTNAME", lease.hostname.as_ref().map(|t| t as _));
    line("DNSDOMAIN", lease.domain.as_ref().map(|t| t as _));
    line("ROOTSERVER", server.as_ref().map(|a| a as _));
    line("ROOTPATH", lease.root_path.as_ref().map(|t| t as _));
    line("DHCPLEASETIME", lease.seconds.as_ref().map(|s| s as _));
    text
}

/// Returns the netmask as a number.
fn mask(lease: &Lease) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(lease.prefix.min(32))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_server_cannot_close_the_quotes() {
        let interface = Interface { name: "eth0".into(), index: 2, mac: [2, 0, 0, 0, 0, 1] };
        let lease = Lease {
            address: Some(Ipv4Addr::new(10, 0, 2, 15)),
            prefix: 24,
            hostname: Some("x'; reboot; '".into()),
            ..Lease::default()
        };
        let text = conf_text(&interface, &lease, AddressOrigin::Dhcp);
        for line in [
            "DEVICE='eth0'",
            "IPV4NETMASK='255.255.255.0'",
            "IPV4BROADCAST='10.0.2.255'",
            "HOSTNAME='x; reboot; '",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
        assert!(!text.contains("GATEWAY"));
    }
}
