//! Segments of volumes: how a range of extents is stored.
//!
//! ```text
//! segment1 {
//!     start_extent = 0
//!     extent_count = 25
//!     type = "striped"                 what follows depends on the type
//!     stripe_count = 1
//!     stripes = ["pv0", 0]             a physical volume or a volume, and its first extent
//! }
//! ```
//!
//! Volumes are kept as indexes into the list of the group.

use super::flags::Flags;
use super::text::{Scalar, Section, TextError};

/// A range of extents of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// First extent.
    pub(super) start: u64,
    /// Number of extents.
    pub(super) extents: u64,
    /// Number of extents that a reshape of an array holds back, for each data device.
    pub(super) reshape: u64,
    tags: Vec<Scalar>,
    pub(super) kind: Kind,
}

/// The place of the first extent of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    Physical { volume: usize, extent: u64 },
    Logical { volume: usize, extent: u64 },
}

/// Type of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// Linear if it has one area.
    Striped {
        stripe_size: u64,
        areas: Vec<Area>,
    },
    /// The old mirror; `moved` counts the extents that a pvmove has moved.
    Mirror {
        region_size: u64,
        log: Option<usize>,
        areas: Vec<Area>,
        moved: Option<u64>,
    },
    Raid(Box<Raid>),
    ThinPool(ThinPool),
    Thin {
        pool: usize,
        device_id: u64,
        external: Option<usize>,
        merge: Option<usize>,
    },
    /// An old snapshot: `store` holds the blocks that changed in `origin` or in the snapshot.
    Snapshot {
        origin: usize,
        store: usize,
        chunk_size: u64,
        is_merging: bool,
    },
    Error,
    Zero,
    /// A type that is not supported.
    Unsupported(String),
}

/// Parameters of an array of dm-raid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raid {
    pub(super) level: &'static Level,
    pub(super) stripe_size: u64,
    pub(super) region_size: u64,
    pub(super) copies: u64,
    pub(super) write_behind: u64,
    pub(super) min_recovery_rate: u64,
    pub(super) max_recovery_rate: u64,
    pub(super) data_offset: Option<u64>,
    pub(super) legs: Vec<Leg>,
}

/// A device of an array: volumes of its metadata and its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) metadata: Option<usize>,
    pub(super) image: usize,
}

/// A level of dm-raid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// Type of the segment.
    name: &'static str,
    /// Name in the table.
    pub(super) target: &'static str,
    /// Module of md's personality.
    pub(super) module: &'static str,
    /// Number of devices that may be missing, if it is a level with parity.
    pub(super) parity: usize,
}

const fn level(
    name: &'static str,
    target: &'static str,
    module: &'static str,
    parity: usize,
) -> Level {
    Level { name, target, module, parity }
}

static LEVELS: [Level; 21] = [
    level("raid0", "raid0", "raid0", 0),
    level("raid0_meta", "raid0", "raid0", 0),
    level("raid1", "raid1", "raid1", 0),
    level("raid10", "raid10", "raid10", 0),
    level("raid10_near", "raid10", "raid10", 0),
    level("raid4", "raid4", "raid456", 1),
    level("raid5", "raid5_ls", "raid456", 1),
    level("raid5_n", "raid5_n", "raid456", 1),
    level("raid5_la", "raid5_la", "raid456", 1),
    level("raid5_ls", "raid5_ls", "raid456", 1),
    level("raid5_ra", "raid5_ra", "raid456", 1),
    level("raid5_rs", "raid5_rs", "raid456", 1),
    level("raid6", "raid6_zr", "raid456", 2),
    level("raid6_n_6", "raid6_n_6", "raid456", 2),
    level("raid6_nc", "raid6_nc", "raid456", 2),
    level("raid6_nr", "raid6_nr", "raid456", 2),
    level("raid6_zr", "raid6_zr", "raid456", 2),
    level("raid6_ls_6", "raid6_ls_6", "raid456", 2),
    level("raid6_rs_6", "raid6_rs_6", "raid456", 2),
    level("raid6_la_6", "raid6_la_6", "raid456", 2),
    level("raid6_ra_6", "raid6_ra_6", "raid456", 2),
];

impl Level {
    fn named(name: &str) -> Option<&'static Self> {
        LEVELS.iter().find(|level| level.name == name)
    }

    pub(super) fn is_raid0(&self) -> bool {
        self.target == "raid0"
    }

    pub(super) fn is_raid10(&self) -> bool {
        self.target == "raid10"
    }
}

/// Parameters of a thin pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ThinPool {
    pub(super) data: usize,
    pub(super) metadata: usize,
    pub(super) transaction_id: u64,
    /// Size of a block in sectors.
    pub(super) chunk_size: u64,
    /// Whether blocks are zeroed before use.
    pub(super) is_zeroing: bool,
    pub(super) discards: Discards,
    /// Whether a change of the pool is written down that the kernel may not have made yet.
    pub(super) has_messages: bool,
}

