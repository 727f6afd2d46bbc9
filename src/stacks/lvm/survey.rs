//! The survey of devices: groups, their devices and the state of their volumes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use super::selection::{Selection, choose};
use super::{LogicalVolume, MissingDevice, Survey, VolumeGroup, VolumeState};
use crate::disk::Source;
use crate::disk::lvm::activation::{self, Device};
use crate::disk::lvm::availability::{self, State};
use crate::disk::lvm::group::{Group, Physical, Volume};
use crate::disk::lvm::members::{self, Found, Member, Reader};
use crate::escape;
use crate::stacks::Node;
use crate::sys::Root;
use crate::sys::block_stack::{self, MappedDevice};

/// A node that is open for reading.
struct Open {
    file: File,
    size: u64,
}

impl Source for Open {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
}

/// Reads devices and returns the groups on them. Devices without a physical volume have no effect.
pub(crate) fn survey(dir: &Root, nodes: &[Node]) -> Survey {
    let selection = Selection::read(dir);
    let mut survey = Survey { groups: Vec::new(), notes: selection.notes.clone() };
    let (mut reader, mut members, mut used) = (Reader::default(), Vec::new(), Vec::new());
    for node in nodes {
        let name = escape::path(&node.path);
        let file = match File::open(&node.path) {
            Ok(file) => file,
            Err(error) => {
                survey.notes.push(format!("{name}: {error}"));
                continue;
            }
        };
        let Some(member) = reader.read(&Open { file, size: node.size }) else { continue };
        survey.notes.extend(member.problems.iter().map(|problem| format!("{name}: {problem}")));
        if selection.has_device(dir, node, &member) {
            members.push(member);
            used.push(node);
        } else {
            survey.notes.push(format!("{name}: not in the devices file of lvm2"));
        }
    }
    let context = Context { dir, nodes: used, members, mapped: block_stack::mapped_devices(dir) };
    for found in members::assemble(&context.members) {
        let refusal = selection.refusal(&found.group);
        survey.groups.push(context.group(found, refusal));
    }
    survey
}

struct Context<'a> {
    dir: &'a Root,
    /// Nodes of the members.
    nodes: Vec<&'a Node>,
    members: Vec<Member>,
    mapped: Vec<MappedDevice>,
}

impl Context<'_> {
    fn group(&self, found: Found, refusal: Option<String>) -> VolumeGroup {
        let group = Rc::clone(&found.group);
        let mut problem = refusal;
        if found.is_ambiguous {
            let text = format!("its devices hold different metadata with number {}", group.seqno);
            problem.get_or_insert(text);
        }
        let mut devices = Vec::new();
        for at in 0..group.physical.len() {
            let device = match self.device(&found, at) {
                Ok(device) => device,
                Err(text) => {
                    problem.get_or_insert(text);
                    None
                }
            };
            devices.push(device.map(|n| Device { number: n.number, sectors: n.size / 512 }));
        }
        let missing = group.physical.iter().zip(&devices).filter(|(_, device)| device.is_none());
        VolumeGroup {
            name: group.name.clone(),
            uuid: group.id.to_string(),
            missing: missing.map(|(physical, _)| missing_device(physical)).collect(),
            problem,
            notes: self.notes(&found),
            volumes: self.volumes(&group, &devices),
            devices,
            group,
        }
    }

    /// Returns the device of a physical volume; `None` if it is missing.
    fn device(&self, found: &Found, physical: usize) -> Result<Option<&Node>, String> {
        let have = found.devices.get(physical).map(Vec::as_slice).unwrap_or_default();
        let usable: Vec<usize> = have
            .iter()
            .copied()
            .filter(|at| self.members.get(*at).is_some_and(|m| found.is_usable(physical, m)))
            .collect();
        let nodes: Vec<&Node> =
            usable.iter().filter_map(|at| self.nodes.get(*at).copied()).collect();
        if nodes.len() < 2 {
            return Ok(nodes.first().copied());
        }
        let chosen = choose(self.dir, &nodes, &self.mapped, &found.group);
        let chosen = chosen.map_err(|names| format!("the same physical volume is on {names}"))?;
        Ok(nodes.get(chosen).copied())
    }

    fn notes(&self, found: &Found) -> Vec<String> {
        let seqno = found.group.seqno;
        let node = |at: usize| self.nodes.get(at).map(|node| escape::path(&node.path).to_string());
        let stale = found.stale.iter().filter_map(|(at, old)| {
            Some(format!("{}: stale metadata {old} ignored, {seqno} is used", node(*at)?))
        });
        let removed = found.removed.iter();
        let removed = removed
            .filter_map(|at| Some(format!("{}: no longer a device of the group", node(*at)?)));
        let late =
            found.group.physical.iter().zip(&found.devices).filter_map(|(physical, have)| {
                let at = have.first().filter(|_| physical.was_missing())?;
                let node = node(*at)?;
                Some(format!(
                    "{node}: was missing when the group was changed: vgextend --restoremissing"
                ))
            });
        stale.chain(removed).chain(late).collect()
    }

    fn volumes(&self, group: &Group, devices: &[Option<Device>]) -> Vec<LogicalVolume> {
        let present: Vec<bool> = devices.iter().map(Option::is_some).collect();
        let volumes = group.volumes.iter().enumerate();
        volumes.map(|(at, volume)| self.volume(group, &present, at, volume)).collect()
    }

    fn volume(&self, group: &Group, present: &[bool], at: usize, volume: &Volume) -> LogicalVolume {
        let (mapped_name, uuid) = activation::top(group, volume);
        let active = self.mapped.iter().find(|device| device.uuid == uuid);
        let state = match availability::state(group, present, at) {
            State::Ready => VolumeState::Ready,
            State::Refused(reason) => VolumeState::Refused(reason),
            State::Missing { physical, is_covered } => {
                let physical = physical.iter().filter_map(|at| group.physical.get(*at));
                VolumeState::Missing { devices: physical.map(missing_device).collect(), is_covered }
            }
        };
        LogicalVolume {
            name: volume.name.clone(),
            mapped_name,
            is_visible: group.is_visible(volume),
            is_skipped: volume.is_skipped(),
            active: active.map(|device| device.number),
            state,
        }
    }
}

fn missing_device(physical: &Physical) -> MissingDevice {
    MissingDevice { uuid: physical.id.to_string(), last_node: physical.device.clone() }
}
