//! Whether a volume can be activated: which physical volumes it lacks, and whether arrays make up
//! for them.
//!
//! lvm2 2.03 activates an array without some devices if the others hold all data
//! (`--activationmode degraded`), but no thin volume or snapshot on such an array; here both count.

use super::flags::Flags;
use super::group::{Group, Volume};
use super::segment::{Area, Kind, Leg, Raid, Segment};

/// State of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// All devices are there.
    Ready,
    /// Devices are missing; the numbers are those of the physical volumes in the group.
    Missing {
        /// The physical volumes.
        physical: Vec<usize>,
        /// Whether the devices that are there hold all data.
        is_covered: bool,
    },
    /// The volume cannot be activated: the reason.
    Refused(String),
}

/// Looks through a volume and all that it needs.
struct Walk<'a> {
    group: &'a Group,
    /// Whether each physical volume is there.
    present: &'a [bool],
    seen: Vec<bool>,
    missing: Vec<usize>,
    refusal: Option<String>,
}

/// Returns the state of a volume; `present` says of each physical volume whether it is there.
pub(crate) fn state(group: &Group, present: &[bool], volume: usize) -> State {
    let mut walk = Walk::new(group, present);
    walk.visit(volume);
    if let Some(reason) = walk.refusal {
        return State::Refused(reason);
    }
    let mut physical = walk.missing;
    if physical.is_empty() {
        return State::Ready;
    }
    physical.sort_unstable();
    physical.dedup();
    State::Missing { physical, is_covered: is_covered(group, present, volume) }
}

/// Returns whether arrays make up for all missing devices of a volume.
fn is_covered(group: &Group, present: &[bool], volume: usize) -> bool {
    let mut walk = Walk::new(group, present);
    let mut pending = vec![volume];
    while let Some(at) = pending.pop() {
        let Some(volume) = walk.enter(at) else { continue };
        for segment in &volume.segments {
            match &segment.kind {
                Kind::Raid(raid) if !is_redundant(group, present, raid) => return false,
                Kind::Raid(_) => {}
                _ if areas(segment).any(|area| is_missing(present, area)) => return false,
                _ => pending.extend(parts(segment)),
            }
        }
        pending.extend(relatives(group, volume));
    }
    true
}

/// Returns whether the legs of an array that are there hold all data.
fn is_redundant(group: &Group, present: &[bool], raid: &Raid) -> bool {
    let is_failed = |leg: &Leg| {
        let mut walk = Walk::new(group, present);
        walk.visit(leg.image);
        leg.metadata.into_iter().for_each(|metadata| walk.visit(metadata));
        !walk.missing.is_empty()
    };
    let failed: Vec<bool> = raid.legs.iter().map(is_failed).collect();
    let count = failed.iter().filter(|failed| **failed).count();
    match raid.level.target {
        "raid1" => count < failed.len(),
        // Copies of a block are on neighbours; with an odd number of legs a pair goes round.
        "raid10" => {
            let around: Vec<bool> = [&failed[..], &failed[..]].concat();
            around.chunks(2).all(|pair| pair.contains(&false))
        }
        _ => count <= raid.level.parity,
    }
}

fn is_missing(present: &[bool], area: Area) -> bool {
    match area {
        Area::Physical { volume, .. } => !present.get(volume).is_some_and(|present| *present),
        Area::Logical { .. } => false,
    }
}

fn areas(segment: &Segment) -> impl Iterator<Item = Area> {
    let areas: &[Area] = match &segment.kind {
        Kind::Striped { areas, .. } | Kind::Mirror { areas, .. } => areas,
        _ => &[],
    };
    areas.iter().copied()
}

/// Returns the volumes of which a segment is made.
fn parts(segment: &Segment) -> Vec<usize> {
    let mut parts: Vec<usize> = areas(segment)
        .filter_map(|area| match area {
            Area::Logical { volume, .. } => Some(volume),
            Area::Physical { .. } => None,
        })
        .collect();
    match &segment.kind {
        Kind::Mirror { log, .. } => parts.extend(log),
        Kind::Raid(raid) => {
            for Leg { metadata, image } in &raid.legs {
                parts.extend(metadata.iter().chain([image]));
            }
        }
        Kind::ThinPool(pool) => parts.extend([pool.data, pool.metadata]),
        Kind::Thin { pool, external, .. } => parts.extend([*pool].iter().chain(external)),
        Kind::Snapshot { origin, store, .. } => parts.extend([*origin, *store]),
        _ => {}
    }
    parts
}

/// Returns the volumes that are activated with a volume: an origin and its snapshots.
fn relatives(group: &Group, volume: &Volume) -> Vec<usize> {
    let snapshots = volume.snapshots.iter().chain(&volume.store_of);
    let both = snapshots.filter_map(|snapshot| group.volumes.get(*snapshot)?.segments.first());
    both.flat_map(parts).collect()
}

impl<'a> Walk<'a> {
    fn new(group: &'a Group, present: &'a [bool]) -> Self {
        let seen = vec![false; group.volumes.len()];
        Self { group, present, seen, missing: Vec::new(), refusal: None }
    }

    /// Returns the volume if it is visited for the first time.
    fn enter(&mut self, at: usize) -> Option<&'a Volume> {
        let seen = self.seen.get_mut(at)?;
        if std::mem::replace(seen, true) { None } else { self.group.volumes.get(at) }
    }

    fn visit(&mut self, volume: usize) {
        let mut pending = vec![volume];
        while let Some(at) = pending.pop() {
            let Some(volume) = self.enter(at) else { continue };
            for segment in &volume.segments {
                self.visit_segment(volume, segment);
                pending.extend(parts(segment));
            }
            pending.extend(relatives(self.group, volume));
        }
    }

    fn visit_segment(&mut self, volume: &Volume, segment: &Segment) {
        for area in areas(segment).filter(|area| is_missing(self.present, *area)) {
            if let Area::Physical { volume, .. } = area {
                self.missing.push(volume);
            }
        }
        let reason = match &segment.kind {
            Kind::Unsupported(name) => format!("has segments of type {name}: not supported"),
            Kind::Raid(raid) if self.has_visible_part(raid) => {
                "is an array with a visible part".to_owned()
            }
            _ => return,
        };
        self.refusal.get_or_insert_with(|| format!("{} {reason}", volume.name));
    }

    /// Returns whether a part of an array is a volume of its own. An image that is only read, split
    /// off for a time, is none.
    fn has_visible_part(&self, raid: &Raid) -> bool {
        let is = |volume: usize, flags: Flags| {
            self.group.volumes.get(volume).is_some_and(|volume| volume.flags.has(flags))
        };
        raid.legs.iter().any(|leg| {
            (is(leg.image, Flags::WRITE) && is(leg.image, Flags::VISIBLE))
                || leg.metadata.is_some_and(|metadata| is(metadata, Flags::VISIBLE))
        })
    }
}
