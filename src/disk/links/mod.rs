//! The links in /dev/disk that udev would make for a disk or partition, derived from sysfs: its
//! rules 60-persistent-storage.rules, 60-persistent-storage-dm.rules and 63-md-raid-arrays.rules
//! (systemd 252 and 257).
//!
//! ```text
//! /dev/disk/by-id/WHAT[-partN]        by_id.rs: model and serial number, world wide name
//! /dev/disk/by-path/WHERE[-partN]     by_path.rs: the ports that lead to the disk
//! /dev/disk/by-diskseq/NUMBER[-partN] the kernel's count of disks
//! ```
//!
//! Links by content (by-uuid, by-label, by-partuuid, by-partlabel) follow from probing and are not
//! made here.

mod by_id;
mod by_path;
mod chain;
#[cfg(test)]
mod tree_for_tests;

use std::path::{Path, PathBuf};

use super::Superblock;
use chain::Chain;

/// The devices of sysfs from which names are made. Paths are below /sys/devices.
pub(crate) trait DeviceTree {
    /// Returns the path of the device called `name` in /sys/class/`class`.
    fn class_device(&self, class: &str, name: &str) -> Option<PathBuf>;

    /// Returns the subsystem of the device at `path`, empty if it belongs to none; `None` if the
    /// directory is not a device.
    fn subsystem(&self, path: &Path) -> Option<String>;

    /// Returns the content of a file of the device at `path`.
    fn attribute(&self, path: &Path, name: &str) -> Option<Vec<u8>>;

    /// Returns the names of the directory entries at `path`; none if it cannot be read.
    fn entries(&self, path: &Path) -> Vec<String>;

    /// Returns what the block device called `name` in /sys/class/block holds.
    fn probe(&self, name: &str) -> Option<Superblock>;
}

/// Prefixes of disks for which the rules for storage make no links by path.
const WITHOUT_PATH: [&str; 5] = ["dm-", "md", "ram", "fd", "mtdblock"];

/// Returns the links to the disk called `disk` in /sys/class/block, or to one of its partitions, as
/// paths below /dev: `disk/by-id/virtio-root-part1`. They are sorted; there are none if the disk
/// has vanished.
pub(crate) fn links(tree: &dyn DeviceTree, disk: &str, partition: Option<u32>) -> Vec<String> {
    let Some(chain) = Chain::of_block(tree, disk) else { return Vec::new() };
    let suffix = partition.map_or_else(String::new, |number| format!("-part{number}"));
    let mut links = Vec::new();
    let mut add = |directory: &str, name: &str, suffix: &str| {
        links.push(format!("disk/{directory}/{name}{suffix}"));
    };
    for name in by_id::names(&chain, disk) {
        add("by-id", &name, &suffix);
    }
    if !WITHOUT_PATH.iter().any(|prefix| disk.starts_with(prefix)) {
        let paths = by_path::paths(&chain, disk);
        if let (Some(number), Some(path)) = (partition, paths.first()) {
            add("by-path", path, &format!("-part/by-partnum/{number}"));
        }
        for path in &paths {
            add("by-path", path, &suffix);
        }
        if let Some(number) = chain.first().text("diskseq") {
            add("by-diskseq", &number, &suffix);
        }
    }
    links.sort_unstable();
    links.dedup();
    links
}

#[cfg(test)]
mod tests {
    use super::tree_for_tests::{Tree, device, scsi_disk};
    use super::*;

    const PCI: &str = "pci/0000:00:05.0";

    /// Makes a machine with a PCI device, below which `fill` adds more.
    fn tree(fill: impl FnOnce(&mut Tree)) -> Tree {
        let mut tree = Tree::default();
        device(&mut tree, PCI, "pci", "", &[]);
        fill(&mut tree);
        tree
    }

    /// Returns the links, without `disk/` in front.
    fn links_of(tree: &Tree, disk: &str, partition: Option<u32>) -> Vec<String> {
        let links = links(tree, disk, partition);
        links.iter().map(|link| link.strip_prefix("disk/").unwrap().to_owned()).collect()
    }

    #[test]
    fn a_disk_and_its_partition() {
        let tree = tree(|tree| {
            device(tree, &format!("{PCI}/virtio1"), "virtio", "", &[]);
            let disk = format!("{PCI}/virtio1/block/vda");
            device(tree, &disk, "block", "disk", &[("serial", "root disk"), ("diskseq", "9")]);
        });
        let whole = [
            "by-diskseq/9",
            "by-id/virtio-root_disk",
            "by-path/pci-0000:00:05.0",
            "by-path/virtio-pci-0000:00:05.0",
        ];
        assert_eq!(links_of(&tree, "vda", None), whole);
        let part = [
            "by-diskseq/9-part1",
            "by-id/virtio-root_disk-part1",
            "by-path/pci-0000:00:05.0-part/by-partnum/1",
            "by-path/pci-0000:00:05.0-part1",
            "by-path/virtio-pci-0000:00:05.0-part1",
        ];
        assert_eq!(links_of(&tree, "vda", Some(1)), part);
        assert!(links_of(&tree, "vdb", None).is_empty(), "a disk that has vanished");
    }

