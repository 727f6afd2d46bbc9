//! The network, where the root comes over it: an interface with a cable, an address, a route.
//!
//! What the kernel has set up by itself (CONFIG_IP_PNP) is used as it is. What was set up stays so behind the switch.
//!
//! ```text
//! /run/net-INTERFACE.conf      what is known of it, as klibc's ipconfig writes it: initramfs-tools and cloud-init read it
//! /run/coldplug/resolv.conf    name servers, resolv.conf(5)
//! ```

use std::fmt::Display;
use std::net::Ipv4Addr;

use super::dhcp_client::DhcpClient;
use super::{Boot, Progress, RootStep, StepContext, StepError};
use crate::boot::write;
use crate::cmdline::network::{AddressSource, NetworkParams};
use crate::net::dhcp::Lease;
use crate::report::{AddressBy, NetworkRecord, Verdict};
use crate::sys::net::{self, Interface};

const RESOLV: &str = "run/coldplug/resolv.conf";
/// The number of the loopback interface.
const LOOPBACK: u32 = 1;

/// An interface that may be the one.
#[derive(Debug)]
struct Port {
    interface: Interface,
    client: Option<DhcpClient>,
}

/// The step that gives the machine an address.
#[derive(Debug)]
pub(super) struct Network {
    params: NetworkParams,
    ports: Vec<Port>,
}

impl Network {
    pub(super) fn new(params: &NetworkParams) -> Self {
        Self { params: params.clone(), ports: Vec::new() }
    }

