//! The survey of devices: their superblocks, the arrays, and the names of these by mdadm.conf.

use std::fs;

use super::{Array, State, Survey};
use crate::byte_text;
use crate::disk::md::config::Config;
use crate::disk::md::device_name::{DeviceName, Naming};
use crate::disk::md::members::{self, Candidate};
use crate::disk::md::{self as superblock, MdError, Metadata};
use crate::escape;
use crate::kmod::Warning;
use crate::stacks::Node;
use crate::sys::block::{self, Disk};
use crate::sys::regular_file::{self, CONFIG_LIMIT};
use crate::sys::{Root, md, sysfs};

/// Reads the superblocks of `nodes` and finds out which arrays they form.
pub(crate) fn survey(dir: &Root, nodes: &[Node]) -> Survey {
    let mut survey = Survey::default();
    let mut warnings = Vec::new();
    let config = config(dir, &mut warnings);
    survey.notes.extend(warnings.iter().map(Warning::to_string));
    let hostname = hostname(dir);
    let mut members: Vec<(&Node, Candidate)> = Vec::new();
    for node in nodes {
        match read(dir, node) {
            Ok(candidate) if !config.allows_device(&candidate.path) => {
                let name = escape::shown(&candidate.path).to_string();
                survey.notes.push(format!("{name}: DEVICE in mdadm.conf excludes it"));
            }
            Ok(candidate) => members.push((node, candidate)),
            Err(reason) => survey.notes.push(format!("{}: {reason}", escape::path(&node.path))),
        }
    }
    // Members of one array keep their order.
    members.sort_by_key(|(_, member)| member.metadata.uuid);
    for set in members.chunk_by(|(_, a), (_, b)| a.metadata.uuid == b.metadata.uuid) {
        let taken = std::mem::take(&mut survey.arrays);
        let is_busy = |name: &str| {
            taken.iter().any(|array| array.device == name)
                || md::state(dir, name).is_some_and(|state| state != "clear")
        };
        let is_linked = |link: &str| {
            taken.iter().any(|array| array.link.as_deref() == Some(link))
                || dir.join("dev/md").join(link).is_symlink()
        };
        let naming = Naming {
            config: &config,
            hostname: hostname.as_deref(),
            is_busy: &is_busy,
            is_linked: &is_linked,
        };
        let array = array(dir, set, &naming);
        survey.arrays = taken;
        survey.arrays.extend(array);
    }
    survey
}

/// Returns the array of devices with one UUID.
fn array(dir: &Root, set: &[(&Node, Candidate)], naming: &Naming<'_>) -> Option<Array> {
    let candidates: Vec<Candidate> = set.iter().map(|(_, candidate)| candidate.clone()).collect();
    let selection = members::select(&candidates)?;
    let metadata = &candidates.get(selection.newest)?.metadata;
    let node = |at: &usize| set.get(*at).map(|(node, _)| (*node).clone());
    let paths =
        |(at, reason): &(usize, members::LeftOut)| Some((node(at)?.path, reason.to_string()));
    let mut array = Array {
        uuid: metadata.uuid_text(),
        name: metadata.name.clone(),
        level: metadata.level.as_str(),
        version: metadata.version.as_str(),
        module: metadata.level.module(),
        device: String::new(),
        link: None,
        slots: metadata.raid_disks,
        members: selection.used.iter().filter_map(node).collect(),
        left_out: selection.left_out.iter().filter_map(paths).collect(),
        missing: selection.missing,
        state: match selection.state {
            members::State::Complete => State::Complete,
            members::State::Degraded => State::Degraded,
            members::State::DirtyDegraded => State::DirtyDegraded,
            members::State::Incomplete => State::Incomplete,
            members::State::Refused(refusal) => State::Refused(refusal.to_string()),
        },
    };
    let holders = set.iter().find_map(|(node, _)| md::holder(dir, node.number));
    let running = holders.filter(|name| md::state(dir, name).is_some_and(|s| !md::is_stopped(&s)));
    if let Some(name) = running {
        array.set_active(dir, name);
        return Some(array);
    }
    match names(metadata, &candidates, naming) {
        Ok(DeviceName { kernel, link }) => (array.device, array.link) = (kernel, link),
        Err(reason) => array.state = State::Refused(reason),
    }
    Some(array)
}

