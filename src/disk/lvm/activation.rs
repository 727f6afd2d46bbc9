//! The mapped devices of volumes, in the order of their creation. Reference: lvm2's
//! lib/activate/dev_manager.c.
//!
//! ```text
//! thin volume  VG-thin ─ VG-pool-tpool ─┬─ VG-pool_tmeta ─ …
//!                                       └─ VG-pool_tdata ─ …
//! thin pool    VG-pool (linear, read-only) ─ VG-pool-tpool ─ …
//! array        VG-raid ─┬─ VG-raid_rmeta_N
//!                       └─ VG-raid_rimage_N ─ [VG-raid_rimage_N-missing_S_A]
//! origin       VG-lv (snapshot-origin) ─ VG-lv-real
//! snapshot     VG-snap (snapshot) ─┬─ VG-lv-real
//!                                  └─ VG-snap-cow
//! ```

use super::flags::Flags;
use super::group::{Group, Role, Volume};
use super::id::{mapped_name, mapped_uuid};
use super::segment::{Area, Kind, Leg, Raid, Segment, ThinPool};
use super::table::{self, LegState, Place};
use crate::disk::mapping::{Mapping, Target, Word};

/// Devices that make volumes available.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Activation {
    /// The devices, each after those that it needs.
    pub(crate) mappings: Vec<Mapping>,
    /// Modules of the kernel that have the targets.
    pub(crate) modules: Vec<&'static str>,
    /// Thin pools among the devices.
    pub(crate) pools: Vec<Pool>,
}

/// A thin pool whose state in the kernel must be that of the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pool {
    /// Name of its device.
    pub(crate) name: String,
    /// Number of the last change to the pool.
    pub(crate) transaction_id: u64,
    /// Whether the kernel may be one change behind.
    pub(crate) has_messages: bool,
}

impl Pool {
    /// Returns what is wrong with the pool according to its status in the kernel.
    pub(crate) fn problem(&self, status: &str) -> Option<String> {
        let id = status.split(' ').next().and_then(|id| id.parse::<u64>().ok());
        let Some(id) = id else { return Some("the kernel cannot use the thin pool".into()) };
        if status.split(' ').any(|word| word == "needs_check") {
            return Some("the thin pool needs a repair: lvconvert --repair".into());
        }
        // lvm2 compares the number only once a volume was made.
        let want = self.transaction_id;
        let is_behind = self.has_messages && id.checked_add(1) == Some(want);
        let is_expected = want == 0 || id == want || is_behind;
        (!is_expected).then(|| format!("the thin pool has transaction_id {id}, expected {want}"))
    }
}

/// A device of a physical volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    /// Device number: major, minor.
    pub(crate) number: (u32, u32),
    /// Size in sectors.
    pub(crate) sectors: u64,
}

/// Maximum number of devices that stand on each other.
const MAX_DEPTH: usize = 32;
/// Maximum size of the metadata of a thin pool, in sectors; lvm2 cuts a larger device.
const MAX_POOL_METADATA: u64 = 255 * (1 << 14) * 8 - 256 * 1024;
/// Size of the regions of a pvmove, in sectors: lvm2's default.
const MOVE_REGION: u64 = 4096;

/// Returns the devices of `volumes`. `devices` are those of the physical volumes; missing ones are
/// replaced by an error target where `is_degraded` allows it.
///
/// # Errors
/// A device is missing, or the metadata describes something that is not supported.
pub(crate) fn activate(
    group: &Group,
    devices: &[Option<Device>],
    volumes: &[usize],
    is_degraded: bool,
) -> Result<Activation, String> {
    let done = Activation { modules: vec!["dm_mod"], ..Activation::default() };
    let mut builder = Builder { group, devices, is_degraded, done, open: Vec::new() };
    for at in volumes {
        // A snapshot is activated with its origin.
        let volume = group.volumes.get(*at).ok_or("there is no such volume")?;
        let origin = volume.store_of.and_then(|snapshot| group.snapshot(snapshot));
        builder.add(origin.map_or(*at, |(origin, _)| origin), Layer::Top)?;
    }
    Ok(builder.done)
}

