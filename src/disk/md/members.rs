//! Choice of the devices that form an array: event counts decide.
//!
//! The device with the highest event count knows the array best. Another one is up to date if its
//! count is at most one lower, because a stop between two updates causes that, and if the best one
//! has it in the same slot. A device that is left out is stale, failed, or does not fit.

use std::fmt;

use super::enough::is_enough;
use super::{Level, Metadata, Role};
use crate::escape;

/// A device with a superblock of the array.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Path of the device, for messages.
    pub path: String,
    /// Size of the device in sectors of 512 bytes.
    pub sectors: u64,
    /// Content of the superblock.
    pub metadata: Metadata,
}

/// The reason why a device is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// Event count, and that of the device that knows best.
    Stale(u64, u64),
    /// The superblock of the device marks it as faulty.
    Faulty,
    /// The device at this path marks it as failed or replaced.
    FailedBy(String),
    /// It marks the device at this path, which knows best, as failed.
    Reports(String),
    /// The device is smaller than its superblock says: sectors that it needs and has.
    TooSmall(u64, u64),
    /// Its superblock and that of the device at this path differ in this field.
    Differs(&'static str, String),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale(own, newest) => write!(f, "stale: event count {own}, newest {newest}"),
            Self::Faulty => f.write_str("its superblock marks it as faulty"),
            Self::FailedBy(path) => write!(f, "{} marks it as failed", escape::shown(path)),
            Self::Reports(path) => write!(f, "it marks {} as failed", escape::shown(path)),
            Self::TooSmall(needed, found) => {
                write!(f, "too small: {found} sectors, its superblock needs {needed}")
            }
            Self::Differs(field, path) => {
                write!(f, "its {field} differs from that of {}", escape::shown(path))
            }
        }
    }
}

/// The reason why an array is not assembled, whatever is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Two devices mark each other as failed: paths and event counts.
    SplitBrain([(String, u64); 2]),
    /// Two devices are the same member: paths, and the slot.
    Duplicate([String; 2], u32),
    /// A reshape that may have saved data elsewhere has been interrupted.
    Reshape,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SplitBrain([(one, one_events), (other, other_events)]) => write!(
                f,
                "two halves claim to be the newest: {} (event count {one_events}) and {} (event \
                 count {other_events}) mark each other as failed",
                escape::shown(one),
                escape::shown(other)
            ),
            Self::Duplicate([one, other], slot) => write!(
                f,
                "{} and {} are both the member in slot {slot}: copies, or two paths to one disk",
                escape::shown(one),
                escape::shown(other)
            ),
            Self::Reshape => f.write_str("a reshape is under way, which only mdadm can resume"),
        }
    }
}

/// Whether an array can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// All devices are there that the newest superblock lists as active.
    Complete,
    /// Devices are missing; what is there suffices.
    Degraded,
    /// The members that are there suffice, but parity may be wrong where data is missing.
    DirtyDegraded,
    /// The members that are there do not suffice.
    Incomplete,
    /// The array is not assembled.
    Refused(Refusal),
}

/// The devices of an array, by their index among the candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Whether the array can start.
    pub state: State,
    /// The device that knows the array best.
    pub newest: usize,
    /// Devices to add: active ones by slot, then spares and journals.
    pub used: Vec<usize>,
    /// Devices that are not used.
    pub left_out: Vec<(usize, LeftOut)>,
    /// Slots without a device that is up to date.
    pub missing: Vec<u32>,
    /// Those of them whose device the newest superblock lists as active: it may still appear.
    pub awaited: Vec<u32>,
    /// Whether the array has a journal that is not there.
    pub lacks_journal: bool,
}

