//! Which devices the root may be behind, guessed from their modaliases before any driver is loaded.
//!
//! A guess only sets the order of loads: if the devices that it names do not lead to the root, the
//! modules of the others are loaded next.

use crate::cmdline::root::RootParams;
use crate::cmdline::root_name::RootName;
use crate::kmod::name::ModuleName;
use crate::kmod::uevent::Modalias;
use crate::load::Rank;
use crate::report::Record;

/// The kind of device that the root is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// /dev/vdX
    Virtio,
    /// /dev/sdX, /dev/srX
    Scsi,
    /// /dev/nvmeX
    Nvme,
    /// /dev/mmcblkX
    Mmc,
    /// Unknown: the root is named by its content.
    Any,
    /// The modules are known from the record of an earlier boot.
    Recorded,
}

/// Facts about the root that are known before the first load.
#[derive(Debug, Clone)]
pub(crate) struct RootHint {
    kind: Kind,
    /// Modules that the root needed in an earlier boot with the same `root=`.
    pub(crate) modules: Vec<ModuleName>,
    /// Whether the machine is described by a device tree.
    is_board: bool,
}

impl RootHint {
    /// Returns the hint for the root of `params`. `record` is the record of an earlier boot, in
    /// JSON.
    pub(crate) fn new(params: &RootParams, record: Option<&str>) -> Self {
        let known = record.and_then(Record::root_modules);
        let same = known.filter(|(spec, _)| spec == params.spec());
        match same {
            Some((_, modules)) if !modules.is_empty() => {
                Self { kind: Kind::Recorded, modules, is_board: false }
            }
            _ => {
                let choices = params.candidates();
                let kind = kind(choices.first().map(|c| &c.name));
                Self { kind, modules: Vec::new(), is_board: false }
            }
        }
    }

    /// Notes whether one of `devices`, path and modalias of each, is of a device tree.
    pub(crate) fn note_devices(&mut self, devices: &[(&str, &Modalias)]) {
        self.is_board |=
            devices.iter().any(|(_, modalias)| modalias.as_bytes().starts_with(b"of:"));
    }

    /// Returns the rank of the modules of a device.
    pub(crate) fn rank(&self, modalias: &Modalias) -> Rank {
        let modalias = modalias.as_bytes();
        let part = || (self.is_board && is_part(modalias)).then_some(Storage::Bus);
        match storage(modalias).or_else(part) {
            Some(device) if leads_to(self.kind, device) => Rank::Root,
            Some(_) => Rank::Storage,
            None if is_slow(modalias) => Rank::Slow,
            None => Rank::Rest,
        }
    }

    /// Returns the sort key of a device in a scan. Processors come first, because their modules may
    /// check the signatures of all other modules ([`crate::load::Loader::new`]). Of a device tree
    /// everything has the same rank, so the hosts of disks come before the rest.
    pub(crate) fn scan_priority(&self, modalias: &Modalias) -> (bool, Rank, bool) {
        let bytes = modalias.as_bytes();
        (!bytes.starts_with(b"cpu:"), self.rank(modalias), !is_disk_host(bytes))
    }
}

/// Returns whether a device may lead to storage of any kind.
pub(crate) fn leads_to_storage(modalias: &[u8]) -> bool {
    storage(modalias).is_some()
}

fn kind(root: Option<&RootName>) -> Kind {
    const KINDS: [(&str, Kind); 5] = [
        ("/dev/vd", Kind::Virtio),
        ("/dev/sd", Kind::Scsi),
        ("/dev/sr", Kind::Scsi),
        ("/dev/nvme", Kind::Nvme),
        ("/dev/mmcblk", Kind::Mmc),
    ];
    let Some(RootName::Device(path)) = root else { return Kind::Any };
    KINDS.iter().find(|(head, _)| path.starts_with(head)).map_or(Kind::Any, |(_, kind)| *kind)
}

/// The kind of a device that leads to storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storage {
    Virtio,
    Nvme,
    Mmc,
    Scsi,
    /// A RAID controller with SCSI or NVMe disks.
    Raid,
    /// A bus, or a part of a board, that may lead to any kind of storage.
    Bus,
}

/// Returns whether a device may lead to a root of this kind.
fn leads_to(kind: Kind, device: Storage) -> bool {
    match (kind, device) {
        (Kind::Recorded, _) => false,
        (_, Storage::Bus) => true,
        // The others are slow to probe, and have the next rank anyway.
        (Kind::Any, device) => {
            matches!(device, Storage::Virtio | Storage::Nvme | Storage::Mmc)
        }
        (kind, device) => {
            matches!(
                (kind, device),
                (Kind::Virtio, Storage::Virtio)
                    | (Kind::Nvme, Storage::Nvme | Storage::Raid)
                    | (Kind::Mmc, Storage::Mmc)
                    | (Kind::Scsi, Storage::Scsi | Storage::Raid)
            )
        }
    }
}

