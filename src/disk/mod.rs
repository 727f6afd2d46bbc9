//! Parsers for the content of block devices: partition tables and superblocks → UUID, LABEL,
//! PARTUUID, PARTLABEL, type.
//!
//! Pure: bytes come through [`Source`], values go out. Terms, text forms and precedence are those
//! of blkid(8) (util-linux 2.38), so that a name that works in an installed system works here too.
//!
//! # Areas read
//!
//! ```text
//! 0        sector 0: MBR, boot sectors of vfat, exfat, ntfs; LUKS, verity, xfs, squashfs, UBI
//! 1 KiB    ext, erofs, f2fs; swap header
//! 4 KiB    md 1.2, bcache, bcachefs; LVM label in sectors 0 to 3
//! 32 KiB   volume descriptors of iso9660 and udf
//! 64 KiB   btrfs                         ── one read of 68 KiB, the head, ends here ──
//! end      md 0.90 and 1.0, firmware RAIDs (three pages); the backup GPT header if the first is
//!          damaged
//! ```
//!
//! Other areas (a FAT root directory, NTFS's $Volume record, …) are read only if the head holds
//! such a file system. All reads together are bounded by a budget, whatever the bytes are. If an
//! area cannot be read, the format counts as absent, and [`Examination::error`] says why.

#[cfg(feature = "stacks")]
pub mod assemble_rule;
#[cfg(feature = "full")]
pub mod boot_slots;
mod bytes;
#[cfg(feature = "stacks")]
mod config_words;
pub(crate) mod crc;
mod device;
mod exfat;
mod ext;
mod fat;
mod firmware_raid;
mod fixed_layout;
mod gpt;
pub mod identity;
mod iso9660;
pub(crate) mod links;
pub mod luks;
pub mod lvm;
#[cfg(feature = "stacks")]
pub(crate) mod mapping;
mod mbr;
#[cfg(feature = "stacks")]
pub mod md;
mod member;
pub mod name;
mod ntfs;
mod partition_table;
mod raid;
pub(crate) mod seen;
mod swap;
mod table_probe;
mod text;
#[cfg(feature = "full")]
pub mod uboot_env;
mod udf;
pub mod verity;
mod xfs;
mod zfs;

pub use device::{ReadError, Source};
pub use gpt::root_type_guid;
pub use member::Member;
pub use partition_table::{Partition, PartitionTable};
pub use table_probe::partition_table;

use device::Device;

/// Use of a device according to its superblock: blkid's USAGE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// A file system that can be mounted.
    Filesystem,
    /// A member of a volume: md, LVM, ZFS, UBI.
    Raid,
    /// A layer that must be set up first: LUKS, verity.
    Crypto,
    /// Swap, journals, caches.
    Other,
}

impl Usage {
    /// Returns blkid's name of the usage.
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

/// Type and names of a superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// blkid's TYPE: `ext4`, `xfs`, `crypto_LUKS`, `linux_raid_member`, …
    pub kind: &'static str,
    /// blkid's USAGE.
    pub usage: Usage,
    /// UUID in blkid's text form; `None` if the superblock has none or only zeros.
    pub uuid: Option<String>,
    /// LABEL as blkid prints it: without trailing spaces; bytes that are not UTF-8 are replaced.
    pub label: Option<String>,
    /// Membership of the device, if the filesystem may span several.
    pub member: Option<Member>,
}

impl Superblock {
    fn new(kind: &'static str, usage: Usage) -> Self {
        Self { kind, usage, uuid: None, label: None, member: None }
    }

    fn filesystem(kind: &'static str) -> Self {
        Self::new(kind, Usage::Filesystem)
    }

    fn with_names(self, uuid: Option<String>, label: Option<String>) -> Self {
        Self { uuid, label, ..self }
    }
}