/// Returns the name and the UUID of the mapped device that users see of a volume.
pub(crate) fn top(group: &Group, volume: &Volume) -> (String, String) {
    let layer = suffix(volume, effective(volume, Layer::Top));
    (mapped_name(&group.name, &volume.name, ""), mapped_uuid(&group.id, &volume.id, layer))
}

/// A device of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    /// The device that users see, or that of a part.
    Top,
    /// The device of a pool behind the one that users see.
    Pool,
    /// The data of an origin.
    Real,
    /// The store of a snapshot.
    Store,
}

impl Layer {
    fn name(self) -> &'static str {
        match self {
            Self::Top => "",
            Self::Pool => "tpool",
            Self::Real => "real",
            Self::Store => "cow",
        }
    }
}

/// Returns the layer that other devices use of a volume.
fn used_layer(volume: &Volume) -> Layer {
    if volume.pool().is_some() {
        Layer::Pool
    } else if !volume.snapshots.is_empty() || volume.is_external_origin {
        Layer::Real
    } else {
        Layer::Top
    }
}

/// Returns the layer that a device is: a pool that was never used has no device above its own.
fn effective(volume: &Volume, layer: Layer) -> Layer {
    match volume.pool() {
        Some(pool) if layer == Layer::Top && pool.transaction_id == 0 => Layer::Pool,
        _ => layer,
    }
}

/// Returns what the UUID of a device ends with.
fn suffix(volume: &Volume, layer: Layer) -> &'static str {
    match (layer, volume.role) {
        (Layer::Top, _) if volume.pool().is_some() => "pool",
        (Layer::Top, Role::PoolData) => "tdata",
        (Layer::Top, Role::PoolMetadata) => "tmeta",
        _ => layer.name(),
    }
}

struct Builder<'a> {
    group: &'a Group,
    devices: &'a [Option<Device>],
    is_degraded: bool,
    done: Activation,
    /// Names of the devices that are being built.
    open: Vec<String>,
}

impl<'a> Builder<'a> {
    /// Adds a device of a volume, after those that it needs. Returns its name.
    fn add(&mut self, at: usize, layer: Layer) -> Result<String, String> {
        let volume = self.volume(at)?;
        let name = mapped_name(&self.group.name, &volume.name, layer.name());
        if self.is_done(&name) {
            return Ok(name);
        }
        if self.open.len() >= MAX_DEPTH || self.open.contains(&name) {
            return Err(format!("volume {} contains itself", volume.name));
        }
        self.open.push(name.clone());
        let layer = effective(volume, layer);
        let targets = self.targets(at, volume, layer)?;
        self.open.pop();
        let links = if layer == Layer::Top || volume.pool().is_some_and(|p| p.transaction_id == 0) {
            self.links(volume)
        } else {
            Vec::new()
        };
        self.done.mappings.push(Mapping {
            name: name.clone(),
            uuid: mapped_uuid(&self.group.id, &volume.id, suffix(volume, layer)),
            read_only: is_read_only(volume, layer),
            targets,
            links,
        });
        Ok(name)
    }

