//! DHCP messages, RFC 2131 and 2132.
//!
//! ```text
//!   0 op: 1 request, 2 reply │ 1 1 Ethernet, 2 6 │ 4 transaction number │ 8 seconds
//!  10 flags: 8000 broadcast the reply │ 12 client address │ 16 assigned address │ 20 next server
//!  24 relay │ 28 hardware address, 16 │ 44 name of the server, 64 │ 108 file, 128
//! 236 63 82 53 63 │ 240 options: code, length, value; 0 is padding, 255 the end
//! ```
//!
//! Our own code, because `dhcproto` adds 225 KB to the program, and `edge-dhcp` panics on option
//! lengths that are not a multiple of four and sets a bit other than the broadcast bit.

use core::net::Ipv4Addr;

use crate::byte_text;
use crate::cmdline::network;

const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const OPTIONS: usize = 240;
/// Length of the shortest message that every relay forwards.
const SHORTEST: usize = 300;
const BROADCAST: [u8; 2] = [0x80, 0];

const MASK: u8 = 1;
const ROUTER: u8 = 3;
const DNS: u8 = 6;
const HOSTNAME: u8 = 12;
const DOMAIN: u8 = 15;
const ROOT_PATH: u8 = 17;
const WANTED_ADDRESS: u8 = 50;
const LEASE_TIME: u8 = 51;
const KIND: u8 = 53;
const SERVER: u8 = 54;
const WANTED_OPTIONS: u8 = 55;
const MESSAGE: u8 = 56;
const SIZE: u8 = 57;
const CLIENT: u8 = 61;

/// A message to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// Asks all servers for an offer.
    Discover,
    /// Accepts this address from this server.
    Request(Ipv4Addr, Ipv4Addr),
}

/// A message from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The server offers an address.
    Offer(Lease),
    /// The server confirms the address.
    Ack(Lease),
    /// The server refuses, with its reason.
    Nak(String),
}

/// An address and the parameters that come with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lease {
    /// Address of this machine.
    pub address: Option<Ipv4Addr>,
    /// Length of the network prefix in bits.
    pub prefix: u8,
    /// Default router.
    pub(crate) router: Option<Ipv4Addr>,
    /// Addresses of name servers.
    pub(crate) dns: Vec<Ipv4Addr>,
    /// Host name.
    pub(crate) hostname: Option<String>,
    /// Domain name.
    pub(crate) domain: Option<String>,
    /// Path of the root (option 17).
    pub root_path: Option<String>,
    /// Server from which the boot continues.
    pub(crate) next_server: Option<Ipv4Addr>,
    /// Address of the DHCP server.
    pub(crate) server: Option<Ipv4Addr>,
    /// Duration of the lease in seconds.
    pub(crate) seconds: Option<u32>,
}

/// Returns the message `query` from the interface with the address `mac`, for the transaction
/// `number` that began `seconds` ago.
#[must_use]
pub fn encode(
    query: Query,
    mac: [u8; 6],
    number: u32,
    seconds: u16,
    hostname: Option<&str>,
) -> Vec<u8> {
    let mut bytes = vec![0; OPTIONS];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &[1, 1, 6]);
    put(4, &number.to_be_bytes());
    put(8, &seconds.to_be_bytes());
    // The interface has no address yet to which a reply could be sent.
    put(10, &BROADCAST);
    put(28, &mac);
    put(236, &COOKIE);
    let mut option = |code: u8, value: &[u8]| {
        if let Ok(length) = u8::try_from(value.len()) {
            bytes.extend([code, length]);
            bytes.extend(value);
        }
    };
    match query {
        Query::Discover => option(KIND, &[1]),
        Query::Request(address, server) => {
            option(KIND, &[3]);
            option(WANTED_ADDRESS, &address.octets());
            option(SERVER, &server.octets());
        }
    }
    option(WANTED_OPTIONS, &[MASK, ROUTER, DNS, HOSTNAME, DOMAIN, ROOT_PATH, LEASE_TIME]);
    option(SIZE, &1472_u16.to_be_bytes());
    option(CLIENT, &[&[1], &mac[..]].concat());
    if let Some(name) = hostname {
        option(HOSTNAME, &byte_text::to_bytes(name));
    }
    bytes.push(255);
    bytes.resize(bytes.len().max(SHORTEST), 0);
    bytes
}

/// Returns the reply to `mac` in the transaction `number`; `None` for any other message.
#[must_use]
pub fn decode(bytes: &[u8], mac: [u8; 6], number: u32) -> Option<Reply> {
    let ours = bytes.first() == Some(&2)
        && bytes.get(4..8)? == number.to_be_bytes()
        && bytes.get(28..34)? == mac
        && bytes.get(236..OPTIONS)? == COOKIE;
    let options = bytes.get(OPTIONS..).filter(|_| ours)?;
    let option = |code| option(options, code);
    let first = |code| addresses(option(code)?).next();
    let text = |code| option(code).map(text).filter(|text| !text.is_empty());
    let address = addresses(bytes.get(16..20)?).next();
    let mask = first(MASK).and_then(network::prefix_of_mask);
    let lease = || Lease {
        address,
        prefix: mask.or_else(|| address.map(network::prefix_of_class)).unwrap_or_default(),
        router: first(ROUTER),
        dns: option(DNS).map(|list| addresses(list).collect()).unwrap_or_default(),
        hostname: text(HOSTNAME),
        domain: text(DOMAIN),
        root_path: text(ROOT_PATH),
        next_server: bytes.get(20..24).and_then(|b| addresses(b).next()),
        server: first(SERVER),
        seconds: option(LEASE_TIME).and_then(|b| Some(u32::from_be_bytes(b.try_into().ok()?))),
    };
    match option(KIND)? {
        [2] => address.map(|_| Reply::Offer(lease())),
        [5] => address.map(|_| Reply::Ack(lease())),
        [6] => Some(Reply::Nak(text(MESSAGE).unwrap_or_default())),
        _ => None,
    }
}

