//! The messages between PID 1 and its mount worker.
//!
//! ```text
//! request   KIND FIELD...                      reply   ok VALUE
//!                                                      error OPERATION OBJECT errno|text CAUSE
//! mount     SOURCE TARGET rw|ro guess|- OPTIONS TYPE...    value: the type that was mounted
//! nfs       SOURCE SERVER rw|ro OPTIONS                    value: the version that was mounted
//! overlay   DEVICE|tmpfs OPTIONS                           value: empty
//! loop      PATH                                           value: node of the loop device
//! read      MAJOR MINOR OFFSET LENGTH                      value: size of the device, u64, bytes
//! scan      NODE...                                        value: `ready` if the kernel knows all
//!                                                          devices of the btrfs on the first NODE
//! link      NAME INDEX MAC MTU                             value: MAC address, u64, big-endian; 1
//!                                                          with a carrier, else 0; or empty
//! address   NAME INDEX ADDRESS PREFIX ROUTER               value: empty
//! map       UUID SECTORS TABLE                             value: empty
//! resume    MAJOR MINOR OFFSET                             value: empty
//! slot      SIZE SLOTS TRIED MAJOR:MINOR@OFFSET...         value: see boot/root/slot.rs
//! init      INIT LIMIT DEVICE command|-                    value: see boot/root_check.rs
//! undo      verity|-                                       value: empty
//! ```
//!
//! Fields are those of sys/fields.rs; numbers are decimal. MAC, MTU and ROUTER may be empty. If the interface has another MAC address,
//! it is left as it is and the value is empty.
//!
//! A message with another number of fields, or with bytes that do not fit its kind, is refused.

use std::fmt;
use std::net::Ipv4Addr;

use rustix::io::Errno;

use crate::boot::root_check::InitRequest;
use crate::sys::fields::{Fields, join};
use crate::sys::net::Interface;
use crate::sys::{Cause, Error};

/// Operations of the errors that the worker sends.
const OPERATIONS: [&str; 21] = [
    "mount",
    "move mount",
    "umount",
    "mkdir",
    "rmdir",
    "open",
    "read",
    "scan",
    "write",
    "fsync",
    "symlink",
    "LOOP_CTL_GET_FREE",
    "attach to a loop device",
    "create",
    "load the table of",
    "resume",
    "remove",
    "bring up interface",
    "add address",
    "add route",
    "decode",
];

/// The filesystem that a mount is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::boot::root) struct Mount {
    /// Node, tag, or name of a volume.
    pub(in crate::boot::root) source: String,
    /// Mount point, relative to the root directory.
    pub(in crate::boot::root) target: String,
    /// Whether to mount for writing, if the medium can be written.
    pub(in crate::boot::root) writable: bool,
    /// Whether the types are guesses: then a type that does not fit is no error worth reporting.
    pub(in crate::boot::root) guess: bool,
    /// The options of mount(8), separated by commas.
    pub(in crate::boot::root) options: String,
    /// Filesystem types to try, in order.
    pub(in crate::boot::root) types: Vec<String>,
}

impl fmt::Display for Mount {
    /// Prints what is mounted, for messages: `mount of /dev/vda as ext4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mount of {}", self.source)?;
        // Guesses would be a long list.
        if self.guess { Ok(()) } else { write!(f, " as {}", self.types.join(",")) }
    }
}

/// An export of an NFS server to be mounted at /sysroot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::boot::root) struct NfsMount {
    /// `SERVER:PATH`
    pub(in crate::boot::root) source: String,
    pub(in crate::boot::root) server: Ipv4Addr,
    pub(in crate::boot::root) writable: bool,
    /// The options of mount(8), separated by commas.
    pub(in crate::boot::root) options: String,
}

/// What the worker is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::boot::root) enum Request {
    /// Mounts a filesystem.
    Mount(Mount),
    /// Mounts an NFS export.
    Nfs(NfsMount),
    /// Mounts an overlay over /sysroot; with options of the tmpfs if that is its upper side.
    Overlay(Option<String>),
    /// Moves /sysroot aside and attaches a file on it to a loop device.
    Loop(String),
    /// Reads at an offset of a device.
    Read { number: (u32, u32), offset: u64, length: u32 },
    /// Tells the kernel about devices of btrfs, and asks whether it knows all of the first one's
    /// filesystem.
    Scan(Vec<String>),
    /// Brings up an interface with this MTU, unless it has another MAC address than this one.
    Link { interface: Interface, mac: Option<u64>, mtu: Option<u32> },
    /// Sets the address and the default route of an interface.
    Address { interface: Interface, address: Ipv4Addr, prefix: u8, router: Option<Ipv4Addr> },
    /// Creates the device that dm-verity checks.
    Map { uuid: String, sectors: u64, table: String },
    /// Resumes a hibernated system.
    Resume { number: (u32, u32), offset: u64 },
    /// Takes an attempt from a slot that is not in `tried`. Lists of slots have spaces between
    /// them; each place is a device and an offset.
    Slot { size: usize, slots: String, tried: String, places: Vec<((u32, u32), i64)> },
    /// Checks that the root can be switched to and holds an init.
    Init(InitRequest),
    /// Unmounts everything that requests have mounted, and removes the mapped device.
    Undo { verity: bool },
}

