//! In which order ready steps are given out, and which are kept back.

use crate::cmdline::boot::AsyncProbe;
use crate::kmod::name::ModuleName;

/// How near a module is to the root. Disks come next, which take longest until they can be read, and then other slow
/// devices: what is loaded meanwhile costs no time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The root may be behind it.
    Root,
    /// It drives storage.
    Storage,
    /// Its devices answer in their own time, and more may hang below them.
    Slow,
    /// Anything else.
    #[default]
    Rest,
}

/// What bears on the order. The default is: by rank, and within one as it was asked for.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// Modules that are loaded with nothing else under way.
    pub alone: Vec<ModuleName>,
    /// The modules of an earlier record: each of them waits for the end of the one before it.
    pub replay: Vec<ModuleName>,
    /// Shuffles the ready steps; the same seed, the same order.
    pub seed: Option<u64>,
    /// Modules known to be on the way to the root.
    pub first: Vec<ModuleName>,
    /// Only steps of this rank and better are given out, until that is taken back; besides them one at a time, which
    /// is to be carried out gently.
    pub hold: Option<Rank>,
    /// Steps are carried out one after the other.
    pub serial: bool,
    /// What is loaded with `async_probe`.
    pub probing: AsyncProbe,
}

/// The place of a step among the ready ones: the lowest goes first. What a step waits for gets no lower place
/// than the step itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Its position in the record that is replayed, or its rank.
    pub(super) primary: usize,
    tie: u64,
}

impl Order {
    /// The place of `module`, which is wanted at `rank`.
    pub(super) fn place(&self, module: &ModuleName, rank: Rank) -> Place {
        let primary = match (self.replay.is_empty(), self.seed) {
            (false, _) => self.position(module),
            // A shuffle that kept the ranks would leave many orders out.
            (true, Some(_)) if self.hold.is_none() => 0,
            _ => rank as usize,
        };
        Place { primary, tie: self.seed.map_or(0, |seed| hash(seed, module.as_str())) }
    }

    /// The rank of `module`, which is wanted at `rank`.
    pub(super) fn rank(&self, module: &ModuleName, rank: Rank) -> Rank {
        if self.first.contains(module) { Rank::Root } else { rank }
    }

    /// Where `module` stands in the record that is replayed; behind all where it does not.
    fn position(&self, module: &ModuleName) -> usize {
        self.replay.iter().position(|m| m == module).unwrap_or(self.replay.len())
    }
}

/// FNV-1a over the seed and the name, its bits then mixed (the last steps of SplitMix64): the same in every build.
fn hash(seed: u64, name: &str) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(name.bytes());
    let sum = bytes.fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}
