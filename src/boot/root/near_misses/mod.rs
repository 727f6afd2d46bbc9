//! Near misses: devices that may be meant if a named device is not found.
//!
//! Each line names a device and why it does not match; the most likely devices come first.

mod nodes;
mod tags;

use crate::cmdline::root_name::RootName;
use crate::disk::seen::SeenDevice;
use crate::escape;
use nodes::{device, link};
#[cfg(feature = "stacks")]
pub(super) use tags::distance;
use tags::{Tag, part_uuid, tag};

/// Longest list of near misses.
const MAX_LINES: usize = 6;

/// Returns a line for each device of `seen` that is close to `wanted`, at most [`MAX_LINES`], and
/// then one for each that could not be read: it may be the one that is meant.
pub(super) fn near_misses(wanted: &RootName, seen: &[SeenDevice]) -> Vec<String> {
    let mut lines = match wanted {
        RootName::Device(path) => device(path.trim_start_matches("/dev/"), seen),
        RootName::Uuid(value) => tag(Tag::Uuid, value, seen),
        RootName::Label(value) => tag(Tag::Label, value, seen),
        RootName::PartUuid(value, offset) => part_uuid(value, *offset, seen),
        RootName::PartLabel(value) => tag(Tag::PartLabel, value, seen),
        RootName::GptAuto => gpt_auto(seen),
        RootName::Link(wanted) => link(&format!("disk/{wanted}"), seen),
        RootName::Other(text) => other(text, seen),
        // A number is right or wrong.
        _ => Vec::new(),
    };
    lines.truncate(MAX_LINES);
    // The names come from the command line and from devices.
    lines.iter_mut().for_each(|line| *line = escape::line(line).into_owned());
    let is_link = matches!(wanted, RootName::Link(_));
    lines.extend(seen.iter().filter_map(|device| unread(device, is_link)).take(MAX_LINES));
    lines
}

/// Returns the line for a device that could not be read. Unless its prober has answered all the
/// same, its links are not known either.
fn unread(device: &SeenDevice, is_link: bool) -> Option<String> {
    let error = device.error.as_ref().filter(|_| device.kinds.is_empty())?;
    let unknown = is_link && device.links.is_empty();
    let links = if unknown { "; its links in /dev/disk are unknown" } else { "" };
    Some(format!("{}: {error}{links}", escape::value(&device.name)))
}

/// Returns the lines for the root that is detected by partition type.
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

/// Returns the lines for text that names no device.
fn other(text: &str, seen: &[SeenDevice]) -> Vec<String> {
    if seen.iter().any(|d| d.name == text) {
        return vec![format!("{text} is a device: use root=/dev/{text}")];
    }
    if text.starts_with("nfs") || text.contains(":/") {
        return vec!["the server of a root on NFS has to be an IPv4 address".to_owned()];
    }
    let has = |tag: &Tag, d: &SeenDevice| {
        tag.value(d).is_some_and(|have| have.eq_ignore_ascii_case(text))
    };
    let hits =
        seen.iter().flat_map(|d| Tag::ALL.into_iter().filter(|t| has(t, d)).map(move |t| (d, t)));
    let line = |(d, t): (&SeenDevice, Tag)| {
        format!("{} has this {}: use root={}={text}", d.usual_name(), t.as_str(), t.as_str())
    };
    hits.map(line).collect()
}

#[cfg(test)]
mod tests;
