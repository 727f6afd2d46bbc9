//! Near misses: devices that may be meant if a named device is not found.
//!
//! Each line names a device and why it does not match; the most likely devices come first.

use crate::cmdline::root_name::RootName;
use crate::disk::name::{partition_name, split_partition_name};
use crate::disk::seen::SeenDevice;

/// Longest list of near misses.
const MAX_LINES: usize = 6;

/// Returns a line for each device of `seen` that is close to `wanted`, at most [`MAX_LINES`].
pub(super) fn near_misses(wanted: &RootName, seen: &[SeenDevice]) -> Vec<String> {
    let mut lines = match wanted {
        RootName::Device(path) => device(path.trim_start_matches("/dev/"), seen),
        RootName::Uuid(value) => tag(Tag::Uuid, value, seen),
        RootName::Label(value) => tag(Tag::Label, value, seen),
        RootName::PartUuid(value, offset) => part_uuid(value, *offset, seen),
        RootName::PartLabel(value) => tag(Tag::PartLabel, value, seen),
        RootName::GptAuto => gpt_auto(seen),
        RootName::Number(..) => Vec::new(),
        RootName::Link(wanted) => link(&format!("disk/{wanted}"), seen),
        RootName::Other(text) => other(text, seen),
    };
    lines.truncate(MAX_LINES);
    lines
}

/// The names that a device has in addition to the one of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Uuid,
    Label,
    PartUuid,
    PartLabel,
}

impl Tag {
    const ALL: [Self; 4] = [Self::Uuid, Self::Label, Self::PartUuid, Self::PartLabel];

    fn as_str(self) -> &'static str {
        match self {
            Self::Uuid => "UUID",
            Self::Label => "LABEL",
            Self::PartUuid => "PARTUUID",
            Self::PartLabel => "PARTLABEL",
        }
    }

    fn value(self, device: &SeenDevice) -> Option<&str> {
        match self {
            Self::Uuid => &device.uuid,
            Self::Label => &device.label,
            Self::PartUuid => &device.part_uuid,
            Self::PartLabel => &device.part_label,
        }
        .as_deref()
    }
}

/// Returns the lines for a value that no device has under this tag.
fn tag(tag: Tag, wanted: &str, seen: &[SeenDevice]) -> Vec<String> {
    let mut lines: Vec<String> = seen.iter().filter_map(|d| unusable(tag, wanted, d)).collect();
    lines.extend(seen.iter().flat_map(|device| other_tag(tag, wanted, device)));
    lines.extend(seen.iter().filter_map(|device| close(tag, wanted, device)));
    lines
}

/// Returns the line for a device that has the right name but cannot be mounted.
fn unusable(tag: Tag, wanted: &str, device: &SeenDevice) -> Option<String> {
    let same = tag.value(device).is_some_and(|have| have.eq_ignore_ascii_case(wanted));
    if !same || device.is_filesystem || device.kinds.is_empty() {
        return None;
    }
    Some(format!("{} has this {}, but {}", device.name, tag.as_str(), obstacle(device)))
}

/// Returns why the content of a device cannot be mounted.
fn obstacle(device: &SeenDevice) -> String {
    let kinds = device.kinds.join(" and ");
    match device.kinds.as_slice() {
        [_, _, ..] => {
            format!("holds {kinds} signatures at once: remove the stale one with wipefs(8)")
        }
        ["crypto_LUKS"] => format!("holds {kinds}, which coldplug does not open"),
        ["LVM2_member" | "linux_raid_member" | "zfs_member" | "DM_integrity"] => {
            format!("holds {kinds}, which coldplug does not assemble")
        }
        _ => format!("holds {kinds}, which is not a filesystem"),
    }
}

/// Returns the lines for the value under another tag.
fn other_tag(tag: Tag, wanted: &str, device: &SeenDevice) -> Vec<String> {
    let others = Tag::ALL.into_iter().filter(|other| *other != tag);
    let same =
        others.filter(|o| o.value(device).is_some_and(|have| have.eq_ignore_ascii_case(wanted)));
    same.map(|o| format!("{} has {}={wanted}, not {}", device.name, o.as_str(), tag.as_str()))
        .collect()
}

/// Returns the line for almost the same value under the same tag.
fn close(tag: Tag, wanted: &str, device: &SeenDevice) -> Option<String> {
    let have = tag.value(device).filter(|have| *have != wanted)?;
    let how = if have.eq_ignore_ascii_case(wanted) {
        // UUIDs are compared without regard to case.
        if tag != Tag::Label && tag != Tag::PartLabel {
            return None;
        }
        "upper and lower case differ".to_owned()
    } else if have.trim() == wanted.trim() {
        "leading or trailing spaces differ".to_owned()
    } else {
        match distance(wanted, have) {
            1 => "one character differs".to_owned(),
            2 if wanted.chars().count() > 4 => "two characters differ".to_owned(),
            _ => return None,
        }
    };
    Some(format!("{} has {}={have}: {how}", device.name, tag.as_str()))
}

