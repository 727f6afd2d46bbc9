//! A volume group, as its metadata describes it. Reference: lvm2's lib/format_text/import_vsn1.c.
//!
//! ```text
//! vg0 {
//!     id = "…"   seqno = 4   status = […]   extent_size = 8192      sectors
//!     physical_volumes { pv0 { id, device (a hint), status, dev_size, pe_start, pe_count } … }
//!     logical_volumes { root { id, status, segment_count, segment1 { … } … } … }
//! }
//! contents = "Text Format Volume Group"
//! version = 1
//! ```

use super::flags::Flags;
use super::id::{Id, is_name};
use super::segment::{Kind, Names, Segment};
use super::text::{Section, TextError};

/// A volume group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) id: Id,
    /// Number that each change of the metadata increases.
    pub(crate) seqno: u64,
    pub(super) flags: Flags,
    /// The system that owns the group; empty if any may use it.
    pub(crate) system_id: String,
    /// The lock manager of a shared group; empty, or `none`, if it is not shared.
    pub(super) lock_type: String,
    /// Size of an extent in sectors.
    pub(super) extent_size: u64,
    pub(crate) physical: Vec<Physical>,
    pub(crate) volumes: Vec<Volume>,
}

/// A physical volume of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Physical {
    pub(crate) id: Id,
    /// Node that was the device when the metadata was written.
    pub(crate) device: String,
    /// Stable name of the device, with its type, as in the devices file.
    pub(crate) device_id: Option<(String, String)>,
    pub(super) flags: Flags,
    /// Size in sectors; 0 if unknown.
    pub(crate) size: u64,
    /// First sector of the first extent.
    pub(super) start: u64,
    pub(super) extents: u64,
}

/// A logical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(super) id: Id,
    pub(super) flags: Flags,
    pub(super) segments: Vec<Segment>,
    pub(super) extents: u64,
    pub(super) role: Role,
    /// Snapshots of which this is the origin.
    pub(super) snapshots: Vec<usize>,
    /// The snapshot of which this stores the changed blocks.
    pub(super) store_of: Option<usize>,
    /// The snapshot, old or thin, that is being merged into this.
    pub(super) merging: Option<usize>,
    /// Whether thin volumes have this as their external origin.
    pub(super) is_external_origin: bool,
}

/// Part that a volume has in another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    None,
    PoolData,
    PoolMetadata,
    /// Data or metadata of a device of an array.
    Leg,
}

impl Group {
    /// Parses the metadata of a group.
    ///
    /// # Errors
    /// The syntax or a value is wrong, or a reference leads nowhere.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, TextError> {
        let all = Section::parse(text)?;
        if all.text("contents") != Some("Text Format Volume Group")
            || all.number("version") != Some(1)
        {
            return Err(all.error("contents or version is unknown"));
        }
        let no_group = || all.error("there is no volume group");
        let (name, section) = all.sections().next().ok_or_else(no_group)?;
        let physical = section.section("physical_volumes");
        let physical = physical.ok_or_else(|| section.error("no physical volumes"))?;
        let empty = Section::default();
        let volumes = section.section("logical_volumes").unwrap_or(&empty);
        let names =
            Names { physical: sorted(physical, section)?, volumes: sorted(volumes, section)? };
        let text = |key| section.text(key).unwrap_or_default().to_owned();
        let mut group = Self {
            name: valid_name(name, section)?,
            id: read_id(section)?,
            seqno: section.need_u32("seqno")?,
            flags: Flags::read(section)?,
            system_id: text("system_id"),
            lock_type: text("lock_type"),
            extent_size: section.need_u32("extent_size")?,
            physical: physical
                .sections()
                .map(|(_, s)| Physical::read(s))
                .collect::<Result<_, _>>()?,
            volumes: volumes
                .sections()
                .map(|(name, section)| Volume::read(name, section, &names))
                .collect::<Result<_, _>>()?,
        };
        if group.extent_size == 0 {
            return Err(section.error("extent_size is 0"));
        }
        group.set_roles();
        Ok(group)
    }

    /// Returns the index of the volume `name`.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.volumes.iter().position(|volume| volume.name == name)
    }

    pub(crate) fn is_exported(&self) -> bool {
        self.flags.has(Flags::EXPORTED)
    }

    pub(crate) fn is_read_only(&self) -> bool {
        !self.flags.has(Flags::WRITE)
    }

    /// Returns the lock manager without which a shared group must not be used.
    pub(crate) fn lock_manager(&self) -> Option<&str> {
        match &*self.lock_type {
            "" | "none" => self.flags.has(Flags::CLUSTERED).then_some("clvmd"),
            manager => Some(manager),
        }
    }

    /// Returns whether the volume is one that users see.
    pub(crate) fn is_visible(&self, volume: &Volume) -> bool {
        if let Some((origin, is_merging)) = self.origin_of(volume) {
            let is_sparse = !origin.flags.has(Flags::VISIBLE);
            return is_sparse || !is_merging;
        }
        let is_hidden = volume.segments.iter().any(|segment| match segment.kind {
            Kind::Snapshot { .. } => true,
            Kind::Thin { merge, .. } => merge.is_some(),
            _ => false,
        });
        volume.flags.has(Flags::VISIBLE) && !is_hidden
    }

    /// Returns the origin of the old snapshot whose store this volume is, and whether it is being
    /// merged.
    pub(super) fn origin_of(&self, volume: &Volume) -> Option<(&Volume, bool)> {
        let (origin, is_merging) = self.snapshot(volume.store_of?)?;
        Some((self.volumes.get(origin)?, is_merging))
    }

    /// Returns the origin of a snapshot, and whether it is being merged.
    pub(super) fn snapshot(&self, snapshot: usize) -> Option<(usize, bool)> {
        match self.volumes.get(snapshot)?.segments.first()?.kind {
            Kind::Snapshot { origin, is_merging, .. } => Some((origin, is_merging)),
            _ => None,
        }
    }

    /// Notes what volumes are to each other.
    fn set_roles(&mut self) {
        for at in 0..self.volumes.len() {
            let kinds: Vec<Kind> = match self.volumes.get(at) {
                Some(volume) => volume.segments.iter().map(|s| s.kind.clone()).collect(),
                None => return,
            };
            kinds.iter().for_each(|kind| self.set_roles_of(at, kind));
        }
    }

    fn set_roles_of(&mut self, at: usize, kind: &Kind) {
        let mut change = |volume: usize, set: &dyn Fn(&mut Volume)| {
            self.volumes.get_mut(volume).into_iter().for_each(set);
        };
        match kind {
            Kind::Snapshot { origin, store, is_merging, .. } => {
                change(*store, &|volume| volume.store_of = Some(at));
                change(*origin, &|volume| {
                    volume.snapshots.push(at);
                    if *is_merging {
                        volume.merging = Some(at);
                    }
                });
            }
            Kind::Thin { external, merge, .. } => {
                if let Some(origin) = external {
                    change(*origin, &|volume| {
                        volume.is_external_origin = true;
                        volume.flags.remove(Flags::WRITE);
                    });
                }
                if let Some(origin) = merge {
                    change(*origin, &|volume| volume.merging = Some(at));
                }
            }
            Kind::ThinPool(pool) => {
                change(pool.data, &|volume| volume.role = Role::PoolData);
                change(pool.metadata, &|volume| volume.role = Role::PoolMetadata);
            }
            Kind::Raid(raid) => {
                for leg in &raid.legs {
                    change(leg.image, &|volume| volume.role = Role::Leg);
                    leg.metadata.into_iter().for_each(|m| change(m, &|v| v.role = Role::Leg));
                }
            }
            _ => {}
        }
    }
}

