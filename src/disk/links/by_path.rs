//! Links in /dev/disk/by-path: the ports that lead to a disk, assembled from the device upwards as
//! udev's `path_id` does.
//!
//! ```text
//! pci-0000:00:1f.2-ata-1.0     platform-3f202000.mmc
//! pci-0000:00:05.0-usb-0:1:1.0-scsi-0:0:0:0
//! ```

use super::by_id::address;
use super::chain::{Chain, Node};

/// Buses whose devices are named by their address, and whether that address alone makes the path of
/// a disk unique.
const BUSES: [(&str, bool); 7] = [
    ("pci", false),
    ("platform", true),
    ("amba", true),
    ("acpi", false),
    ("xen", false),
    ("scm", true),
    ("ccw", true),
];

/// A path while it is assembled, last part first.
#[derive(Debug, Default)]
struct Path {
    parts: Vec<String>,
    /// The parts of an older form, in which an ATA disk is named without its index on the cable.
    older: Option<Vec<String>>,
    /// Index of the USB part, and the USB version of its bus.
    usb: Option<(usize, u8)>,
    /// Whether the path reaches a bus whose devices have addresses.
    anchored: bool,
    /// Whether the path from there is known to be unique.
    unique: bool,
}

impl Path {
    /// Adds a part to both forms.
    fn push_everywhere(&mut self, part: String) {
        if let Some(older) = &mut self.older {
            older.push(part.clone());
        }
        self.parts.push(part);
    }
}

/// Returns the paths of the disk `name` with this chain; the form that all versions of udev make
/// comes first.
pub(super) fn paths(chain: &Chain<'_>, name: &str) -> Vec<String> {
    let virtual_nvme = chain.has("nvme-subsystem");
    if chain.first().lies_below("virtual/") && !virtual_nvme {
        return Vec::new();
    }
    let mut path = Path::default();
    if walk(chain, 0, &mut path).is_none() || !path.anchored || !path.unique {
        return Vec::new();
    }
    let join = |parts: &[String]| parts.iter().rev().cloned().collect::<Vec<_>>().join("-");
    let mut paths = vec![join(&path.parts)];
    if let Some((at, version)) = path.usb {
        let mut parts = path.parts.clone();
        if let Some(part) = parts.get_mut(at) {
            *part = part.replacen("usb-", &format!("usbv{version}-"), 1);
        }
        paths.push(join(&parts));
    }
    paths.extend(path.older.as_deref().map(join));
    let of_virtio = |path: &&String| name.starts_with("vd") && path.starts_with("pci-");
    let older: Vec<String> =
        paths.iter().filter(of_virtio).map(|p| format!("virtio-{p}")).collect();
    paths.extend(older);
    match boot_part(name) {
        Some(number) => paths.iter().map(|path| format!("{path}-boot{number}")).collect(),
        None => paths,
    }
}

/// Returns the number of a card's boot partition, which the kernel treats as a disk:
/// `mmcblk0boot1`.
fn boot_part(name: &str) -> Option<&str> {
    name.strip_prefix("mmcblk")?.split_once("boot").map(|(_, number)| number)
}

/// Adds the parts from index `at` of the chain upwards; `None` if one of them has no name.
fn walk(chain: &Chain<'_>, mut at: usize, path: &mut Path) -> Option<()> {
    while let Some(node) = chain.nodes().get(at) {
        let bus = node.subsystem.as_str();
        if let Some((_, unique)) = BUSES.iter().find(|(name, _)| *name == bus) {
            path.push_everywhere(format!("{bus}-{}", node.name));
            path.anchored = true;
            path.unique |= unique;
            at = chain.last_of(at, bus);
        } else {
            match bus {
                "virtio" => path.unique = true,
                "scsi" => {
                    path.unique = true;
                    at = scsi(chain, at, path)?;
                }
                "usb" => {
                    path.unique = true;
                    at = usb(chain, at, path);
                }
                "nvme" | "nvme-subsystem" => {
                    if let Some(number) = chain.first().text("nsid") {
                        return nvme(chain, at, path, &number);
                    }
                }
                "spi" => {
                    path.parts.push(format!("cs-{}", node.number()));
                    at = chain.last_of(at, bus);
                }
                _ => {}
            }
        }
        at += 1;
    }
    Some(())
}