    #[test]
    fn namespaces_and_cards() {
        let tree = tree(|tree| {
            let names = [("model", "QEMU NVMe Ctrl  "), ("serial", "no 1")];
            device(tree, &format!("{PCI}/nvme/nvme0"), "nvme", "", &names);
            let numbers = [("wwid", "eui.0011"), ("nsid", "2")];
            device(tree, &format!("{PCI}/nvme/nvme0/nvme0n1"), "block", "disk", &numbers);
            for (bus, disk) in [("mmc", "mmcblk0"), ("memstick", "msblk0")] {
                device(tree, &format!("soc/{bus}0"), "platform", "", &[]);
                let names = [("name", "SL16G"), ("serial", "0x12")];
                device(tree, &format!("soc/{bus}0/card"), bus, "", &names);
                device(tree, &format!("soc/{bus}0/card/block/{disk}"), "block", "disk", &[]);
            }
            let boot = "soc/mmc0/card/block/mmcblk0/mmcblk0boot0";
            device(tree, boot, "block", "disk", &[]);
            device(tree, "acpi/nd/pmem0", "block", "disk", &[("uuid", "01-23")]);
        });
        for (disk, want) in [
            (
                "nvme0n1",
                &[
                    "by-id/nvme-QEMU_NVMe_Ctrl_no_1",
                    "by-id/nvme-QEMU_NVMe_Ctrl_no_1_2",
                    "by-id/nvme-eui.0011",
                    "by-path/pci-0000:00:05.0-nvme-2",
                ][..],
            ),
            ("mmcblk0", &["by-id/mmc-SL16G_0x12", "by-path/platform-mmc0"]),
            ("mmcblk0boot0", &["by-path/platform-mmc0-boot0"]),
            ("msblk0", &["by-id/memstick-SL16G_0x12", "by-path/platform-memstick0"]),
            ("pmem0", &["by-id/pmem-01-23"]),
        ] {
            assert_eq!(links_of(&tree, disk, None), want, "{disk}");
        }
    }

    #[test]
    fn mapped_devices_and_arrays_have_no_path() {
        let tree = tree(|tree| {
            let names = [("dm/name", "vg-root"), ("dm/uuid", "LVM-x"), ("diskseq", "3")];
            device(tree, "virtual/block/dm-0", "block", "disk", &names);
            device(tree, "virtual/block/md0", "block", "disk", &[]);
            device(tree, "virtual/block/md0/slaves/vda", "", "", &[]);
            device(tree, "virtual/block/md1", "block", "disk", &[]);
            tree.probed = Some(Superblock {
                uuid: Some("a95a2f3c-9b4e-1111-2222-333344445555".to_owned()),
                label: Some("host:0".to_owned()),
                ..Superblock::new("linux_raid_member", super::super::Usage::Raid)
            });
        });
        let array = ["by-id/md-name-host:0", "by-id/md-uuid-a95a2f3c:9b4e1111:22223333:44445555"];
        for (disk, want) in [
            ("dm-0", &["by-id/dm-name-vg-root", "by-id/dm-uuid-LVM-x"][..]),
            ("md0", &array),
            ("md1", &[]),
        ] {
            assert_eq!(links_of(&tree, disk, None), want, "{disk}");
        }
    }

    /// Adds a USB stick whose disk is `sda`, on a hub with these attributes.
    fn usb_stick(tree: &mut Tree, hub: &[(&str, &str)], removable: &str, subclass: &str) {
        let interface = format!("{PCI}/usb1/1-2/1-2:1.0");
        device(tree, &format!("{PCI}/usb1"), "usb", "usb_device", hub);
        let names = [("serial", "ABC"), ("manufacturer", "Maker"), ("idProduct", "0001")];
        device(tree, &format!("{PCI}/usb1/1-2"), "usb", "usb_device", &names);
        let class = [("bInterfaceClass", "08"), ("bInterfaceSubClass", subclass)];
        device(tree, &interface, "usb", "usb_interface", &class);
        let host = format!("{interface}/host6");
        device(tree, &host, "scsi", "scsi_host", &[]);
        scsi_disk(tree, &host, "6:0:0:1");
        let address = format!("{host}/target6:0:0/6:0:0:1");
        tree.set(&address, "vendor", b"QEMU    ");
        tree.set(&address, "model", b"DISK            ");
        tree.set(&format!("{address}/block/sda"), "removable", removable.as_bytes());
    }

