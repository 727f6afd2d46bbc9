//! The block devices of the machine, and the lookup of the one that a name stands for.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use crate::cmdline::root_name::RootName;
use crate::disk::seen::SeenDevice;
use crate::disk::{self, PartitionTable};
use crate::sys::Root;
use crate::sys::block::{self, BlockDevice, Disk};
use crate::sys::disk_links;

/// Attributes of the Discoverable Partitions Specification: mount read-only; do not mount
/// automatically.
const READ_ONLY: u64 = 1 << 60;
const NO_AUTO: u64 = 1 << 63;
/// Type GUID of an EFI system partition.
const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

/// A device that a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Path of the node.
    pub(super) node: PathBuf,
    /// Device number: major and minor.
    pub(super) number: (u32, u32),
    /// Filesystem type of the superblock, if it is one that can be mounted.
    pub(super) fstype: Option<String>,
    /// blkid's TYPE of the content, whatever it is.
    pub(super) kind: Option<&'static str>,
    /// UUID of the content.
    pub(super) uuid: Option<String>,
    /// Whether the partition entry asks for a read-only mount.
    pub(super) read_only: bool,
    /// Nodes of other devices that the name stands for too.
    pub(super) duplicates: Vec<String>,
}

/// The content that a device needs if it is looked up by UUID= or LABEL=.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A filesystem.
    Filesystem,
    /// Anything.
    Any,
}

/// The content of one device.
#[derive(Debug, Clone)]
struct ProbedDevice {
    device: BlockDevice,
    seen: SeenDevice,
    entry: Option<disk::Partition>,
}

/// The block devices. The content of each is cached until something changes.
#[derive(Debug)]
pub(crate) struct Devices {
    dir: Root,
    probed: HashMap<String, ProbedDevice>,
    tables: HashMap<String, Option<PartitionTable>>,
}

impl Devices {
    pub(crate) fn new(dir: &Root) -> Self {
        Self { dir: dir.clone(), probed: HashMap::new(), tables: HashMap::new() }
    }

    /// Drops the cache, because a device may have changed.
    pub(crate) fn forget_changed(&mut self) {
        self.probed.clear();
        self.tables.clear();
    }

    /// Returns the device that `name` stands for. If there are several, the first one by node name
    /// is used.
    pub(super) fn find(&mut self, name: &RootName, holds: Content) -> Option<Candidate> {
        match name {
            RootName::Device(path) => self.by_path(path),
            RootName::GptAuto => self.by_type(),
            RootName::Link(link) => self.by_link(link),
            _ => self.by_name(name, holds),
        }
    }

    fn by_path(&mut self, path: &str) -> Option<Candidate> {
        let node = self.dir.join(path);
        let meta = fs::metadata(&node).ok().filter(|m| m.file_type().is_block_device())?;
        let number = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
        let devices = block::list(&self.dir).unwrap_or_default();
        let known = devices.into_iter().find(|d| d.number == number).map(|d| self.probe(d));
        let mut candidate = known.map_or_else(|| unknown(number), |k| self.candidate(&k));
        candidate.node = node;
        Some(candidate)
    }

    /// Returns the device that udev would link to, or that an existing link points to.
    fn by_link(&mut self, link: &str) -> Option<Candidate> {
        let path = format!("disk/{link}");
        let mut hits = self.probe_all();
        hits.retain(|k| disk_links::links(&self.dir, &k.device).contains(&path));
        let Some((first, others)) = hits.split_first() else {
            return self.by_path(&format!("/dev/{path}"));
        };
        let duplicates = others.iter().map(|k| format!("/dev/{}", k.seen.name)).collect();
        Some(Candidate { duplicates, ..self.candidate(first) })
    }

    fn by_name(&mut self, name: &RootName, holds: Content) -> Option<Candidate> {
        let devices = self.probe_all();
        let mut hits = devices.iter().filter(|k| matches_name(k, name, holds));
        let first = hits.next()?;
        let duplicates = hits.map(|k| format!("/dev/{}", k.seen.name)).collect();
        let hit = match name {
            RootName::PartUuid(_, offset) if *offset != 0 => sibling(&devices, first, *offset)?,
            _ => first,
        };
        Some(Candidate { duplicates, ..self.candidate(hit) })
    }

    /// Returns the partition whose type is that of a root. Disks that also have an EFI system
    /// partition are preferred.
    fn by_type(&mut self) -> Option<Candidate> {
        let wanted = disk::root_type_guid()?;
        let devices = self.probe_all();
        let of_type = |k: &ProbedDevice, kind: &str| {
            k.entry.as_ref().is_some_and(|e| e.kind == kind && e.attributes & NO_AUTO == 0)
        };
        let mut hits: Vec<&ProbedDevice> = devices.iter().filter(|k| of_type(k, wanted)).collect();
        let has_esp = |hit: &&ProbedDevice| {
            devices.iter().any(|k| k.device.disk == hit.device.disk && of_type(k, ESP))
        };
        hits.sort_by_key(|hit| !has_esp(hit));
        let (first, others) = hits.split_first()?;
        let duplicates = others.iter().map(|k| format!("/dev/{}", k.seen.name)).collect();
        Some(Candidate { duplicates, ..self.candidate(first) })
    }

    /// Returns the devices that hold a filesystem of this type and UUID.
    pub(super) fn holders(&mut self, kind: &str, uuid: &str) -> Vec<BlockDevice> {
        let is_one =
            |k: &ProbedDevice| k.seen.kinds == [kind] && k.seen.uuid.as_deref() == Some(uuid);
        self.probe_all().into_iter().filter(is_one).map(|known| known.device).collect()
    }

