//! What volume groups and arrays tell about a device that was not found.

use crate::boot::root::near_misses::distance;
use crate::cmdline::root_name::RootName;
use crate::disk::mapping::mapper_name;
use crate::stacks::message::{Array, Group, State, Volume};

/// Returns a line for each group and array that may be the reason why `wanted` was not found.
pub(super) fn hints(wanted: Option<&RootName>, groups: &[Group], arrays: &[Array]) -> Vec<String> {
    let named = wanted.and_then(|name| group_of(name, groups));
    let mut lines = match named {
        Some((group, volume)) => vec![volume_line(group, volume)],
        None => groups.iter().map(group_line).collect(),
    };
    let wants_array = matches!(wanted, Some(RootName::Device(path)) if path.starts_with("/dev/md"));
    let of_use = arrays.iter().filter(|array| wants_array || array.state != State::Active);
    lines.extend(of_use.map(array_line));
    let absent = wanted.filter(|_| groups.is_empty() && arrays.is_empty()).and_then(absent_kind);
    lines.extend(absent.map(|kind| format!("no {kind} found")));
    lines
}

/// Returns what a device with this name is made of; `None` if it may be any.
fn absent_kind(name: &RootName) -> Option<&'static str> {
    let RootName::Device(path) = name else { return None };
    let path = path.strip_prefix("/dev/")?;
    match path.split_once('/') {
        _ if path.starts_with("md") => Some("member of an array"),
        // The name of a volume has a dash; that of a LUKS device may have one.
        Some(("mapper", name)) if !name.contains('-') => None,
        Some(_) => Some("LVM physical volume"),
        None => None,
    }
}

/// Returns the line for the devices that are in a firmware RAID of this type; `None` without any.
pub(super) fn firmware_line(kind: &str, mut nodes: Vec<String>) -> Option<String> {
    let last = nodes.pop()?;
    let (rest, are) = if nodes.is_empty() {
        (String::new(), "is")
    } else {
        (format!("{} and ", nodes.join(", ")), "are")
    };
    Some(format!("{rest}{last} {are} in a firmware RAID ({kind}), which is not assembled"))
}

/// Returns the group that a name of a volume begins with, and the name of the volume.
fn group_of<'a>(name: &'a RootName, groups: &'a [Group]) -> Option<(&'a Group, &'a str)> {
    let RootName::Device(path) = name else { return None };
    let path = path.strip_prefix("/dev/")?;
    groups.iter().find_map(|group| {
        let volume = match path.strip_prefix("mapper/") {
            Some(mapped) => mapped.strip_prefix(&mapper_name(&[&group.name]))?.strip_prefix('-'),
            None => path.strip_prefix(group.name.as_str())?.strip_prefix('/'),
        };
        Some((group, volume?))
    })
}

/// Returns why a volume of a group was not found.
fn volume_line(group: &Group, volume: &str) -> String {
    let name = &group.name;
    let found =
        group.volumes.iter().find(|v| v.name == volume || mapper_name(&[&v.name]) == volume);
    match (found, &group.problem) {
        (Some(Volume { name: volume, text, .. }), _) if !text.is_empty() => {
            format!("volume {volume} of {name}: {text}")
        }
        (_, Some(problem)) => format!("volume group {name}: {problem}"),
        (Some(Volume { name: volume, state: State::Active, .. }), _) => {
            format!("volume {volume} of {name} is active")
        }
        (Some(Volume { name: volume, .. }), _) => {
            format!("volume {volume} of {name} is not active")
        }
        (None, None) => {
            let near = group.volumes.iter().find(|v| distance(volume, &v.name) < 3);
            match near {
                Some(near) => format!("{name} has no volume {volume}: did you mean {}?", near.name),
                None => format!("{name} has no volume {volume}, only {}", volumes(group)),
            }
        }
    }
}

fn volumes(group: &Group) -> String {
    let names: Vec<_> = group.volumes.iter().map(|volume| volume.name.as_str()).collect();
    if names.is_empty() { "no volumes".to_owned() } else { names.join(", ") }
}

fn group_line(group: &Group) -> String {
    let Group { name, problem, .. } = group;
    match problem {
        Some(problem) => format!("volume group {name}: {problem}"),
        None => format!("volume group {name} holds {}", volumes_with_state(group)),
    }
}

