//! Near misses of UUID=, LABEL=, PARTUUID= and PARTLABEL=.

use crate::disk::seen::SeenDevice;
use crate::escape;

/// Whether this program assembles devices.
const STACKS: bool = cfg!(feature = "stacks");

/// The names that a device has in addition to the one of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Uuid,
    Label,
    PartUuid,
    PartLabel,
}

impl Tag {
    pub(super) const ALL: [Self; 4] = [Self::Uuid, Self::Label, Self::PartUuid, Self::PartLabel];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Uuid => "UUID",
            Self::Label => "LABEL",
            Self::PartUuid => "PARTUUID",
            Self::PartLabel => "PARTLABEL",
        }
    }

    pub(super) fn value(self, device: &SeenDevice) -> Option<&str> {
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
pub(super) fn tag(tag: Tag, wanted: &str, seen: &[SeenDevice]) -> Vec<String> {
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
    Some(format!("{} has this {}, but {}", device.usual_name(), tag.as_str(), obstacle(device)))
}

/// Returns why the content of a device cannot be mounted.
pub(super) fn obstacle(device: &SeenDevice) -> String {
    let kinds = device.kinds.join(" and ");
    match device.kinds.as_slice() {
        [_, _, ..] => {
            format!("holds {kinds} signatures at once: remove the stale one with wipefs(8)")
        }
        ["crypto_LUKS"] if STACKS => format!("holds {kinds}, which is locked"),
        ["LVM2_member" | "linux_raid_member"] if STACKS => {
            format!("holds {kinds}, a part of another device")
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
    same.map(|o| {
        format!("{} has {}={wanted}, not {}", device.usual_name(), o.as_str(), tag.as_str())
    })
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
    Some(format!("{} has {}={}: {how}", device.usual_name(), tag.as_str(), escape::value(have)))
}

/// Returns the number of characters to change, add or remove; 3 stands for more than two.
pub(in crate::boot::root) fn distance(a: &str, b: &str) -> usize {
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

/// Returns the lines for a PARTUUID that no device has.
pub(super) fn part_uuid(wanted: &str, offset: i32, seen: &[SeenDevice]) -> Vec<String> {
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
