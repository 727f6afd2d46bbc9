//! Network interfaces: which there are, bringing them up, addresses and routes by rtnetlink(7), and a socket for DHCP.
//!
//! ```text
//! a request:  length u32 │ type u16 │ flags u16 │ number u32 │ port u32 ║ its own head ║ attributes, each from a multiple of 4:
//!             length u16 │ type u16 │ value
//! heads:  link     family u8 │ 0 u8 │ type u16 │ index i32 │ flags u32 │ which of them change u32
//!         address  family u8 │ prefix u8 │ flags u8 │ scope u8 │ index u32
//!         route    family u8 │ prefix u8 │ 0 u8 │ 0 u8 │ table u8 │ protocol u8 │ scope u8 │ type u8 │ flags u32
//! the answer: the same head with type 2 ║ errno i32, negative; 0 is done
//! ```
//!
//! Written here for three kinds of requests: `netlink-packet-route` adds 500 KB to the program.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, getsockname, recv,
    sendto, socket_with, sockopt,
};
use socket2::SockRef;

use super::{Error, Result, Root, sysfs};
use crate::kmod::name::ModuleName;

const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const ERROR: u16 = 2;
/// NLM_F_REQUEST and NLM_F_ACK.
const REQUEST: u16 = 1 | 4;
/// NLM_F_CREATE and NLM_F_EXCL.
const CREATE: u16 = 0x400 | 0x200;
const INET: u8 = 2;
const IFF_UP: u32 = 1;
/// ARPHRD_ETHER
const ETHERNET: &str = "1";
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// Its address on the wire.
    pub mac: [u8; 6],
}

/// The interfaces that are Ethernet and a device of their own, in the order of their numbers.
pub fn interfaces(root: &Root) -> Vec<Interface> {
    let names = sysfs::names_in(&root.join("sys/class/net")).into_iter();
    let mut found: Vec<Interface> = names.filter_map(|name| interface(root, name)).collect();
    found.sort_unstable_by_key(|interface| interface.index);
    found
}

fn interface(root: &Root, name: String) -> Option<Interface> {
    let folder = root.join("sys/class/net").join(&name);
    let text = |file: &str| Some(fs::read_to_string(folder.join(file)).ok()?.trim_end().to_owned());
    let real = folder.join("device").exists() && !folder.join("wireless").exists();
    if text("type")? != ETHERNET || !real {
        return None;
    }
    let bytes = text("address")?.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect();
    let bytes: Option<Vec<u8>> = bytes;
    Some(Interface { name, index: text("ifindex")?.parse().ok()?, mac: bytes?.try_into().ok()? })
}

/// Whether a cable is in the interface; it has to be up.
pub fn has_carrier(root: &Root, interface: &Interface) -> bool {
    let path = root.join("sys/class/net").join(&interface.name).join("carrier");
    fs::read_to_string(path).is_ok_and(|text| text.trim_end() == "1")
}

/// The modules whose drivers hold the devices above the interface called `name`.
pub fn modules_of(root: &Root, name: &str) -> Vec<ModuleName> {
    let real = fs::canonicalize(root.join("sys/class/net").join(name)).unwrap_or_default();
    let device = real.strip_prefix(root.join("sys/devices")).ok().and_then(|p| p.to_str());
    device.map(|device| sysfs::modules_above(root, device)).unwrap_or_default()
}

/// What the kernel itself has set up by `ip=` (CONFIG_IP_PNP), from /proc/net/pnp and /proc/net/route: the interface that
/// has a route, and the server that it has booted from.
pub fn set_up_by_kernel(root: &Root) -> Option<(String, Option<Ipv4Addr>)> {
    let told = fs::read_to_string(root.join("proc/net/pnp")).ok()?;
    let routes = fs::read_to_string(root.join("proc/net/route")).ok()?;
    let names = routes.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next());
    let name = names.into_iter().find(|name| *name != "lo")?;
    let server = told.lines().find_map(|line| line.strip_prefix("bootserver ")?.parse().ok());
    Some((name.to_owned(), server.filter(|server: &Ipv4Addr| !server.is_unspecified())))
}

/// The address that packets to `target` leave from.
pub fn source_to(target: Ipv4Addr) -> Option<Ipv4Addr> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    let socket = socket.ok()?;
    connect(&socket, &SocketAddrV4::new(target, DHCP_SERVER)).ok()?;
    Some(*SocketAddrV4::try_from(getsockname(&socket).ok()?).ok()?.ip())
}

/// Switches the interface with this number on.
///
/// # Errors
/// The kernel's answer: the driver may want a firmware that is not there.
pub fn set_up(index: u32) -> Result<()> {
    let head =
        [&[0, 0, 0, 0][..], &index.to_ne_bytes(), &IFF_UP.to_ne_bytes(), &IFF_UP.to_ne_bytes()];
    ask(NEW_LINK, 0, &head.concat(), &[]).map_err(|e| Error::new("set up", index, e))
}

/// Gives the interface an address.
///
/// # Errors
/// The kernel's answer. That it has this address already is none.
pub fn add_address(interface: &Interface, address: Ipv4Addr, prefix: u8) -> Result<()> {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    const BROADCAST: u16 = 4;
    let head = [&[INET, prefix, 0, 0][..], &interface.index.to_ne_bytes()].concat();
    let own = address.octets();
    let wild = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let all = (u32::from(address) | wild).to_be_bytes();
    let attributes = [(LOCAL, own), (ADDRESS, own), (BROADCAST, all)];
    match ask(NEW_ADDRESS, CREATE, &head, &attributes) {
        Err(Errno::EXIST) | Ok(()) => Ok(()),
        Err(errno) => {
            let what = format!("{address}/{prefix} to {}", interface.name);
            Err(Error::new("add address", what, errno))
        }
    }
}

