//! The uevent socket: netlink(7) with NETLINK_KOBJECT_UEVENT.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SocketFlags,
    SocketType, bind, recvmsg, socket_with, sockopt,
};

use super::{Error, Result};

/// Multicast group of the kernel; udev repeats events in group 2.
const KERNEL_GROUP: u32 = 1;
/// Default size of the receive buffer in bytes, for the bursts of a large machine. It is a limit;
/// the kernel does not allocate it in advance.
const BUFFER: usize = 16 << 20;

/// The open socket.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

/// Result of one read from the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received<'a> {
    /// A message from the kernel.
    Message(&'a [u8]),
    /// The receive buffer overran (ENOBUFS) and events were lost.
    Lost,
    /// A message was longer than the buffer and was truncated.
    Truncated,
    /// A message from another sender than the kernel.
    Foreign,
    /// No message is waiting.
    Empty,
}

impl Socket {
    /// Opens and binds the socket. From then on events are lost only by an overrun, which is
    /// reported.
    ///
    /// `buffer` is the size of the receive buffer in bytes. The kernel doubles it, and has a
    /// minimum of about 2 KiB.
    ///
    /// # Errors
    /// The kernel was built without CONFIG_NET, or a security policy forbids the socket.
    pub(crate) fn open(buffer: Option<usize>) -> Result<Self> {
        let failed = |op| move |errno| Error::new(op, "uevent socket", errno);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd =
            socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))
                .map_err(failed("socket"))?;
        // Without CAP_NET_ADMIN the default buffer stays; an overrun is reported anyway.
        let _ = sockopt::set_socket_recv_buffer_size_force(&fd, buffer.unwrap_or(BUFFER));
        // Without credentials, the port alone identifies the sender.
        let _ = sockopt::set_socket_passcred(&fd, true);
        bind(&fd, &SocketAddrNetlink::new(0, KERNEL_GROUP)).map_err(failed("bind"))?;
        Ok(Self(fd))
    }

    /// recvmsg(2): receives the next message without waiting. A buffer of 8 KiB is enough for the 2
    /// KiB of environment that the kernel sends and the header. The call is repeated after EINTR.
    ///
    /// # Errors
    /// An errno other than EAGAIN, EINTR and ENOBUFS.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<Received<'a>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::empty())
            {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        match got {
            Ok(got) if got.flags.contains(ReturnFlags::TRUNC) => Ok(Received::Truncated),
            Ok(got) => {
                // Port 0 belongs to the kernel; no process can have it. Its messages have user 0.
                let sender = got.address.and_then(|a| SocketAddrNetlink::try_from(a).ok());
                let kernel = sender.is_some_and(|s| s.pid() == 0) && control.drain().all(is_root);
                Ok(if kernel { Received::Message(&buffer[..got.bytes]) } else { Received::Foreign })
            }
            Err(Errno::AGAIN) => Ok(Received::Empty),
            Err(Errno::NOBUFS) => Ok(Received::Lost),
            Err(errno) => Err(Error::new("recvmsg", "uevent socket", errno)),
        }
    }
}

/// Reports whether the credentials of a message, if there are any, name user 0.
fn is_root(message: RecvAncillaryMessage<'_>) -> bool {
    !matches!(message, RecvAncillaryMessage::ScmCredentials(sender) if !sender.uid.is_root())
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
