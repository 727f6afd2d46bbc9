//! Partition tables: the types that GPT and MBR have in common.

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// blkid's PTTYPE: `gpt` or `dos`.
    pub kind: &'static str,
    /// blkid's PTUUID: the disk GUID, or eight hexadecimal digits for MBR; `None` if it is zero.
    pub uuid: Option<String>,
    /// Used entries, ordered by the kernel's partition number.
    pub partitions: Vec<Partition>,
}

/// An entry of a [`PartitionTable`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Partition number in the kernel: for MBR, logical partitions start at 5.
    pub number: u32,
    /// Offset on the disk, in bytes.
    pub start: u64,
    /// Size in bytes. Extended partitions have their full size, although the kernel shows them as
    /// 1 KiB.
    pub size: u64,
    /// PARTUUID: lower case with dashes, or `SSSSSSSS-PP` for MBR, even if the disk signature is
    /// zero, as in the kernel.
    pub uuid: Option<String>,
    /// PARTLABEL; MBR has none.
    pub label: Option<String>,
    /// Type GUID, lower case with dashes; for MBR the type code, such as `0x83`.
    pub kind: String,
    /// GPT attribute bits (60: read-only, 63: no automount); for MBR the boot flag.
    pub attributes: u64,
}