/// Chooses the devices of an array; `None` without candidates. All must have its UUID.
#[must_use]
pub fn select(candidates: &[Candidate]) -> Option<Selection> {
    let newest = newest(candidates)?;
    let mut selection = Selection {
        state: State::Incomplete,
        newest,
        used: Vec::new(),
        left_out: Vec::new(),
        missing: Vec::new(),
        awaited: Vec::new(),
        lacks_journal: false,
    };
    let best = candidates.get(newest)?;
    let mut active: Vec<usize> = Vec::new();
    let mut others: Vec<usize> = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        match verdict(candidate, best) {
            Some(reason) => selection.left_out.push((at, reason)),
            None if slot_of(candidate, best).is_some() => active.push(at),
            None => others.push(at),
        }
    }
    let key = |at: &usize| {
        candidates.get(*at).map(|c| (slot_of(c, best), c.metadata.features.is_replacement))
    };
    active.sort_by_key(key);
    let refusal = duplicate(candidates, &active, best)
        .or_else(|| split_brain(candidates, &selection.left_out, &active, best))
        .or_else(|| reshape(&best.metadata));
    let accepted: Vec<&Candidate> = active.iter().filter_map(|at| candidates.get(*at)).collect();
    selection.decide(&best.metadata, &accepted);
    selection.used = active;
    selection.used.append(&mut others);
    let is_journal = |at: &usize| candidates.get(*at).is_some_and(|c| is_journal(&c.metadata));
    selection.lacks_journal =
        best.metadata.features.has_journal && !selection.used.iter().any(is_journal);
    if selection.lacks_journal && selection.state != State::Incomplete {
        selection.state = State::DirtyDegraded;
    }
    if let Some(refusal) = refusal {
        selection.state = State::Refused(refusal);
    }
    Some(selection)
}

impl Selection {
    /// Sets the slots that are missing, and the state.
    fn decide(&mut self, best: &Metadata, accepted: &[&Candidate]) {
        let in_slot = |slot: u32| {
            accepted
                .iter()
                .filter(move |c| c.metadata.role() == Role::Slot(slot))
                .map(|c| &c.metadata)
        };
        let is_whole =
            |metadata: &Metadata| metadata.rebuilt.is_none() && !metadata.features.is_replacement;
        let slots = 0..best.raid_disks;
        let is_active: Vec<bool> = slots.clone().map(|slot| in_slot(slot).any(is_whole)).collect();
        self.missing = slots.clone().filter(|slot| !in_slot(*slot).any(is_whole)).collect();
        self.awaited =
            slots.filter(|slot| best.has_slot(*slot) && in_slot(*slot).next().is_none()).collect();
        let is_enough = |is_clean| is_enough(best.level, best.layout, is_clean, &is_active);
        let is_clean = accepted.iter().all(|c| c.metadata.is_clean);
        let logs_writes = best.features.has_journal || best.features.has_ppl;
        self.state = match (is_enough(true), is_enough(is_clean || logs_writes)) {
            (false, _) => State::Incomplete,
            (true, false) => State::DirtyDegraded,
            (true, true) if self.awaited.is_empty() => State::Complete,
            (true, true) => State::Degraded,
        };
    }
}

/// Returns the device with the highest event count, preferably one that is active.
fn newest(candidates: &[Candidate]) -> Option<usize> {
    let mut best: Option<(usize, (bool, u64))> = None;
    for (at, candidate) in candidates.iter().enumerate() {
        let metadata = &candidate.metadata;
        let key = (matches!(metadata.role(), Role::Slot(_)), metadata.events);
        // Of equal ones the first counts, so that the choice does not depend on what comes later.
        if best.is_none_or(|(_, best)| key > best) {
            best = Some((at, key));
        }
    }
    best.map(|(at, _)| at)
}

/// Returns the slot in which the array uses a device.
fn slot_of(candidate: &Candidate, best: &Candidate) -> Option<u32> {
    match candidate.metadata.role() {
        Role::Slot(slot) if slot < best.metadata.raid_disks => Some(slot),
        _ => None,
    }
}

fn is_journal(metadata: &Metadata) -> bool {
    metadata.role() == Role::Journal
}

/// Returns why the device `own` is left out, if it is.
fn verdict(own: &Candidate, best: &Candidate) -> Option<LeftOut> {
    let (ours, theirs) = (&own.metadata, &best.metadata);
    let differs = |field| Some(LeftOut::Differs(field, best.path.clone()));
    if ours.version != theirs.version {
        return differs("version");
    }
    if ours.end > own.sectors {
        return Some(LeftOut::TooSmall(ours.end, own.sectors));
    }
    match ours.role() {
        Role::Faulty => return Some(LeftOut::Faulty),
        // Superblocks of spares are not always updated.
        Role::Spare => return None,
        Role::Slot(_) | Role::Journal => {}
    }
    if ours.events.saturating_add(1) < theirs.events {
        return Some(LeftOut::Stale(ours.events, theirs.events));
    }
    if ours.created != theirs.created {
        return differs("time of creation");
    }
    if ours.level != theirs.level {
        return differs("level");
    }
    if ours.raid_disks != theirs.raid_disks {
        return differs("number of devices");
    }
    if ours.size != theirs.size {
        return differs("size");
    }
    // The device may have failed with the last update, which it did not receive.
    if theirs.role_of(ours.number) != ours.role() {
        return Some(LeftOut::FailedBy(best.path.clone()));
    }
    match theirs.role() {
        Role::Slot(slot) if !ours.has_slot(slot) => Some(LeftOut::Reports(best.path.clone())),
        _ => None,
    }
}

