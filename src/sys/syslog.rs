//! The system log: a record of the kernel's log, which every log daemon reads, or else as syslog(3) one datagram to /dev/log.
//!
//! The kernel's log comes first since opening a socket may need a module, for which the kernel would start modprobe, which
//! would have something to say.

use std::os::unix::net::UnixDatagram;

use super::Root;
use super::kmsg::Kmsg;

/// LOG_DAEMON.
const FACILITY: u8 = 3;

/// Sends one message of `priority` (0 to 7) by the program `ident`. A message that cannot be sent is lost: there is nowhere
/// left to say so.
pub fn send(root: &Root, priority: u8, ident: &str, text: &str) {
    if let Ok(kmsg) = Kmsg::open(root) {
        kmsg.write_as(priority, ident, text);
        return;
    }
    // Who may not write there still has the socket.
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
        // From now on it is the kernel's.
        std::fs::write(scratch.path().join("dev/kmsg"), "").unwrap();
        send(&root, 4, "modprobe", "WARNING: text");
        let kmsg = std::fs::read_to_string(scratch.path().join("dev/kmsg")).unwrap();
        assert_eq!(kmsg, "<28>modprobe: WARNING: text\n");
    }
}
