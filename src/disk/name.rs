//! Names of disks and partitions: the kernel's rules (block/partitions/core.c, block/early-lookup.c) and
//! udev's escapes of /dev/disk/by-*.

use std::borrow::Cow;

pub use crate::cmdline::link_name::decode;

/// The name of a disk's partition: `sda` 1 → `sda1`; with a `p` between digits: `nvme0n1` 2 → `nvme0n1p2`.
#[must_use]
pub fn partition(disk: &str, number: u32) -> String {
    let between = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{between}{number}")
}

/// Disk and number that a partition's name is made of: the reverse of [`partition`].
///
/// Only a reading of the name: `mmcblk0` reads as partition 0 of nothing and gives none, but `loop1` reads
/// as partition 1 of `loop`; whether that disk exists is for sysfs to say.
#[must_use]
pub fn split(name: &str) -> Option<(&str, u32)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.get(stem.len()..)?;
    if stem.is_empty() || digits.starts_with('0') {
        return None;
    }
    let number = digits.parse().ok()?;
    let disk = stem.strip_suffix('p').filter(|d| d.ends_with(|c: char| c.is_ascii_digit()));
    Some((disk.unwrap_or(stem), number))
}

/// A device's name as a folder of sysfs: `cciss/c0d0` → `cciss!c0d0`.
#[must_use]
pub fn to_sysfs(name: &str) -> Cow<'_, str> {
    replace(name, '/', "!")
}

/// The name below /dev of a folder of sysfs: `cciss!c0d0` → `cciss/c0d0`.
#[must_use]
pub fn from_sysfs(folder: &str) -> Cow<'_, str> {
    replace(folder, '!', "/")
}

fn replace<'a>(text: &'a str, from: char, to: &str) -> Cow<'a, str> {
    if text.contains(from) { Cow::Owned(text.replace(from, to)) } else { Cow::Borrowed(text) }
}

/// A label as the name of a link in /dev/disk/by-label and by-partlabel: everything but letters, digits,
/// `#+-.:=@_` and sound characters beyond ASCII becomes `\x20` and the like.
#[must_use]
pub fn encode(label: &str) -> String {
    let mut name = String::with_capacity(label.len());
    for c in label.chars() {
        if c.is_ascii_alphanumeric() || "#+-.:=@_".contains(c) || (!c.is_ascii() && !is_odd(c)) {
            name.push(c);
        } else {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                name.push_str(&format!("\\x{byte:02x}"));
            }
        }
    }
    name
}

/// Characters that Unicode has set aside; udev escapes their bytes.
fn is_odd(c: char) -> bool {
    matches!(u32::from(c), 0xfdd0..=0xfdef) || u32::from(c) & 0xffff == 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_of_disks() {
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
            assert_eq!(partition(disk, number), name);
            assert_eq!(split(name), Some((disk, number)), "{name}");
        }
    }

    #[test]
    fn names_that_are_no_partition() {
        for name in ["sda", "mmcblk0", "", "12", "sda0", "sda01", "sda99999999999"] {
            assert_eq!(split(name), None, "{name}");
        }
    }

    #[test]
    fn slashes_in_sysfs() {
        assert_eq!(to_sysfs("cciss/c0d0p1"), "cciss!c0d0p1");
        assert_eq!(from_sysfs("cciss!c0d0p1"), "cciss/c0d0p1");
        assert!(matches!(to_sysfs("sda"), Cow::Borrowed("sda")));
    }

    #[test]
    fn link_names() {
        for (label, name) in [
            ("root", "root"),
            ("my disk", "my\\x20disk"),
            ("a/b\\c", "a\\x2fb\\x5cc"),
            ("Größe", "Größe"),
            ("#+-.:=@_", "#+-.:=@_"),
            ("tab\there", "tab\\x09here"),
            ("odd\u{ffff}", "odd\\xef\\xbf\\xbf"),
        ] {
            assert_eq!(encode(label), name);
            assert_eq!(decode(name), label);
        }
        for (name, label) in [("a\\x2", "a\\x2"), ("\\xzz", "\\xzz"), ("\\x+1", "\\x+1")] {
            assert_eq!(decode(name), label);
        }
    }
}
