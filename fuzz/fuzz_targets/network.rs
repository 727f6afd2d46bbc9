//! Replies of a DHCP server, and `ip=`, `nfsroot=` and `root=` of a network. The header of the
//! message is fixed, so that mutations reach the options.
#![no_main]

use coldplug::cmdline::network::{IpConfig, NfsExport};
use coldplug::net::dhcp::{Reply, decode};
use libfuzzer_sys::fuzz_target;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const NUMBER: u32 = 7;

fuzz_target!(|data: &[u8]| {
    let mut message = data.to_vec();
    message.resize(message.len().max(240), 0);
    let mut put = |at: usize, value: &[u8]| message[at..at + value.len()].copy_from_slice(value);
    put(0, &[2]);
    put(4, &NUMBER.to_be_bytes());
    put(28, &MAC);
    put(236, &[0x63, 0x82, 0x53, 0x63]);
    if let Some(Reply::Offer(lease) | Reply::Ack(lease)) = decode(&message, MAC, NUMBER) {
        assert!(lease.address.is_some() && lease.prefix <= 32, "{lease:?}");
        let _ = lease.root_path.as_deref().and_then(NfsExport::parse);
    }
    let text = String::from_utf8_lossy(data);
    if let Some(ip) = IpConfig::parse(&text) {
        assert!(ip.prefix.is_none_or(|prefix| prefix <= 32), "{ip:?}");
    }
    let (export, root) = (NfsExport::parse(&text), NfsExport::from_root_value(&text));
    if let (Some(export), Some(root)) = (export, root) {
        assert_eq!(root.clone().or(&root), root);
        let _ = root.or(&export);
    }
});