/// Returns `root, which is active; cache, which …` for the volumes of a group.
fn volumes_with_state(group: &Group) -> String {
    let all = group.volumes.iter().map(|Volume { name, state, text }| match state {
        State::Active => format!("{name} (active)"),
        _ if text.is_empty() => name.clone(),
        _ => format!("{name} ({text})"),
    });
    let all: Vec<_> = all.collect();
    if all.is_empty() { "no volumes".to_owned() } else { all.join(", ") }
}

fn array_line(array: &Array) -> String {
    let text = match array.state {
        State::Active => "active",
        _ if array.text.is_empty() => "not started",
        _ => &array.text,
    };
    format!("array {}: {text}", array.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> (Vec<Group>, Vec<Array>) {
        let volume =
            |name: &str, state, text: &str| Volume { name: name.into(), state, text: text.into() };
        let group = |name: &str, problem: Option<&str>, volumes| Group {
            name: name.into(),
            uuid: "u".into(),
            problem: problem.map(str::to_owned),
            volumes,
        };
        let groups = vec![
            group(
                "vg0",
                None,
                vec![
                    volume("root", State::Active, ""),
                    volume("home-1", State::Ready, ""),
                    volume("fast", State::Refused, "cache volumes are not supported"),
                ],
            ),
            group("vg-1", Some("physical volume abc is missing"), vec![]),
        ];
        let array = |name: &str, state, text: &str| Array {
            name: name.into(),
            uuid: "u".into(),
            state,
            text: text.into(),
            members: vec![],
        };
        let missing = "1 of 2 members missing";
        let arrays =
            vec![array("md0", State::Active, ""), array("md1", State::Incomplete, missing)];
        (groups, arrays)
    }

    #[test]
    fn without_groups_and_arrays_the_kind_of_a_name_is_missing() {
        for (name, want) in [
            ("/dev/vg0/root", "no LVM physical volume found"),
            ("/dev/mapper/vg0-root", "no LVM physical volume found"),
            ("/dev/mapper/crypt", ""),
            ("/dev/md0", "no member of an array found"),
            ("/dev/md/root", "no member of an array found"),
            ("/dev/sda1", ""),
            ("LABEL=x", ""),
        ] {
            assert_eq!(hints(RootName::parse(name).as_ref(), &[], &[]).concat(), want, "{name}");
        }
        let line = |nodes: &[&str]| {
            let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
            firmware_line("isw_raid_member", nodes).unwrap_or_default()
        };
        assert_eq!(line(&[]), "");
        for (nodes, want) in [
            (&["/dev/sda"][..], "/dev/sda is in a firmware RAID "),
            (&["/dev/sda", "/dev/sdb"], "/dev/sda and /dev/sdb are in a firmware RAID "),
            (&["a", "b", "c"], "a, b and c are in a firmware RAID (isw_raid_member), which "),
        ] {
            assert!(line(nodes).starts_with(want), "{}", line(nodes));
        }
    }

    #[test]
    fn the_group_of_a_name_explains_it() {
        let (groups, arrays) = machine();
        let whole = "volume group vg0 holds root (active), home-1, \
                     fast (cache volumes are not supported)";
        for (name, want) in [
            ("/dev/vg0/rot", "vg0 has no volume rot: did you mean root?"),
            ("/dev/mapper/vg0-root2", "vg0 has no volume root2: did you mean root?"),
            ("/dev/vg0/quite-other", "vg0 has no volume quite-other, only root, home-1, fast"),
            ("/dev/vg0/root", "volume root of vg0 is active"),
            ("/dev/mapper/vg0-home--1", "volume home-1 of vg0 is not active"),
            ("/dev/vg0/fast", "volume fast of vg0: cache volumes are not supported"),
            ("/dev/mapper/vg--1-x", "volume group vg-1: physical volume abc is missing"),
            ("LABEL=x", whole),
            ("/dev/vg2/root", whole),
        ] {
            let name = RootName::parse(name);
            let lines = hints(name.as_ref(), &groups, &arrays);
            assert_eq!(lines[0], want, "{name:?}");
            assert_eq!(lines.last().unwrap(), "array md1: 1 of 2 members missing");
        }
        let lines = hints(RootName::parse("/dev/md2").as_ref(), &groups, &arrays);
        assert_eq!(lines[2..], ["array md0: active", "array md1: 1 of 2 members missing"]);
    }
}
