//! Network interfaces: listing them, addresses and routes by rtnetlink(7), and a socket for DHCP.
//!
//! ```text
//! request:  length u32 | type u16 | flags u16 | sequence u32 | port u32, then header, attributes
//! headers:  link     family u8 | 0 u8 | type u16 | index i32 | flags u32 | change mask u32
//!           address  family u8 | prefix u8 | flags u8 | scope u8 | index u32
//!           route    family u8 | prefix u8 | 0 u8 | 0 u8 | table u8 | protocol u8 | scope u8
//!                    | type u8 | flags u32
//! attribute, at a multiple of 4:  length u16 | type u16 | value
//! answer:   the head of a request with type 2, then errno i32, negative; 0 is success
//! ```
//!
//! Written here for three kinds of requests: `netlink-packet-route` adds 500 KB to the program.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, getsockname, recv,
    sendto, socket_with, sockopt,
};
use socket2::SockRef;

use super::{Error, Result, Root, sysfs};

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const ERROR: u16 = 2;
/// NLM_F_REQUEST and NLM_F_ACK.
const REQUEST: u16 = 1 | 4;
/// NLM_F_CREATE and NLM_F_EXCL.
const CREATE: u16 = 0x400 | 0x200;
const INET: u8 = 2;
/// Index of the loopback interface.
const LOOPBACK: u32 = 1;
const IFF_UP: u32 = 1;
/// ARPHRD_ETHER
const ETHERNET: &str = "1";
/// Longest time until `operstate` follows the carrier, if nothing holds the RTNL lock.
const OPERSTATE_DELAY: Duration = Duration::from_secs(1);
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;

/// A MAC address.
pub(crate) type Mac = [u8; 6];

/// An Ethernet interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Name, such as `eth0`.
    pub(crate) name: String,
    /// Interface index.
    pub(crate) index: u32,
}

/// Lists the wired Ethernet interfaces with a device, ordered by index. Bridges and other virtual
/// interfaces have none.
pub(crate) fn interfaces(root: &Root) -> Vec<Interface> {
    let names = sysfs::entry_names(&root.join("sys/class/net")).into_iter();
    let mut found: Vec<Interface> = names.filter_map(|name| interface(root, name)).collect();
    found.sort_unstable_by_key(|interface| interface.index);
    found
}

fn interface(root: &Root, name: String) -> Option<Interface> {
    let dir = root.join("sys/class/net").join(&name);
    let real = dir.join("device").exists() && !dir.join("wireless").exists();
    if attribute(root, &name, "type")? != ETHERNET || !real {
        return None;
    }
    let index = attribute(root, &name, "ifindex")?.parse().ok()?;
    Some(Interface { name, index })
}

/// Reads an attribute of an interface. `type`, `ifindex` and `operstate` wait for no lock that is
/// held while a driver works.
fn attribute(root: &Root, name: &str, file: &str) -> Option<String> {
    let path = root.join("sys/class/net").join(name).join(file);
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

/// Returns the MAC address of the interface as a number. Not for PID 1: newer kernels take
/// `dev_addr_sem`, which is held while a driver sets an address.
pub(crate) fn mac(root: &Root, interface: &Interface) -> Option<u64> {
    let text = attribute(root, &interface.name, "address")?;
    u64::from_str_radix(&text.replace(':', ""), 16).ok()
}

/// Returns whether the interface has a carrier. It must be up. Not for PID 1: newer kernels take
/// the RTNL lock.
pub(crate) fn has_carrier(root: &Root, interface: &Interface) -> bool {
    attribute(root, &interface.name, "carrier").is_some_and(|text| text == "1")
}

/// Returns whether the interface, which has been up for this time, can send. `had_carrier` is what
/// [`has_carrier`] returned when the interface came up.
///
/// Reads `operstate`, for which the kernel takes no lock. It is `unknown` while the carrier has not
/// changed since the driver registered the interface, and follows a change within a second.
pub(crate) fn can_send(
    root: &Root,
    interface: &Interface,
    had_carrier: bool,
    up_for: Duration,
) -> bool {
    match attribute(root, &interface.name, "operstate").as_deref() {
        Some("up") => true,
        Some("unknown") => had_carrier,
        _ => had_carrier && up_for < OPERSTATE_DELAY,
    }
}

/// Returns what the kernel has configured from `ip=` (CONFIG_IP_PNP): the interface with a route in
/// /proc/net/route, and the boot server in /proc/net/pnp.
pub(crate) fn configured_by_kernel(root: &Root) -> Option<(String, Option<Ipv4Addr>)> {
    let pnp = fs::read_to_string(root.join("proc/net/pnp")).ok()?;
    let routes = fs::read_to_string(root.join("proc/net/route")).ok()?;
    let names = routes.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next());
    let name = names.into_iter().find(|name| *name != "lo")?;
    let server = pnp.lines().find_map(|line| line.strip_prefix("bootserver ")?.parse().ok());
    Some((name.to_owned(), server.filter(|server: &Ipv4Addr| !server.is_unspecified())))
}