/// Returns the number of characters to change, add or remove; 3 stands for more than two.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 2 || a.len() > 256 {
        return 3;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0).min(3)
}

fn part_uuid(wanted: &str, offset: i32, seen: &[SeenDevice]) -> Vec<String> {
    let base = seen.iter().find(|d| starts(d.part_uuid.as_deref(), wanted));
    if let Some(base) = base.filter(|_| offset != 0) {
        let number = base.partition.map_or(0, |n| i64::from(n) + i64::from(offset));
        return vec![format!(
            "{} has this PARTUUID, but its disk has no partition {number} (PARTNROFF={offset})",
            base.name
        )];
    }
    let mut lines: Vec<String> = mbr_form(wanted, seen).into_iter().collect();
    lines.extend(tag(Tag::PartUuid, wanted, seen));
    lines
}

fn starts(have: Option<&str>, with: &str) -> bool {
    have.and_then(|have| have.get(..with.len())).is_some_and(|h| h.eq_ignore_ascii_case(with))
}

/// Returns the line for `SSSSSSSS-NN`, the format of an MBR, that matches no partition.
fn mbr_form(wanted: &str, seen: &[SeenDevice]) -> Option<String> {
    let (disk, number) = wanted.split_once('-')?;
    let hex = |t: &str| t.bytes().all(|b| b.is_ascii_hexdigit());
    if disk.len() != 8 || number.is_empty() || number.len() > 3 || !hex(disk) || !hex(number) {
        return None;
    }
    let same =
        seen.iter().filter(|d| d.table == Some("dos") && starts(d.part_uuid.as_deref(), disk));
    let numbers: Vec<String> =
        same.clone().filter_map(|d| d.partition.map(|n| format!("{n:02x}"))).collect();
    if let Some(there) = same.clone().next() {
        return Some(format!(
            "{} has disk ID {disk}, but no partition {number}, only {}",
            there.disk.as_deref().unwrap_or(&there.name),
            numbers.join(", ")
        ));
    }
    let gpt = seen.iter().find(|d| d.table == Some("gpt"))?;
    Some(format!(
        "{wanted} has the format of an MBR, but {} has a GPT, whose PARTUUIDs have 36 characters",
        gpt.disk.as_deref().unwrap_or(&gpt.name)
    ))
}

fn gpt_auto(seen: &[SeenDevice]) -> Vec<String> {
    let disks: Vec<&SeenDevice> = seen.iter().filter(|d| d.disk.is_none()).collect();
    let gpt = disks.iter().filter(|d| d.table == Some("gpt"));
    let line = |d: &&SeenDevice| {
        format!("{} has a GPT, but no root partition for this architecture", d.name)
    };
    let lines: Vec<String> = gpt.map(line).collect();
    if !lines.is_empty() {
        return lines;
    }
    let mbr = disks.iter().filter(|d| d.table == Some("dos"));
    mbr.map(|d| format!("{} has an MBR, which has no type for root partitions", d.name)).collect()
}

/// Returns the lines for a name below /dev.
fn device(wanted: &str, seen: &[SeenDevice]) -> Vec<String> {
    if wanted.starts_with("mapper/") || wanted.starts_with("md") {
        return assembled(seen);
    }
    let by_name = |name: &str| seen.iter().find(|d| d.name == name);
    if let Some(there) = by_name(wanted) {
        return vec![format!("{} has no medium", there.name)];
    }
    let Some((disk, number)) = split_partition_name(wanted).filter(|(disk, _)| !is_numbered(disk))
    else {
        return other_disks(wanted, None, seen);
    };
    match by_name(disk) {
        Some(disk) => vec![no_such_partition(disk, seen)],
        None => other_disks(disk, Some(number), seen),
    }
}

/// Returns whether disks of this kind have a number at the end of their names: without it the name
/// is not that of a disk.
fn is_numbered(stem: &str) -> bool {
    let counts = ["nvme", "mmcblk", "nbd", "loop", "sr"].iter().any(|head| stem.starts_with(head));
    counts && !stem.ends_with(|c: char| c.is_ascii_digit())
}

/// Returns the lines for members of a volume that would have to be assembled first.
fn assembled(seen: &[SeenDevice]) -> Vec<String> {
    let parts = seen.iter().filter(|d| !d.is_filesystem && !d.kinds.is_empty());
    parts.map(|d| format!("{} {}", d.name, obstacle(d))).collect()
}