    #[test]
    fn usb_sticks() {
        let at =
            |version: &str| format!("by-path/pci-0000:00:05.0-usb{version}-0:2:1.0-scsi-0:0:0:1");
        for (hub, version) in [
            (&[("bDeviceProtocol", "01")][..], Some("v2")),
            (&[("bDeviceProtocol", "03")], Some("v3")),
            (&[("bDeviceProtocol", "00"), ("speed", "480")], Some("v2")),
            (&[("bDeviceProtocol", "00"), ("speed", "12")], Some("v1")),
            (&[("bDeviceProtocol", "09")], None),
        ] {
            let tree = tree(|tree| usb_stick(tree, hub, "1", "06"));
            let mut want = vec!["by-id/usb-QEMU_DISK_ABC-0:1".to_owned(), at("")];
            want.extend(version.map(at));
            assert_eq!(links_of(&tree, "sda", None), want, "{hub:?}");
        }
        let tree = tree(|tree| usb_stick(tree, &[], "1", "05"));
        let id = "by-id/usb-Maker_0001_ABC";
        assert_eq!(links_of(&tree, "sda", None)[0], id, "it does not speak SCSI");
    }

    /// Returns IDENTIFY data of the model `DISK` with the serial number `S1` and a world wide name.
    fn identify() -> Vec<u16> {
        let mut words = vec![0x2020; 256];
        words[27..29].copy_from_slice(&[0x4449, 0x534b]);
        words[10] = 0x5331;
        words[87] = 0x4100;
        words[108..112].copy_from_slice(&[0x5000, 0xc500, 0, 1]);
        words
    }

    #[test]
    fn disks_of_ata() {
        let identity = ["by-id/ata-DISK_S1", "by-id/wwn-0x5000c50000000001"];
        for (address, end) in [("4:0:0:0", "dev5.0"), ("4:2:0:0", "dev5.2.0")] {
            let tree = tree(|tree| {
                let host = format!("{PCI}/ata5/host4");
                device(tree, &format!("{PCI}/ata5"), "", "", &[]);
                device(tree, &host, "scsi", "scsi_host", &[]);
                scsi_disk(tree, &host, address);
                let target = address.rsplit_once(':').unwrap().0;
                tree.set(&format!("{host}/target{target}/{address}"), "vendor", b"ATA     ");
                let words: Vec<String> = identify().iter().map(|w| format!("{w:04x}")).collect();
                device(tree, &format!("a/{end}"), "ata_device", "", &[("id", &words.join(" "))]);
            });
            assert_eq!(links_of(&tree, "sda", None), identity, "{end}");
        }
        // Behind an adapter of USB, the data are in page 89.
        let tree = tree(|tree| {
            usb_stick(tree, &[], "0", "06");
            let mut page = vec![5, 0x89, 2, 0x38];
            page.resize(60, 0);
            page.extend(identify().iter().flat_map(|word| word.to_le_bytes()));
            let address = format!("{PCI}/usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:1");
            tree.set(&address, "vpd_pg89", &page);
        });
        let with_usb = [identity[0], "by-id/usb-QEMU_DISK_ABC-0:1", identity[1]];
        assert_eq!(links_of(&tree, "sda", None)[..3], with_usb);
    }

    #[test]
    fn disks_of_scsi() {
        let page_80 = [0, 0x80, 0, 2, b'S', b'1'];
        let page_83 = [0, 0x83, 0, 12, 1, 3, 0, 8, 0x50, 0, 0xc5, 0, 0, 0, 0, 1];
        let by_path = "by-path/pci-0000:00:05.0-scsi-1:0:0:0";
        for (page, bytes, want) in [
            ("vpd_pg80", &page_80[..], &["by-id/scsi-SQEMU_DISK_S1", by_path][..]),
            (
                "vpd_pg83",
                &page_83,
                &["by-id/scsi-35000c50000000001", "by-id/wwn-0x5000c50000000001", by_path],
            ),
            ("none", &[], &[by_path]),
        ] {
            let tree = tree(|tree| {
                let host = format!("{PCI}/host3");
                device(tree, &format!("{PCI}/host2"), "scsi", "scsi_host", &[]);
                device(tree, &host, "scsi", "scsi_host", &[]);
                scsi_disk(tree, &host, "3:0:0:0");
                let address = format!("{host}/target3:0:0/3:0:0:0");
                tree.set(&address, "vendor", b"QEMU    \n");
                tree.set(&address, "model", b"DISK            \n");
                tree.set(&address, page, bytes);
            });
            assert_eq!(links_of(&tree, "sda", None), want, "{page}");
        }
    }
}