    fn volume(&self, at: usize) -> Result<&'a Volume, String> {
        self.group.volumes.get(at).ok_or_else(|| "there is no such volume".to_owned())
    }

    fn is_done(&self, name: &str) -> bool {
        self.done.mappings.iter().any(|mapping| mapping.name == name)
    }

    fn links(&self, volume: &Volume) -> Vec<String> {
        let is_visible = self.group.is_visible(volume);
        is_visible.then(|| format!("{}/{}", self.group.name, volume.name)).into_iter().collect()
    }

    /// Adds the device of a volume that others use, and returns it as a parameter.
    fn word(&mut self, at: usize) -> Result<Word, String> {
        let layer = used_layer(self.volume(at)?);
        self.add(at, layer).map(Word::Mapped)
    }

    /// Adds the device of a part of a volume, and returns it as a parameter.
    fn part(&mut self, at: usize) -> Result<Word, String> {
        self.add(at, Layer::Top).map(Word::Mapped)
    }

    fn targets(
        &mut self,
        at: usize,
        volume: &'a Volume,
        layer: Layer,
    ) -> Result<Vec<Target>, String> {
        if layer == Layer::Top {
            if !volume.snapshots.is_empty() {
                return self.origin(at, volume);
            }
            if let Some(snapshot) = volume.store_of {
                return self.snapshot(at, snapshot);
            }
            if volume.pool().is_some() || volume.is_external_origin {
                let place = Place { device: self.word(at)?, start: 0 };
                let (kind, parameters) = table::striped(0, vec![place]);
                return Ok(vec![Target { start: 0, sectors: self.size(volume), kind, parameters }]);
            }
        }
        let mut targets = Vec::with_capacity(volume.segments.len());
        let (mut start, mut moves) = (0, 0);
        for (number, segment) in volume.segments.iter().enumerate() {
            let sectors = self.sectors(segment);
            let (kind, parameters) = self.segment(volume, number, segment, &mut moves)?;
            targets.push(Target { start, sectors, kind, parameters });
            start += sectors;
        }
        Ok(targets)
    }

    /// Returns the size of a volume in sectors.
    fn size(&self, volume: &Volume) -> u64 {
        volume.extents.saturating_mul(self.group.extent_size)
    }

    /// Returns the size of a segment in sectors.
    fn sectors(&self, segment: &Segment) -> u64 {
        let held = match &segment.kind {
            Kind::Raid(raid) => {
                let data = raid.legs.len().saturating_sub(raid.level.parity) as u64;
                data.saturating_mul(segment.reshape)
            }
            _ => 0,
        };
        segment.extents.saturating_sub(held).saturating_mul(self.group.extent_size)
    }

    /// Returns the table of an origin. Its snapshots come first: a write to the origin before would
    /// be missing in them.
    fn origin(&mut self, at: usize, volume: &'a Volume) -> Result<Vec<Target>, String> {
        self.need("dm_snapshot");
        let real = Word::Mapped(self.add(at, Layer::Real)?);
        let merging = volume.merging.and_then(|snapshot| self.group.volumes.get(snapshot));
        let merging = merging.and_then(|snapshot| snapshot.segments.first());
        let (kind, parameters) = match merging.map(|segment| &segment.kind) {
            Some(Kind::Snapshot { store, chunk_size, .. }) => {
                let store = Word::Mapped(self.add(*store, Layer::Store)?);
                ("snapshot-merge", table::snapshot(real, store, *chunk_size))
            }
            _ => ("snapshot-origin", vec![real]),
        };
        for snapshot in &volume.snapshots {
            if let Some(Kind::Snapshot { store, .. }) =
                self.volume(*snapshot)?.segments.first().map(|segment| &segment.kind)
            {
                self.add(*store, Layer::Top)?;
            }
        }
        Ok(vec![Target { start: 0, sectors: self.size(volume), kind, parameters }])
    }

    /// Returns the table of the snapshot that a volume stores.
    fn snapshot(&mut self, at: usize, snapshot: usize) -> Result<Vec<Target>, String> {
        self.need("dm_snapshot");
        let segment = self.volume(snapshot)?.segments.first();
        let Some((segment, Kind::Snapshot { origin, chunk_size, is_merging, .. })) =
            segment.map(|segment| (segment, &segment.kind))
        else {
            return Err("a snapshot has no segment".into());
        };
        let store = Word::Mapped(self.add(at, Layer::Store)?);
        let (kind, parameters) = match is_merging {
            true => ("error", Vec::new()),
            false => {
                let real = Word::Mapped(self.add(*origin, Layer::Real)?);
                ("snapshot", table::snapshot(real, store, *chunk_size))
            }
        };
        Ok(vec![Target { start: 0, sectors: self.sectors(segment), kind, parameters }])
    }

    /// Returns the target and the parameters of a segment. `moves` counts the segments of a pvmove
    /// that are not done.
    fn segment(
        &mut self,
        volume: &'a Volume,
        number: usize,
        segment: &'a Segment,
        moves: &mut u32,
    ) -> Result<(&'static str, Vec<Word>), String> {
        let context = Context { volume, number, segment };
        match &segment.kind {
            Kind::Striped { stripe_size, areas } => {
                Ok(table::striped(*stripe_size, self.places(&context, areas)?))
            }
            Kind::Mirror { region_size, log, areas, moved } => {
                let (areas, is_mirror) = match moved {
                    None => (&areas[..], areas.len() > 1),
                    Some(moved) => running(areas, *moved == segment.extents, moves),
                };
                let places = self.places(&context, areas)?;
                if !is_mirror {
                    return Ok(table::striped(0, places));
                }
                self.need("dm_mirror");
                let log = log.map(|log| self.part(log)).transpose()?;
                let region_size = match moved {
                    Some(_) => move_region(self.sectors(segment)),
                    None => *region_size,
                };
                Ok(("mirror", table::mirror(region_size, log, places, moved.is_none())))
            }
            Kind::Raid(raid) => self.raid(raid).map(|parameters| ("raid", parameters)),
            Kind::ThinPool(pool) => self.pool(volume, pool).map(|words| ("thin-pool", words)),
            Kind::Thin { pool, device_id, external, .. } => {
                self.need("dm_thin_pool");
                let external = external.map(|origin| self.word(origin)).transpose()?;
                let pool = self.word(*pool)?;
                let device_id = self.merged_id(volume).unwrap_or(*device_id);
                Ok(("thin", table::thin(pool, device_id, external)))
            }
            Kind::Error => Ok(("error", Vec::new())),
            Kind::Zero => {
                self.need("dm_zero");
                Ok(("zero", Vec::new()))
            }
            Kind::Snapshot { .. } => Err(format!("{} is a snapshot of another", volume.name)),
            Kind::Unsupported(name) => {
                Err(format!("{} has segments of type {name}: not supported", volume.name))
            }
        }
    }

    /// Returns the number of the thin snapshot that is merged into a volume: it takes its place.
    fn merged_id(&self, volume: &Volume) -> Option<u64> {
        match self.group.volumes.get(volume.merging?)?.segments.first()?.kind {
            Kind::Thin { device_id, .. } => Some(device_id),
            _ => None,
        }
    }

    fn raid(&mut self, raid: &'a Raid) -> Result<Vec<Word>, String> {
        self.need("dm_raid");
        self.need(raid.level.module);
        let legs = raid.legs.iter().map(|leg| self.leg(*leg)).collect::<Result<_, _>>()?;
        Ok(table::raid(raid, legs))
    }

    fn leg(&mut self, leg: Leg) -> Result<LegState, String> {
        let flags = self.volume(leg.image)?.flags;
        // An image that is split off for a time is left out; the bitmap notes what it misses.
        let is_split = flags.has(Flags::VISIBLE) && !flags.has(Flags::WRITE);
        let devices = match is_split {
            true => [None, None],
            false => {
                let metadata = leg.metadata.map(|metadata| self.part(metadata)).transpose()?;
                [metadata, Some(self.part(leg.image)?)]
            }
        };
        Ok(LegState {
            devices,
            is_rebuilt: flags.has(Flags::REBUILD),
            is_write_mostly: flags.has(Flags::WRITE_MOSTLY),
            reshape: i64::from(flags.has(Flags::PLUS_DISKS))
                - i64::from(flags.has(Flags::MINUS_DISKS)),
        })
    }

    fn pool(&mut self, volume: &Volume, pool: &ThinPool) -> Result<Vec<Word>, String> {
        self.need("dm_thin_pool");
        let metadata = self.add(pool.metadata, Layer::Top)?;
        if volume.flags.has(Flags::CROP_METADATA) {
            self.crop(&metadata);
        }
        let data = self.part(pool.data)?;
        self.done.pools.push(Pool {
            name: self.open.last().cloned().unwrap_or_default(),
            transaction_id: pool.transaction_id,
            has_messages: pool.has_messages,
        });
        let fails_when_full = volume.flags.has(Flags::ERROR_WHEN_FULL);
        Ok(table::thin_pool(pool, Word::Mapped(metadata), data, fails_when_full))
    }

    /// Cuts the device of a pool's metadata to the size that the kernel uses.
    fn crop(&mut self, name: &str) {
        let mapping = self.done.mappings.iter_mut().find(|mapping| mapping.name == name);
        for target in mapping.into_iter().flat_map(|mapping| &mut mapping.targets) {
            target.sectors = target.sectors.min(MAX_POOL_METADATA.saturating_sub(target.start));
        }
    }

    /// Adds what areas need and returns their places.
    fn places(&mut self, context: &Context<'_>, areas: &[Area]) -> Result<Vec<Place>, String> {
        let places = areas.iter().zip(0..).map(|(area, at)| self.place(context, *area, at));
        places.collect()
    }

    fn place(&mut self, context: &Context<'_>, area: Area, at: usize) -> Result<Place, String> {
        let extent_size = self.group.extent_size;
        match area {
            Area::Logical { volume, extent } => {
                Ok(Place { device: self.part(volume)?, start: extent.saturating_mul(extent_size) })
            }
            Area::Physical { volume, extent } => {
                let name = &context.volume.name;
                let physical = self.group.physical.get(volume).ok_or("there is no such device")?;
                let Some(device) = self.devices.get(volume).copied().flatten() else {
                    return self.missing(context, at);
                };
                let start = extent.saturating_mul(extent_size).saturating_add(physical.start);
                let length = self.sectors(context.segment) / context.width();
                if start.checked_add(length).is_none_or(|end| end > device.sectors) {
                    return Err(format!("{name} reaches past the end of {}", physical.id));
                }
                Ok(Place { device: Word::Device(device.number), start })
            }
        }
    }

    /// Adds an error device in the place of a missing one.
    fn missing(&mut self, context: &Context<'_>, at: usize) -> Result<Place, String> {
        let Context { volume, number, segment } = context;
        if !self.is_degraded || volume.role != Role::Leg {
            return Err(format!("a device of {} is missing", volume.name));
        }
        let layer = format!("missing_{number}_{at}");
        let name = mapped_name(&self.group.name, &volume.name, &layer);
        if !self.is_done(&name) {
            let sectors = self.sectors(segment);
            let target = Target { start: 0, sectors, kind: "error", parameters: Vec::new() };
            self.done.mappings.push(Mapping {
                name: name.clone(),
                uuid: mapped_uuid(&self.group.id, &volume.id, &layer),
                read_only: false,
                targets: vec![target],
                links: Vec::new(),
            });
        }
        Ok(Place { device: Word::Mapped(name), start: 0 })
    }

    fn need(&mut self, module: &'static str) {
        if !self.done.modules.contains(&module) {
            self.done.modules.push(module);
        }
    }
}

