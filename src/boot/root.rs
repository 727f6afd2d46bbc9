//! Finding the root among the block devices, and mounting it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::MountFlags;

use crate::disk::{self, Probe, Usage};
use crate::kmod::name::ModuleName;
use crate::kmod::params::{BootParams, RootName};
use crate::sys::block::{self, BlockDevice, Disk};
use crate::sys::{Error, Result, Root, mount, procfs, sysfs};

/// The device that the root is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its node.
    pub(super) node: PathBuf,
    /// The filesystem that its superblock shows.
    pub(super) fstype: Option<String>,
}

/// Looks for the root. What has been read of a device is kept until something changes.
#[derive(Debug)]
pub(super) struct Finder<'a> {
    root: &'a Root,
    name: &'a RootName,
    known: HashMap<String, Known>,
    /// Other devices that would do as well.
    pub(super) twins: Vec<String>,
}

/// What one device holds.
#[derive(Debug, Clone)]
struct Known {
    device: BlockDevice,
    probe: Option<Probe>,
    part_uuid: Option<String>,
    part_label: Option<String>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(root: &'a Root, name: &'a RootName) -> Self {
        Self { root, name, known: HashMap::new(), twins: Vec::new() }
    }

    /// Forgets what devices hold: one may have changed.
    pub(super) fn forget_changed(&mut self) {
        self.known.clear();
    }

    /// The root's device, if it is there.
    pub(super) fn look(&mut self) -> Option<Candidate> {
        match self.name {
            RootName::Device(path) => self.by_path(path),
            _ => self.by_content(),
        }
    }

    fn by_path(&self, path: &str) -> Option<Candidate> {
        let node = self.root.join(path);
        let meta = fs::metadata(&node).ok().filter(|m| m.file_type().is_block_device())?;
        let number = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
        let devices = block::list(self.root).unwrap_or_default();
        let device = devices.into_iter().find(|d| d.number == number);
        let fstype = device.and_then(|d| filesystem(probe(self.root, &d).as_ref()));
        Some(Candidate { node, fstype })
    }

    fn by_content(&mut self) -> Option<Candidate> {
        let devices = self.survey();
        let mut hits = devices.iter().filter(|k| self.is_root(k));
        let first = hits.next()?.clone();
        self.twins = hits.map(|k| k.device.name.clone()).collect();
        let hit = match self.name {
            RootName::PartUuid(_, offset) if *offset != 0 => sibling(&devices, &first, *offset)?,
            _ => first,
        };
        Some(Candidate { node: hit.device.node(self.root), fstype: filesystem(hit.probe.as_ref()) })
    }

    /// All block devices with a medium, each read once, sorted by name.
    fn survey(&mut self) -> Vec<Known> {
        let devices = block::list(self.root).unwrap_or_default();
        let present = devices.into_iter().filter(|d| d.size > 0);
        present.map(|device| self.known(device)).collect()
    }

    fn known(&mut self, device: BlockDevice) -> Known {
        if let Some(known) = self.known.get(&device.name).filter(|k| k.device == device) {
            return known.clone();
        }
        let entry = partition_entry(self.root, &device);
        let (part_uuid, part_label) = entry.map_or((None, None), |p| (p.uuid, p.label));
        let probe = probe(self.root, &device);
        let known = Known { device, probe, part_uuid, part_label };
        // What shows nothing may not have been ready, and is looked at again.
        if known.probe.is_some() {
            self.known.insert(known.device.name.clone(), known.clone());
        }
        known
    }

    fn is_root(&self, known: &Known) -> bool {
        let probe = known.probe.as_ref().filter(|p| p.usage == Usage::Filesystem);
        let same =
            |have: Option<&str>, want: &str| have.is_some_and(|h| h.eq_ignore_ascii_case(want));
        match self.name {
            RootName::Uuid(uuid) => same(probe.and_then(|p| p.uuid.as_deref()), uuid),
            RootName::Label(label) => probe.and_then(|p| p.label.as_ref()) == Some(label),
            // The kernel compares as many characters as it was given.
            RootName::PartUuid(uuid, _) => {
                same(known.part_uuid.as_deref().and_then(|u| u.get(..uuid.len())), uuid)
            }
            RootName::PartLabel(label) => known.part_label.as_ref() == Some(label),
            RootName::Number(major, minor) => known.device.number == (*major, *minor),
            RootName::Device(_) | RootName::Other(_) => false,
        }
    }