/// Adds a namespace and the path of its controller.
fn nvme(chain: &Chain<'_>, at: usize, path: &mut Path, number: &str) -> Option<()> {
    path.push_everywhere(format!("nvme-{number}"));
    (path.unique, path.anchored) = (true, true);
    if chain.nodes().get(at)?.subsystem == "nvme" {
        return walk(chain, chain.last_of(at, "nvme") + 1, path);
    }
    // A namespace of several controllers has the path of the controller with the same number.
    let digits = chain.first().name.strip_prefix("nvme")?;
    let digits = digits.split(|c: char| !c.is_ascii_digit()).next()?;
    let controller = chain.first().of_class("nvme", &format!("nvme{digits}"))?;
    if controller.lies_below("virtual/") {
        return None;
    }
    let chain = Chain::of(controller);
    walk(&chain, chain.last_of(0, "nvme") + 1, path)
}

/// Adds the port of a USB device, without the number of its bus, which depends on the order of
/// detection. Returns the index of the last device that the part covers.
fn usb(chain: &Chain<'_>, at: usize, path: &mut Path) -> usize {
    let node = &chain.nodes()[at];
    let port = node.name.split_once('-').map(|(_, port)| port);
    let known = matches!(node.kind().as_deref(), Some("usb_interface" | "usb_device"));
    let Some(port) = port.filter(|_| known) else { return at };
    let last = chain.last_of(at, "usb");
    let version = chain.nodes().get(last).and_then(usb_version);
    if let (None, Some(version)) = (path.usb, version) {
        path.usb = Some((path.parts.len(), version));
    }
    path.parts.push(format!("usb-0:{port}"));
    last
}

/// Returns the USB version of a root hub, by its protocol.
fn usb_version(hub: &Node<'_>) -> Option<u8> {
    match u8::from_str_radix(&hub.text("bDeviceProtocol")?, 16).ok()? {
        0 if hub.text("speed")? == "480" => Some(2),
        0 => Some(1),
        1 | 2 => Some(2),
        3 => Some(3),
        _ => None,
    }
}

/// Adds the part for a SCSI device, by its transport. Returns the index of the last device that the
/// part covers.
fn scsi(chain: &Chain<'_>, at: usize, path: &mut Path) -> Option<usize> {
    let device = chain.nodes().get(at)?;
    if device.kind().as_deref() != Some("scsi_device") {
        return Some(at);
    }
    if let Some(id) = device.text("ieee1394_id") {
        path.parts.push(format!("ieee1394-0x{id}"));
        path.anchored = true;
        return Some(chain.last_of(at, "scsi"));
    }
    type Transport = fn(&Chain<'_>, usize) -> Option<String>;
    const TRANSPORTS: [(&str, Transport); 3] =
        [("rport-", fibre_channel), ("end_device-", sas), ("session", iscsi)];
    if let Some((_, part)) = TRANSPORTS.iter().find(|(word, _)| device.lies_below(word)) {
        path.parts.push(format!("{}-{}", part(chain, at)?, unit(device)?));
        path.anchored = true;
        return Some(at);
    }
    if device.lies_below("ata") {
        let (part, older) = ata(chain, at)?;
        path.parts.push(part);
        path.older = Some(vec![older]);
        return Some(at);
    }
    if device.lies_below("vmbus_") || device.lies_below("VMBUS") {
        path.parts.push(format!("{}-{}", hyper_v(chain, at)?, unit(device)?));
        return Some(at);
    }
    let (host, part) = numbered(chain, at)?;
    path.parts.push(part);
    Some(host)
}

/// Returns `lun-0`, or all 64 bits of a number that does not fit into this form.
fn unit(device: &Node<'_>) -> Option<String> {
    let number: u64 = device.number().parse().ok()?;
    let (low, high) = (number & 0xffff, number >> 16 & 0xffff);
    Some(if number < 256 {
        format!("lun-{number}")
    } else {
        format!("lun-0x{low:04x}{high:04x}00000000")
    })
}

/// Returns the parent, with its index, of the nearest device of this kind.
fn above<'a>(chain: &'a Chain<'_>, at: usize, kind: &str) -> Option<(usize, &'a Node<'a>)> {
    let (index, _) = chain.find(at, "scsi", kind)?;
    Some((index + 1, chain.nodes().get(index + 1)?))
}