impl Physical {
    fn read(section: &Section) -> Result<Self, TextError> {
        let text = |key| section.text(key).map(str::to_owned);
        Ok(Self {
            id: read_id(section)?,
            device: text("device").unwrap_or_default(),
            device_id: text("device_id_type").zip(text("device_id")),
            flags: Flags::read(section)?,
            size: section.number("dev_size").unwrap_or(0),
            start: section.need_number("pe_start")?,
            extents: section.need_u32("pe_count")?,
        })
    }

    /// Returns whether the metadata was changed while the device was missing.
    pub(crate) fn was_missing(&self) -> bool {
        self.flags.has(Flags::MISSING)
    }
}

impl Volume {
    fn read(name: &str, section: &Section, names: &Names<'_>) -> Result<Self, TextError> {
        let mut flags = Flags::read(section)?;
        let mut segments = Vec::new();
        for (_, inner) in section.sections() {
            segments.push(Segment::read(inner, names, &mut flags)?);
        }
        if section.need_u32("segment_count")? != segments.len() as u64 {
            return Err(section.error("segment_count is wrong"));
        }
        let extents = check(&mut segments).map_err(|what| section.error(what))?;
        // A move of extents relies on segments that are alike in two volumes.
        let is_fixed = flags.has(Flags::LOCKED) || flags.has(Flags::PVMOVE);
        if !is_fixed {
            segments.dedup_by(|next, segment| segment.merge(next));
        }
        Ok(Self {
            name: valid_name(name, section)?,
            id: read_id(section)?,
            flags,
            segments,
            extents,
            role: Role::None,
            snapshots: Vec::new(),
            store_of: None,
            merging: None,
            is_external_origin: false,
        })
    }

    /// Returns the thin pool that this volume is.
    pub(super) fn pool(&self) -> Option<&super::segment::ThinPool> {
        match &self.segments.first()?.kind {
            Kind::ThinPool(pool) => Some(pool),
            _ => None,
        }
    }

    /// Returns whether an activation of the whole group leaves this volume out (`lvcreate -k y`).
    pub(crate) fn is_skipped(&self) -> bool {
        self.flags.has(Flags::ACTIVATION_SKIP)
    }
}

/// Puts segments in order and returns the number of their extents.
fn check(segments: &mut [Segment]) -> Result<u64, &'static str> {
    segments.sort_unstable_by_key(|segment| segment.start);
    let mut extents: u64 = 0;
    for segment in &*segments {
        if segment.start != extents || segment.extents == 0 {
            return Err("its segments have a gap or overlap");
        }
        extents += segment.extents;
    }
    if segments.len() > 1 && segments.iter().any(|s| matches!(s.kind, Kind::Snapshot { .. })) {
        return Err("a snapshot has several segments");
    }
    match extents {
        0 => Err("it has no segment"),
        extents if extents > u64::from(u32::MAX) => Err("it has too many extents"),
        extents => Ok(extents),
    }
}

/// Returns the names of the sections in `list` with their numbers, sorted by name.
fn sorted<'a>(list: &'a Section, group: &Section) -> Result<Vec<(&'a str, usize)>, TextError> {
    let mut names: Vec<_> = list.sections().zip(0..).map(|((name, _), at)| (name, at)).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(group.error(&format!("two volumes have the name '{}'", pair[0].0))),
        None => Ok(names),
    }
}

fn valid_name(name: &str, section: &Section) -> Result<String, TextError> {
    let invalid = || section.error(&format!("the name '{name}' is invalid"));
    is_name(name).then(|| name.to_owned()).ok_or_else(invalid)
}

fn read_id(section: &Section) -> Result<Id, TextError> {
    let id = Id::parse(section.need_text("id")?);
    id.ok_or_else(|| section.error("id is no UUID"))
}
