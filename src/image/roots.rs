//! The roots that an image can boot from, by the modules in it and those built into the kernel: one
//! line of words for people. `plan` answers for a certain machine.

use std::fmt;

use serde_json::{Value, json};

/// A word for people, and what it takes: of each list one module.
type Row = (&'static str, &'static [&'static [&'static str]]);

const VIRTIO: &[&str] = &["virtio_pci", "virtio_mmio", "virtio_ccw"];
const SCSI_DISK: &[&str] = &["sd_mod", "sr_mod"];

/// Buses and drivers of disks.
const DISKS: [Row; 12] = [
    ("virtio", &[VIRTIO, &["virtio_blk", "virtio_scsi"]]),
    ("nvme", &[&["nvme", "nvme_apple"]]),
    ("ahci", &[&["ahci", "ahci_platform"], SCSI_DISK]),
    ("ata", &[&["ata_piix", "ata_generic", "pata_acpi"], SCSI_DISK]),
    ("sas", &[&["mpt3sas", "mpi3mr", "isci", "pm80xx", "mptsas"], SCSI_DISK]),
    ("raid adapters", &[&["megaraid_sas", "hpsa", "smartpqi", "aacraid", "arcmsr"], SCSI_DISK]),
    ("usb", &[&["usb_storage", "uas"], SCSI_DISK]),
    ("mmc", &[&["mmc_block"]]),
    ("ufs", &[&["ufshcd_pci", "ufshcd_pltfrm"], SCSI_DISK]),
    ("xen", &[&["xen_blkfront"]]),
    ("hyper-v", &[&["hv_storvsc"], SCSI_DISK]),
    ("vmware", &[&["vmw_pvscsi"], SCSI_DISK]),
];
const FILESYSTEMS: [Row; 14] = [
    ("ext4", &[&["ext4"]]),
    ("ext3", &[&["ext3", "ext4"]]),
    ("ext2", &[&["ext2", "ext4"]]),
    ("xfs", &[&["xfs"]]),
    ("btrfs", &[&["btrfs"]]),
    ("f2fs", &[&["f2fs"]]),
    ("bcachefs", &[&["bcachefs"]]),
    ("erofs", &[&["erofs"]]),
    ("squashfs", &[&["squashfs"]]),
    ("iso9660", &[&["isofs"]]),
    ("udf", &[&["udf"]]),
    ("vfat", &[&["vfat"]]),
    ("exfat", &[&["exfat"]]),
    ("ntfs", &[&["ntfs3"]]),
];
const STACKS: [Row; 4] = [
    ("LUKS", &[&["dm_crypt"], &["dm_mod"]]),
    ("LVM", &[&["dm_mod"]]),
    ("md", &[&["md_mod"]]),
    ("verity", &[&["dm_verity"], &["dm_mod"]]),
];
/// Roots without a block device.
const OTHERS: [Row; 4] = [
    ("NFS", &[&["nfs", "nfsv3", "nfsv4"]]),
    ("9p", &[&["9p"], &["9pnet_virtio", "9pnet_fd", "9pnet_xen"]]),
    ("virtiofs", &[VIRTIO, &["virtiofs"]]),
    ("UBI", &[&["ubi"], &["ubifs"]]),
];

/// What /init of an image can open besides a filesystem on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Devices of LUKS, LVM and md.
    pub(super) stacks: bool,
    /// Roots without a block device.
    pub(super) others: bool,
}

/// The roots of an image, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roots {
    disks: Vec<&'static str>,
    filesystems: Vec<&'static str>,
    stacks: Vec<&'static str>,
    others: Vec<&'static str>,
}

impl Roots {
    /// Returns the roots that a kernel opens. `has` tells whether a module is in the image or built
    /// in.
    pub(super) fn new(init: Abilities, has: impl Fn(&str) -> bool) -> Self {
        let find = |rows: &[Row]| {
            let fits = |row: &&Row| row.1.iter().all(|any| any.iter().any(|name| has(name)));
            rows.iter().filter(fits).map(|row| row.0).collect()
        };
        let find_if = |can: bool, rows: &[Row]| if can { find(rows) } else { Vec::new() };
        Self {
            disks: find(&DISKS),
            filesystems: find(&FILESYSTEMS),
            stacks: find_if(init.stacks, &STACKS),
            others: find_if(init.others, &OTHERS),
        }
    }

    /// Returns the filesystems.
    pub(super) fn filesystems(&self) -> &[&'static str] {
        &self.filesystems
    }

    /// Returns the words for a manifest.
    pub(super) fn to_json(&self) -> Value {
        let Self { disks, filesystems, stacks, others } = self;
        json!({
            "disks": disks, "filesystems": filesystems, "stacks": stacks,
            "others": others,
        })
    }
}

impl fmt::Display for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_disks = !self.disks.is_empty() && !self.filesystems.is_empty();
        let on_disks = [&self.disks, &self.filesystems, &self.stacks];
        let groups = on_disks.into_iter().filter(|_| has_disks).chain([&self.others]);
        let groups: Vec<_> =
            groups.filter(|group| !group.is_empty()).map(|group| group.join(", ")).collect();
        match groups.is_empty() {
            false => write!(f, "boots from {}", groups.join("; ")),
            true if self.disks.is_empty() => f.write_str("boots from no usual disk or server"),
            true => write!(f, "boots from {}, but from no usual filesystem", self.disks.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_said_in_words() {
        let all = Abilities { stacks: true, others: true };
        let disks = Abilities { stacks: false, others: false };
        for (modules, init, want) in [
            ("virtio_pci virtio_blk ext4", all, "boots from virtio; ext4, ext3, ext2"),
            ("virtio_pci virtio_blk xfs", all, "boots from virtio; xfs"),
            ("virtio_blk ext4", all, "boots from no usual disk or server"),
            ("nvme", all, "boots from nvme, but from no usual filesystem"),
            ("ahci usb_storage sd_mod xfs", all, "boots from ahci, usb; xfs"),
            ("ahci xfs", all, "boots from no usual disk or server"),
            ("nvme xfs dm_mod dm_crypt md_mod", all, "boots from nvme; xfs; LUKS, LVM, md"),
            ("nvme xfs dm_mod nfs", disks, "boots from nvme; xfs"),
            ("nfsv4 nvme", all, "boots from NFS"),
            ("nvme btrfs 9p 9pnet_virtio", all, "boots from nvme; btrfs; 9p"),
            ("", all, "boots from no usual disk or server"),
        ] {
            let has = |name: &str| modules.split(' ').any(|module| module == name);
            assert_eq!(Roots::new(init, has).to_string(), want, "{modules}");
        }
    }
}