fn fibre_channel(chain: &Chain<'_>, at: usize) -> Option<String> {
    let (_, target) = chain.find(at, "scsi", "scsi_target")?;
    let port = chain.first().of_class("fc_transport", &target.name)?.text("port_name")?;
    Some(format!("fc-{port}"))
}

/// Names a disk by the phy that leads to it if there is only one, otherwise by its SAS address.
fn sas(chain: &Chain<'_>, at: usize) -> Option<String> {
    let (index, end) = above(chain, at, "scsi_target")?;
    let device = chain.first().of_class("sas_device", &end.name)?;
    let port = chain.nodes().get(index + 1)?;
    if chain.first().of_class("sas_port", &port.name)?.text("num_phys")? != "1" {
        return Some(format!("sas-{}", device.text("sas_address")?));
    }
    let phy = device.text("phy_identifier")?;
    let expander = chain.first().of_class("sas_device", &chain.nodes().get(index + 2)?.name);
    Some(match expander {
        Some(expander) => format!("sas-exp{}-phy{phy}", expander.text("sas_address")?),
        None => format!("sas-phy{phy}"),
    })
}

fn iscsi(chain: &Chain<'_>, at: usize) -> Option<String> {
    let session = chain.nodes().iter().skip(at + 1).find(|n| n.name.starts_with("session"))?;
    let target = chain.first().of_class("iscsi_session", &session.name)?.text("targetname")?;
    let name = format!("connection{}:0", session.number());
    let connection = chain.first().of_class("iscsi_connection", &name)?;
    let (address, port) =
        (connection.text("persistent_address")?, connection.text("persistent_port")?);
    Some(format!("ip-{address}:{port}-iscsi-{target}"))
}

/// Returns the present and the older form.
fn ata(chain: &Chain<'_>, at: usize) -> Option<(String, String)> {
    let (_, port) = above(chain, at, "scsi_host")?;
    let number = chain.first().of_class("ata_port", &port.name)?.text("port_no")?;
    let [_, channel, target, _] = address(chain.nodes().get(at)?)?;
    // Behind a port multiplier the number of its port, otherwise master or slave.
    let end = if channel == 0 { target.to_string() } else { format!("{channel}.0") };
    Some((format!("ata-{number}.{end}"), format!("ata-{number}")))
}

fn hyper_v(chain: &Chain<'_>, at: usize) -> Option<String> {
    let (_, bus) = above(chain, at, "scsi_host")?;
    let id = bus.text("device_id")?;
    let id = id.strip_prefix('{')?.strip_suffix('}')?;
    Some(format!("vmbus-{}", id.replace('-', "")))
}