/// Value of [`Request::Scan`] if the kernel knows all devices.
pub(in crate::boot::root) const READY: &[u8] = b"ready";

/// The result of a request.
pub(in crate::boot::root) type Reply = Result<Vec<u8>, Error>;

impl Request {
    /// Returns the bytes of the request; `None` if they are too long for a message.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let number = |(major, minor): &(u32, u32)| [major.to_string(), minor.to_string()];
        let word = |set: bool, word: &str| if set { word.to_owned() } else { "-".to_owned() };
        let mode = |writable: bool| if writable { "rw" } else { "ro" }.to_owned();
        let fields: Vec<String> = match self {
            Self::Mount(m) => {
                let (source, target, options) =
                    (m.source.clone(), m.target.clone(), m.options.clone());
                let guess = word(m.guess, "guess");
                let first = ["mount".into(), source, target, mode(m.writable), guess, options];
                first.into_iter().chain(m.types.iter().cloned()).collect()
            }
            Self::Nfs(m) => {
                let server = m.server.to_string();
                vec!["nfs".into(), m.source.clone(), server, mode(m.writable), m.options.clone()]
            }
            Self::Overlay(tmpfs) => {
                let upper = if tmpfs.is_some() { "tmpfs" } else { "device" };
                vec!["overlay".into(), upper.into(), tmpfs.clone().unwrap_or_default()]
            }
            Self::Loop(path) => vec!["loop".into(), path.clone()],
            Self::Read { number: n, offset, length } => {
                let [major, minor] = number(n);
                vec!["read".into(), major, minor, offset.to_string(), length.to_string()]
            }
            Self::Scan(nodes) => {
                std::iter::once("scan".into()).chain(nodes.iter().cloned()).collect()
            }
            Self::Link { interface: i, mac, mtu } => {
                let (mac, mtu) = (option(*mac), option(*mtu));
                vec!["link".into(), i.name.clone(), i.index.to_string(), mac, mtu]
            }
            Self::Address { interface: i, address, prefix, router } => {
                let router = option(*router);
                let (index, address) = (i.index.to_string(), address.to_string());
                let name = i.name.clone();
                vec!["address".into(), name, index, address, prefix.to_string(), router]
            }
            Self::Map { uuid, sectors, table } => {
                vec!["map".into(), uuid.clone(), sectors.to_string(), table.clone()]
            }
            Self::Resume { number: n, offset } => {
                let [major, minor] = number(n);
                vec!["resume".into(), major, minor, offset.to_string()]
            }
            Self::Slot { size, slots, tried, places } => {
                let place = |((major, minor), offset): &_| format!("{major}:{minor}@{offset}");
                let first = ["slot".into(), size.to_string(), slots.clone(), tried.clone()];
                first.into_iter().chain(places.iter().map(place)).collect()
            }
            Self::Init(r) => {
                let (limit, kind) = (r.limit.to_string(), word(r.is_command, "command"));
                let init = r.init.as_deref().unwrap_or_default();
                let device = r.device.as_deref().unwrap_or_default();
                let texts = [&limit, device, &kind].map(str::as_bytes);
                return join([b"init", init].into_iter().chain(texts));
            }
            Self::Undo { verity } => vec!["undo".into(), word(*verity, "verity")],
        };
        join(fields.iter().map(String::as_bytes))
    }

    /// Parses the bytes of a request.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(bytes);
        let request = match fields.text()?.as_str() {
            "mount" => Self::Mount(Mount {
                source: fields.text()?,
                target: fields.text()?,
                writable: fields.choice("rw", "ro")?,
                guess: fields.choice("guess", "-")?,
                options: fields.text()?,
                types: fields.rest()?,
            }),
            "nfs" => Self::Nfs(NfsMount {
                source: fields.text()?,
                server: fields.parse()?,
                writable: fields.choice("rw", "ro")?,
                options: fields.text()?,
            }),
            "overlay" => {
                let is_tmpfs = fields.choice("tmpfs", "device")?;
                let options = fields.text()?;
                Self::Overlay(is_tmpfs.then_some(options))
            }
            "loop" => Self::Loop(fields.text()?),
            "read" => Self::Read {
                number: fields.number()?,
                offset: fields.parse()?,
                length: fields.parse()?,
            },
            "scan" => Self::Scan(fields.rest()?),
            "link" => Self::Link {
                interface: interface(&mut fields)?,
                mac: fields.option()?,
                mtu: fields.option()?,
            },
            "address" => Self::Address {
                interface: interface(&mut fields)?,
                address: fields.parse()?,
                prefix: fields.parse()?,
                router: fields.option()?,
            },
            "map" => {
                Self::Map { uuid: fields.text()?, sectors: fields.parse()?, table: fields.text()? }
            }
            "resume" => Self::Resume { number: fields.number()?, offset: fields.parse()? },
            "slot" => Self::Slot {
                size: fields.parse()?,
                slots: fields.text()?,
                tried: fields.text()?,
                places: fields.rest()?.iter().map(|text| place(text)).collect::<Option<_>>()?,
            },
            "init" => Self::Init(InitRequest {
                init: path(&mut fields)?,
                limit: fields.parse()?,
                device: fields.option()?,
                is_command: fields.choice("command", "-")?,
            }),
            "undo" => Self::Undo { verity: fields.choice("verity", "-")? },
            _ => return None,
        };
        fields.is_at_end().then_some(request)
    }
}

