//! The network as the kernel command line describes it (admin-guide/nfs/nfsroot).
//!
//! ```text
//! ip=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:DEVICE:AUTOCONF:DNS0:DNS1:NTP0
//!                                    fields may be empty, trailing fields omitted
//! ip=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:DEVICE:AUTOCONF:MTU
//! ip=DEVICE:AUTOCONF[:MTU]           dracut.cmdline(7)
//! ip=AUTOCONF                        off, none, static: static; on, any, both, all, dhcp: DHCP
//! BOOTIF=01-aa-bb-cc-dd-ee-ff        hardware address of the boot loader's interface
//! nfsroot=[SERVER:]PATH[,OPTIONS]    the root on a server
//! root=/dev/nfs   nfs:SERVER:PATH:OPTIONS   nfs4:…   SERVER:/PATH
//!                                    the kernel's and dracut's forms of a root on a server
//! ```

use core::net::Ipv4Addr;

/// Source of an interface's address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum AddressSource {
    /// The command line, or whatever has configured the interface before.
    Static,
    /// A DHCP server.
    #[default]
    Dhcp,
}

/// The value of `ip=`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpConfig {
    /// Address of this machine.
    pub(crate) client: Option<Ipv4Addr>,
    /// Server of the root unless `nfsroot=` names one.
    pub(crate) server: Option<Ipv4Addr>,
    /// Default router.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// Length of the network prefix in bits.
    pub prefix: Option<u8>,
    /// Host name.
    pub(crate) hostname: Option<String>,
    /// Name of the interface; `None` means every Ethernet interface.
    pub(crate) device: Option<String>,
    /// Source of the address if `client` is `None`.
    pub(crate) source: AddressSource,
    /// Addresses of name servers.
    pub(crate) dns: Vec<Ipv4Addr>,
    /// Largest packet of the interface in bytes; `None` means that of its driver.
    pub(crate) mtu: Option<u32>,
}

/// The parameters of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetworkParams {
    /// `ip=`.
    pub(crate) ip: IpConfig,
    /// `nfsroot=`.
    pub(crate) nfs: Option<NfsExport>,
    /// `BOOTIF=`: hardware address.
    pub(crate) boot_mac: Option<[u8; 6]>,
}

/// A directory on an NFS server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NfsExport {
    /// Address of the server, if it is named.
    pub(crate) server: Option<Ipv4Addr>,
    /// Path of the directory; empty if it is not named.
    pub(crate) path: String,
    /// Mount options, separated by commas.
    pub(crate) options: String,
}

impl IpConfig {
    /// Parses the value of `ip=`; `None` if a field is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(':').collect();
        match fields.as_slice() {
            [word] if autoconf(word).is_some() => {
                return Some(Self { source: autoconf(word)?, ..Self::default() });
            }
            [device, word] | [device, word, ""]
                if is_interface(device) && autoconf(word).is_some() =>
            {
                let device = Some((*device).to_owned());
                return Some(Self { device, source: autoconf(word)?, ..Self::default() });
            }
            [device, word, mtu] if is_interface(device) && autoconf(word).is_some() => {
                let device = Some((*device).to_owned());
                let mtu = Some(mtu.parse().ok()?);
                return Some(Self { device, mtu, source: autoconf(word)?, ..Self::default() });
            }
            _ => {}
        }
        let field = |at: usize| fields.get(at).copied().filter(|text| !text.is_empty());
        let name = |at| field(at).map(str::to_owned);
        let client = address(field(0))?;
        let prefix = match (field(3), client) {
            (Some(mask), _) => Some(prefix(mask)?),
            (None, Some(client)) => Some(prefix_of_class(client)),
            (None, None) => None,
        };
        // In the place of the first name server dracut has the MTU.
        let mtu = field(7).and_then(|text| text.parse().ok());
        let first = field(7).filter(|_| mtu.is_none());
        let dns = [address(first)?, address(field(8))?].into_iter().flatten().collect();
        Some(Self {
            client,
            server: address(field(1))?,
            gateway: address(field(2))?,
            prefix,
            hostname: name(4),
            device: name(5),
            source: field(6).map_or(Some(AddressSource::Dhcp), autoconf)?,
            dns,
            mtu,
        })
    }
}

