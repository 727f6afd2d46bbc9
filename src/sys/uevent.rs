//! The kernel's uevent socket, netlink(7) with NETLINK_KOBJECT_UEVENT.

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

/// The kernel's own multicast group; udev's echoes come in group 2.
const KERNEL_GROUP: u32 = 1;
/// A limit and no allocation: room for the bursts of a large machine.
const BUFFER: usize = 16 << 20;

/// The open socket.
#[derive(Debug)]
pub struct Socket(OwnedFd);

/// What one look at the socket gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received<'a> {
    /// A message of the kernel.
    Message(&'a [u8]),
    /// Events have been lost: the buffer ran over.
    Lost,
    /// A message was cut: it is longer than the buffer.
    Truncated,
    /// Something that the kernel did not send.
    Foreign,
    /// Nothing is waiting.
    Empty,
}

impl Socket {
    /// Opens and binds the socket; from here on no event is missed but by an overrun, which is told.
    ///
    /// `buffer` is the size of the receive buffer in bytes; the kernel takes twice as much, and no less than some 2 KiB.
    ///
    /// # Errors
    /// The kernel has no netlink (CONFIG_NET), or another program's socket forbids it.
    pub fn open(buffer: Option<usize>) -> Result<Self> {
        let failed = |op| move |errno| Error::new(op, "uevent socket", errno);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd =
            socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))
                .map_err(failed("socket"))?;
        // Without the right to exceed the limit the default buffer stays; an overrun is told anyway.
        let _ = sockopt::set_socket_recv_buffer_size_force(&fd, buffer.unwrap_or(BUFFER));
        // Where the sender's credentials cannot be had, its port alone tells who it is.
        let _ = sockopt::set_socket_passcred(&fd, true);
        bind(&fd, &SocketAddrNetlink::new(0, KERNEL_GROUP)).map_err(failed("bind"))?;
        Ok(Self(fd))
    }

    /// Takes the next message, without waiting. `buffer` should hold 8 KiB: the kernel's 2 KiB of
    /// environment and the header.
    ///
    /// # Errors
    /// Anything but "nothing there", "interrupted" and an overrun.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<Received<'a>> {
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
                // Port 0 is the kernel's; no process can have it. The kernel's messages come from user 0.
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

fn is_root(message: RecvAncillaryMessage<'_>) -> bool {
    !matches!(message, RecvAncillaryMessage::ScmCredentials(sender) if !sender.uid.is_root())
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