/// Returns the bytes of a reply. A value that is too long is an error.
pub(super) fn encode_reply(reply: &Reply) -> Vec<u8> {
    let failed = |error: &Error| {
        let (kind, cause) = match &error.cause {
            Cause::Errno(errno) => ("errno", errno.raw_os_error().to_string()),
            other => ("text", other.to_string()),
        };
        let fields = ["error", error.op, &error.object, kind, &cause];
        join(fields.iter().map(|field| field.as_bytes())).unwrap_or_default()
    };
    match reply {
        Ok(value) => join([b"ok".as_slice(), value].into_iter())
            .unwrap_or_else(|| failed(&Error::new("read", "value", Errno::FBIG))),
        Err(error) => failed(error),
    }
}

/// Parses the bytes of a reply.
pub(super) fn decode_reply(bytes: &[u8]) -> Option<Reply> {
    let mut fields = Fields::new(bytes);
    let reply = match fields.text()?.as_str() {
        "ok" => Ok(fields.bytes()?.to_vec()),
        "error" => {
            let op = fields.text()?;
            let op = OPERATIONS.iter().find(|known| **known == op)?;
            let object = fields.text()?;
            let is_errno = fields.choice("errno", "text")?;
            let cause = match is_errno {
                true => Cause::Errno(Errno::from_raw_os_error(fields.parse()?)),
                false => Cause::Other(fields.text()?),
            };
            Err(Error::from_parts(op, object, cause))
        }
        _ => return None,
    };
    fields.is_at_end().then_some(reply)
}

/// Returns the text of a field that may be empty.
fn option<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Returns a device and an offset on it.
fn place(text: &str) -> Option<((u32, u32), i64)> {
    let (number, offset) = text.split_once('@')?;
    let (major, minor) = number.split_once(':')?;
    Some(((major.parse().ok()?, minor.parse().ok()?), offset.parse().ok()?))
}

/// Returns a path in any encoding, or `Some(None)` if the field is empty.
fn path(fields: &mut Fields<'_>) -> Option<Option<Vec<u8>>> {
    let path = fields.bytes().filter(|path| !path.contains(&0))?;
    Some((!path.is_empty()).then(|| path.to_owned()))
}