/// A superblock format to search for.
struct Format {
    probe: fn(&Device<'_>) -> Option<Superblock>,
    /// Minimum size of the device, in bytes.
    min_size: u64,
    /// Whether a second superblock is no contradiction: iso9660 and udf share a disc by design.
    may_coexist: bool,
    /// Whether this is the format of volume members, for which floppies are not searched.
    is_member: bool,
}

/// Returns the format of a volume member.
const fn member(probe: fn(&Device<'_>) -> Option<Superblock>, min_size: u64) -> Format {
    Format { probe, min_size, may_coexist: false, is_member: true }
}

/// Returns the format of a file system or of another single device.
const fn format(probe: fn(&Device<'_>) -> Option<Superblock>, min_size: u64) -> Format {
    Format { probe, min_size, may_coexist: false, is_member: false }
}

/// Returns the format of an optical disc.
const fn disc(probe: fn(&Device<'_>) -> Option<Superblock>) -> Format {
    Format { probe, min_size: 0, may_coexist: true, is_member: false }
}

/// The formats in blkid's order: members of arrays first, because the file system on an array is
/// also visible on its members; then file systems.
const FORMATS: [Format; 24] = [
    member(raid::probe, 0),
    member(firmware_raid::probe, 0x10000),
    format(fixed_layout::bcache, 8192),
    format(fixed_layout::bcachefs, 131_072),
    member(lvm::probe::probe, 0),
    format(fixed_layout::verity, 0),
    format(luks::probe::probe, 0),
    member(fixed_layout::ubi, 0),
    format(fat::probe, 0),
    format(swap::hibernated, 40960),
    format(swap::probe, 40960),
    format(xfs::probe, 0),
    format(ext::probe, 0),
    disc(udf::probe),
    disc(iso9660::probe),
    member(zfs::probe, 64 << 20),
    format(ntfs::probe, 0),
    format(fixed_layout::squashfs, 0),
    format(fixed_layout::squashfs3, 0),
    format(fixed_layout::btrfs, 1 << 20),
    format(fixed_layout::ubifs, 0),
    format(exfat::probe, 0),
    format(fixed_layout::f2fs, 0),
    format(fixed_layout::erofs, 0),
];

/// Every type of superblock.
const KINDS: [&str; 28] = [
    "DM_verity_hash",
    "LVM2_member",
    "bcache",
    "bcachefs",
    "btrfs",
    "crypto_LUKS",
    "ddf_raid_member",
    "erofs",
    "exfat",
    "ext2",
    "ext3",
    "ext4",
    "f2fs",
    "iso9660",
    "isw_raid_member",
    "jbd",
    "linux_raid_member",
    "ntfs",
    "squashfs",
    "squashfs3",
    "swap",
    "swsuspend",
    "ubi",
    "ubifs",
    "udf",
    "vfat",
    "xfs",
    "zfs_member",
];

/// Returns the type of superblock called `name`.
pub(crate) fn superblock_kind(name: &str) -> Option<&'static str> {
    KINDS.into_iter().find(|kind| *kind == name)
}

/// Returns the type of partition table called `name`.
pub(crate) fn table_kind(name: &str) -> Option<&'static str> {
    ["dos", "gpt"].into_iter().find(|kind| *kind == name)
}

/// Maximum size of a floppy in blkid, in bytes: a floppy has no arrays, and the first superblock
/// found is used.
const FLOPPY_SIZE: u64 = 1440 * 1024;

/// Returns the superblock on a device, as `blkid -p` reports it.
///
/// An array member or an encrypted device hides the file systems after it in the search order. Two
/// file systems at once are a contradiction and yield `None`, as in blkid and udev, because
/// mounting either could destroy the other; [`examine`] returns both. An LVM or bcache label that
/// is older than the MBR beside it is stale and ignored. Any other partition table beside a
/// superblock has no effect: bootable discs have both, and the content of partitions is found
/// under their own names.
///
/// An ext4 file system with the flag for test file systems is ext4 here rather than ext4dev. Unlike
/// blkid, this function does not search for most firmware RAIDs, external XFS logs, BitLocker, and file
/// systems that no initramfs mounts as root.
#[must_use]
pub fn probe(source: &impl Source) -> Option<Superblock> {
    examine(source).single()
}

/// A device that is being examined. Its head is read once for all questions.
#[expect(missing_debug_implementations, reason = "it borrows a source, which need not have one")]
pub struct Examination<'a>(Device<'a>);

impl<'a> Examination<'a> {
    /// Reads the head of `source`.
    #[must_use]
    pub fn new(source: &'a dyn Source) -> Self {
        Self(Device::new(source))
    }

