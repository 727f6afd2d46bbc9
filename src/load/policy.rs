//! The order in which ready steps start, and which of them are held back.

use std::time::Duration;

use crate::cmdline::boot::AsyncProbe;
use crate::kmod::name::ModuleName;

/// How near a module is to the root. Disks come next, because they take longest until they can be
/// read, and then other slow devices: modules that load meanwhile cost no time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// The root device may need it.
    Root,
    /// It drives storage.
    Storage,
    /// Its devices answer in their own time, and more devices may hang below them.
    Slow,
    /// Anything else.
    #[default]
    Rest,
}

/// Policy for the order of loads. The default is: by rank, and within a rank in order of request.
#[derive(Debug, Clone, Default)]
pub(crate) struct SchedulePolicy {
    /// Modules that are loaded alone, with no other load under way.
    pub(crate) exclusive: Vec<ModuleName>,
    /// The modules of an earlier record: each of them waits for the end of the one before it.
    pub(crate) replay: Vec<ModuleName>,
    /// Seed that shuffles the ready steps; the same seed results in the same order.
    pub(crate) seed: Option<u64>,
    /// Modules that the root is known to need.
    pub(crate) first: Vec<ModuleName>,
    /// Until released, only steps of this rank or better start, plus one low-priority step at a
    /// time unless loads are sequential.
    pub(crate) hold_below: Option<Rank>,
    /// Modules that are loaded with `async_probe`.
    pub(crate) async_probe: AsyncProbe,
    /// Time after which a module whose init has not returned is given up; `None` to wait.
    pub(crate) module_timeout: Option<Duration>,
}

/// Sort key of a ready step: the lowest starts first. What a step waits for has no higher key than
/// the step itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SortKey {
    /// Position in the record that is replayed, or rank.
    pub(super) primary: usize,
    tie: u64,
}

impl SchedulePolicy {
    /// Returns the sort key of `module`, which is wanted at `rank`.
    pub(super) fn sort_key(&self, module: &ModuleName, rank: Rank) -> SortKey {
        let primary = match (self.replay.is_empty(), self.seed) {
            (false, _) => self.replay_position(module),
            // A shuffle that kept the ranks would leave many orders out.
            (true, Some(_)) if self.hold_below.is_none() => 0,
            _ => rank as usize,
        };
        SortKey { primary, tie: self.seed.map_or(0, |seed| hash(seed, module.as_bytes())) }
    }

    /// Returns the rank of `module`, which is wanted at `rank`.
    pub(super) fn rank(&self, module: &ModuleName, rank: Rank) -> Rank {
        if self.first.contains(module) { Rank::Root } else { rank }
    }

    /// Returns the position of `module` in the record that is replayed, or its length if the record
    /// does not list the module.
    fn replay_position(&self, module: &ModuleName) -> usize {
        self.replay.iter().position(|m| m == module).unwrap_or(self.replay.len())
    }
}

/// Returns FNV-1a over the seed and the name, with its bits mixed by the last steps of SplitMix64:
/// the same in every build.
fn hash(seed: u64, name: &[u8]) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(name.iter().copied());
    let sum = bytes.fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}