/// Parses the address in a field; `Some(None)` if it is empty or all zeros, `None` if it is
/// malformed.
fn address(field: Option<&str>) -> Option<Option<Ipv4Addr>> {
    let Some(text) = field else { return Some(None) };
    let address: Ipv4Addr = text.parse().ok()?;
    Some(Some(address).filter(|a| !a.is_unspecified()))
}

fn autoconf(word: &str) -> Option<AddressSource> {
    match word {
        "off" | "none" | "static" => Some(AddressSource::Static),
        "on" | "any" | "dhcp" | "dhcp4" | "both" | "all" | "single-dhcp" => {
            Some(AddressSource::Dhcp)
        }
        _ => None,
    }
}

fn is_interface(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Parses a netmask, `255.255.255.0` or `24`, to a prefix length.
fn prefix(mask: &str) -> Option<u8> {
    if let Ok(length) = mask.parse::<u8>() {
        return Some(length).filter(|length| *length <= 32);
    }
    prefix_of_mask(mask.parse().ok()?)
}

/// Returns the prefix length of a netmask; `None` if its ones are not contiguous.
pub(crate) fn prefix_of_mask(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let ones = bits.leading_ones();
    u8::try_from(ones).ok().filter(|_| ones == bits.count_ones())
}

/// Returns the prefix length of an address without a netmask, by its class.
pub(crate) fn prefix_of_class(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}

/// Parses a hardware address; the hardware type in front, as in `01-aa-bb-cc-dd-ee-ff`, is
/// optional.
pub(super) fn mac(text: &str) -> Option<[u8; 6]> {
    let digits = text.split(['-', ':']).map(|byte| u8::from_str_radix(byte, 16).ok());
    let bytes: Vec<u8> = digits.collect::<Option<_>>()?;
    bytes.strip_prefix(&[1]).unwrap_or(&bytes).try_into().ok()
}

impl NfsExport {
    /// Parses `[SERVER:]PATH[,OPTIONS]`, with `:OPTIONS` as in dracut; `None` if the server is not
    /// an address.
    pub fn parse(text: &str) -> Option<Self> {
        let head = text.split([',', '/']).next().unwrap_or_default();
        let (server, rest) = match text.split_once(':') {
            Some((server, rest)) if head.contains(':') => (Some(server.parse().ok()?), rest),
            _ => (None, text),
        };
        let (path, options) = rest.split_once([',', ':']).unwrap_or((rest, ""));
        Some(Self { server, path: path.to_owned(), options: options.to_owned() })
    }

    /// Parses a value of `root=` that means NFS; `None` for any other. `/dev/nfs` names no export.
    pub fn from_root_value(text: &str) -> Option<Self> {
        if ["/dev/nfs", "/dev/nfs4", "dhcp"].contains(&text) {
            return Some(Self::default());
        }
        for (word, option) in [("nfs4:", "vers=4"), ("nfs:", "")] {
            if let Some(rest) = text.strip_prefix(word) {
                let mut export = Self::parse(rest)?;
                if !option.is_empty() {
                    let given = std::mem::take(&mut export.options);
                    export.options =
                        if given.is_empty() { option.into() } else { format!("{option},{given}") };
                }
                return Some(export);
            }
        }
        // Before the colon only an address is a server: other texts are devices or tags.
        Self::parse(text).filter(|export| export.server.is_some() && export.path.starts_with('/'))
    }

    /// Returns this export, with missing parts replaced by those of `other`.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let or = |own: String, other: &str| if own.is_empty() { other.to_owned() } else { own };
        Self {
            server: self.server.or(other.server),
            path: or(self.path, &other.path),
            options: or(self.options, &other.options),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<Ipv4Addr> {
        text.parse().ok()
    }

    #[test]
    fn ip_words() {
        let whole = IpConfig {
            client: at("10.0.0.5"),
            server: at("10.0.0.1"),
            gateway: at("10.0.0.254"),
            prefix: Some(24),
            hostname: Some("box".into()),
            device: Some("eth1".into()),
            source: AddressSource::Static,
            dns: vec![at("1.1.1.1").unwrap(), at("8.8.8.8").unwrap()],
            mtu: None,
        };
        let large =
            IpConfig { dns: vec![at("8.8.8.8").unwrap()], mtu: Some(9000), ..whole.clone() };
        let device = IpConfig { device: Some("eth0".into()), ..IpConfig::default() };
        for (text, want) in [
            (
                "10.0.0.5:10.0.0.1:10.0.0.254:255.255.255.0:box:eth1:off:1.1.1.1:8.8.8.8",
                Some(whole),
            ),
            ("10.0.0.5:10.0.0.1:10.0.0.254:24:box:eth1:none:9000:8.8.8.8", Some(large.clone())),
            (
                "10.0.0.5:10.0.0.1:10.0.0.254:24:box:eth1:static:9000",
                Some(IpConfig { dns: Vec::new(), ..large }),
            ),
            ("dhcp", Some(IpConfig::default())),
            ("any", Some(IpConfig::default())),
            ("off", Some(IpConfig { source: AddressSource::Static, ..IpConfig::default() })),
            (":::::eth0:dhcp", Some(device.clone())),
            ("eth0:dhcp", Some(device.clone())),
            ("eth0:all", Some(device.clone())),
            ("eth0:dhcp4:", Some(device.clone())),
            ("eth0:dhcp:1400", Some(IpConfig { mtu: Some(1400), ..device })),
            ("eth0:dhcp:large", None),
            ("eth0:dhcp:1500:52:54:00:12:34:56", None),
            ("10.0.0.5::::::none:1500:52:54:00:12:34:56", None),
            (
                "10.1.2.3",
                Some(IpConfig { client: at("10.1.2.3"), prefix: Some(8), ..IpConfig::default() }),
            ),
            (
                "192.168.1.2:::20",
                Some(IpConfig {
                    client: at("192.168.1.2"),
                    prefix: Some(20),
                    ..IpConfig::default()
                }),
            ),
            (
                "0.0.0.0::10.0.0.1",
                Some(IpConfig { gateway: at("10.0.0.1"), ..IpConfig::default() }),
            ),
            ("10.0.0.5:::255.0.255.0", None),
            ("10.0.0.5:::33", None),
            ("10.0.0", None),
            ("[fe80::1]:", None),
            (":::::eth0:rarp", None),
        ] {
            assert_eq!(IpConfig::parse(text), want, "{text}");
        }
    }

    #[test]
    fn nfs_exports() {
        let export = |server: &str, path: &str, options: &str| {
            Some(NfsExport { server: at(server), path: path.into(), options: options.into() })
        };
        for (text, want) in [
            ("10.0.0.1:/srv/root,vers=3,nolock", export("10.0.0.1", "/srv/root", "vers=3,nolock")),
            ("/srv/%s", export("", "/srv/%s", "")),
            ("/srv,port=2049", export("", "/srv", "port=2049")),
            ("10.0.0.1:/srv:vers=4", export("10.0.0.1", "/srv", "vers=4")),
            ("server:/srv", None),
        ] {
            assert_eq!(NfsExport::parse(text), want, "{text}");
        }
        for (text, want) in [
            ("/dev/nfs", export("", "", "")),
            ("nfs:10.0.0.1:/srv:ro", export("10.0.0.1", "/srv", "ro")),
            ("nfs4:10.0.0.1:/srv", export("10.0.0.1", "/srv", "vers=4")),
            ("nfs4:/srv,soft", export("", "/srv", "vers=4,soft")),
            ("10.0.0.1:/srv", export("10.0.0.1", "/srv", "")),
            ("/dev/sda1", None),
            ("8:1", None),
            ("rootfs", None),
        ] {
            assert_eq!(NfsExport::from_root_value(text), want, "{text}");
        }
        let own = NfsExport { path: "/a".into(), ..NfsExport::default() };
        let other = export("10.0.0.1", "/b", "soft").unwrap();
        assert_eq!(Some(own.or(&other)), export("10.0.0.1", "/a", "soft"));
    }

    #[test]
    fn boot_interfaces() {
        let want = Some([0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]);
        for text in ["01-aa-bb-cc-dd-ee-ff", "AA:BB:CC:DD:EE:FF"] {
            assert_eq!(mac(text), want);
        }
        assert_eq!((mac("01-aa"), mac("x"), mac("")), (None, None, None));
    }
}
