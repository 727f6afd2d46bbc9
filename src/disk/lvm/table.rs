//! Tables of the device mapper for segments. Reference: lvm2's device_mapper/libdm-deptree.c and
//! the kernel's admin-guide/device-mapper.
//!
//! ```text
//! linear           DEVICE START
//! striped          COUNT SIZE (DEVICE START)…
//! mirror           core 1 REGION | disk 2 DEVICE REGION, COUNT (DEVICE START)… 1 handle_errors
//! raid             LEVEL COUNT STRIPE OPTION… LEGS (METADATA|- DATA|-)…
//! thin-pool        METADATA DATA CHUNK LOW_WATER COUNT OPTION…
//! thin             POOL ID [ORIGIN]
//! snapshot-origin  REAL
//! snapshot         REAL STORE P CHUNK
//! ```
//!
//! Starts and sizes are in sectors of 512 bytes.

use super::segment::{Discards, Raid, ThinPool};
use crate::disk::mapping::Word;

/// A part of a table line that begins at a sector of a device.
pub(super) struct Place {
    pub(super) device: Word,
    pub(super) start: u64,
}

fn text(text: impl ToString) -> Word {
    Word::Text(text.to_string())
}

fn push_places(words: &mut Vec<Word>, places: Vec<Place>) {
    for place in places {
        words.extend([place.device, text(place.start)]);
    }
}

/// Returns the target and the parameters for one area, or for stripes over several.
pub(super) fn striped(stripe_size: u64, places: Vec<Place>) -> (&'static str, Vec<Word>) {
    let is_linear = places.len() == 1;
    let mut words = Vec::new();
    if !is_linear {
        words.extend([text(places.len()), text(stripe_size)]);
    }
    push_places(&mut words, places);
    (if is_linear { "linear" } else { "striped" }, words)
}

/// Returns the parameters of an old mirror. Errors stop it only if `handles_errors`, as lvm2 wants
/// it except for a pvmove.
pub(super) fn mirror(
    region_size: u64,
    log: Option<Word>,
    places: Vec<Place>,
    handles_errors: bool,
) -> Vec<Word> {
    let mut words = match log {
        None => vec![text("core 1")],
        Some(device) => vec![text("disk 2"), device],
    };
    words.extend([text(region_size), text(places.len())]);
    push_places(&mut words, places);
    if handles_errors {
        words.push(text("1 handle_errors"));
    }
    words
}

/// What the volumes of a leg say of it.
pub(super) struct LegState {
    /// Its devices, metadata first; `None` is `-`.
    pub(super) devices: [Option<Word>; 2],
    pub(super) is_rebuilt: bool,
    pub(super) is_write_mostly: bool,
    /// 1 for a leg that a reshape adds, -1 for one that it removes.
    pub(super) reshape: i64,
}

/// Returns the parameters of an array.
pub(super) fn raid(raid: &Raid, legs: Vec<LegState>) -> Vec<Word> {
    let level = raid.level;
    let options = if level.is_raid0() { Vec::new() } else { raid_options(raid, &legs) };
    let mut words = vec![text(level.target), text(1 + 2 * options.len()), text(raid.stripe_size)];
    for (name, value) in options {
        words.extend([text(name), text(value)]);
    }
    words.push(text(legs.len()));
    for device in legs.into_iter().flat_map(|leg| leg.devices) {
        words.push(device.unwrap_or_else(|| text("-")));
    }
    words
}

/// Returns the options of an array in the order of the kernel's documentation.
fn raid_options(raid: &Raid, legs: &[LegState]) -> Vec<(&'static str, i64)> {
    let is_raid1 = raid.level.target == "raid1";
    let mut options = Vec::new();
    let each = |options: &mut Vec<_>, name, wanted: fn(&LegState) -> bool| {
        let legs = legs.iter().zip(0_i64..).filter(|(leg, _)| wanted(leg));
        options.extend(legs.map(|(_, number)| (name, number)));
    };
    let value = |options: &mut Vec<_>, name, value: u64| {
        let value = i64::try_from(value).ok().filter(|value| *value != 0);
        options.extend(value.map(|value| (name, value)));
    };
    each(&mut options, "rebuild", |leg| leg.is_rebuilt);
    value(&mut options, "min_recovery_rate", raid.min_recovery_rate);
    value(&mut options, "max_recovery_rate", raid.max_recovery_rate);
    if is_raid1 {
        each(&mut options, "write_mostly", |leg| leg.is_write_mostly);
        value(&mut options, "max_write_behind", raid.write_behind);
    }
    value(&mut options, "region_size", raid.region_size);
    if raid.level.is_raid10() {
        value(&mut options, "raid10_copies", raid.copies);
    }
    let delta: i64 = legs.iter().map(|leg| leg.reshape).sum();
    if delta != 0 {
        options.push(("delta_disks", delta));
    }
    // 0 has a meaning of its own: the kernel moves the data by as much as it needs.
    let offset = raid.data_offset.and_then(|offset| i64::try_from(offset).ok());
    options.extend(offset.map(|offset| ("data_offset", offset)));
    options
}

/// Returns the parameters of a thin pool.
pub(super) fn thin_pool(
    pool: &ThinPool,
    metadata: Word,
    data: Word,
    fails_when_full: bool,
) -> Vec<Word> {
    let options = [
        (!pool.is_zeroing, "skip_block_zeroing"),
        (pool.discards == Discards::Ignore, "ignore_discard"),
        (pool.discards == Discards::Keep, "no_discard_passdown"),
        (fails_when_full, "error_if_no_space"),
    ];
    let options: Vec<_> = options.iter().filter(|(is_set, _)| *is_set).collect();
    // 0 blocks left is when the kernel sends the event of a pool that is nearly full.
    let mut words = vec![metadata, data, text(pool.chunk_size), text(0), text(options.len())];
    words.extend(options.iter().map(|(_, name)| text(name)));
    words
}

/// Returns the parameters of a thin volume.
pub(super) fn thin(pool: Word, device_id: u64, origin: Option<Word>) -> Vec<Word> {
    let mut words = vec![pool, text(device_id)];
    words.extend(origin);
    words
}

/// Returns the parameters of an old snapshot, or of an origin into which one is merged.
pub(super) fn snapshot(real: Word, store: Word, chunk_size: u64) -> Vec<Word> {
    vec![real, store, text("P"), text(chunk_size)]
}
