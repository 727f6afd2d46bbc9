//! Groups from several devices: the newest metadata of each group counts.
//!
//! Every metadata area holds the whole group, so most texts are the same and parsed once. An area
//! that is damaged, older or of a group that has since removed the device is named and not used.

use std::rc::Rc;

use super::area::{self, Content};
use super::group::Group;
use super::id::Id;
use super::label::Label;
use crate::disk::Source;

/// Maximum number of metadata areas of a device; lvm2 writes at most 2.
const MAX_AREAS: usize = 8;

/// A physical volume on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// UUID of the physical volume.
    pub(crate) id: Id,
    /// Whether it has a metadata area that is in use.
    has_metadata: bool,
    /// The group, for each area that holds one.
    copies: Vec<Rc<Group>>,
    /// What is wrong with areas.
    pub(crate) problems: Vec<String>,
}

/// Reads physical volumes. Equal texts are parsed once.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    known: Vec<(Vec<u8>, Rc<Group>)>,
}

impl Reader {
    /// Reads the physical volume on a device; `None` if there is none.
    pub(crate) fn read(&mut self, source: &dyn Source) -> Option<Member> {
        let Label { id, metadata, .. } = Label::read(source)?;
        let mut member =
            Member { id, has_metadata: false, copies: Vec::new(), problems: Vec::new() };
        for area in metadata.into_iter().take(MAX_AREAS) {
            let content = area::read(source, area).map_err(str::to_owned);
            member.has_metadata |= !matches!(content, Ok(Content::Ignored));
            let group = content.and_then(|content| match content {
                Content::Text(location, text) => self.parse(&location, text).map(Some),
                Content::Empty | Content::Ignored => Ok(None),
            });
            match group {
                Ok(group) => member.copies.extend(group),
                Err(problem) => member.problems.push(problem),
            }
        }
        Some(member)
    }

    fn parse(&mut self, location: &area::Location, text: Vec<u8>) -> Result<Rc<Group>, String> {
        if let Some((_, group)) = self.known.iter().find(|(known, _)| *known == text) {
            return Ok(Rc::clone(group));
        }
        if !area::is_intact(location, &text) {
            return Err("the checksum of the metadata is wrong".into());
        }
        let group = Group::parse(&text).map_err(|error| format!("metadata, {error}"))?;
        let group = Rc::new(group);
        self.known.push((text, Rc::clone(&group)));
        Ok(group)
    }
}

/// A group with the devices that belong to it. Numbers are those of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) group: Rc<Group>,
    /// Devices with the UUID of each physical volume: none, one, or duplicates.
    pub(crate) devices: Vec<Vec<usize>>,
    /// Devices with older metadata, and its number.
    pub(crate) stale: Vec<(usize, u64)>,
    /// Devices that the group has removed.
    pub(crate) removed: Vec<usize>,
    /// Whether devices hold different metadata with the same number.
    pub(crate) is_ambiguous: bool,
}

/// Returns the groups of all members, in the order of their first member.
pub(crate) fn assemble(members: &[Member]) -> Vec<Found> {
    let mut newest: Vec<(Rc<Group>, bool)> = Vec::new();
    for copy in members.iter().flat_map(|member| &member.copies) {
        match newest.iter_mut().find(|(known, _)| known.id == copy.id) {
            None => newest.push((Rc::clone(copy), false)),
            Some((known, _)) if known.seqno > copy.seqno => {}
            Some((known, is_ambiguous)) if known.seqno == copy.seqno => {
                *is_ambiguous |= !Rc::ptr_eq(known, copy);
            }
            Some(known) => *known = (Rc::clone(copy), false),
        }
    }
    let found = newest.into_iter().map(|(group, ambiguous)| found(members, group, ambiguous));
    found.collect()
}

fn found(members: &[Member], group: Rc<Group>, is_ambiguous: bool) -> Found {
    let having = |id: &Id| {
        let with = members.iter().enumerate().filter(|(_, member)| member.id == *id);
        with.map(|(at, _)| at).collect::<Vec<_>>()
    };
    let devices: Vec<Vec<usize>> = group.physical.iter().map(|p| having(&p.id)).collect();
    let (mut stale, mut removed) = (Vec::new(), Vec::new());
    for (at, member) in members.iter().enumerate() {
        let mut copies = member.copies.iter().filter(|copy| copy.id == group.id).peekable();
        if copies.peek().is_none() {
            continue;
        }
        if !group.physical.iter().any(|physical| physical.id == member.id) {
            removed.push(at);
        } else if let Some(old) = copies.find(|copy| copy.seqno < group.seqno) {
            stale.push((at, old.seqno));
        }
    }
    Found { group, devices, stale, removed, is_ambiguous }
}

impl Found {
    /// Returns whether the device of a physical volume may be used. If the metadata was changed
    /// while the device was missing, what it holds may be old.
    pub(crate) fn is_usable(&self, physical: usize, member: &Member) -> bool {
        let was_missing = self.group.physical.get(physical).is_some_and(|p| p.was_missing());
        !was_missing || !member.has_metadata
    }
}