/// Sends what no other route is for by `router`; `direct` says that it hangs on the interface although its address is of
/// another network.
///
/// # Errors
/// The kernel's answer. That there is such a route already is none.
pub fn add_default_route(interface: &Interface, router: Ipv4Addr, direct: bool) -> Result<()> {
    const INTERFACE: u16 = 4;
    const GATEWAY: u16 = 5;
    /// The main table; set up at boot; to everywhere; to a single receiver.
    const KIND: [u8; 4] = [254, 3, 0, 1];
    const ON_LINK: u32 = 4;
    let flags = if direct { ON_LINK } else { 0 };
    let head = [&[INET, 0, 0, 0][..], &KIND, &flags.to_ne_bytes()].concat();
    let attributes = [(GATEWAY, router.octets()), (INTERFACE, interface.index.to_ne_bytes())];
    match ask(NEW_ROUTE, CREATE, &head, &attributes) {
        Err(Errno::EXIST) | Ok(()) => Ok(()),
        Err(errno) => {
            Err(Error::new("add route", format!("by {router} on {}", interface.name), errno))
        }
    }
}

/// A request, and the kernel's answer to it.
fn ask(
    kind: u16,
    flags: u16,
    head: &[u8],
    attributes: &[(u16, [u8; 4])],
) -> std::result::Result<(), Errno> {
    // NETLINK_ROUTE is number 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let message = message(kind, REQUEST | flags, head, attributes);
    sendto(&socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut buffer = [0; 4096];
    let (_, length) = recv(&socket, &mut buffer, RecvFlags::empty())?;
    match outcome(buffer.get(..length).unwrap_or_default()) {
        Some(0) => Ok(()),
        Some(errno) => Err(Errno::from_raw_os_error(errno)),
        None => Err(Errno::PROTO),
    }
}

fn message(kind: u16, flags: u16, head: &[u8], attributes: &[(u16, [u8; 4])]) -> Vec<u8> {
    let mut message = vec![0; 4];
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(head);
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

/// The errno in an answer; 0 is success.
fn outcome(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let errno = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == ERROR).then(|| errno.wrapping_neg())
}

/// A socket that asks on one interface, which need not have an address yet.
#[derive(Debug)]
pub struct DhcpSocket(OwnedFd);

impl DhcpSocket {
    /// Opens the client's port on `interface`.
    ///
    /// # Errors
    /// The kernel's answer, such as that another program has the port.
    pub fn open(interface: &Interface) -> Result<Self> {
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

    /// Sends to all servers.
    ///
    /// # Errors
    /// The kernel's answer.
    pub fn send(&self, interface: &Interface, bytes: &[u8]) -> Result<()> {
        let all = SocketAddrV4::new(Ipv4Addr::BROADCAST, DHCP_SERVER);
        match sendto(&self.0, bytes, SendFlags::empty(), &all) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(errno) => {
                Err(Error::new("send", format_args!("DHCP on {}", interface.name), errno))
            }
        }
    }

    /// The next message that has come, if there is one.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
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
            let folder = scratch.path().join("sys/class/net").join(name);
            fs::create_dir_all(folder.join(extra)).unwrap();
            if name == "wlan0" {
                fs::create_dir_all(folder.join("device")).unwrap();
            }
            for (file, text) in
                [("type", kind), ("ifindex", index), ("address", address), ("carrier", "1")]
            {
                fs::write(folder.join(file), format!("{text}\n")).unwrap();
            }
        }
        let root = Root::at(scratch.path());
        let found = interfaces(&root);
        let names: Vec<_> = found.iter().map(|i| (i.name.as_str(), i.index, i.mac[5])).collect();
        assert_eq!(names, [("eth0", 2, 9), ("eth1", 3, 10)]);
        assert!(has_carrier(&root, &found[0]));
        assert_eq!(set_up_by_kernel(&root), None);
    }

    #[test]
    fn the_kernels_own_set_up_is_known() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        fs::create_dir_all(scratch.path().join("proc/net")).unwrap();
        let put = |file: &str, text: &str| {
            fs::write(scratch.path().join("proc/net").join(file), text).unwrap()
        };
        put("route", "Iface\tDestination\n");
        put("pnp", "#PROTO: DHCP\nnameserver 10.0.2.3\nbootserver 10.0.2.2\n");
        assert_eq!(set_up_by_kernel(&root), None);
        put("route", "Iface\tDestination\neth0\t00000000\n");
        assert_eq!(
            set_up_by_kernel(&root),
            Some(("eth0".into(), Some(Ipv4Addr::new(10, 0, 2, 2))))
        );
        put("pnp", "#MANUAL\nbootserver 0.0.0.0\n");
        assert_eq!(set_up_by_kernel(&root), Some(("eth0".into(), None)));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn requests_and_answers() {
        let bytes = message(NEW_ROUTE, 5, &[INET, 0, 0, 0], &[(5, [10, 0, 2, 2])]);
        assert_eq!(
            bytes,
            [28, 0, 0, 0, 24, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 8, 0, 5, 0, 10, 0, 2, 2]
        );
        let mut answer = vec![0; 20];
        answer[4] = 2;
        assert_eq!(outcome(&answer), Some(0));
        answer[16..20].copy_from_slice(&(-17_i32).to_ne_bytes());
        assert_eq!(outcome(&answer), Some(17));
        assert_eq!((outcome(&answer[..19]), outcome(&[0; 20])), (None, None));
    }
}