    /// Every block device and what it holds, in words, for the record.
    pub(super) fn seen(&mut self) -> Vec<String> {
        self.survey().iter().map(describe).collect()
    }
}

/// `vda1 ext4 UUID=… LABEL=… PARTUUID=…`
fn describe(known: &Known) -> String {
    let probe = known.probe.as_ref();
    let fields = [
        ("UUID", probe.and_then(|p| p.uuid.as_ref())),
        ("LABEL", probe.and_then(|p| p.label.as_ref())),
        ("PARTUUID", known.part_uuid.as_ref()),
        ("PARTLABEL", known.part_label.as_ref()),
    ];
    let mut text =
        format!("{} {}", known.device.name, probe.map_or("(unknown content)", |p| p.kind));
    for (name, value) in fields {
        if let Some(value) = value {
            text.push_str(&format!(" {name}={value}"));
        }
    }
    text
}

fn probe(root: &Root, device: &BlockDevice) -> Option<Probe> {
    disk::probe(&Disk::open(root, device).ok()?)
}

fn filesystem(probe: Option<&Probe>) -> Option<String> {
    probe.filter(|p| p.usage == Usage::Filesystem).map(|p| p.kind.to_owned())
}

/// The entry of a partition in its disk's table.
fn partition_entry(root: &Root, partition: &BlockDevice) -> Option<disk::Partition> {
    let (number, disk) = (partition.partition?, partition.disk.as_ref()?);
    let whole = block::device(root, disk)?;
    let table = disk::partitions(&Disk::open(root, &whole).ok()?, whole.sector_size(root))?;
    table.partitions.into_iter().find(|p| p.number == number)
}

/// The partition `offset` places after `from` on the same disk (PARTNROFF).
fn sibling(devices: &[Known], from: &Known, offset: i32) -> Option<Known> {
    let number = from.device.partition?.checked_add_signed(offset)?;
    let same = |k: &&Known| k.device.disk == from.device.disk && k.device.partition == Some(number);
    devices.iter().find(same).cloned()
}

/// The modules of the root's filesystem, and those whose drivers hold the devices that it is on.
pub(super) fn way(
    root: &Root,
    candidate: &Candidate,
    filesystem: &[ModuleName],
) -> Vec<ModuleName> {
    let number = fs::metadata(&candidate.node).map(|m| m.rdev()).unwrap_or_default();
    let number = (rustix::fs::major(number), rustix::fs::minor(number));
    let device = sysfs::block_path(root, number).unwrap_or_default();
    let mut way = sysfs::modules_above(root, &device);
    way.extend(filesystem.iter().cloned());
    way.sort_unstable();
    way.dedup();
    way
}

/// The types to try, in order: those of `rootfstype=`, else the one that was found, else every type that
/// the kernel knows.
pub(super) fn types(root: &Root, params: &BootParams, candidate: &Candidate) -> Vec<String> {
    if !params.fstypes.is_empty() {
        return params.fstypes.clone();
    }
    match &candidate.fstype {
        Some(fstype) => vec![fstype.clone()],
        None => procfs::filesystems(root).unwrap_or_default(),
    }
}

/// Mounts the root at `target` as the first of `types` that fits; gives that type. As the kernel does, a
/// medium that cannot be written is mounted read-only.
///
/// # Errors
/// None of the types fits; the error is that of the last one that the kernel knows.
pub(super) fn mount_root(
    candidate: &Candidate,
    target: &Path,
    types: &[String],
    params: &BootParams,
) -> Result<String> {
    let source = candidate.node.to_string_lossy();
    let (own, data) = mount::parse_flags(&params.flags);
    let mode = if params.writable { MountFlags::empty() } else { MountFlags::RDONLY };
    let unknown = params.fstypes.is_empty() && candidate.fstype.is_none();
    let mut last =
        Error::new("mount", format_args!("{source} (no filesystem known there)"), Errno::INVAL);
    fs::create_dir_all(target).map_err(|e| Error::io("mkdir", target, &e))?;
    for fstype in types {
        let attempt = |flags| mount::mount(&source, target, fstype, flags, &data);
        let result = match attempt(own | mode) {
            Err(e) if matches!(e.errno, Errno::ACCESS | Errno::ROFS) => {
                attempt(own | MountFlags::RDONLY)
            }
            result => result,
        };
        match result {
            Ok(()) => return Ok(fstype.clone()),
            Err(_) if unknown => {}
            Err(e) => last = Error { object: format!("{} as {fstype}", e.object), ..e },
        }
    }
    Err(last)
}