/// What a pool does with discards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Discards {
    Ignore,
    Keep,
    Pass,
}

/// Indexes of the physical volumes and volumes of a group, by name.
pub(super) struct Names<'a> {
    pub(super) physical: Vec<(&'a str, usize)>,
    pub(super) volumes: Vec<(&'a str, usize)>,
}

impl Names<'_> {
    fn find(list: &[(&str, usize)], name: &str) -> Option<usize> {
        let at = list.binary_search_by(|(known, _)| known.cmp(&name)).ok()?;
        list.get(at).map(|(_, index)| *index)
    }

    /// Returns the volume that the entry `key` names.
    fn need(&self, section: &Section, key: &str) -> Result<usize, TextError> {
        self.volume(section, section.need_text(key)?)
    }

    /// Returns the volume that the entry `key` names, or `None` if there is no such entry.
    fn optional(&self, section: &Section, key: &str) -> Result<Option<usize>, TextError> {
        if section.has(key) { self.need(section, key).map(Some) } else { Ok(None) }
    }

    fn volume(&self, section: &Section, name: &str) -> Result<usize, TextError> {
        let found = Self::find(&self.volumes, name);
        found.ok_or_else(|| section.error(&format!("there is no volume '{name}'")))
    }

    fn area(&self, section: &Section, name: &str, extent: u64) -> Result<Area, TextError> {
        match Self::find(&self.physical, name) {
            Some(volume) => Ok(Area::Physical { volume, extent }),
            None => Ok(Area::Logical { volume: self.volume(section, name)?, extent }),
        }
    }

    /// Reads an array of names with extents.
    fn areas(&self, section: &Section, key: &str, count: u64) -> Result<Vec<Area>, TextError> {
        let invalid = || section.error(&format!("{key} is invalid"));
        let mut areas = Vec::new();
        for pair in section.need_values(key)?.chunks(2) {
            let [Scalar::Text(name), Scalar::Number(extent)] = pair else { return Err(invalid()) };
            let extent = u32::try_from(*extent).map_err(|_| invalid())?;
            areas.push(self.area(section, name, extent.into())?);
        }
        if areas.is_empty() || areas.len() as u64 != count { Err(invalid()) } else { Ok(areas) }
    }

    /// Reads an array of volumes: the metadata volume of a leg, if it has one, then its image.
    fn legs(&self, section: &Section, key: &str, count: u64) -> Result<Vec<Leg>, TextError> {
        let (mut legs, mut metadata) = (Vec::new(), None);
        let invalid = || section.error(&format!("{key} is invalid"));
        for value in section.need_values(key)? {
            let Scalar::Text(name) = value else { return Err(invalid()) };
            let volume = self.volume(section, name)?;
            if name.contains("_rmeta_") && metadata.is_none() {
                metadata = Some(volume);
            } else {
                legs.push(Leg { metadata: metadata.take(), image: volume });
            }
        }
        let is_whole = metadata.is_none() && !legs.is_empty() && legs.len() as u64 == count;
        if is_whole { Ok(legs) } else { Err(invalid()) }
    }
}

impl Segment {
    /// Reads a segment. Flags in its type are added to those of the volume.
    pub(super) fn read(
        section: &Section,
        names: &Names<'_>,
        flags: &mut Flags,
    ) -> Result<Self, TextError> {
        let mut words = section.text("type").unwrap_or("striped").split('+');
        let name = words.next().unwrap_or_default();
        for word in words {
            match Flags::named(word) {
                Some(flag) => flags.insert(flag),
                None => return Err(section.error(&format!("unknown flag '{word}'"))),
            }
        }
        Ok(Self {
            start: section.need_u32("start_extent")?,
            extents: section.need_u32("extent_count")?,
            reshape: section.number("reshape_count").unwrap_or(0),
            tags: section.values("tags").unwrap_or_default().to_vec(),
            kind: Kind::read(name, section, names)?,
        })
    }

    /// Adds the following segment to this one if both are one range on the same devices.
    pub(super) fn merge(&mut self, next: &Self) -> bool {
        let is_one = match (&self.kind, &next.kind) {
            (Kind::Error, Kind::Error) | (Kind::Zero, Kind::Zero) => true,
            (
                Kind::Striped { stripe_size: a, areas: first },
                Kind::Striped { stripe_size: b, areas: second },
            ) => {
                let width = self.extents / first.len().max(1) as u64;
                a == b
                    && first.len() == second.len()
                    && self.tags == next.tags
                    && first.iter().zip(second).all(|(a, b)| a.continues(*b, width))
            }
            _ => false,
        };
        if is_one {
            self.extents += next.extents;
        }
        is_one
    }
}