    fn candidate(&self, known: &ProbedDevice) -> Candidate {
        let ProbedDevice { device, seen, entry } = known;
        let kind = seen.kinds.first().copied().filter(|_| seen.kinds.len() == 1);
        Candidate {
            node: device.node(&self.dir),
            number: device.number,
            fstype: kind.filter(|_| seen.is_filesystem).map(str::to_owned),
            kind,
            uuid: seen.uuid.clone(),
            read_only: seen.table == Some("gpt")
                && entry.as_ref().is_some_and(|e| e.attributes & READ_ONLY != 0),
            duplicates: Vec::new(),
        }
    }

    /// Returns every block device with a medium, and its content, for the record.
    pub(crate) fn seen(&mut self) -> Vec<SeenDevice> {
        let known = self.probe_all().into_iter();
        known
            .map(|k| SeenDevice { links: disk_links::links(&self.dir, &k.device), ..k.seen })
            .collect()
    }

    /// Probes all block devices with a medium, each once; sorted by name.
    fn probe_all(&mut self) -> Vec<ProbedDevice> {
        let devices = block::list(&self.dir).unwrap_or_default();
        let present = devices.into_iter().filter(|d| d.size > 0);
        present.map(|device| self.probe(device)).collect()
    }

    fn probe(&mut self, device: BlockDevice) -> ProbedDevice {
        if let Some(known) = self.probed.get(&device.name).filter(|k| k.device == device) {
            return known.clone();
        }
        let known = self.read(device);
        // A device without recognizable content may not have been ready: it is read again.
        if !known.seen.kinds.is_empty() {
            self.probed.insert(known.device.name.clone(), known.clone());
        }
        known
    }

    fn read(&mut self, device: BlockDevice) -> ProbedDevice {
        let disk = device.disk.clone().unwrap_or_else(|| device.name.clone());
        let table = self.table(&disk);
        let entry = table.as_ref().and_then(|table| {
            table.partitions.iter().find(|p| Some(p.number) == device.partition).cloned()
        });
        let content = Disk::open(&self.dir, &device).map(|d| disk::examine(&d)).unwrap_or_default();
        let kinds = content.superblocks.iter().map(|p| p.kind).collect();
        let probe = content.single();
        let names = block::partition_names(&self.dir, &device.name);
        let seen = SeenDevice {
            name: disk::name::from_sysfs(&device.name).into_owned(),
            size: device.size,
            disk: device.disk.clone(),
            partition: device.partition,
            table: table.map(|table| table.kind),
            kinds,
            is_filesystem: probe.as_ref().is_some_and(|p| p.usage == disk::Usage::Filesystem),
            uuid: probe.as_ref().and_then(|p| p.uuid.clone()),
            label: probe.and_then(|p| p.label),
            part_uuid: names.0.or_else(|| entry.as_ref()?.uuid.clone()),
            part_label: names.1.or_else(|| entry.as_ref()?.label.clone()),
            links: Vec::new(),
        };
        ProbedDevice { device, seen, entry }
    }

    /// Returns the partition table of a disk.
    fn table(&mut self, disk: &str) -> Option<PartitionTable> {
        if let Some(table) = self.tables.get(disk) {
            return table.clone();
        }
        let whole = block::device(&self.dir, disk)?;
        let sector = whole.sector_size(&self.dir);
        let table =
            Disk::open(&self.dir, &whole).ok().and_then(|d| disk::partition_table(&d, sector));
        if table.is_some() {
            self.tables.insert(disk.to_owned(), table.clone());
        }
        table
    }
}

/// Returns a device that sysfs does not list.
fn unknown(number: (u32, u32)) -> Candidate {
    Candidate {
        node: PathBuf::new(),
        number,
        fstype: None,
        kind: None,
        uuid: None,
        read_only: false,
        duplicates: Vec::new(),
    }
}

fn matches_name(known: &ProbedDevice, name: &RootName, holds: Content) -> bool {
    let seen = &known.seen;
    let content = seen.is_filesystem || holds == Content::Any;
    let same = |have: Option<&str>, want: &str| have.is_some_and(|h| h.eq_ignore_ascii_case(want));
    match name {
        RootName::Uuid(uuid) => content && same(seen.uuid.as_deref(), uuid),
        RootName::Label(label) => content && seen.label.as_ref() == Some(label),
        // Like the kernel, compares only as many characters as are given.
        RootName::PartUuid(uuid, _) => {
            same(seen.part_uuid.as_deref().and_then(|u| u.get(..uuid.len())), uuid)
        }
        RootName::PartLabel(label) => seen.part_label.as_ref() == Some(label),
        RootName::Number(major, minor) => known.device.number == (*major, *minor),
        RootName::Device(_) | RootName::Link(_) | RootName::GptAuto | RootName::Other(_) => false,
    }
}

/// Returns the partition `offset` numbers after `from` on the same disk (PARTNROFF).
fn sibling<'k>(
    devices: &'k [ProbedDevice],
    from: &ProbedDevice,
    offset: i32,
) -> Option<&'k ProbedDevice> {
    let number = from.device.partition?.checked_add_signed(offset)?;
    let same =
        |k: &&ProbedDevice| k.device.disk == from.device.disk && k.device.partition == Some(number);
    devices.iter().find(same)
}
