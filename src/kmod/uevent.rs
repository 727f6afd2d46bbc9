//! Kernel uevents, as a NETLINK_KOBJECT_UEVENT socket and the `uevent` files of sysfs present them.
//!
//! ```text
//! add@/devices/pci0000:00/0000:00:03.0\0ACTION=add\0DEVPATH=/devices/...\0SUBSYSTEM=pci\0...
//!     \0SEQNUM=1234\0
//! ```
//!
//! Values may hold any byte except NUL. udev sends its own messages to another multicast group,
//! with a `libudev` header; those have no `@` before the first NUL and are rejected here.

use std::borrow::Cow;

use super::alias;
use crate::escape;

/// The modalias of a device, as it is passed to modprobe(8).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Modalias(Box<[u8]>);

impl Modalias {
    /// Creates a modalias from `text` without a trailing newline. Returns `None` if the rest is
    /// empty.
    pub fn new(text: &[u8]) -> Option<Self> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// Returns the modalias as the device reports it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the form that index searches use: see [`alias::normalize_modalias`].
    pub fn normalized(&self) -> Vec<u8> {
        alias::normalize_modalias(&self.0)
    }

    /// Returns the modalias as text for people, as [`escape::bytes`] does.
    pub fn text(&self) -> Cow<'_, str> {
        escape::bytes(&self.0)
    }
}

/// A kernel uevent, borrowed from the received bytes.
#[derive(Debug, Clone, Copy)]
pub struct Uevent<'a> {
    /// `add`, `remove`, `change`, `move`, `online`, `offline`, `bind` or `unbind`.
    pub action: &'a [u8],
    /// Path of the device below /sys.
    pub devpath: &'a [u8],
    keys: &'a [u8],
}

impl<'a> Uevent<'a> {
    /// Parses one message. Returns `None` if it is not a kernel uevent.
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let end = message.iter().position(|b| *b == 0)?;
        let (header, keys) = message.split_at(end);
        let at = header.iter().position(|b| *b == b'@')?;
        let (action, devpath) = (&header[..at], &header[at + 1..]);
        (!action.is_empty() && devpath.starts_with(b"/")).then_some(Self { action, devpath, keys })
    }

    /// Returns the value of `key`; the first one if the key is repeated.
    pub fn get(&self, key: &str) -> Option<&'a [u8]> {
        value(self.keys, 0, key)
    }

    /// Returns every `KEY=VALUE` pair, in order.
    #[cfg(feature = "host")]
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.keys.split(|b| *b == 0).filter_map(|pair| {
            let at = pair.iter().position(|b| *b == b'=')?;
            Some((&pair[..at], &pair[at + 1..]))
        })
    }

    /// Returns the sequence number of the event.
    pub fn seqnum(&self) -> Option<u64> {
        std::str::from_utf8(self.get("SEQNUM")?).ok()?.parse().ok()
    }
}

/// Returns the value of `KEY=` in a `uevent` file of sysfs (one pair per line).
pub fn sysfs_value<'a>(file: &'a [u8], key: &str) -> Option<&'a [u8]> {
    value(file, b'\n', key)
}

fn value<'a>(pairs: &'a [u8], separator: u8, key: &str) -> Option<&'a [u8]> {
    pairs
        .split(|b| *b == separator)
        .find_map(|pair| pair.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_parsed() {
        let event = Uevent::parse(
            b"add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0MODALIAS=pci:v1\0SEQNUM=42\0",
        )
        .unwrap();
        assert_eq!(event.action, b"add");
        assert_eq!(event.devpath, b"/devices/x");
        assert_eq!(event.get("MODALIAS"), Some(&b"pci:v1"[..]));
        assert_eq!(event.get("MOD"), None);
        assert_eq!(event.seqnum(), Some(42));
    }

    #[test]
    fn other_messages_are_rejected() {
        for message in [&b"libudev\0\xfe\xed"[..], b"", b"add@/x", b"@/x\0", b"add@x\0", b"\0\0\0"]
        {
            assert!(Uevent::parse(message).is_none(), "{message:?}");
        }
    }

    #[test]
    fn a_uevent_file_is_parsed() {
        let file = b"DRIVER=mmcblk\nMODALIAS=mmc:block\n";
        assert_eq!(sysfs_value(file, "MODALIAS"), Some(&b"mmc:block"[..]));
        assert_eq!(sysfs_value(file, "ALIAS"), None);
        assert_eq!(Modalias::new(b"\n"), None);
        assert_eq!(Modalias::new(b"a b\n").unwrap().as_bytes(), b"a b");
    }
}