/// A segment, with its place in a volume.
struct Context<'a> {
    volume: &'a Volume,
    number: usize,
    segment: &'a Segment,
}

impl Context<'_> {
    /// Returns the number of areas over which the segment is spread.
    fn width(&self) -> u64 {
        match &self.segment.kind {
            Kind::Striped { areas, .. } => areas.len().max(1) as u64,
            _ => 1,
        }
    }
}

/// Returns the areas that a segment of a pvmove uses, and whether as a mirror: one segment is moved
/// at a time, those before it are at their new place and those after it at their old one.
fn running<'a>(areas: &'a [Area], is_done: bool, moves: &mut u32) -> (&'a [Area], bool) {
    let one = |at: usize| areas.get(at..=at).unwrap_or(areas);
    if is_done {
        return (one(1), false);
    }
    *moves += 1;
    if *moves > 1 { (one(0), false) } else { (areas, areas.len() > 1) }
}

/// Returns the size of the regions of a pvmove: the default, or the largest power of two that fits.
fn move_region(sectors: u64) -> u64 {
    if sectors == 0 || sectors >= MOVE_REGION { MOVE_REGION } else { 1 << sectors.ilog2() }
}

/// Returns whether lvm2 makes the device read-only.
fn is_read_only(volume: &Volume, layer: Layer) -> bool {
    if layer == Layer::Store || volume.role == Role::Leg {
        return false;
    }
    let is_shown_pool = layer == Layer::Top && volume.pool().is_some();
    is_shown_pool || !volume.flags.has(Flags::WRITE)
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
