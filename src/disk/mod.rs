//! What is on a block device: partition tables and superblocks → UUID, LABEL, PARTUUID, PARTLABEL, type.
//!
//! Pure: bytes come through [`Source`], values go out. The words, the text forms and the precedence are
//! those of blkid(8) (util-linux 2.38), so that a name that works in an installed system works here too.
//!
//! # What is read
//!
//! ```text
//! 0        sector 0: MBR, boot sectors of vfat, exfat, ntfs; LUKS, verity, xfs, squashfs, UBI
//! 1 KiB    ext, erofs, f2fs; swap header
//! 4 KiB    md 1.2, bcache, bcachefs; LVM label in sectors 0 to 3
//! 32 KiB   volume descriptors of iso9660 and udf
//! 64 KiB   btrfs                                      ── one read of 68 KiB, the head, ends here ──
//! end      md 0.90 and 1.0 (two reads of 4 KiB), the backup GPT header when the first is damaged
//! ```
//!
//! Everything else (a FAT root directory, NTFS's $Volume record, …) is read only after the head has said
//! that such a file system is there, and all reads together are bounded by an allowance, whatever the
//! bytes say. An area that cannot be read is "not here", never an error.

mod bytes;
mod crc;
mod device;
mod exfat;
mod ext;
mod fat;
mod gpt;
pub mod identity;
mod iso9660;
pub mod links;
mod luks;
mod lvm;
mod mbr;
pub mod name;
mod ntfs;
mod partitions;
mod plain;
mod raid;
pub mod seen;
mod swap;
mod table;
mod text;
mod udf;
pub mod verity;
mod xfs;
mod zfs;

pub use device::Source;
pub use gpt::root_type_guid;
pub use partitions::partitions;
pub use plain::member_count;
pub use table::{Partition, Table};

use device::Device;

/// What a superblock says its device is for: blkid's USAGE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Can be mounted.
    Filesystem,
    /// A member of something larger: md, LVM, ZFS, UBI.
    Raid,
    /// Must be opened first: LUKS, verity.
    Crypto,
    /// Swap, journals, caches.
    Other,
}

impl Usage {
    /// blkid's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filesystem => "filesystem",
            Self::Raid => "raid",
            Self::Crypto => "crypto",
            Self::Other => "other",
        }
    }
}

/// One superblock: what it is and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// blkid's TYPE: `ext4`, `xfs`, `crypto_LUKS`, `linux_raid_member`, …
    pub kind: &'static str,
    /// blkid's USAGE.
    pub usage: Usage,
    /// UUID in blkid's text form; none when the superblock has none or only zeros.
    pub uuid: Option<String>,
    /// LABEL as blkid prints it: without the blanks at its end; bytes that are no UTF-8 are replaced.
    pub label: Option<String>,
}

impl Probe {
    fn new(kind: &'static str, usage: Usage) -> Self {
        Self { kind, usage, uuid: None, label: None }
    }

    fn filesystem(kind: &'static str) -> Self {
        Self::new(kind, Usage::Filesystem)
    }

    fn with_names(self, uuid: Option<String>, label: Option<String>) -> Self {
        Self { uuid, label, ..self }
    }
}

/// One row of the search: how to look, from which device size on, and whether a second finding beside
/// it is no contradiction (iso9660 and udf share a disc by design).
struct Format {
    probe: fn(&Device<'_>) -> Option<Probe>,
    smallest: u64,
    tolerant: bool,
    raid: bool,
}

const fn member(probe: fn(&Device<'_>) -> Option<Probe>, smallest: u64) -> Format {
    Format { probe, smallest, tolerant: false, raid: true }
}

const fn format(probe: fn(&Device<'_>) -> Option<Probe>, smallest: u64) -> Format {
    Format { probe, smallest, tolerant: false, raid: false }
}

const fn disc(probe: fn(&Device<'_>) -> Option<Probe>) -> Format {
    Format { probe, smallest: 0, tolerant: true, raid: false }
}

/// blkid's order: members of arrays first, as their content shines through; then file systems.
const FORMATS: [Format; 23] = [
    member(raid::probe, 0),
    format(plain::bcache, 8192),
    format(plain::bcachefs, 131_072),
    member(lvm::probe, 0),
    format(plain::verity, 0),
    format(luks::probe, 0),
    member(plain::ubi, 0),
    format(fat::probe, 0),
    format(swap::hibernated, 40960),
    format(swap::probe, 40960),
    format(xfs::probe, 0),
    format(ext::probe, 0),
    disc(udf::probe),
    disc(iso9660::probe),
    member(zfs::probe, 64 << 20),
    format(ntfs::probe, 0),
    format(plain::squashfs, 0),
    format(plain::squashfs3, 0),
    format(plain::btrfs, 1 << 20),
    format(plain::ubifs, 0),
    format(exfat::probe, 0),
    format(plain::f2fs, 0),
    format(plain::erofs, 0),
];

/// Up to this size a device is a floppy to blkid: no arrays there, and the first finding counts.
const FLOPPY: u64 = 1440 * 1024;

/// The superblock on a device, as `blkid -p` tells it.
///
/// An array member or an encrypted device hides the file systems after it. Two file systems at once are a
/// contradiction and give none, as in blkid and udev: mounting either could destroy the other;
/// [`examine`] tells which they were. An LVM or bcache label from before an MBR was written is
/// stale and gives none. Otherwise a partition table beside a superblock changes nothing: bootable discs
/// have both, and what a whole disk holds besides its partitions is found under its own names.
///
/// ext4 with the mark of test file systems is plain ext4 here, not ext4dev; not looked for are blkid's
/// firmware RAIDs, external XFS logs, BitLocker and file systems that no initramfs mounts as root.
#[must_use]
pub fn probe(source: &impl Source) -> Option<Probe> {
    examine(source).single()
}

/// What was found on a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Every superblock that [`probe`] has to choose from, in blkid's order.
    pub found: Vec<Probe>,
    /// One of them tolerates no other.
    strict: bool,
}

impl Content {
    /// The one superblock that counts; none where two contradict each other.
    #[must_use]
    pub fn single(&self) -> Option<Probe> {
        if self.found.len() > 1 && self.strict { None } else { self.found.first().cloned() }
    }
}

/// Every superblock on a device: for the message that names both when it is ambiguous.
#[must_use]
pub fn examine(source: &impl Source) -> Content {
    let (found, strict) = search(&Device::new(source));
    Content { found, strict }
}

/// All findings up to the first that hides the rest, and whether one of those before it tolerates no other.
fn search(device: &Device<'_>) -> (Vec<Probe>, bool) {
    let (mut found, mut strict) = (Vec::new(), false);
    if device.size() <= 1024 {
        return (found, strict);
    }
    let floppy = device.size() <= FLOPPY;
    for format in &FORMATS {
        if device.size() < format.smallest || (floppy && format.raid) {
            continue;
        }
        let Some(probe) = (format.probe)(device).filter(|p| !wiped(device, p)) else { continue };
        let hides = matches!(probe.usage, Usage::Raid | Usage::Crypto);
        found.push(probe);
        if floppy || hides {
            break;
        }
        strict |= !format.tolerant;
    }
    (found, strict)
}

/// pvcreate and make-bcache clear the start of the device, so an MBR there is younger than the label.
fn wiped(device: &Device<'_>, probe: &Probe) -> bool {
    matches!(probe.kind, "LVM2_member" | "bcache" | "bcachefs") && mbr::is_table(device)
}