impl Array {
    /// Notes that the array runs as the device `name`.
    fn set_active(&mut self, dir: &Root, name: String) {
        let is_used = |node: &Node| md::holder(dir, node.number).as_ref() == Some(&name);
        let (used, late) = std::mem::take(&mut self.members).into_iter().partition(is_used);
        self.members = used;
        let late: Vec<Node> = late;
        let reason = "appeared after the start of the array";
        self.left_out.extend(late.into_iter().map(|node| (node.path, reason.to_owned())));
        self.link = link_to(dir, &name);
        self.device = name;
        self.state = State::Active;
    }
}

/// Returns the name of the link in /dev/md that leads to an array's device.
fn link_to(dir: &Root, device: &str) -> Option<String> {
    let links = dir.join("dev/md");
    sysfs::entry_names(&links)
        .into_iter()
        .find(|link| fs::read_link(links.join(link)).is_ok_and(|target| target.ends_with(device)))
}

/// Chooses the names of an array, unless mdadm.conf excludes it.
fn names(
    metadata: &Metadata,
    candidates: &[Candidate],
    naming: &Naming<'_>,
) -> Result<DeviceName, String> {
    let paths: Vec<&str> = candidates.iter().map(|candidate| &*candidate.path).collect();
    let line = naming.config.array_line(metadata, &paths)?;
    if line.is_some_and(|line| line.is_ignored()) {
        return Err("mdadm.conf ignores it".to_owned());
    }
    if line.is_none() && !naming.config.allows_version(metadata.version, naming.is_local(metadata))
    {
        return Err("AUTO in mdadm.conf excludes it".to_owned());
    }
    naming.choose(metadata, line)
}

/// Reads the superblock of a device.
fn read(dir: &Root, node: &Node) -> Result<Candidate, String> {
    let path = byte_text::from_path(&node.path).into_owned();
    let name = path.strip_prefix("/dev/").unwrap_or(&path).replace('/', "!");
    let device = block::device(dir, &name).ok_or("the device is gone")?;
    let disk = Disk::open(dir, &device).map_err(|error| error.to_string())?;
    let metadata = superblock::read(&disk).map_err(|error: MdError| error.to_string())?;
    Ok(Candidate { path, sectors: device.size >> 9, metadata })
}

/// Reads mdadm.conf of the image: /etc/mdadm.conf, or else that of Debian in /etc/mdadm, and the
/// files in the directory beside it.
fn config(dir: &Root, warnings: &mut Vec<Warning>) -> Config {
    let mut config = Config::default();
    let places = ["etc/mdadm.conf", "etc/mdadm/mdadm.conf"];
    let place = places.into_iter().find(|place| dir.join(place).exists());
    let Some(place) = place else { return config };
    let directory = dir.join(format!("{place}.d"));
    let mut names = sysfs::entry_names(&directory);
    names.retain(|name| name.ends_with(".conf") && !name.starts_with('.'));
    names.sort_unstable();
    let paths = std::iter::once(dir.join(place)).chain(names.iter().map(|n| directory.join(n)));
    for path in paths {
        let name = escape::path(&path);
        match regular_file::read(&path, CONFIG_LIMIT) {
            Ok(bytes) => config.add_file(&name, &byte_text::from_bytes(&bytes), warnings),
            Err(error) => {
                warnings.push(Warning::new(&name, 0, format!("ignored: {}", error.cause)))
            }
        }
    }
    config
}

/// Returns the name of this host, from hostname(5) of the image.
fn hostname(dir: &Root) -> Option<String> {
    let bytes = regular_file::read(&dir.join("etc/hostname"), CONFIG_LIMIT).ok()?;
    let text = byte_text::from_bytes(&bytes);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.find(|line| !line.starts_with('#')).map(str::to_owned)
}
