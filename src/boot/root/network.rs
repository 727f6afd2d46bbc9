//! The network of a root on a server: an interface with a carrier, an address, a route.
//!
//! A configuration by the kernel itself (CONFIG_IP_PNP) is used as it is. The configuration is kept
//! after the switch.
//!
//! The mount worker brings interfaces up and sets the address. Both take the kernel's RTNL lock,
//! which is held while a driver brings an interface up, and a driver may wait for firmware for a
//! minute or for ever. One worker is enough for all interfaces: a second one would wait for the
//! same lock. Meanwhile PID 1 speaks DHCP on the interfaces that are up, which takes no lock.
//!
//! ```text
//! /run/net-INTERFACE.conf      the configuration, in the format of klibc's ipconfig, which
//!                              initramfs-tools and cloud-init read
//! /run/coldplug/resolv.conf    name servers, resolv.conf(5)
//! ```

use std::fmt::Display;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::dhcp_client::DhcpClient;
use super::state::NetworkState;
use super::worker::{Request, WorkerError};
use super::{Awaited, Progress, RootStep, StepContext, StepError};
use crate::boot::write;
use crate::byte_text;
use crate::cmdline::network::{AddressSource, NetworkParams};
use crate::net::dhcp::Lease;
use crate::report::{AddressOrigin, NetworkRecord};
use crate::sys::net::{self, Interface, Mac};
use crate::sys::{BootTime, Root};

const RESOLV: &str = "run/coldplug/resolv.conf";
/// Delay before another attempt to bring up an interface whose driver has failed.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How far an interface is.
#[derive(Debug)]
enum PortState {
    /// It is to be brought up at this time or later.
    Down(BootTime),
    /// It has been up since this time.
    Up { since: BootTime, mac: Mac, had_carrier: bool, client: Option<DhcpClient> },
    /// The command line names another interface.
    Unused,
}

/// An interface.
#[derive(Debug)]
struct Port {
    interface: Interface,
    state: PortState,
}

/// What the worker has been asked.
#[derive(Debug)]
enum Asked {
    /// To bring up the interface with this place in the list.
    Up(usize),
    /// To set the address of the lease.
    Address,
}

/// The step that configures the network.
#[derive(Debug)]
pub(super) struct Network {
    params: NetworkParams,
    ports: Vec<Port>,
    asked: Option<Asked>,
    /// The configuration that is used, and its interface.
    lease: Option<(Interface, Lease)>,
}

impl Network {
    pub(super) fn new(params: &NetworkParams) -> Self {
        Self { params: params.clone(), ports: Vec::new(), asked: None, lease: None }
    }

    /// Notes interfaces that have appeared.
    fn note_new(&mut self, dir: &Root) {
        for interface in net::interfaces(dir) {
            if self.ports.iter().any(|port| port.interface == interface) {
                continue;
            }
            let name = self.params.ip.device.as_ref();
            let state = match name.is_none_or(|name| *name == interface.name) {
                true => PortState::Down(BootTime::default()),
                false => PortState::Unused,
            };
            self.ports.push(Port { interface, state });
        }
    }

    /// Asks the worker for what comes next: the address, or another interface.
    fn ask(&mut self, cx: &mut StepContext<'_>) -> Result<(), StepError> {
        if let Some((interface, lease)) = &self.lease
            && let Some(address) = lease.address
        {
            let request = Request::Address {
                interface: interface.clone(),
                address,
                prefix: lease.prefix,
                router: lease.router,
            };
            cx.worker.request(request, format!("set {address} on {}", interface.name))?;
            self.asked = Some(Asked::Address);
            return Ok(());
        }
        let now = BootTime::now();
        let is_due = |port: &Port| matches!(port.state, PortState::Down(at) if at <= now);
        let Some(place) = self.ports.iter().position(is_due) else { return Ok(()) };
        if let Some(Port { interface, .. }) = self.ports.get(place) {
            let mac = self.params.boot_mac.filter(|_| self.params.ip.device.is_none());
            let number = |mac: Mac| mac.iter().fold(0, |number, b| number << 8 | u64::from(*b));
            let mtu = self.params.ip.mtu;
            let request = Request::Link { interface: interface.clone(), mac: mac.map(number), mtu };
            cx.worker.request(request, format!("bring up interface {}", interface.name))?;
            self.asked = Some(Asked::Up(place));
        }
        Ok(())
    }

    /// Notes what the worker has found out about the interface that it was to bring up.
    fn note_answer(
        &mut self,
        place: usize,
        answer: Result<Vec<u8>, WorkerError>,
        cx: &mut StepContext<'_>,
    ) {
        let Some(port) = self.ports.get_mut(place) else { return };
        port.state = match answer.as_deref().map(<[u8]>::split_first_chunk::<8>) {
            Ok(Some(([_, _, mac @ ..], carrier))) => PortState::Up {
                since: BootTime::now(),
                mac: *mac,
                had_carrier: carrier == [1],
                client: None,
            },
            Ok(None) => PortState::Unused,
            Err(error) => {
                cx.reporter.warn_once(error.to_string());
                PortState::Down(BootTime::now() + RETRY_DELAY)
            }
        };
    }

