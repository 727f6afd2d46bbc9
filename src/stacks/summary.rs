//! What PID 1 needs to know of a volume group or an array.

use std::path::Path;

use super::message::{Array, Group, State, Volume};
use super::{lvm, md};
use crate::escape;

/// Returns the summary of a volume group: its visible volumes.
pub(super) fn group(group: &lvm::VolumeGroup) -> Group {
    let problem = group.problem.clone();
    let volumes = group.volumes.iter().filter(|volume| volume.is_visible);
    Group {
        name: group.name.clone(),
        uuid: group.uuid.clone(),
        volumes: volumes.map(|volume| self::volume(volume, problem.as_deref())).collect(),
        problem: problem.or_else(|| missing(&group.missing)),
    }
}

/// Returns the messages about devices and groups that do not hinder their use.
pub(super) fn notes(survey: &lvm::Survey) -> Vec<String> {
    let of_group = |group: &lvm::VolumeGroup| {
        let name = group.name.clone();
        let text = move |note: &String| format!("volume group {name}: {note}");
        group.notes.iter().map(text).collect::<Vec<_>>()
    };
    survey.notes.iter().cloned().chain(survey.groups.iter().flat_map(of_group)).collect()
}

fn volume(volume: &lvm::LogicalVolume, problem: Option<&str>) -> Volume {
    let (state, text) = match &volume.state {
        _ if volume.active.is_some() => (State::Active, String::new()),
        _ if problem.is_some() => (State::Refused, String::new()),
        lvm::VolumeState::Ready if volume.is_skipped => (State::Skipped, String::new()),
        lvm::VolumeState::Ready => (State::Ready, String::new()),
        lvm::VolumeState::Missing { devices, is_covered } => {
            let state = if *is_covered { State::Degraded } else { State::Incomplete };
            (state, missing(devices).unwrap_or_default())
        }
        lvm::VolumeState::Refused(reason) => (State::Refused, reason.clone()),
    };
    Volume { name: volume.name.clone(), state, text }
}

/// Returns the text about missing physical volumes; `None` if there are none.
fn missing(devices: &[lvm::MissingDevice]) -> Option<String> {
    let name = |device: &lvm::MissingDevice| match device.last_node.as_str() {
        "" => device.uuid.clone(),
        node => format!("{} (last seen as {})", device.uuid, escape::value(node)),
    };
    let names: Vec<_> = devices.iter().map(name).collect();
    let (what, are) = if names.len() == 1 { ("volume", "is") } else { ("volumes", "are") };
    (!names.is_empty()).then(|| format!("physical {what} {} {are} missing", names.join(", ")))
}

/// Returns the summary of an array.
pub(super) fn array(array: &md::Array) -> Array {
    let state = match &array.state {
        md::State::Active => State::Active,
        md::State::Complete => State::Ready,
        md::State::Degraded => State::Degraded,
        md::State::DirtyDegraded => State::Dirty,
        md::State::Incomplete => State::Incomplete,
        md::State::Refused(_) => State::Refused,
    };
    let mut texts = Vec::new();
    match &array.state {
        md::State::Refused(reason) => texts.push(reason.clone()),
        md::State::Active => {}
        _ if array.missing.is_empty() => {}
        _ => texts.push(format!("{} of {} members missing", array.missing.len(), array.slots)),
    }
    if array.state == md::State::DirtyDegraded {
        texts.push("not shut down cleanly, so that parity may be wrong".to_owned());
    }
    let left_out = |(path, why): &(_, String)| format!("{} left out: {why}", shown(path));
    texts.extend(array.left_out.iter().map(left_out));
    Array {
        name: array.shown_name(),
        uuid: array.uuid.clone(),
        state,
        text: texts.join("; "),
        members: array.members.iter().map(|node| node.number).collect(),
    }
}

fn shown(path: impl AsRef<Path>) -> String {
    escape::path(path.as_ref()).into_owned()
}
