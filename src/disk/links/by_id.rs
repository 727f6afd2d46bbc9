//! Links in /dev/disk/by-id: the names of a disk by how it identifies itself.

use super::chain::{Chain, Node};
use crate::disk::identity::{self, Identity};

/// Names while they are collected.
#[derive(Debug, Default)]
struct Names(Vec<String>);

impl Names {
    /// Adds `KIND-VALUE`, if there is a value.
    fn add(&mut self, kind: &str, value: Option<String>) {
        if let Some(value) = value {
            self.0.push(identity::link_part(&format!("{kind}-{value}")));
        }
    }
}

/// Returns the names of the disk `name` with this chain.
pub(super) fn names(chain: &Chain<'_>, name: &str) -> Vec<String> {
    let mut names = Names::default();
    match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "mmcblk" => card(chain, "mmc", &mut names),
        "msblk" | "mspblk" => card(chain, "memstick", &mut names),
        "dm-" => mapped(chain.first(), &mut names),
        "md" => array(chain.first(), &mut names),
        _ if name.starts_with("nvme") => nvme(chain, &mut names),
        _ if name.starts_with("vd") => names.add("virtio", chain.text("serial")),
        _ if name.starts_with("sd") || name.starts_with("sr") => scsi(chain, &mut names),
        _ if name.starts_with("pmem") => names.add("pmem", chain.text("uuid")),
        _ => {}
    }
    names.0
}

/// Adds the identifier of the namespace, and model and serial number of its controller with and
/// without the number of the namespace.
fn nvme(chain: &Chain<'_>, names: &mut Names) {
    names.add("nvme", chain.text("wwid"));
    if let (Some(model), Some(serial)) = (chain.text("model"), chain.text("serial")) {
        // Spaces are removed from each separately.
        let name = identity::link_part(&format!("{model}_{serial}"));
        names.add("nvme", chain.text("nsid").map(|number| format!("{name}_{number}")));
        names.add("nvme", Some(name));
    }
}

/// Adds name and serial number of a card. Its hidden partitions have other names.
fn card(chain: &Chain<'_>, bus: &str, names: &mut Names) {
    if let Some(card) = chain.nodes().iter().find(|node| node.subsystem == bus)
        && let (Some(name), Some(serial)) = (card.text("name"), card.text("serial"))
    {
        names.add(bus, Some(format!("{name}_{serial}")));
    }
}

/// Adds the name and UUID with which a mapped device was created.
fn mapped(device: &Node<'_>, names: &mut Names) {
    names.add("dm-name", device.text("dm/name"));
    names.add("dm-uuid", device.text("dm/uuid"));
}

/// Adds name and UUID of an array, from its first member. mdadm writes the UUID in four groups.
fn array(device: &Node<'_>, names: &mut Names) {
    let first = device.entries("slaves").into_iter().min();
    let Some(probe) = first.and_then(|member| device.probe(&member)) else { return };
    names.add("md-name", probe.label);
    names.add("md-uuid", probe.uuid.map(|uuid| groups(&uuid)));
}

/// Returns `a95a2f3c-9b4e-…` as `a95a2f3c:9b4e…`: four groups of eight digits.
fn groups(uuid: &str) -> String {
    let mut text = String::new();
    for (at, digit) in uuid.chars().filter(|c| *c != '-').enumerate() {
        if at > 0 && at % 8 == 0 {
            text.push(':');
        }
        text.push(digit);
    }
    text
}