fn interface(fields: &mut Fields<'_>) -> Option<Interface> {
    Some(Interface { name: fields.text()?, index: fields.parse()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::child::MAX_MESSAGE;

    fn requests() -> Vec<Request> {
        let mount = Mount {
            source: "/dev/vda".into(),
            target: "sysroot".into(),
            writable: true,
            guess: false,
            options: "noatime,subvol=@ \u{e4}".into(),
            types: vec!["ext4".into(), "xfs".into()],
        };
        let nfs = NfsMount {
            source: "10.0.2.2:/srv".into(),
            server: Ipv4Addr::new(10, 0, 2, 2),
            writable: false,
            options: "vers=3".into(),
        };
        let eth0 = Interface { name: "eth0".into(), index: 2 };
        let address = |router| Request::Address {
            interface: eth0.clone(),
            address: Ipv4Addr::new(10, 0, 2, 15),
            prefix: 24,
            router,
        };
        vec![
            Request::Mount(Mount { types: vec![], guess: true, ..mount.clone() }),
            Request::Mount(mount),
            Request::Nfs(nfs),
            Request::Overlay(None),
            Request::Overlay(Some("size=8m".into())),
            Request::Overlay(Some(String::new())),
            Request::Loop("/images/root".into()),
            Request::Read { number: (254, 1), offset: u64::MAX, length: 512 },
            Request::Scan(vec!["/dev/vda".into(), "/dev/vdb".into()]),
            Request::Link { interface: eth0.clone(), mac: None, mtu: None },
            Request::Link { interface: eth0.clone(), mac: Some(0x5254_0012_3456), mtu: Some(9000) },
            address(None),
            address(Some(Ipv4Addr::new(10, 0, 2, 2))),
            Request::Map { uuid: "CRYPT".into(), sectors: 8, table: "1 8:1 8:2".into() },
            Request::Resume { number: (8, 3), offset: 4096 },
            Request::Init(InitRequest {
                init: Some("/opt/init".into()),
                limit: u64::MAX,
                device: Some("/dev/vda".into()),
                is_command: false,
            }),
            Request::Init(InitRequest { init: None, limit: 0, device: None, is_command: true }),
            Request::Undo { verity: true },
        ]
    }

    #[test]
    fn requests_survive_the_way_there() {
        for request in requests() {
            let bytes = request.encode().unwrap();
            assert_eq!(Request::decode(&bytes), Some(request));
        }
    }

    #[test]
    fn replies_keep_operation_object_and_errno() {
        let errno = Error::new("mount", "/dev/vda on /sysroot as ext4", Errno::INVAL);
        let text = Error::new("attach to a loop device", "\u{e4}", Cause::Other("why".into()));
        for reply in [Ok(vec![]), Ok(vec![0, 255]), Err(errno), Err(text)] {
            assert_eq!(decode_reply(&encode_reply(&reply)), Some(reply));
        }
        // Causes without a number arrive as their text.
        let sent = Err(Error::new("read", "f", Cause::UnexpectedEnd));
        let arrived = decode_reply(&encode_reply(&sent)).unwrap().unwrap_err();
        assert_eq!(arrived.to_string(), "read f: unexpected end of file");
        let long = encode_reply(&Ok(vec![0; MAX_MESSAGE]));
        assert!(decode_reply(&long).unwrap().is_err());
    }

    #[test]
    fn damaged_messages_are_refused() {
        for request in requests() {
            let bytes = request.encode().unwrap();
            for length in 0..bytes.len() {
                let cut = Request::decode(&bytes[..length]);
                // Only a list at the end may be shorter.
                let is_shorter = matches!(cut, Some(Request::Mount(_) | Request::Scan(_)));
                assert!(cut.is_none() || is_shorter, "{request:?} cut at {length}");
            }
            for at in 0..bytes.len() {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut bad = bytes.clone();
                    bad[at] = value;
                    let _ = (Request::decode(&bad), decode_reply(&bad));
                }
            }
            if !matches!(request, Request::Mount(_) | Request::Scan(_)) {
                let more = [bytes.as_slice(), &[0; 4]].concat();
                assert_eq!(Request::decode(&more), None, "{request:?}");
            }
        }
        let message = |fields: &[&str]| join(fields.iter().map(|f| f.as_bytes())).unwrap();
        for fields in [
            &["other"][..],
            &["undo", "yes"],
            &["loop", "a\0b"],
            &["read", "8", "-1", "0", "1"],
            &["read", "8", "4294967296", "0", "1"],
            &["scan", "/dev/vda", "a\0b"],
            &["nfs", "s", "10.0.2", "rw", ""],
            &["mount", "s", "t", "rx", "-", ""],
        ] {
            assert_eq!(Request::decode(&message(fields)), None, "{fields:?}");
        }
        for fields in [&["error", "no such operation", "o", "errno", "5"][..], &["ok"], &["no"]] {
            assert_eq!(decode_reply(&message(fields)), None, "{fields:?}");
        }
        assert_eq!(Request::decode(&[255; 8]), None);
        assert_eq!(Request::Loop("x".repeat(MAX_MESSAGE)).encode(), None);
    }
}