    /// Switches on those that have come.
    fn bring_up_new(&mut self, boot: &mut Boot) {
        for interface in net::interfaces(&boot.root) {
            let known = self.ports.iter().any(|port| port.interface == interface);
            if known || !self.is_selected(&interface) {
                continue;
            }
            match net::set_up(interface.index) {
                Ok(()) => self.ports.push(Port { interface, client: None }),
                Err(error) => boot.warn_once(format!("{}: {error}", interface.name)),
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

    /// What is lacking, in words.
    fn missing(&self, boot: &Boot) -> String {
        if !self.ports.is_empty() {
            let words = |port: &Port| match &port.client {
                Some(client) => client.status(&port.interface),
                None => format!("a cable in {}", port.interface.name),
            };
            return self.ports.iter().map(words).collect::<Vec<_>>().join(", or ");
        }
        let names: Vec<String> =
            net::interfaces(&boot.root).into_iter().map(|interface| interface.name).collect();
        let there = match names.as_slice() {
            [] => "none is there".to_owned(),
            names => format!("there: {}", names.join(", ")),
        };
        match (&self.params.ip.device, self.params.boot_mac) {
            (Some(name), _) => format!("network interface {name} ({there})"),
            (None, Some(_)) => format!("the network interface of BOOTIF= ({there})"),
            (None, None) => format!("an Ethernet interface ({there})"),
        }
    }

    /// The lease that `ip=` amounts to.
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

    /// Gives the first interface with a cable that has one its lease.
    fn lease(&mut self, cx: &mut StepContext<'_>) -> Result<Option<(Interface, Lease)>, StepError> {
        let given = self.static_lease();
        let hostname = self.params.ip.hostname.clone();
        for port in &mut self.ports {
            if !net::has_carrier(&cx.boot.root, &port.interface) {
                continue;
            }
            if let Some(lease) = given {
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
        if cx.boot.record.network.is_some() {
            return Ok(Progress::Done);
        }
        if let Some((interface, server)) = net::set_up_by_kernel(&cx.boot.root) {
            cx.boot.record.network = Some(by_kernel(interface, server));
            return Ok(Progress::Done);
        }
        if self.params.ip.source == AddressSource::Static && self.params.ip.client.is_none() {
            return Err(StepError {
                text: "ip= gives no address and forbids to ask for one".into(),
                verdict: Verdict::NoRoot,
                is_final: true,
            });
        }
        self.bring_up_new(cx.boot);
        match self.lease(cx)? {
            Some((interface, lease)) => {
                let by =
                    if self.static_lease().is_some() { AddressBy::Static } else { AddressBy::Dhcp };
                apply(&interface, &lease, by, cx.boot)?;
                Ok(Progress::Done)
            }
            None => Ok(Progress::Polling(self.missing(cx.boot))),
        }
    }
}

fn by_kernel(interface: String, server: Option<Ipv4Addr>) -> NetworkRecord {
    NetworkRecord {
        interface,
        address: server.and_then(net::source_to),
        prefix: None,
        by: AddressBy::Kernel,
        router: None,
        dhcp_server: None,
        next_server: server,
        root_path: None,
    }
}

/// Sets the interface up by what a lease says.
fn apply(
    interface: &Interface,
    lease: &Lease,
    by: AddressBy,
    boot: &mut Boot,
) -> Result<(), StepError> {
    let Some(address) = lease.address else { return Ok(()) };
    // The kernel's own traffic goes by it.
    let _ = net::set_up(LOOPBACK);
    net::add_address(interface, address, lease.prefix)?;
    if let Some(router) = lease.router {
        let direct = (u32::from(address) ^ u32::from(router)) & mask(lease) != 0;
        net::add_default_route(interface, router, direct)?;
    }
    if let Some(name) = &lease.hostname
        && let Err(errno) = rustix::system::sethostname(name.as_bytes())
    {
        boot.warn_once(format!("hostname {name}: {}", crate::sys::errno::text(errno)));
    }
    write_files(interface, lease, by, boot);
    boot.record.network = Some(NetworkRecord {
        interface: interface.name.clone(),
        address: Some(address),
        prefix: Some(lease.prefix),
        by,
        router: lease.router,
        dhcp_server: lease.server,
        next_server: lease.next_server,
        root_path: lease.root_path.clone(),
    });
    boot.end_phase("network");
    Ok(())
}

/// Writes down what the real system may want to know.
fn write_files(interface: &Interface, lease: &Lease, by: AddressBy, boot: &mut Boot) {
    let address = lease.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
    boot.log.info(&format!("{}: {address}/{} ({})", interface.name, lease.prefix, by.as_str()));
    let conf = boot.root.join(format!("run/net-{}.conf", interface.name));
    let mut files = vec![(conf, conf_text(interface, lease, by))];
    let mut resolv: String =
        lease.domain.iter().map(|domain| format!("search {domain}\n")).collect();
    resolv.extend(lease.dns.iter().map(|server| format!("nameserver {server}\n")));
    files.push((boot.root.join(RESOLV), resolv));
    for (path, text) in files.into_iter().filter(|(_, text)| !text.is_empty()) {
        if let Err(error) = write(&path, text.as_bytes()) {
            boot.warn_once(error.to_string());
        }
    }
}

/// Lines that a shell can read; what is not known is left out.
fn conf_text(interface: &Interface, lease: &Lease, by: AddressBy) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: Option<&dyn Display>| {
        if let Some(value) = value {
            // A server's text must not end the quotes.
            let value = value.to_string().replace('\'', "");
            text.extend([name, "='", &value, "'\n"]);
        }
    };
    let mask = mask(lease);
    let own = lease.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let server = lease.next_server.or(lease.server);
    line("DEVICE", Some(&interface.name));
    line("PROTO", Some(&if by == AddressBy::Dhcp { "dhcp" } else { "none" }));
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

/// The bits of the network's part of an address.
fn mask(lease: &Lease) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(lease.prefix.min(32))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_leave_its_quotes() {
        let interface = Interface { name: "eth0".into(), index: 2, mac: [2, 0, 0, 0, 0, 1] };
        let lease = Lease {
            address: Some(Ipv4Addr::new(10, 0, 2, 15)),
            prefix: 24,
            hostname: Some("x'; reboot; '".into()),
            ..Lease::default()
        };
        let text = conf_text(&interface, &lease, AddressBy::Dhcp);
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
