//! Names of disks and partitions, by the kernel's rules (block/partitions/core.c,
//! block/early-lookup.c).

use std::borrow::Cow;

/// Returns the name of a partition: `sda` 1 → `sda1`; if the disk name ends in a digit, with a `p`:
/// `nvme0n1` 2 → `nvme0n1p2`.
#[must_use]
pub fn partition_name(disk: &str, number: u32) -> String {
    let separator = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{separator}{number}")
}

/// Splits the name of a partition into disk and number: the inverse of [`partition_name`].
///
/// Only the name is parsed: `mmcblk0` yields `None` because no partition has the number 0, but
/// `loop1` yields partition 1 of `loop`. Whether that disk exists is up to the caller, who has
/// sysfs.
#[must_use]
pub(crate) fn split_partition_name(name: &str) -> Option<(&str, u32)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.get(stem.len()..)?;
    if stem.is_empty() || digits.starts_with('0') {
        return None;
    }
    let number = digits.parse().ok()?;
    let disk = stem.strip_suffix('p').filter(|d| d.ends_with(|c: char| c.is_ascii_digit()));
    Some((disk.unwrap_or(stem), number))
}

/// Returns the name below /dev of a sysfs directory: `cciss!c0d0` → `cciss/c0d0`.
#[must_use]
pub(crate) fn from_sysfs(directory: &str) -> Cow<'_, str> {
    match directory.contains('!') {
        true => Cow::Owned(directory.replace('!', "/")),
        false => Cow::Borrowed(directory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_names_are_built_and_split() {
        for (disk, number, name) in [
            ("sda", 1, "sda1"),
            ("sdp", 12, "sdp12"),
            ("vda", 3, "vda3"),
            ("nvme0n1", 2, "nvme0n1p2"),
            ("mmcblk0", 1, "mmcblk0p1"),
            ("loop0", 1, "loop0p1"),
            ("md127", 1, "md127p1"),
            ("cciss/c0d0", 1, "cciss/c0d0p1"),
        ] {
            assert_eq!(partition_name(disk, number), name);
            assert_eq!(split_partition_name(name), Some((disk, number)), "{name}");
        }
    }

    #[test]
    fn other_names_are_not_partitions() {
        for name in ["sda", "mmcblk0", "", "12", "sda0", "sda01", "sda99999999999"] {
            assert_eq!(split_partition_name(name), None, "{name}");
        }
    }

    #[test]
    fn sysfs_names_become_device_names() {
        assert_eq!(from_sysfs("cciss!c0d0p1"), "cciss/c0d0p1");
        assert!(matches!(from_sysfs("sda"), Cow::Borrowed("sda")));
    }
}