/// Returns the value of the first option with this code.
fn option(options: &[u8], code: u8) -> Option<&[u8]> {
    let mut rest = options;
    loop {
        let (kind, after) = rest.split_first()?;
        rest = match *kind {
            0 => after,
            255 => return None,
            kind => {
                let (length, after) = after.split_first()?;
                let (value, after) = after.split_at_checked(usize::from(*length))?;
                if kind == code {
                    return Some(value);
                }
                after
            }
        };
    }
}

/// Returns the addresses in a list, without unspecified ones.
fn addresses(bytes: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    let quads = bytes.chunks_exact(4).filter_map(|four| <[u8; 4]>::try_from(four).ok());
    quads.map(Ipv4Addr::from).filter(|address| !address.is_unspecified())
}

/// Returns the text without control characters, safe to print and to write to a file.
fn text(bytes: &[u8]) -> String {
    byte_text::from_bytes(bytes).chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn reply(kind: u8, options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; OPTIONS];
        bytes[0] = 2;
        bytes[4..8].copy_from_slice(&7_u32.to_be_bytes());
        bytes[16..20].copy_from_slice(&[10, 0, 2, 15]);
        bytes[20..24].copy_from_slice(&[10, 0, 2, 2]);
        bytes[28..34].copy_from_slice(&MAC);
        bytes[236..240].copy_from_slice(&COOKIE);
        bytes.extend([0, KIND, 1, kind]);
        bytes.extend(options);
        bytes.push(255);
        bytes
    }

    #[test]
    fn queries_carry_what_servers_need() {
        let bytes = encode(Query::Discover, MAC, 7, 3, Some("box"));
        assert_eq!(
            (bytes.len(), &bytes[..12]),
            (300, &[1, 1, 6, 0, 0, 0, 0, 7, 0, 3, 0x80, 0][..])
        );
        assert_eq!(option(&bytes[240..], KIND), Some(&[1][..]));
        assert_eq!(option(&bytes[240..], HOSTNAME), Some(&b"box"[..]));
        let (address, server) = (Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(10, 0, 2, 2));
        let bytes = encode(Query::Request(address, server), MAC, 7, 3, None);
        assert_eq!(option(&bytes[240..], KIND), Some(&[3][..]));
        assert_eq!(option(&bytes[240..], WANTED_ADDRESS), Some(&[10, 0, 2, 15][..]));
        assert_eq!(option(&bytes[240..], SERVER), Some(&[10, 0, 2, 2][..]));
        assert_eq!(option(&bytes[240..], HOSTNAME), None);
    }

    #[test]
    fn replies_are_decoded() {
        let options = [
            &[
                MASK, 4, 255, 255, 252, 0, ROUTER, 8, 10, 0, 2, 2, 10, 0, 2, 3, 0, DNS, 5, 10, 0,
                2, 3, 9,
            ][..],
            &[ROOT_PATH, 4, b'/', b's', 7, b'v', SERVER, 4, 10, 0, 2, 1, LEASE_TIME, 4, 0, 1, 0, 0],
        ]
        .concat();
        let lease = Lease {
            address: Some(Ipv4Addr::new(10, 0, 2, 15)),
            prefix: 22,
            router: Some(Ipv4Addr::new(10, 0, 2, 2)),
            dns: vec![Ipv4Addr::new(10, 0, 2, 3)],
            root_path: Some("/sv".into()),
            next_server: Some(Ipv4Addr::new(10, 0, 2, 2)),
            server: Some(Ipv4Addr::new(10, 0, 2, 1)),
            seconds: Some(65536),
            ..Lease::default()
        };
        for (kind, want) in [
            (2, Some(Reply::Offer(lease.clone()))),
            (5, Some(Reply::Ack(lease))),
            (6, Some(Reply::Nak(String::new()))),
            (1, None),
        ] {
            assert_eq!(decode(&reply(kind, &options), MAC, 7), want, "{kind}");
        }
        let Some(Reply::Ack(plain)) = decode(&reply(5, &[]), MAC, 7) else { panic!() };
        assert_eq!((plain.prefix, plain.router), (8, None));
        let nak = decode(&reply(6, &[MESSAGE, 2, b'n', b'o']), MAC, 7);
        assert_eq!(nak, Some(Reply::Nak("no".into())));
        assert_eq!(
            (decode(&reply(5, &[]), MAC, 8), decode(&reply(5, &[]), [0; 6], 7)),
            (None, None)
        );
        assert_eq!(decode(&encode(Query::Discover, MAC, 7, 0, None), MAC, 7), None);
    }

    proptest! {
        #[test]
        fn no_message_panics(
            tail in prop::collection::vec(any::<u8>(), 0..200),
            cut in 0..400_usize,
        ) {
            let mut bytes = reply(5, &tail);
            bytes.truncate(cut);
            let _ = decode(&bytes, MAC, 7);
        }
    }
}