/// Splits a modalias into its bus and the rest.
fn parts(modalias: &[u8]) -> Option<(&[u8], &[u8])> {
    Some(modalias.split_at(modalias.iter().position(|b| *b == b':')?))
}

/// Returns the kind of storage that a modalias leads to, if any.
///
/// ```text
/// pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00       class 01 is mass storage,
///                                                            0C03 a USB host, 0805 an SD host
/// virtio:d00000002v00001AF4                                   2 is a disk, 8 a SCSI host
/// usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00           interface class 08 is mass storage
/// scsi:t-0x00                                                 00 is a disk, 05 a CD drive,
///                                                            07, 0e and 14 other kinds of disks
/// ```
fn storage(modalias: &[u8]) -> Option<Storage> {
    let (bus, rest) = parts(modalias)?;
    match bus {
        b"pci" => pci(rest),
        b"virtio" if rest.starts_with(b":d00000002") => Some(Storage::Virtio),
        b"virtio" if rest.starts_with(b":d00000008") => Some(Storage::Scsi),
        b"usb" if contains(rest, b"ic08") => Some(Storage::Scsi),
        b"scsi" => Some(Storage::Scsi),
        b"mmc" => Some(Storage::Mmc),
        // On a board any part may be a clock or a regulator of the disk. The other buses are those
        // of hypervisors and mainframes.
        b"of" | b"amba" | b"vmbus" | b"xen" | b"vio" | b"ccw" => Some(Storage::Bus),
        b"acpi" if contains(rest, b"LNRO0005") => Some(Storage::Virtio),
        // The hosts of soldered flash on PCs have no PCI class.
        b"acpi" if contains(rest, b"80860F14") || contains(rest, b"INT33") => Some(Storage::Mmc),
        _ => None,
    }
}

/// Returns whether a device may be a part of a device of the device tree: a chip with several
/// functions, such as a power controller with regulators, or a chip on an SPI bus.
///
/// ```text
/// platform:rk808-regulator
/// auxiliary:clk_starfive_jh7110_sys.rst-sys
/// spi:spi-nor
/// ```
fn is_part(modalias: &[u8]) -> bool {
    matches!(parts(modalias), Some((b"platform" | b"auxiliary" | b"spi", _)))
}

/// Returns whether a node of a device tree is named like a host of disks.
///
/// ```text
/// of:NmmcT(null)Crockchip,rk3399-dw-mshc           N is followed by the name of the node
/// ```
fn is_disk_host(modalias: &[u8]) -> bool {
    const NAMES: [&str; 10] =
        ["mmc", "sdhc", "usdhc", "ufs", "sata", "ahci", "pci", "nand", "usb", "virtio"];
    let name = modalias.strip_prefix(b"of:N");
    name.is_some_and(|name| NAMES.iter().any(|host| name.starts_with(host.as_bytes())))
}

/// Returns whether a device is on a slow bus, or is the host of one.
///
/// ```text
/// usb: hid: sdio: serio:      devices below such a host
/// pci:…bc04sc03               HD audio, whose driver finds the codecs
/// ```
fn is_slow(modalias: &[u8]) -> bool {
    match parts(modalias) {
        Some((b"usb" | b"hid" | b"sdio" | b"serio" | b"hdaudio", _)) => true,
        Some((b"pci", device)) => class(device) == Some((b"bc04", b"sc03")),
        _ => false,
    }
}

/// Returns class and subclass of a PCI device.
fn class(device: &[u8]) -> Option<(&[u8], &[u8])> {
    let class = device.get(device.len().checked_sub(11)?..)?;
    Some((class.get(..4)?, class.get(4..8)?))
}

