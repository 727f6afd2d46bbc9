//! Near misses of device nodes and of links in /dev/disk.

use super::tags::{distance, obstacle};
use crate::disk::name::{partition_name, split_partition_name};
use crate::disk::seen::SeenDevice;

/// Returns the lines for a name below /dev.
pub(super) fn device(wanted: &str, seen: &[SeenDevice]) -> Vec<String> {
    if wanted.starts_with("mapper/") || wanted.starts_with("md") {
        return assembled(seen);
    }
    let by_name = |name: &str| seen.iter().find(|d| d.name == name);
    if let Some(there) = by_name(wanted) {
        let unread = there.error.is_some();
        return Vec::from_iter((!unread).then(|| format!("{} has no medium", there.name)));
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
pub(super) fn link(wanted: &str, seen: &[SeenDevice]) -> Vec<String> {
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
