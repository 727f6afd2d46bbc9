//! A DHCP client on one interface: asks, asks again with growing waits, takes the first offer.

use std::time::Duration;

use crate::boot::nanoseconds;
use crate::net::dhcp::{self, Lease, Query, Reply};
use crate::sys::boottime_ns;
use crate::sys::net::{DhcpSocket, Interface};

/// The first wait for an answer; each is twice as long as that before.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);
/// How often waits double.
const DOUBLINGS: u32 = 3;
/// How often an address is asked for before any other is looked for.
const REQUESTS: u32 = 4;
/// More than an Ethernet frame holds.
const FRAME: usize = 2048;

/// A client and where it stands.
#[derive(Debug)]
pub(super) struct DhcpClient {
    socket: DhcpSocket,
    /// The number of the exchange.
    number: u32,
    began: u64,
    ask: Query,
    /// How often that has been asked.
    sent: u32,
    /// When to ask again, on CLOCK_BOOTTIME.
    send_at: u64,
    /// What went wrong last.
    last_error: Option<String>,
}

impl DhcpClient {
    /// A client on `interface`, which has a cable.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub(super) fn new(interface: &Interface) -> crate::sys::Result<Self> {
        let now = boottime_ns();
        // Different on every machine and in every boot, which is all that is asked of it.
        let seed = u32::try_from(now >> 10 & u64::from(u32::MAX)).unwrap_or_default();
        let number = interface.mac.iter().fold(seed, |n, b| n.rotate_left(5) ^ u32::from(*b));
        let socket = DhcpSocket::open(interface)?;
        Ok(Self {
            socket,
            number,
            began: now,
            ask: Query::Discover,
            sent: 0,
            send_at: now,
            last_error: None,
        })
    }

    /// Takes what has come, and asks where it is time to; gives the lease once there is one.
    pub(super) fn advance(
        &mut self,
        interface: &Interface,
        hostname: Option<&str>,
    ) -> Option<Lease> {
        let mut frame = [0; FRAME];
        while let Some(bytes) = self.socket.receive(&mut frame) {
            let answer = dhcp::decode(bytes, interface.mac, self.number);
            if let Some(lease) = answer.and_then(|answer| self.take(answer)) {
                return Some(lease);
            }
        }
        let now = boottime_ns();
        if now >= self.send_at {
            self.send(interface, hostname, now);
        }
        None
    }

    fn take(&mut self, answer: Reply) -> Option<Lease> {
        match (self.ask, answer) {
            (Query::Discover, Reply::Offer(lease)) => {
                self.start_phase(Query::Request(lease.address?, lease.server?), 0);
                None
            }
            (Query::Request(..), Reply::Ack(lease)) => Some(lease),
            (Query::Request(address, server), Reply::Nak(reason)) => {
                self.last_error = Some(format!("{server} refused {address}: {reason}"));
                self.start_phase(Query::Discover, nanoseconds(FIRST_TIMEOUT));
                None
            }
            _ => None,
        }
    }

    fn start_phase(&mut self, ask: Query, wait: u64) {
        (self.ask, self.sent, self.send_at) = (ask, 0, boottime_ns().saturating_add(wait));
    }

    fn send(&mut self, interface: &Interface, hostname: Option<&str>, now: u64) {
        if self.sent >= REQUESTS && self.ask != Query::Discover {
            (self.ask, self.sent) = (Query::Discover, 0);
        }
        let seconds =
            u16::try_from(now.saturating_sub(self.began) / 1_000_000_000).unwrap_or(u16::MAX);
        let bytes = dhcp::encode(self.ask, interface.mac, self.number, seconds, hostname);
        if let Err(error) = self.socket.send(interface, &bytes) {
            self.last_error = Some(error.to_string());
        }
        let wait = nanoseconds(FIRST_TIMEOUT) << self.sent.min(DOUBLINGS);
        self.sent += 1;
        self.send_at = now.saturating_add(wait);
    }

    /// `DHCP on eth0 (3 sent, no offer)`
    pub(super) fn status(&self, interface: &Interface) -> String {
        let lacking = match self.ask {
            Query::Discover => format!("{} sent, no offer", self.sent),
            Query::Request(address, server) => {
                format!("{server} offers {address}, {} sent, not confirmed", self.sent)
            }
        };
        let last_error = self.last_error.as_ref().map_or_else(String::new, |t| format!("; {t}"));
        format!("an answer to DHCP on {} ({lacking}{last_error})", interface.name)
    }
}
