//! A DHCP client on one interface. It sends requests with growing timeouts and accepts the first
//! offer.

use std::time::Duration;

use crate::net::dhcp::{self, Lease, Query, Reply};
use crate::sys::BootTime;
use crate::sys::net::{DhcpSocket, Interface, Mac};

/// Timeout of the first request; it doubles with each further one.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);
/// Number of times that the timeout doubles.
const DOUBLINGS: u32 = 3;
/// Number of requests for an offered address before the client looks for another offer.
const REQUESTS: u32 = 4;
/// Size of the receive buffer: more than an Ethernet frame holds.
const FRAME: usize = 2048;

/// The state of one client.
#[derive(Debug)]
pub(super) struct DhcpClient {
    socket: DhcpSocket,
    mac: Mac,
    /// Transaction number.
    number: u32,
    /// Start of the exchange.
    began: BootTime,
    query: Query,
    /// Number of times that `query` has been sent.
    sent: u32,
    /// Time of the next request.
    send_at: BootTime,
    /// The last failure, in words.
    last_error: Option<String>,
}

impl DhcpClient {
    /// Opens a client on `interface`, which has a carrier and this MAC address.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub(super) fn new(interface: &Interface, mac: Mac) -> crate::sys::Result<Self> {
        let now = BootTime::now();
        // The number only has to differ between machines and between boots.
        let seed = u32::try_from(now.as_nanos() >> 10 & u64::from(u32::MAX)).unwrap_or_default();
        let number = mac.iter().fold(seed, |n, b| n.rotate_left(5) ^ u32::from(*b));
        let socket = DhcpSocket::open(interface)?;
        Ok(Self {
            socket,
            mac,
            number,
            began: now,
            query: Query::Discover,
            sent: 0,
            send_at: now,
            last_error: None,
        })
    }

    /// Handles the replies that have arrived, and sends a request if one is due. Returns the lease
    /// once the server has confirmed it.
    pub(super) fn advance(
        &mut self,
        interface: &Interface,
        hostname: Option<&str>,
    ) -> Option<Lease> {
        let mut frame = [0; FRAME];
        while let Some(bytes) = self.socket.receive(&mut frame) {
            let reply = dhcp::decode(bytes, self.mac, self.number);
            if let Some(lease) = reply.and_then(|reply| self.handle(reply)) {
                return Some(lease);
            }
        }
        let now = BootTime::now();
        if now >= self.send_at {
            self.send(interface, hostname, now);
        }
        None
    }

    fn handle(&mut self, reply: Reply) -> Option<Lease> {
        match (self.query, reply) {
            (Query::Discover, Reply::Offer(lease)) => {
                self.start_phase(Query::Request(lease.address?, lease.server?), Duration::ZERO);
                None
            }
            (Query::Request(..), Reply::Ack(lease)) => Some(lease),
            (Query::Request(address, server), Reply::Nak(reason)) => {
                self.last_error = Some(format!("{server} refused {address}: {reason}"));
                self.start_phase(Query::Discover, FIRST_TIMEOUT);
                None
            }
            _ => None,
        }
    }

    fn start_phase(&mut self, query: Query, delay: Duration) {
        let send_at = BootTime::now() + delay;
        (self.query, self.sent, self.send_at) = (query, 0, send_at);
    }

    fn send(&mut self, interface: &Interface, hostname: Option<&str>, now: BootTime) {
        if self.sent >= REQUESTS && self.query != Query::Discover {
            (self.query, self.sent) = (Query::Discover, 0);
        }
        let seconds = u16::try_from((now - self.began).as_secs()).unwrap_or(u16::MAX);
        let bytes = dhcp::encode(self.query, self.mac, self.number, seconds, hostname);
        if let Err(error) = self.socket.send(interface, &bytes) {
            self.last_error = Some(error.to_string());
        }
        let timeout = FIRST_TIMEOUT * (1 << self.sent.min(DOUBLINGS));
        self.sent += 1;
        self.send_at = now + timeout;
    }

    /// Returns what the client waits for: `a DHCP reply on eth0 (3 requests sent, no offer)`.
    pub(super) fn status(&self, interface: &Interface) -> String {
        let state = match self.query {
            Query::Discover => format!("{} requests sent, no offer", self.sent),
            Query::Request(address, server) => {
                format!("{server} offers {address}, {} requests sent, no ack", self.sent)
            }
        };
        let last_error = self.last_error.as_ref().map_or_else(String::new, |t| format!("; {t}"));
        format!("a DHCP reply on {} ({state}{last_error})", interface.name)
    }
}