/// Returns the kernel's own numbers. The number of the host counts from the first host of its
/// adapter.
fn numbered(chain: &Chain<'_>, at: usize) -> Option<(usize, String)> {
    let (index, host) = chain.find(at, "scsi", "scsi_host")?;
    let [number, channel, target, unit] = address(chain.nodes().get(at)?)?;
    let names = host.siblings();
    let numbers = names.iter().filter_map(|name| name.strip_prefix("host")?.parse::<u32>().ok());
    let first = numbers.min().unwrap_or(number);
    Some((index, format!("scsi-{}:{channel}:{target}:{unit}", number.saturating_sub(first))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::links::tree_for_tests::{Tree, device, scsi_disk};

    fn paths_of(tree: &Tree, name: &str) -> Vec<String> {
        Chain::of_block(tree, name).map(|chain| paths(&chain, name)).unwrap_or_default()
    }

    #[test]
    fn the_transport_names_a_scsi_disk() {
        type Fill = fn(&mut Tree);
        let trees: [(Fill, &[&str]); 5] = [
            (
                |tree| {
                    device(tree, "pci/0000:00:02.0/host3/rport-3:0-1", "", "", &[]);
                    scsi_disk(tree, "pci/0000:00:02.0/host3/rport-3:0-1", "3:0:1:300");
                    device(tree, "any/target3:0:1", "fc_transport", "", &[("port_name", "0x21")]);
                },
                &["pci-0000:00:02.0-fc-0x21-lun-0x012c000000000000"],
            ),
            (
                |tree| {
                    device(tree, "pci/0000:00:02.0/host3/session7", "", "", &[]);
                    scsi_disk(tree, "pci/0000:00:02.0/host3/session7", "3:0:0:1");
                    device(tree, "a/session7", "iscsi_session", "", &[("targetname", "iqn.x")]);
                    let ends = [("persistent_address", "10.0.0.1"), ("persistent_port", "3260")];
                    device(tree, "a/connection7:0", "iscsi_connection", "", &ends);
                },
                &["pci-0000:00:02.0-ip-10.0.0.1:3260-iscsi-iqn.x-lun-1"],
            ),
            (
                |tree| {
                    let port = "pci/0000:00:02.0/host3/expander-3:0/port-3:0:1";
                    for part in ["pci/0000:00:02.0/host3/expander-3:0", port] {
                        device(tree, part, "", "", &[]);
                    }
                    let end = format!("{port}/end_device-3:0:1");
                    device(tree, &end, "", "", &[]);
                    scsi_disk(tree, &end, "3:0:1:0");
                    device(
                        tree,
                        "a/end_device-3:0:1",
                        "sas_device",
                        "",
                        &[("phy_identifier", "4")],
                    );
                    device(tree, "a/port-3:0:1", "sas_port", "", &[("num_phys", "1")]);
                    device(tree, "a/expander-3:0", "sas_device", "", &[("sas_address", "0x5")]);
                },
                &["pci-0000:00:02.0-sas-exp0x5-phy4-lun-0"],
            ),
            (
                |tree| {
                    let bus = [("device_id", "{f8b3781a-1e82}")];
                    device(tree, "LNX/VMBUS:00/f8b3", "vmbus", "", &bus);
                    device(tree, "LNX", "acpi", "", &[]);
                    device(tree, "LNX/VMBUS:00/f8b3/host0", "scsi", "scsi_host", &[]);
                    scsi_disk(tree, "LNX/VMBUS:00/f8b3/host0", "0:0:0:2");
                },
                &["acpi-LNX-vmbus-f8b3781a1e82-lun-2"],
            ),
            (
                |tree| {
                    device(tree, "pci/0000:00:02.0/ata5", "", "", &[]);
                    device(tree, "pci/0000:00:02.0/ata5/host4", "scsi", "scsi_host", &[]);
                    scsi_disk(tree, "pci/0000:00:02.0/ata5/host4", "4:2:0:0");
                    device(tree, "a/ata5", "ata_port", "", &[("port_no", "3")]);
                },
                &["pci-0000:00:02.0-ata-3.2.0", "pci-0000:00:02.0-ata-3"],
            ),
        ];
        for (fill, want) in trees {
            let mut tree = Tree::default();
            device(&mut tree, "pci/0000:00:02.0", "pci", "", &[]);
            fill(&mut tree);
            assert_eq!(paths_of(&tree, "sda"), want);
        }
    }

    #[test]
    fn cards_and_namespaces() {
        let mut tree = Tree::default();
        device(&mut tree, "platform/soc", "platform", "", &[]);
        device(&mut tree, "platform/soc/3f20.mmc", "platform", "", &[]);
        device(&mut tree, "platform/soc/3f20.mmc/mmc0:1", "mmc", "", &[]);
        let card = "platform/soc/3f20.mmc/mmc0:1/block";
        device(&mut tree, &format!("{card}/mmcblk0"), "block", "disk", &[]);
        device(&mut tree, &format!("{card}/mmcblk0/mmcblk0boot1"), "block", "disk", &[]);
        device(&mut tree, "pci/0000:00:02.0", "pci", "", &[]);
        device(&mut tree, "pci/0000:00:02.0/nvme/nvme2", "nvme", "", &[]);
        device(&mut tree, "virtual/nvme-subsystem/s0", "nvme-subsystem", "", &[]);
        let many = "virtual/nvme-subsystem/s0/nvme2n1";
        device(&mut tree, many, "block", "disk", &[("nsid", "7")]);
        device(&mut tree, "virtual/block/loop0", "block", "disk", &[]);
        device(&mut tree, "pci/0000:00:02.0/block/odd", "block", "disk", &[]);
        for (name, want) in [
            ("mmcblk0", &["platform-3f20.mmc"][..]),
            ("mmcblk0boot1", &["platform-3f20.mmc-boot1"]),
            ("nvme2n1", &["pci-0000:00:02.0-nvme-7"]),
            ("loop0", &[]),
            ("odd", &[]),
            ("gone", &[]),
        ] {
            assert_eq!(paths_of(&tree, name), want, "{name}");
        }
    }
}