    /// Returns what the configuration still needs, for messages.
    fn missing(&self) -> String {
        let rising = match self.asked {
            Some(Asked::Up(place)) => self.ports.get(place).map(|port| &*port.interface.name),
            _ => None,
        };
        if let Some((Interface { name, .. }, lease)) = &self.lease {
            let address = lease.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
            return match rising {
                Some(rising) => {
                    format!("{rising} to be brought up, before {address} can be set on {name}")
                }
                None => format!("{address} to be set on {name}"),
            };
        }
        let statuses: Vec<String> = self.ports.iter().filter_map(Port::status).collect();
        if !statuses.is_empty() {
            return statuses.join(", or ");
        }
        let names: Vec<&str> = self.ports.iter().map(|port| &*port.interface.name).collect();
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
    fn find_lease(&mut self, cx: &mut StepContext<'_>) -> Option<(Interface, Lease)> {
        let fixed = self.static_lease();
        let hostname = self.params.ip.hostname.clone();
        for Port { interface, state } in &mut self.ports {
            let PortState::Up { since, mac, had_carrier, client } = state else { continue };
            if !net::can_send(cx.dir, interface, *had_carrier, since.elapsed()) {
                continue;
            }
            if let Some(lease) = fixed {
                return Some((interface.clone(), lease));
            }
            if client.is_none() {
                match DhcpClient::new(interface, *mac) {
                    Ok(new) => *client = Some(new),
                    // An interface that has disappeared must not end the search on the others.
                    Err(error) => {
                        cx.reporter.warn_once(error.to_string());
                        *state = PortState::Down(BootTime::now() + RETRY_DELAY);
                        continue;
                    }
                }
            }
            let lease = client.as_mut().and_then(|c| c.advance(interface, hostname.as_deref()));
            if let Some(lease) = lease {
                return Some((interface.clone(), lease));
            }
        }
        None
    }

    /// Records the configuration, which the kernel has.
    fn finish(&mut self, cx: &mut StepContext<'_>) {
        let origin = match self.static_lease() {
            Some(_) => AddressOrigin::Static,
            None => AddressOrigin::Dhcp,
        };
        if let Some((interface, lease)) = self.lease.take() {
            note_configured(&interface, &lease, origin, cx);
        }
    }
}

impl Port {
    /// Returns what the interface still needs; `None` if it is not used.
    fn status(&self) -> Option<String> {
        let name = &self.interface.name;
        match &self.state {
            PortState::Down(_) => Some(format!("{name} to be brought up")),
            PortState::Up { client: Some(client), .. } => Some(client.status(&self.interface)),
            PortState::Up { client: None, .. } => Some(format!("a carrier on {name}")),
            PortState::Unused => None,
        }
    }
}

impl RootStep for Network {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        if cx.state.network.is_some() {
            return Ok(Progress::Done);
        }
        // The kernel has configured the network before /init started, or does not do it.
        if self.ports.is_empty()
            && let Some((interface, server)) = net::configured_by_kernel(cx.dir)
        {
            record(cx, by_kernel(interface, server));
            return Ok(Progress::Done);
        }
        if self.params.ip.source == AddressSource::Static && self.params.ip.client.is_none() {
            return Err(StepError::NoAddress);
        }
        self.note_new(cx.dir);
        if self.asked.is_some()
            && let Some(answer) = cx.worker.poll()
        {
            match self.asked.take() {
                Some(Asked::Up(place)) => self.note_answer(place, answer, cx),
                _ => {
                    answer?;
                    self.finish(cx);
                    return Ok(Progress::Done);
                }
            }
        }
        if self.lease.is_none() {
            self.lease = self.find_lease(cx);
        }
        if self.asked.is_none() {
            self.ask(cx)?;
        }
        Ok(Progress::Polling(Awaited::reply(self.missing())))
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

/// Notes that the interface is configured as the lease says.
fn note_configured(
    interface: &Interface,
    lease: &Lease,
    origin: AddressOrigin,
    cx: &mut StepContext<'_>,
) {
    if let Some(name) = &lease.hostname
        && let Err(errno) = rustix::system::sethostname(&byte_text::to_bytes(name))
    {
        cx.reporter.warn_once(format!("hostname {name}: {}", crate::sys::errno::text(errno)));
    }
    write_files(interface, lease, origin, cx);
    let network = NetworkRecord {
        interface: interface.name.clone(),
        address: lease.address,
        prefix: Some(lease.prefix),
        origin,
        router: lease.router,
        dhcp_server: lease.server,
        next_server: lease.next_server,
        root_path: lease.root_path.clone(),
    };
    record(cx, network);
    cx.reporter.end_phase("network");
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
        if let Err(error) = write(&path, &byte_text::to_bytes(&text)) {
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
    let mask = net::netmask(lease.prefix);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_server_cannot_close_the_quotes() {
        let interface = Interface { name: "eth0".into(), index: 2 };
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
