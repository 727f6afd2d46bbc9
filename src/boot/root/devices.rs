//! The block devices that are there, and which of them is meant.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use crate::cmdline::root_name::RootName;
use crate::disk::seen::SeenDevice;
use crate::disk::{self, Table};
use crate::sys::Root;
use crate::sys::block::{self, BlockDevice, Disk};
use crate::sys::disk_ids;

/// Discoverable Partitions Specification: to be mounted read-only; not to be mounted by itself.
const READ_ONLY: u64 = 1 << 60;
const NO_AUTO: u64 = 1 << 63;
/// The type of an EFI system partition.
const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

/// A device that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its node.
    pub(super) node: PathBuf,
    /// Its device number.
    pub(super) number: (u32, u32),
    /// What its superblock shows, where that can be mounted.
    pub(super) fstype: Option<String>,
    /// blkid's TYPE of whatever it holds.
    pub(super) kind: Option<&'static str>,
    /// UUID of what it holds.
    pub(super) uuid: Option<String>,
    /// Its partition entry asks for a mount without writing.
    pub(super) read_only: bool,
    /// The nodes of other devices that would do as well.
    pub(super) duplicates: Vec<String>,
}

/// What a device must hold to be meant by UUID= or LABEL=.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A filesystem.
    Filesystem,
    /// Anything.
    Any,
}

/// What one device holds.
#[derive(Debug, Clone)]
struct ProbedDevice {
    device: BlockDevice,
    seen: SeenDevice,
    entry: Option<disk::Partition>,
}

/// The block devices. What has been read of one is kept until something changes.
#[derive(Debug)]
pub(crate) struct Devices {
    root: Root,
    known: HashMap<String, ProbedDevice>,
    tables: HashMap<String, Option<Table>>,
}

impl Devices {
    pub(crate) fn new(root: &Root) -> Self {
        Self { root: root.clone(), known: HashMap::new(), tables: HashMap::new() }
    }

    /// Forgets what devices hold: one may have changed.
    pub(crate) fn forget_changed(&mut self) {
        self.known.clear();
        self.tables.clear();
    }

    /// The device that is meant by `name`, if it is there; the first by its name where several are.
    pub(super) fn find(&mut self, name: &RootName, holds: Content) -> Option<Candidate> {
        match name {
            RootName::Device(path) => self.by_path(path),
            RootName::GptAuto => self.by_type(),
            RootName::Link(link) => self.by_link(link),
            _ => self.by_name(name, holds),
        }
    }

    fn by_path(&mut self, path: &str) -> Option<Candidate> {
        let node = self.root.join(path);
        let meta = fs::metadata(&node).ok().filter(|m| m.file_type().is_block_device())?;
        let number = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
        let devices = block::list(&self.root).unwrap_or_default();
        let known = devices.into_iter().find(|d| d.number == number).map(|d| self.known(d));
        let mut candidate = known.map_or_else(|| unknown(number), |k| self.candidate(&k));
        candidate.node = node;
        Some(candidate)
    }

    /// A device that udev would make this link to; or that somebody has made it to.
    fn by_link(&mut self, link: &str) -> Option<Candidate> {
        let path = format!("disk/{link}");
        let mut hits = self.probe_all();
        hits.retain(|k| disk_ids::links(&self.root, &k.device).contains(&path));
        let Some((first, others)) = hits.split_first() else {
            return self.by_path(&format!("/dev/{path}"));
        };
        let duplicates = others.iter().map(|k| k.seen.name.clone()).collect();
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

    /// The partition whose type says that it is a root; first on a disk that has an EFI system partition too.
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

    /// The devices that hold a filesystem of this kind and UUID.
    pub(super) fn holders(&mut self, kind: &str, uuid: &str) -> Vec<BlockDevice> {
        let is_one =
            |k: &ProbedDevice| k.seen.kinds == [kind] && k.seen.uuid.as_deref() == Some(uuid);
        self.probe_all().into_iter().filter(is_one).map(|known| known.device).collect()
    }

    fn candidate(&self, known: &ProbedDevice) -> Candidate {
        let ProbedDevice { device, seen, entry } = known;
        let kind = seen.kinds.first().copied().filter(|_| seen.kinds.len() == 1);
        Candidate {
            node: device.node(&self.root),
            number: device.number,
            fstype: kind.filter(|_| seen.is_filesystem).map(str::to_owned),
            kind,
            uuid: seen.uuid.clone(),
            read_only: seen.table == Some("gpt")
                && entry.as_ref().is_some_and(|e| e.attributes & READ_ONLY != 0),
            duplicates: Vec::new(),
        }
    }

    /// Every block device with a medium and what it holds, for the record.
    pub(crate) fn seen(&mut self) -> Vec<SeenDevice> {
        let known = self.probe_all().into_iter();
        known
            .map(|k| SeenDevice { links: disk_ids::links(&self.root, &k.device), ..k.seen })
            .collect()
    }

    /// All block devices with a medium, each read once, sorted by name.
    fn probe_all(&mut self) -> Vec<ProbedDevice> {
        let devices = block::list(&self.root).unwrap_or_default();
        let present = devices.into_iter().filter(|d| d.size > 0);
        present.map(|device| self.known(device)).collect()
    }

    fn known(&mut self, device: BlockDevice) -> ProbedDevice {
        if let Some(known) = self.known.get(&device.name).filter(|k| k.device == device) {
            return known.clone();
        }
        let known = self.read(device);
        // What shows nothing may not have been ready, and is looked at again.
        if !known.seen.kinds.is_empty() {
            self.known.insert(known.device.name.clone(), known.clone());
        }
        known
    }

    fn read(&mut self, device: BlockDevice) -> ProbedDevice {
        let disk = device.disk.clone().unwrap_or_else(|| device.name.clone());
        let table = self.table(&disk);
        let entry = table.as_ref().and_then(|table| {
            table.partitions.iter().find(|p| Some(p.number) == device.partition).cloned()
        });
        let content =
            Disk::open(&self.root, &device).map(|d| disk::examine(&d)).unwrap_or_default();
        let kinds = content.found.iter().map(|p| p.kind).collect();
        let probe = content.single();
        let told = block::partition_names(&self.root, &device.name);
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
            part_uuid: told.0.or_else(|| entry.as_ref()?.uuid.clone()),
            part_label: told.1.or_else(|| entry.as_ref()?.label.clone()),
            links: Vec::new(),
        };
        ProbedDevice { device, seen, entry }
    }

    /// The partition table of a disk.
    fn table(&mut self, disk: &str) -> Option<Table> {
        if let Some(table) = self.tables.get(disk) {
            return table.clone();
        }
        let whole = block::device(&self.root, disk)?;
        let sector = whole.sector_size(&self.root);
        let table = Disk::open(&self.root, &whole).ok().and_then(|d| disk::partitions(&d, sector));
        if table.is_some() {
            self.tables.insert(disk.to_owned(), table.clone());
        }
        table
    }
}

/// A device that sysfs does not list.
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
        // The kernel compares as many characters as it was given.
        RootName::PartUuid(uuid, _) => {
            same(seen.part_uuid.as_deref().and_then(|u| u.get(..uuid.len())), uuid)
        }
        RootName::PartLabel(label) => seen.part_label.as_ref() == Some(label),
        RootName::Number(major, minor) => known.device.number == (*major, *minor),
        RootName::Device(_) | RootName::Link(_) | RootName::GptAuto | RootName::Other(_) => false,
    }
}

/// The partition `offset` places after `from` on the same disk (PARTNROFF).
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