fn no_such_partition(disk: &SeenDevice, seen: &[SeenDevice]) -> String {
    let numbers: Vec<String> = seen
        .iter()
        .filter(|d| d.disk.as_ref() == Some(&disk.name))
        .filter_map(|d| Some(d.partition?.to_string()))
        .collect();
    match (numbers.is_empty(), disk.kinds.is_empty()) {
        (false, _) => format!("{} has partitions {} only", disk.name, numbers.join(", ")),
        (true, false) => {
            format!(
                "{} has no partitions; the whole disk is {}",
                disk.name,
                disk.kinds.join(" and ")
            )
        }
        (true, true) => format!("{} has no partitions", disk.name),
    }
}

/// Returns the lines for the same partition number on other disks.
fn other_disks(disk: &str, number: Option<u32>, seen: &[SeenDevice]) -> Vec<String> {
    let letter = |name: &str| name.trim_start_matches("sd").trim_start_matches("vd").to_owned();
    let whole = seen.iter().filter(|d| d.disk.is_none() && !is_minor(&d.name));
    let mut lines = Vec::new();
    for other in whole {
        let name = number.map_or_else(|| other.name.clone(), |n| partition_name(&other.name, n));
        if let Some(there) = seen.iter().find(|d| d.name == name) {
            lines.push((
                letter(disk) != letter(&other.name),
                format!("no {disk}, but {}", there.line()),
            ));
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Returns whether the disk holds no root unless it is named.
fn is_minor(name: &str) -> bool {
    ["ram", "loop", "fd", "zram"].iter().any(|head| name.starts_with(head))
}

/// Returns the lines for a link in /dev/disk that leads to no device.
fn link(wanted: &str, seen: &[SeenDevice]) -> Vec<String> {
    let whole = wanted.rsplit_once("-part").filter(|(_, n)| n.parse::<u32>().is_ok());
    if let Some((disk, _)) = whole
        && let Some(disk) = seen.iter().find(|d| d.links.iter().any(|link| link == disk))
    {
        return vec![no_such_partition(disk, seen)];
    }
    let directory = wanted.rsplit_once('/').map_or(wanted, |(directory, _)| directory);
    let in_directory = |link: &&String| link.rsplit_once('/').is_some_and(|(f, _)| f == directory);
    let all = seen.iter().flat_map(|d| d.links.iter().filter(in_directory).map(move |l| (d, l)));
    let of_disks = all.clone().filter(|(d, _)| d.partition.is_none() || whole.is_some());
    let mut lines: Vec<(usize, String)> = of_disks
        .map(|(d, link)| (distance(wanted, link), format!("{} is /dev/{link}", d.name)))
        .collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Returns the lines for text that names no device.
fn other(text: &str, seen: &[SeenDevice]) -> Vec<String> {
    if seen.iter().any(|d| d.name == text) {
        return vec![format!("{text} is a device: use root=/dev/{text}")];
    }
    let has = |tag: &Tag, d: &SeenDevice| {
        tag.value(d).is_some_and(|have| have.eq_ignore_ascii_case(text))
    };
    let hits =
        seen.iter().flat_map(|d| Tag::ALL.into_iter().filter(|t| has(t, d)).map(move |t| (d, t)));
    hits.map(|(d, t)| format!("{} has this {}: use root={}={text}", d.name, t.as_str(), t.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filesystem(name: &str, kind: &'static str, uuid: &str, label: &str) -> SeenDevice {
        let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
        SeenDevice {
            name: name.into(),
            kinds: vec![kind],
            is_filesystem: !matches!(kind, "crypto_LUKS" | "LVM2_member" | "swap"),
            uuid: text(uuid),
            label: text(label),
            ..SeenDevice::default()
        }
    }

    fn on(
        disk: &str,
        number: u32,
        table: &'static str,
        uuid: &str,
        seen: SeenDevice,
    ) -> SeenDevice {
        SeenDevice {
            disk: Some(disk.into()),
            partition: Some(number),
            table: Some(table),
            part_uuid: Some(uuid.into()),
            part_label: (table == "gpt").then(|| format!("part {number}")),
            ..seen
        }
    }

    fn disk(name: &str, table: &'static str) -> SeenDevice {
        SeenDevice { name: name.into(), table: Some(table), ..SeenDevice::default() }
    }

    fn machine() -> Vec<SeenDevice> {
        const GPT: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
        vec![
            disk("vda", "gpt"),
            on("vda", 1, "gpt", GPT, filesystem("vda1", "ext4", "aaaa-1111-22", "Root")),
            on("vda", 2, "gpt", "x", filesystem("vda2", "crypto_LUKS", "bbbb", "")),
            filesystem("vdb", "xfs", "cccc", "data"),
            disk("sda", "dos"),
            on("sda", 1, "dos", "89abcdef-01", filesystem("sda1", "ext4", "dddd", "backup")),
            on("sda", 3, "dos", "89abcdef-03", filesystem("sda3", "swap", "eeee", "swap")),
            SeenDevice { kinds: vec!["ext4", "xfs"], uuid: Some("ffff".into()), ..disk("vdc", "") },
        ]
    }

    #[test]
    fn the_nearest_device_and_the_cause_are_named() {
        for (root, want) in [
            ("LABEL=root", "vda1 has LABEL=Root: upper and lower case differ"),
            ("LABEL=Rot", "vda1 has LABEL=Root: one character differs"),
            ("LABEL=part 1", "vda1 has PARTLABEL=part 1, not LABEL"),
            ("PARTLABEL=Root", "vda1 has LABEL=Root, not PARTLABEL"),
            ("PARTLABEL=Part 1", "vda1 has PARTLABEL=part 1: upper and lower case differ"),
            ("UUID=aaaa-1111-23", "vda1 has UUID=aaaa-1111-22: one character differs"),
            (
                "UUID=bbbb",
                "vda2 has this UUID, but holds crypto_LUKS, which coldplug does not open",
            ),
            ("UUID=eeee", "sda3 has this UUID, but holds swap, which is not a filesystem"),
            (
                "UUID=ffff",
                "vdc has this UUID, but holds ext4 and xfs signatures at once: remove the stale one \
                 with wipefs(8)",
            ),
            ("UUID=89abcdef-01", "sda1 has PARTUUID=89abcdef-01, not UUID"),
            (
                "PARTUUID=12345678-01",
                "12345678-01 has the format of an MBR, but vda has a GPT, whose PARTUUIDs have 36 \
                 characters",
            ),
            ("PARTUUID=89abcdef-02", "sda has disk ID 89abcdef, but no partition 02, only 01, 03"),
            ("PARTUUID=cccc", "vdb has UUID=cccc, not PARTUUID"),
            (
                "PARTUUID=89abcdef-01/PARTNROFF=1",
                "sda1 has this PARTUUID, but its disk has no partition 2 (PARTNROFF=1)",
            ),
            ("/dev/vda3", "vda has partitions 1, 2 only"),
            ("/dev/vdb1", "vdb has no partitions; the whole disk is xfs"),
            ("/dev/sdb1", "no sdb, but sda1 ext4 UUID=dddd LABEL=backup PARTUUID=89abcdef-01"),
            ("/dev/nvme0n1", "no nvme0n1, but sda (dos partition table)"),
            ("/dev/mapper/vg-root", "vda2 holds crypto_LUKS, which coldplug does not open"),
            ("Root", "vda1 has this LABEL: use root=LABEL=Root"),
            ("vdb", "vdb is a device: use root=/dev/vdb"),
            ("gpt-auto", "vda has a GPT, but no root partition for this architecture"),
        ] {
            let lines = near_misses(&RootName::parse(root).unwrap(), &machine());
            assert_eq!(lines.first().map(String::as_str), Some(want), "{root}: {lines:#?}");
        }
    }

    #[test]
    fn distant_names_are_not_listed() {
        for root in ["LABEL=completely", "UUID=0", "PARTUUID=zz", "8:1", "/dev/disk/by-id/x"] {
            assert!(near_misses(&RootName::parse(root).unwrap(), &machine()).is_empty(), "{root}");
        }
        assert!(near_misses(&RootName::parse("/dev/sda1").unwrap(), &[]).is_empty());
    }

    #[test]
    fn characters_that_differ() {
        for (a, b, want) in [
            ("", "", 0),
            ("ab", "ab", 0),
            ("ab", "ac", 1),
            ("ab", "b", 1),
            ("ab", "ba", 2),
            ("a", "wxyz", 3),
            ("abcdef", "uvwxyz", 3),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }

    #[test]
    fn links_that_lead_nowhere() {
        let disk = |name: &str, links: &[&str], part: Option<u32>| SeenDevice {
            name: name.into(),
            links: links.iter().map(|l| format!("disk/{l}")).collect(),
            partition: part,
            disk: part.map(|_| "sda".into()),
            ..SeenDevice::default()
        };
        let seen = [
            disk("sda", &["by-id/ata-X_1", "by-path/pci-0"], None),
            disk("sda1", &["by-id/ata-X_1-part1"], Some(1)),
            disk("vdb", &["by-id/virtio-data"], None),
        ];
        for (wanted, want) in [
            ("by-id/ata-X_1-part2", &["sda has partitions 1 only"][..]),
            (
                "by-id/ata-X_2",
                &["sda is /dev/disk/by-id/ata-X_1", "vdb is /dev/disk/by-id/virtio-data"],
            ),
            ("by-path/pci-1", &["sda is /dev/disk/by-path/pci-0"]),
            ("by-other/x", &[]),
        ] {
            assert_eq!(near_misses(&RootName::Link(wanted.into()), &seen), want, "{wanted}");
        }
    }
}
