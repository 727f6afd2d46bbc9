//! Partition tables: what GPT and MBR have in common.

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// blkid's PTTYPE: `gpt` or `dos`.
    pub kind: &'static str,
    /// blkid's PTUUID: the disk's GUID, or eight hexadecimal digits; none when it is zero.
    pub uuid: Option<String>,
    /// The used entries, in the order of the kernel's numbers.
    pub partitions: Vec<Partition>,
}

/// One entry of a [`PartitionTable`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The kernel's number: for MBR, logical partitions count from 5.
    pub number: u32,
    /// First byte on the disk.
    pub start: u64,
    /// Length in bytes. (The kernel shows extended partitions as 1 KiB; here they have their full length.)
    pub size: u64,
    /// PARTUUID: lower case and dashed, or `SSSSSSSS-PP` for MBR, also where the disk's signature is zero,
    /// as the kernel has it.
    pub uuid: Option<String>,
    /// PARTLABEL; MBR has none.
    pub label: Option<String>,
    /// The type's GUID, lower case and dashed; for MBR its code as `0x83`.
    pub kind: String,
    /// GPT attribute bits (60: read-only, 63: not to be mounted by itself); for MBR the boot flag.
    pub attributes: u64,
}