    /// Returns the partition table, as [`partition_table()`] does.
    #[must_use]
    pub fn partition_table(&self, sector_size: u32) -> Option<PartitionTable> {
        self.0.renew_budget();
        table_probe::read(&self.0, sector_size)
    }

    /// Returns the superblocks, as [`examine`] does.
    #[must_use]
    pub fn content(&self) -> Content {
        self.0.renew_budget();
        search(&self.0)
    }

    /// Returns the first part of the device that could not be read.
    #[must_use]
    pub fn error(&self) -> Option<ReadError> {
        self.0.error()
    }
}

/// The superblocks on a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Every superblock that [`probe`] chooses from, in blkid's order.
    pub superblocks: Vec<Superblock>,
    /// Whether one of them contradicts any other.
    is_exclusive: bool,
}

impl Content {
    /// Returns the superblock to use, or `None` if two of them contradict each other.
    #[must_use]
    pub fn single(&self) -> Option<Superblock> {
        match self.superblocks.len() > 1 && self.is_exclusive {
            true => None,
            false => self.superblocks.first().cloned(),
        }
    }
}

/// Returns every superblock on a device, for the message that names both if the content is
/// ambiguous.
#[must_use]
pub fn examine(source: &impl Source) -> Content {
    search(&Device::new(source))
}

/// Returns all superblocks up to the first that hides the rest.
fn search(device: &Device<'_>) -> Content {
    let mut content = Content::default();
    if device.size() <= 1024 {
        return content;
    }
    let is_floppy = device.size() <= FLOPPY_SIZE;
    for format in &FORMATS {
        if device.size() < format.min_size || (is_floppy && format.is_member) {
            continue;
        }
        let found = (format.probe)(device).filter(|found| !is_stale(device, found));
        let Some(superblock) = found else { continue };
        let hides_rest = matches!(superblock.usage, Usage::Raid | Usage::Crypto);
        content.superblocks.push(superblock);
        if is_floppy || hides_rest {
            break;
        }
        content.is_exclusive |= !format.may_coexist;
    }
    content
}

/// Returns whether an MBR is newer than the superblock: pvcreate and make-bcache clear the start
/// of the device.
fn is_stale(device: &Device<'_>, superblock: &Superblock) -> bool {
    matches!(superblock.kind, "LVM2_member" | "bcache" | "bcachefs") && mbr::is_table(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_superblock_has_its_name_in_the_list() {
        let sources = [
            include_str!("exfat.rs"),
            include_str!("ext.rs"),
            include_str!("fat.rs"),
            include_str!("firmware_raid.rs"),
            include_str!("fixed_layout.rs"),
            include_str!("iso9660.rs"),
            include_str!("lvm/probe.rs"),
            include_str!("luks/probe.rs"),
            include_str!("ntfs.rs"),
            include_str!("raid.rs"),
            include_str!("swap.rs"),
            include_str!("udf.rs"),
            include_str!("xfs.rs"),
            include_str!("zfs.rs"),
        ];
        for source in sources {
            for call in ["Superblock::new(\"", "Superblock::filesystem(\""] {
                for rest in source.split(call).skip(1) {
                    let name = rest.split('"').next().unwrap();
                    assert_eq!(superblock_kind(name), Some(name));
                }
            }
        }
        assert_eq!((superblock_kind("ext5"), table_kind("sun")), (None, None));
        assert_eq!(table_kind("gpt"), Some("gpt"));
    }
}