/// Returns the source address of packets to `target`: connect(2) and getsockname(2) on a UDP
/// socket, which sends nothing.
pub(crate) fn source_address_for(target: Ipv4Addr) -> Option<Ipv4Addr> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    let socket = socket.ok()?;
    connect(&socket, &SocketAddrV4::new(target, DHCP_SERVER)).ok()?;
    Some(*SocketAddrV4::try_from(getsockname(&socket).ok()?).ok()?.ip())
}

/// RTM_NEWLINK with IFF_UP: brings the interface up, with this MTU if there is one. Not for PID 1:
/// the kernel takes the RTNL lock and calls the driver, which may wait for firmware.
///
/// # Errors
/// The errno of the kernel: a driver may lack its firmware, or allow no packets of that size.
pub(crate) fn bring_up(interface: &Interface, mtu: Option<u32>) -> Result<()> {
    const MTU: u16 = 4;
    if let Some(mtu) = mtu {
        let attribute = (MTU, mtu.to_ne_bytes());
        let name = || format!("{mtu} of {}", interface.name);
        set_link(interface.index, 0, &[attribute]).map_err(|e| Error::new("set MTU", name(), e))?;
    }
    set_up(interface.index).map_err(|e| Error::new("bring up interface", &interface.name, e))
}

fn set_up(index: u32) -> std::result::Result<(), Errno> {
    set_link(index, IFF_UP, &[])
}

/// RTM_NEWLINK: sets these flags and attributes of an interface.
fn set_link(
    index: u32,
    flags: u32,
    attributes: &[(u16, [u8; 4])],
) -> std::result::Result<(), Errno> {
    let flags = flags.to_ne_bytes();
    let header = [&[0, 0, 0, 0][..], &index.to_ne_bytes(), &flags, &flags];
    request(NEW_LINK, 0, &header.concat(), attributes)
}

/// Adds an IPv4 address with a prefix length to the interface, and a default route by `router` if
/// there is one. Not for PID 1: the kernel takes the RTNL lock.
///
/// # Errors
/// The errno of the kernel.
pub(crate) fn configure(
    interface: &Interface,
    address: Ipv4Addr,
    prefix: u8,
    router: Option<Ipv4Addr>,
) -> Result<()> {
    // The kernel's own traffic uses the loopback interface.
    let _ = set_up(LOOPBACK);
    add_address(interface, address, prefix)?;
    router.map_or(Ok(()), |router| {
        let distance = u32::from(address) ^ u32::from(router);
        add_default_route(interface, router, distance & netmask(prefix) != 0)
    })
}

/// Returns the netmask as a number.
pub(crate) fn netmask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

/// RTM_NEWADDR
fn add_address(interface: &Interface, address: Ipv4Addr, prefix: u8) -> Result<()> {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    const BROADCAST: u16 = 4;
    let header = [&[INET, prefix, 0, 0][..], &interface.index.to_ne_bytes()].concat();
    let own = address.octets();
    let broadcast = (u32::from(address) | !netmask(prefix)).to_be_bytes();
    let attributes = [(LOCAL, own), (ADDRESS, own), (BROADCAST, broadcast)];
    create(NEW_ADDRESS, &header, &attributes).map_err(|errno| {
        Error::new("add address", format_args!("{address}/{prefix} to {}", interface.name), errno)
    })
}