/// Finds two devices that are up to date in one slot; a replacement may be beside the device that
/// it replaces.
fn duplicate(candidates: &[Candidate], active: &[usize], best: &Candidate) -> Option<Refusal> {
    let found = active.windows(2).find_map(|pair| {
        let pair = [candidates.get(*pair.first()?)?, candidates.get(*pair.get(1)?)?];
        let [one, other] = pair;
        let is_same = slot_of(one, best) == slot_of(other, best)
            && one.metadata.features.is_replacement == other.metadata.features.is_replacement;
        is_same.then_some((pair, slot_of(one, best)?))
    });
    found.map(|([one, other], slot)| {
        Refusal::Duplicate([one.path.clone(), other.path.clone()], slot)
    })
}

/// Finds a device that was active on its own: it marks all those as failed that are accepted, and
/// these mark it as failed.
fn split_brain(
    candidates: &[Candidate],
    left_out: &[(usize, LeftOut)],
    active: &[usize],
    best: &Candidate,
) -> Option<Refusal> {
    left_out.iter().find_map(|(at, _)| {
        let own = candidates.get(*at)?;
        let metadata = &own.metadata;
        slot_of(own, best)?;
        let is_split = metadata.created == best.metadata.created
            && best.metadata.role_of(metadata.number) != metadata.role()
            && active
                .iter()
                .filter_map(|at| slot_of(candidates.get(*at)?, best))
                .all(|slot| !metadata.has_slot(slot));
        let half = |c: &Candidate| (c.path.clone(), c.metadata.events);
        is_split.then(|| Refusal::SplitBrain([half(best), half(own)]))
    })
}