/// Adds the names of a device that the SCSI layer drives: on ATA, USB or SCSI.
fn scsi(chain: &Chain<'_>, names: &mut Names) {
    let Some((index, device)) = chain.find(0, "scsi", "scsi_device") else { return };
    let is = |attribute, value| device.text(attribute).as_deref() == Some(value);
    let late =
        device.text("scsi_level").is_some_and(|level| level.starts_with(['6', '7', '8', '9']));
    let fixed = chain.first().text("removable").as_deref() == Some("0");
    let usb = usb(chain, device);
    let on_usb = chain.has("usb");
    let asks_ata = is("vendor", "ATA") || (is("type", "5") && late) || (on_usb && fixed);
    let ata = asks_ata.then(|| ata(chain, index)).flatten();
    let found = match (ata, &usb) {
        (Some(identity), _) => Some(("ata", identity)),
        (None, Some(serial)) => Some(("usb", Identity { serial: serial.clone(), wwn: None })),
        (None, None) => by_pages(device).map(|identity| ("scsi", identity)),
    };
    names.add("usb", usb);
    if let Some((bus, Identity { serial, wwn })) = found {
        names.add(bus, Some(serial));
        names.add("wwn", wwn);
    }
}

/// Returns the identity from IDENTIFY data: those that the kernel's ATA driver keeps, otherwise
/// those that the adapter translates.
fn ata(chain: &Chain<'_>, index: usize) -> Option<Identity> {
    let kept = || {
        let port = chain
            .nodes()
            .iter()
            .find(|node| node.name.strip_prefix("ata").is_some_and(|n| n.parse::<u32>().is_ok()))?;
        let [_, channel, target, _] = address(chain.nodes().get(index)?)?;
        // Behind a port multiplier, the channels are its ports.
        let (plain, fanned) = (format!("{target}"), format!("{channel}.0"));
        let ends = if channel == 0 { vec![plain, fanned] } else { vec![fanned] };
        ends.iter().find_map(|end| {
            let name = format!("dev{}.{end}", port.number());
            identity::identify_from_text(&port.of_class("ata_device", &name)?.text("id")?)
        })
    };
    let translated =
        || identity::identify_from_page_89(&chain.nodes().get(index)?.bytes("vpd_pg89")?);
    identity::ata(&kept().or_else(translated)?)
}

fn by_pages(device: &Node<'_>) -> Option<Identity> {
    // In sysfs the fields have their full length and a newline.
    let field = |name: &str, length: usize| {
        let mut bytes = device.bytes(name)?;
        bytes.truncate(length);
        Some(bytes)
    };
    let (page_80, page_83) = (device.bytes("vpd_pg80"), device.bytes("vpd_pg83"));
    identity::scsi(
        &field("vendor", 8)?,
        &field("model", 16)?,
        page_80.as_deref(),
        page_83.as_deref(),
    )
}

/// Returns host, channel, target and unit from the name of a SCSI device.
pub(super) fn address(device: &Node<'_>) -> Option<[u32; 4]> {
    let mut parts = device.name.split(':').map(str::parse);
    let mut next = || parts.next()?.ok();
    Some([next()?, next()?, next()?, next()?])
}

/// Returns the name of a disk on USB; `None` for any other disk.
fn usb(chain: &Chain<'_>, scsi: &Node<'_>) -> Option<String> {
    /// Subclasses of mass storage that use SCSI commands: ATAPI and transparent.
    const SCSI: [&str; 2] = ["02", "06"];
    let (index, interface) = chain.find(0, "usb", "usb_interface")?;
    let (_, device) = chain.find(index, "usb", "usb_device")?;
    let storage = interface.text("bInterfaceClass").as_deref() == Some("08");
    let subclass = interface.text("bInterfaceSubClass").unwrap_or_default();
    let speaks_scsi = storage && SCSI.contains(&&*subclass);
    let own = |name: &str| scsi.text(name).filter(|_| speaks_scsi);
    let or = |given: Option<String>, text: &str, number: &str| {
        given.or_else(|| device.text(text)).or_else(|| device.text(number)).unwrap_or_default()
    };
    let vendor = or(own("vendor"), "manufacturer", "idVendor");
    let model = or(own("model"), "product", "idProduct");
    let instance =
        address(scsi).filter(|_| speaks_scsi).map(|[_, _, t, unit]| format!("{t}:{unit}"));
    Some(identity::usb(&vendor, &model, device.text("serial").as_deref(), instance.as_deref()))
}