/// RTM_NEWROUTE: adds a default route through `router`. With `on_link` (RTNH_F_ONLINK) the kernel
/// reaches the router through the interface although its address is in another network.
fn add_default_route(interface: &Interface, router: Ipv4Addr, on_link: bool) -> Result<()> {
    const INTERFACE: u16 = 4;
    const GATEWAY: u16 = 5;
    /// RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST.
    const KIND: [u8; 4] = [254, 3, 0, 1];
    const ON_LINK: u32 = 4;
    let flags = if on_link { ON_LINK } else { 0 };
    let header = [&[INET, 0, 0, 0][..], &KIND, &flags.to_ne_bytes()].concat();
    let attributes = [(GATEWAY, router.octets()), (INTERFACE, interface.index.to_ne_bytes())];
    create(NEW_ROUTE, &header, &attributes).map_err(|errno| {
        Error::new("add route", format_args!("by {router} on {}", interface.name), errno)
    })
}

/// Creates an address or a route. EEXIST counts as success, because it is then there.
///
/// # Errors
/// Any other errno of the kernel.
fn create(
    kind: u16,
    header: &[u8],
    attributes: &[(u16, [u8; 4])],
) -> std::result::Result<(), Errno> {
    match request(kind, CREATE, header, attributes) {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

/// Sends one request and waits for the answer of the kernel.
///
/// # Errors
/// The errno in the answer or of a call; EPROTO for an answer of another kind.
fn request(
    kind: u16,
    flags: u16,
    header: &[u8],
    attributes: &[(u16, [u8; 4])],
) -> std::result::Result<(), Errno> {
    // NETLINK_ROUTE is number 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let message = message(kind, REQUEST | flags, header, attributes);
    sendto(&socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut buffer = [0; 4096];
    let (_, length) = recv(&socket, &mut buffer, RecvFlags::empty())?;
    match errno_in(buffer.get(..length).unwrap_or_default()) {
        Some(0) => Ok(()),
        Some(errno) => Err(Errno::from_raw_os_error(errno)),
        None => Err(Errno::PROTO),
    }
}

fn message(kind: u16, flags: u16, header: &[u8], attributes: &[(u16, [u8; 4])]) -> Vec<u8> {
    let mut message = vec![0; 4];
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(header);
    for (name, value) in attributes {
        message.extend(8_u16.to_ne_bytes());
        message.extend(name.to_ne_bytes());
        message.extend(value);
    }
    let length = u32::try_from(message.len()).unwrap_or_default();
    if let Some(place) = message.first_chunk_mut() {
        *place = length.to_ne_bytes();
    }
    message
}

/// Returns the errno in an answer, 0 for success, or `None` if it is not an answer.
fn errno_in(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let errno = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == ERROR).then(|| errno.wrapping_neg())
}

/// A UDP socket for a DHCP client on one interface, which may have no address yet. SO_BINDTODEVICE,
/// bind(2), a broadcast and the close look the interface up without the RTNL lock.
#[derive(Debug)]
pub(crate) struct DhcpSocket(OwnedFd);

impl DhcpSocket {
    /// Binds the port of DHCP clients on `interface`.
    ///
    /// # Errors
    /// The errno of a call, such as EADDRINUSE if another program has the port.
    pub(crate) fn open(interface: &Interface) -> Result<Self> {
        let what = format_args!("DHCP socket on {}", interface.name);
        let failed = |errno: Errno| Error::new("open", what, errno);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None);
        let socket = socket.map_err(failed)?;
        sockopt::set_socket_broadcast(&socket, true).map_err(failed)?;
        sockopt::set_socket_reuseaddr(&socket, true).map_err(failed)?;
        SockRef::from(&socket)
            .bind_device(Some(interface.name.as_bytes()))
            .map_err(|e| Error::new("open", what, &e))?;
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, DHCP_CLIENT)).map_err(failed)?;
        Ok(Self(socket))
    }

    /// Broadcasts a message to the port of DHCP servers. A full send queue counts as sent, because
    /// clients repeat their messages.
    ///
    /// # Errors
    /// The errno of sendto(2).
    pub(crate) fn send(&self, interface: &Interface, bytes: &[u8]) -> Result<()> {
        let everyone = SocketAddrV4::new(Ipv4Addr::BROADCAST, DHCP_SERVER);
        match sendto(&self.0, bytes, SendFlags::empty(), &everyone) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(errno) => {
                Err(Error::new("send", format_args!("DHCP on {}", interface.name), errno))
            }
        }
    }

    /// Returns the next received message, if there is one; does not wait.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let (_, length) = recv(&self.0, &mut *buffer, RecvFlags::empty()).ok()?;
        buffer.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_devices_are_listed() {
        let scratch = tempfile::tempdir().unwrap();
        for (name, kind, index, address, extra) in [
            ("lo", "772", "1", "00:00:00:00:00:00", ""),
            ("eth1", "1", "3", "02:00:00:00:00:0a", "device"),
            ("eth0", "1", "2", "02:00:00:00:00:09", "device"),
            ("br0", "1", "4", "02:00:00:00:00:0b", "bridge"),
            ("wlan0", "1", "5", "02:00:00:00:00:0c", "wireless"),
        ] {
            let dir = scratch.path().join("sys/class/net").join(name);
            fs::create_dir_all(dir.join(extra)).unwrap();
            if name == "wlan0" {
                fs::create_dir_all(dir.join("device")).unwrap();
            }
            for (file, text) in
                [("type", kind), ("ifindex", index), ("address", address), ("carrier", "1")]
            {
                fs::write(dir.join(file), format!("{text}\n")).unwrap();
            }
        }
        let root = Root::at(scratch.path());
        let found = interfaces(&root);
        let names: Vec<_> = found.iter().map(|i| (i.name.as_str(), i.index)).collect();
        assert_eq!(names, [("eth0", 2), ("eth1", 3)]);
        assert_eq!(mac(&root, &found[1]), Some(0x0200_0000_000a));
        assert!(has_carrier(&root, &found[0]));
        assert_eq!(configured_by_kernel(&root), None);
        for (state, had_carrier, up_for_ms, want) in [
            ("up", false, 0, true),
            ("unknown", true, 5000, true),
            ("unknown", false, 0, false),
            ("down", true, 10, true),
            ("down", true, 1500, false),
            ("down", false, 10, false),
            ("dormant", true, 1500, false),
        ] {
            fs::write(scratch.path().join("sys/class/net/eth0/operstate"), state).unwrap();
            let can = can_send(&root, &found[0], had_carrier, Duration::from_millis(up_for_ms));
            assert_eq!(can, want, "{state} {had_carrier} {up_for_ms}");
        }
    }

    #[test]
    fn netmasks_have_as_many_bits_as_their_prefix() {
        for (prefix, want) in [(0, 0), (8, 0xff00_0000), (24, 0xffff_ff00), (32, u32::MAX)] {
            assert_eq!(netmask(prefix), want, "{prefix}");
        }
    }

    #[test]
    fn the_configuration_of_the_kernel_is_read() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        fs::create_dir_all(scratch.path().join("proc/net")).unwrap();
        let put = |file: &str, text: &str| {
            fs::write(scratch.path().join("proc/net").join(file), text).unwrap()
        };
        put("route", "Iface\tDestination\n");
        put("pnp", "#PROTO: DHCP\nnameserver 10.0.2.3\nbootserver 10.0.2.2\n");
        assert_eq!(configured_by_kernel(&root), None);
        put("route", "Iface\tDestination\neth0\t00000000\n");
        assert_eq!(
            configured_by_kernel(&root),
            Some(("eth0".into(), Some(Ipv4Addr::new(10, 0, 2, 2))))
        );
        put("pnp", "#MANUAL\nbootserver 0.0.0.0\n");
        assert_eq!(configured_by_kernel(&root), Some(("eth0".into(), None)));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn requests_are_encoded_and_answers_decoded() {
        let bytes = message(NEW_ROUTE, 5, &[INET, 0, 0, 0], &[(5, [10, 0, 2, 2])]);
        assert_eq!(
            bytes,
            [28, 0, 0, 0, 24, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 8, 0, 5, 0, 10, 0, 2, 2]
        );
        let mut answer = vec![0; 20];
        answer[4] = 2;
        assert_eq!(errno_in(&answer), Some(0));
        answer[16..20].copy_from_slice(&(-17_i32).to_ne_bytes());
        assert_eq!(errno_in(&answer), Some(17));
        assert_eq!((errno_in(&answer[..19]), errno_in(&[0; 20])), (None, None));
    }
}
