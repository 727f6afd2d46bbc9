//! The system log: a record in the kernel log, which every log daemon reads, or one datagram to
//! /dev/log as syslog(3) sends it.
//!
//! The kernel log comes first, because opening a socket may need a module: the kernel would start
//! modprobe to load it, and that modprobe would have a message to log.

use std::os::unix::net::UnixDatagram;

use super::Root;
use super::kmsg::Kmsg;

/// LOG_DAEMON.
const FACILITY: u8 = 3;

/// Sends one message of the program `ident` with `priority` (0 to 7). Failures are ignored, because
/// there is nowhere left to report them.
pub(crate) fn send(root: &Root, priority: u8, ident: &str, text: &str) {
    if let Ok(kmsg) = Kmsg::open(root) {
        kmsg.write_as(priority, ident, text);
        return;
    }
    // Unprivileged users cannot write to the kernel log, but to the socket.
    let _ = UnixDatagram::unbound().and_then(|socket| {
        let message = format!("<{}>{ident}: {text}", FACILITY * 8 + priority);
        socket.send_to(message.as_bytes(), root.join("dev/log"))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_datagram() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir(scratch.path().join("dev")).unwrap();
        let log = UnixDatagram::bind(scratch.path().join("dev/log")).unwrap();
        let root = Root::at(scratch.path());
        send(&root, 3, "modprobe", "ERROR: text");
        let mut buffer = [0; 100];
        let len = log.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"<27>modprobe: ERROR: text");
        // With /dev/kmsg, the message goes there.
        std::fs::write(scratch.path().join("dev/kmsg"), "").unwrap();
        send(&root, 4, "modprobe", "WARNING: text");
        let kmsg = std::fs::read_to_string(scratch.path().join("dev/kmsg")).unwrap();
        assert_eq!(kmsg, "<28>modprobe: WARNING: text\n");
    }
}