fn pci(device: &[u8]) -> Option<Storage> {
    let (base, sub) = class(device)?;
    let virtio = device.starts_with(b":v00001AF4");
    match (base, sub) {
        (b"bc01", _) if virtio => Some(Storage::Virtio),
        (b"bc01", b"sc08") => Some(Storage::Nvme),
        (b"bc01", b"sc04") => Some(Storage::Raid),
        (b"bc01", _) | (b"bc0C", b"sc00" | b"sc03" | b"sc04") => Some(Storage::Scsi),
        (b"bc08", b"sc05") => Some(Storage::Mmc),
        _ => None,
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|w| w == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline::KernelCommandLine;

    const BLK: &str = "pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00";
    const RANKS: [(&str, &str, Rank); 19] = [
        ("root=/dev/vda", BLK, Rank::Root),
        ("root=/dev/vda", "pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00", Rank::Rest),
        ("root=/dev/vda1", "virtio:d00000002v00001AF4", Rank::Root),
        ("root=/dev/vda", "virtio:d00000008v00001AF4", Rank::Storage),
        ("root=/dev/sda", "virtio:d00000008v00001AF4", Rank::Root),
        ("root=/dev/sda", "scsi:t-0x00", Rank::Root),
        ("root=/dev/sda", "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02", Rank::Storage),
        (
            "root=/dev/nvme0n1p2",
            "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02",
            Rank::Root,
        ),
        (
            "root=/dev/mmcblk0p1",
            "pci:v00001B36d00000007sv00001AF4sd00001100bc08sc05i01",
            Rank::Root,
        ),
        ("root=/dev/mmcblk0p1", "mmc:block", Rank::Root),
        ("root=UUID=1", "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00", Rank::Storage),
        ("root=UUID=1", "pci:v00001B36d0000000Dsv00001AF4sd00001100bc0Csc03i30", Rank::Storage),
        ("root=UUID=1", "usb:v0627p0001d0000dc00dsc00dp00ic03isc00ip02in00", Rank::Slow),
        ("root=UUID=1", "pci:v00008086d0000293Esv00001AF4sd00001100bc04sc03i00", Rank::Slow),
        ("root=/dev/vda", "of:NclockT(null)Cfixed-clock", Rank::Root),
        ("root=/dev/mmcblk0", "amba:d00041180", Rank::Root),
        ("root=/dev/mmcblk0", "platform:pcspkr", Rank::Rest),
        ("root=/dev/vda", "pci:", Rank::Rest),
        ("", "nonsense", Rank::Rest),
    ];

    #[test]
    fn devices_are_ranked_by_modalias() {
        for (line, modalias, want) in RANKS {
            let hint = RootHint::new(&KernelCommandLine::parse(line).root, None);
            let modalias = Modalias::new(modalias.as_bytes()).unwrap();
            assert_eq!(hint.rank(&modalias), want, "{line} {modalias:?}");
        }
    }

    #[test]
    fn parts_of_a_board_may_lead_to_the_root() {
        let mut hint = RootHint::new(&KernelCommandLine::parse("root=/dev/mmcblk0").root, None);
        let modalias = |text: &str| Modalias::new(text.as_bytes()).unwrap();
        let parts = ["platform:rk808-regulator", "auxiliary:clk.rst-sys", "spi:spi-nor"];
        let ranks = |hint: &RootHint| parts.map(|part| hint.rank(&modalias(part)));
        assert_eq!(ranks(&hint), [Rank::Rest; 3]);
        hint.note_devices(&[("a", &modalias("pci:")), ("b", &modalias("of:NclkT(null)Cclk"))]);
        assert_eq!(ranks(&hint), [Rank::Root; 3]);
        hint.note_devices(&[]);
        assert_eq!(ranks(&hint), [Rank::Root; 3]);
        assert_eq!(hint.rank(&modalias("hid:b0003")), Rank::Slow);
    }

    #[test]
    fn hosts_of_disks_come_first_on_a_board() {
        let hint = RootHint::new(&KernelCommandLine::parse("root=UUID=1").root, None);
        let mut all = ["of:NgpuT(null)Ca", "of:NsdhciT(null)Cb", "cpu:x", "usb:a", "pci:a"]
            .map(|text| Modalias::new(text.as_bytes()).unwrap());
        all.sort_by_key(|modalias| hint.scan_priority(modalias));
        let all = all.map(|modalias| modalias.text().into_owned());
        assert_eq!(all, ["cpu:x", "of:NsdhciT(null)Cb", "of:NgpuT(null)Ca", "usb:a", "pci:a"]);
    }

    #[test]
    fn a_record_of_the_same_root_is_used() {
        let record = r#"{"root": {"spec": "UUID=1", "modules": ["virtio_blk", "ext4"]}}"#;
        let older = r#"{"root": {"spec": "UUID=1", "way": ["virtio_blk", "ext4"]}}"#;
        let modalias = Modalias::new(BLK.as_bytes()).unwrap();
        for (line, record, modules, rank) in [
            ("root=UUID=1", Some(record), 2, Rank::Storage),
            ("root=UUID=1", Some(older), 2, Rank::Storage),
            ("root=UUID=2", Some(record), 0, Rank::Root),
            ("root=UUID=1", Some("no record"), 0, Rank::Root),
            ("root=UUID=1", None, 0, Rank::Root),
        ] {
            let hint = RootHint::new(&KernelCommandLine::parse(line).root, record);
            assert_eq!((hint.modules.len(), hint.rank(&modalias)), (modules, rank), "{line}");
        }
    }
}