/// Returns the refusal of an array in a reshape that only mdadm can resume: data may have been
/// saved in a file or on a spare. A reshape to another offset saves nothing.
fn reshape(metadata: &Metadata) -> Option<Refusal> {
    let is_redundant = !matches!(metadata.level, Level::Linear | Level::Raid0 | Level::Raid1);
    let features = &metadata.features;
    (is_redundant && features.is_reshaping && !features.has_new_offset).then_some(Refusal::Reshape)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::{Features, Version};
    use super::*;

    /// Returns the superblock of device `number` of a raid1. `roles` has a letter for each device: `U`
    /// active in the slot of its number, `_` faulty, `S` spare.
    pub(crate) fn metadata(roles: &str, number: u32, events: u64) -> Metadata {
        let role = |(at, c): (usize, char)| match c {
            'U' => Role::Slot(u32::try_from(at).unwrap()),
            'S' => Role::Spare,
            'J' => Role::Journal,
            '_' => Role::Faulty,
            // A device in another slot than its number.
            digit => Role::Slot(digit.to_digit(10).unwrap()),
        };
        Metadata {
            version: Version::V1_2,
            uuid: [0; 16],
            name: "pc:root".to_owned(),
            minor: None,
            created: 1,
            updated: 2,
            level: Level::Raid1,
            layout: 0,
            chunk: 0,
            raid_disks: 2,
            size: 1000,
            data_offset: 24,
            end: 1024,
            events,
            is_clean: true,
            rebuilt: None,
            features: Features::default(),
            number,
            device_uuid: None,
            roles: roles.chars().enumerate().map(role).collect(),
        }
    }

    fn device(metadata: Metadata) -> Candidate {
        let path = format!("/dev/sd{}", char::from(b'a' + u8::try_from(metadata.number).unwrap()));
        Candidate { path, sectors: 2048, metadata }
    }

    /// Describes a selection: state, devices, what is left out, missing and awaited slots.
    fn described(candidates: &[Candidate]) -> String {
        let selection = select(candidates).unwrap();
        let state = match &selection.state {
            State::Refused(refusal) => refusal.to_string(),
            state => format!("{state:?}"),
        };
        let used: Vec<&str> = selection.used.iter().map(|at| &candidates[*at].path[7..]).collect();
        let left_out: Vec<String> = selection
            .left_out
            .iter()
            .map(|(at, reason)| format!("{}: {reason}", &candidates[*at].path[7..]))
            .collect();
        format!(
            "{state} [{}] [{}] {:?} {:?}",
            used.join(" "),
            left_out.join(", "),
            selection.missing,
            selection.awaited
        )
    }

    #[test]
    fn event_counts_decide() {
        for (devices, want) in [
            (vec![("UU", 0, 10), ("UU", 1, 10)], "Complete [a b] [] [] []"),
            // The order of the devices is that of the slots.
            (vec![("UU", 1, 10), ("UU", 0, 10)], "Complete [a b] [] [] []"),
            // One event less comes from a stop between two updates.
            (vec![("UU", 0, 9), ("UU", 1, 10)], "Complete [a b] [] [] []"),
            (
                vec![("UU", 0, 8), ("UU", 1, 10)],
                "Degraded [b] [a: stale: event count 8, newest 10] [0] [0]",
            ),
            // The newest one knows that the other has failed, so nothing else is awaited.
            (
                vec![("UU", 0, 5), ("_U", 1, 10)],
                "Complete [b] [a: stale: event count 5, newest 10] [0] []",
            ),
            (
                vec![("UU", 0, 9), ("_U", 1, 10)],
                "Complete [b] [a: /dev/sdb marks it as failed] [0] []",
            ),
            (vec![("UU", 0, 10)], "Degraded [a] [] [1] [1]"),
            (vec![("U_", 0, 10)], "Complete [a] [] [1] []"),
            // A spare, and a device that was added after the superblock of another was written.
            (vec![("UUS", 0, 10), ("UUS", 1, 10), ("UUS", 2, 3)], "Complete [a b c] [] [] []"),
            (
                vec![("U_1", 0, 20), ("U_1", 2, 20), ("UU", 1, 10)],
                "Complete [a c] [b: stale: event count 10, newest 20] [] []",
            ),
            (
                vec![("UU", 0, 10), ("_U", 0, 10)],
                "Degraded [a] [a: its superblock marks it as faulty] [1] [1]",
            ),
            (vec![("SS", 0, 10)], "Incomplete [a] [] [0, 1] []"),
        ] {
            let devices: Vec<Candidate> = devices
                .into_iter()
                .map(|(roles, at, events)| device(metadata(roles, at, events)))
                .collect();
            assert_eq!(described(&devices), want);
        }
    }

    #[test]
    fn halves_that_mark_each_other_as_failed_are_refused() {
        for (one, other) in [(10, 10), (10, 11), (10, 30)] {
            let devices = [device(metadata("U_", 0, one)), device(metadata("_U", 1, other))];
            let text = described(&devices);
            assert!(text.starts_with("two halves claim to be the newest: /dev/sd"), "{text}");
            assert!(text.contains(&format!("/dev/sda (event count {one})")), "{text}");
            assert!(text.contains(&format!("/dev/sdb (event count {other})")), "{text}");
        }
        // Four devices of a raid10, two on each side.
        let half = |roles, at, events| {
            let mut metadata = metadata(roles, at, events);
            (metadata.level, metadata.layout, metadata.raid_disks) = (Level::Raid10, 0x102, 4);
            device(metadata)
        };
        let sides =
            [half("U_U_", 0, 10), half("_U_U", 1, 12), half("U_U_", 2, 10), half("_U_U", 3, 12)];
        assert!(described(&sides).starts_with("two halves claim to be the newest: /dev/sdb "));
        // A device that missed the rebuild of another slot has never been alone.
        let raid6 = |roles, at, events| {
            let mut metadata = metadata(roles, at, events);
            (metadata.level, metadata.raid_disks) = (Level::Raid6, 4);
            device(metadata)
        };
        let devices = [
            raid6("U_U_3", 0, 30),
            raid6("UUU_S", 1, 20),
            raid6("U_U_3", 2, 30),
            raid6("U_U_3", 4, 30),
        ];
        assert_eq!(
            described(&devices),
            "Complete [a c e] [b: stale: event count 20, newest 30] [1] []"
        );
    }

    #[test]
    fn devices_that_do_not_fit_are_left_out() {
        let best = device(metadata("UU", 0, 10));
        let changed = |change: fn(&mut Candidate)| {
            let mut device = device(metadata("UU", 1, 10));
            change(&mut device);
            let text = described(&[best.clone(), device]);
            text.split(['[', ']']).nth(3).unwrap().to_owned()
        };
        for (got, want) in [
            (
                changed(|d| d.sectors = 1023),
                "b: too small: 1023 sectors, its superblock needs 1024",
            ),
            (
                changed(|d| d.metadata.version = Version::V1_0),
                "b: its version differs from that of /dev/sda",
            ),
            (
                changed(|d| d.metadata.created = 7),
                "b: its time of creation differs from that of /dev/sda",
            ),
            (
                changed(|d| d.metadata.level = Level::Raid5),
                "b: its level differs from that of /dev/sda",
            ),
            (
                changed(|d| d.metadata.raid_disks = 3),
                "b: its number of devices differs from that of /dev/sda",
            ),
            (changed(|d| d.metadata.size = 9), "b: its size differs from that of /dev/sda"),
            (changed(|d| d.metadata.roles[0] = Role::Spare), "b: it marks /dev/sda as failed"),
        ] {
            assert_eq!(got, want);
        }
    }

    #[test]
    fn one_slot_has_one_device_and_its_replacement() {
        let mut copy = device(metadata("UU", 0, 10));
        copy.path = "/dev/sdx".to_owned();
        let devices = [device(metadata("UU", 0, 10)), copy.clone(), device(metadata("UU", 1, 10))];
        let text = described(&devices);
        let want =
            "/dev/sda and /dev/sdx are both the member in slot 0: copies, or two paths to one disk";
        assert!(text.starts_with(want), "{text}");
        copy.metadata.events = 5;
        assert!(
            described(&[devices[0].clone(), copy, devices[2].clone()])
                .starts_with("Complete [a b]")
        );
        let mut replacement = device(metadata("UU0", 2, 10));
        replacement.metadata.features.is_replacement = true;
        let devices = [device(metadata("UU0", 0, 10)), replacement, device(metadata("UU0", 1, 10))];
        assert_eq!(described(&devices), "Complete [a c b] [] [] []");
    }

    #[test]
    fn parity_must_be_right_where_data_is_missing() {
        let raid5 = |at, change: fn(&mut Metadata)| {
            let mut metadata = metadata("UUU", at, 10);
            (metadata.level, metadata.raid_disks) = (Level::Raid5, 3);
            change(&mut metadata);
            device(metadata)
        };
        let both = |change| described(&[raid5(0, change), raid5(1, change)]);
        assert_eq!(both(|_| {}), "Degraded [a b] [] [2] [2]");
        assert_eq!(both(|m| m.is_clean = false), "DirtyDegraded [a b] [] [2] [2]");
        let with_log = |m: &mut Metadata| {
            m.is_clean = false;
            m.features.has_ppl = true;
        };
        assert_eq!(both(with_log), "Degraded [a b] [] [2] [2]");
        let with_journal = |m: &mut Metadata| m.features.has_journal = true;
        assert_eq!(both(with_journal), "DirtyDegraded [a b] [] [2] [2]");
        let mut journal = raid5(3, with_journal);
        journal.metadata.roles = "UUUJ"
            .chars()
            .enumerate()
            .map(|(at, c)| match c {
                'J' => Role::Journal,
                _ => Role::Slot(u32::try_from(at).unwrap()),
            })
            .collect();
        let mut members = vec![raid5(0, with_journal), raid5(1, with_journal), journal];
        members[0].metadata.roles.push(Role::Journal);
        members[1].metadata.roles.push(Role::Journal);
        assert_eq!(described(&members), "Degraded [a b d] [] [2] [2]");
        // A device that is being rebuilt holds its slot, but not its data.
        let rebuilt = |m: &mut Metadata| m.rebuilt = Some(8);
        let devices = [raid5(0, |_| {}), raid5(1, |_| {}), raid5(2, rebuilt)];
        assert_eq!(described(&devices), "Complete [a b c] [] [2] []");
        assert_eq!(
            described(&[raid5(0, |_| {}), raid5(2, rebuilt)]),
            "Incomplete [a c] [] [1, 2] [1]"
        );
        let reshaping = |m: &mut Metadata| m.features.is_reshaping = true;
        assert!(both(reshaping).starts_with("a reshape is under way"));
        let moving = |m: &mut Metadata| {
            m.features.is_reshaping = true;
            m.features.has_new_offset = true;
        };
        assert_eq!(both(moving), "Degraded [a b] [] [2] [2]");
    }
}