impl Area {
    /// Returns whether `next` begins `width` extents after this area on the same device.
    fn continues(self, next: Self, width: u64) -> bool {
        let (Self::Physical { volume: a, extent }, Self::Physical { volume: b, extent: next }) =
            (self, next)
        else {
            return false;
        };
        a == b && extent + width == next
    }
}

impl Kind {
    fn read(name: &str, section: &Section, names: &Names<'_>) -> Result<Self, TextError> {
        match name {
            "striped" | "linear" => {
                let count = section.need_u32("stripe_count")?;
                let areas = names.areas(section, "stripes", count)?;
                let stripe_size = if count > 1 { section.need_u32("stripe_size")? } else { 0 };
                Ok(Self::Striped { stripe_size, areas })
            }
            "mirror" => Self::read_mirror(section, names),
            "thin-pool" => Self::read_pool(section, names),
            "thin" => Ok(Self::Thin {
                pool: names.need(section, "thin_pool")?,
                device_id: section.need_u32("device_id")?,
                external: names.optional(section, "external_origin")?,
                merge: names.optional(section, "merge")?,
            }),
            "snapshot" => {
                let is_merging = section.has("merging_store");
                let store = if is_merging { "merging_store" } else { "cow_store" };
                Ok(Self::Snapshot {
                    origin: names.need(section, "origin")?,
                    store: names.need(section, store)?,
                    chunk_size: section.need_u32("chunk_size")?,
                    is_merging,
                })
            }
            "error" => Ok(Self::Error),
            "zero" => Ok(Self::Zero),
            _ => match Level::named(name) {
                Some(level) => Raid::read(level, section, names).map(Box::new).map(Self::Raid),
                None => Ok(Self::Unsupported(name.to_owned())),
            },
        }
    }

    fn read_mirror(section: &Section, names: &Names<'_>) -> Result<Self, TextError> {
        let count = section.need_u32("mirror_count")?;
        let moved = section.has("extents_moved").then(|| section.need_u32("extents_moved"));
        let moved = moved.transpose()?;
        // A pvmove has no region size of its own.
        let region_size = match moved {
            Some(_) => 0,
            None if count == 1 => 0,
            None => section.need_u32("region_size")?,
        };
        let log = names.optional(section, "mirror_log")?;
        let areas = names.areas(section, "mirrors", count)?;
        Ok(Self::Mirror { region_size, log, areas, moved })
    }

    fn read_pool(section: &Section, names: &Names<'_>) -> Result<Self, TextError> {
        let discards = match section.text("discards") {
            None | Some("ignore") => Discards::Ignore,
            Some("nopassdown") => Discards::Keep,
            Some("passdown") => Discards::Pass,
            Some(other) => return Err(section.error(&format!("unknown discards '{other}'"))),
        };
        let chunk_size = section.need_u32("chunk_size")?;
        if !(128..=2_097_152).contains(&chunk_size) {
            return Err(section.error(&format!("chunk_size {chunk_size} is invalid")));
        }
        Ok(Self::ThinPool(ThinPool {
            data: names.need(section, "pool")?,
            metadata: names.need(section, "metadata")?,
            transaction_id: section.need_number("transaction_id")?,
            chunk_size,
            is_zeroing: section.number("zero_new_blocks").unwrap_or(0) != 0,
            discards,
            has_messages: section.sections().next().is_some(),
        }))
    }
}

impl Raid {
    fn read(
        level: &'static Level,
        section: &Section,
        names: &Names<'_>,
    ) -> Result<Self, TextError> {
        let list = if level.name == "raid0" { "raid0_lvs" } else { "raids" };
        let counts = ["device_count", "stripe_count"].map(|name| section.number(name));
        let count = match counts {
            [Some(count), None] | [None, Some(count)] if count <= 253 => count,
            _ => return Err(section.error("the number of devices is missing or invalid")),
        };
        let optional = |name| if section.has(name) { section.need_u32(name) } else { Ok(0) };
        let region_size = optional("region_size")?;
        if region_size == 0 && !level.is_raid0() {
            return Err(section.error("region_size is missing"));
        }
        let copies = section.number("data_copies").filter(|copies| *copies >= 2).unwrap_or(2);
        Ok(Self {
            level,
            stripe_size: optional("stripe_size")?,
            region_size,
            copies,
            write_behind: optional("writebehind")?,
            min_recovery_rate: optional("min_recovery_rate")?,
            max_recovery_rate: optional("max_recovery_rate")?,
            data_offset: section.number("data_offset"),
            legs: names.legs(section, list, count)?,
        })
    }
}
