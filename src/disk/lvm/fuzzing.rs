//! The whole way from the bytes of a device to the tables of its volumes, for the fuzz target.

use super::activation::{self, Device};
use super::availability::{self, State};
use super::group::Group;
use super::members::{self, Reader};
use crate::disk::Source;
use crate::disk::mapping::{Mapping, Word};

/// Reads the physical volume on a device and checks its groups. Returns the number of mapped
/// devices.
///
/// # Panics
/// As [`check_text`].
#[must_use]
pub fn check(source: &impl Source) -> usize {
    let member = Reader::default().read(source);
    let found = members::assemble(member.as_slice());
    found.iter().map(|found| check_group(&found.group)).sum()
}

/// Parses metadata and builds the tables of every volume, with all devices and with none. Returns
/// the number of mapped devices.
///
/// # Panics
/// A table has a gap, or uses a device that does not come before it.
#[must_use]
pub fn check_text(text: &[u8]) -> usize {
    Group::parse(text).map_or(0, |group| check_group(&group))
}

fn check_group(group: &Group) -> usize {
    let device = Device { number: (8, 1), sectors: u64::MAX };
    let mut count = 0;
    for present in [true, false] {
        let devices = vec![present.then_some(device); group.physical.len()];
        let is_there = vec![present; group.physical.len()];
        for volume in 0..group.volumes.len() {
            let state = availability::state(group, &is_there, volume);
            let made = activation::activate(group, &devices, &[volume], !present);
            // What is refused is not activated: a leg by itself, or an array that lacks too many.
            let is_covered = !matches!(state, State::Missing { is_covered: false, .. });
            let made = made.ok().filter(|_| is_covered);
            count += made.map_or(0, |made| check_order(&made.mappings));
        }
    }
    count
}

fn check_order(mappings: &[Mapping]) -> usize {
    for (at, mapping) in mappings.iter().enumerate() {
        let mut end = 0;
        for target in &mapping.targets {
            assert_eq!(target.start, end, "{}", mapping.name);
            end = target.start.saturating_add(target.sectors);
            for word in &target.parameters {
                if let Word::Mapped(name) = word {
                    assert!(mappings[..at].iter().any(|earlier| earlier.name == *name), "{name}");
                }
            }
        }
    }
    mappings.len()
}
