//! dm-verity: the data device and its hash tree become /dev/mapper/root. The kernel checks each
//! block when it reads it.
//!
//! A block that does not match the root hash is an I/O error, and from then on the status of the
//! mapped device says so.

use std::fs::File;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::devices::{Candidate, Content};
use super::error::VerityProblem;
use super::{Awaited, Progress, RootStep, StepContext, StepError};
use crate::boot::SYSROOT;
use crate::cmdline::root_name::RootName;
use crate::cmdline::storage::VerityParams;
use crate::disk::verity::{Devices, FEC_ROOTS, Fec, HashTree, VerityError};
use crate::sys::block::Disk;
use crate::sys::dm::{self, Control, Target};
use crate::sys::{self, Error, Root, block};

/// Name of the mapped device, the same as in systemd and veritysetup(8).
const NAME: &str = "root";
/// Node of the mapped device.
pub(crate) const DEVICE: &str = "/dev/mapper/root";
/// Status of a device on which the kernel has found a block that does not match.
const CORRUPTED: &str = "C";

/// The devices that the mapped device is made of.
#[derive(Debug, Clone)]
struct Sources {
    data: Candidate,
    hash: Candidate,
    fec: Option<Candidate>,
}

#[derive(Debug)]
pub(super) struct Verity {
    params: VerityParams,
    /// The devices, once all have been found; from then on the modules are being loaded.
    sources: Option<Sources>,
    /// Node of the data device, once it is mapped.
    mapped: Option<String>,
}

impl Verity {
    pub(super) fn new(params: VerityParams) -> Self {
        Self { params, sources: None, mapped: None }
    }

    /// Returns the device called `name`, or what has to be awaited.
    fn find(
        &self,
        role: &str,
        name: Option<&RootName>,
        cx: &mut StepContext<'_>,
    ) -> Result<Candidate, Awaited> {
        let found = name.and_then(|name| cx.devices.find(name, Content::Any));
        found.ok_or_else(|| {
            let name = name.map(ToString::to_string).unwrap_or_default();
            let text = format!("{role} device {name} of roothash={}", self.params.root_hash);
            Awaited::device(text, None)
        })
    }

    fn sources(&self, cx: &mut StepContext<'_>) -> Result<Sources, Awaited> {
        let params = &self.params;
        let fec = params.fec_device.as_ref();
        Ok(Sources {
            data: self.find("data", params.data.as_ref(), cx)?,
            hash: self.find("hash", params.hash.as_ref(), cx)?,
            fec: fec.map(|name| self.find("FEC", Some(name), cx)).transpose()?,
        })
    }

    /// Creates the mapped device.
    fn map(&mut self, sources: &Sources, dir: &Root) -> Result<(), StepError> {
        let device = sources.data.node.display().to_string();
        let failed = |problem| StepError::Verity { device: device.clone(), problem };
        let (disk, hash_device_size) =
            open(dir, &sources.hash).ok_or_else(|| failed(VerityProblem::NoHashDevice))?;
        let tree = tree(&self.params, &disk).map_err(|error| {
            failed(VerityProblem::Tree(sources.hash.node.display().to_string(), error))
        })?;
        let devices = Devices {
            data: sources.data.number,
            hash: sources.hash.number,
            hash_device_size,
            fec: sources.fec.as_ref().map(|fec| Fec {
                device: fec.number,
                offset: self.params.fec_offset,
                roots: self.params.fec_roots.unwrap_or(FEC_ROOTS),
            }),
        };
        let table = tree.table_line(&devices, &self.params.root_hash, &self.params.options);
        activate(dir, &tree, &table).map_err(|error| failed(VerityProblem::Device(error)))?;
        self.mapped = Some(device);
        Ok(())
    }
}

impl RootStep for Verity {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        if let Some(sources) = self.sources.take() {
            self.map(&sources, cx.dir)?;
            let (data, hash) = (sources.data.node.display(), sources.hash.node.display());
            cx.reporter.add_layer(format!("verity of {data} by {hash}"));
            return Ok(Progress::Done);
        }
        Ok(match self.sources(cx) {
            Ok(sources) => {
                let algorithm = self.params.algorithm.as_deref().unwrap_or("sha256");
                let digest = format!("crypto-{algorithm}");
                self.sources = Some(sources);
                Progress::LoadingModules(cx.request_modules(&["dm_mod", "dm_verity", &digest]))
            }
            Err(awaited) => Progress::NeedsDevice(awaited),
        })
    }

    fn explain_failure(&self, cx: &StepContext<'_>) -> Option<StepError> {
        let device = self.mapped.as_ref()?;
        let status = Control::open(cx.dir).and_then(|control| control.status(NAME));
        (status.ok()? == CORRUPTED).then(|| StepError::Corrupted {
            device: device.clone(),
            root_hash: self.params.root_hash.clone(),
            failure: None,
        })
    }

    fn undo(&mut self, cx: &mut StepContext<'_>) {
        if self.mapped.take().is_some() {
            let _ = Control::open(cx.dir).and_then(|control| control.remove(NAME));
        }
    }
}

/// Opens the device; returns its size too.
fn open(dir: &Root, candidate: &Candidate) -> Option<(Disk, u64)> {
    let devices = block::list(dir).ok()?;
    let device = devices.into_iter().find(|d| d.number == candidate.number)?;
    Some((Disk::open(dir, &device).ok()?, device.size))
}

/// Returns the tree as the command line and its superblock describe it; the command line wins.
fn tree(params: &VerityParams, disk: &Disk) -> Result<HashTree, VerityError> {
    let mut tree = if params.no_superblock {
        let block = params.hash_block.unwrap_or(4096);
        HashTree {
            hash_type: 1,
            algorithm: "sha256".to_owned(),
            data_block_size: 4096,
            hash_block_size: block,
            data_blocks: 0,
            hash_start: params.offset / u64::from(block.max(1)),
            salt: Vec::new(),
            uuid: None,
        }
    } else {
        HashTree::read(disk, params.offset)?
    };
    let set = |field: &mut u32, value: Option<u32>| *field = value.unwrap_or(*field);
    set(&mut tree.hash_type, params.format);
    set(&mut tree.data_block_size, params.data_block);
    set(&mut tree.hash_block_size, params.hash_block);
    tree.data_blocks = params.data_blocks.unwrap_or(tree.data_blocks);
    tree.algorithm = params.algorithm.clone().unwrap_or(tree.algorithm);
    tree.salt = params.salt.clone().unwrap_or(tree.salt);
    tree.check().map(|()| tree)
}

/// Creates the mapped device and its node. After an error there is no such device.
fn activate(dir: &Root, tree: &HashTree, table: &str) -> sys::Result<()> {
    let control = Control::open(dir)?;
    // The format of libcryptsetup, so that its tools recognize the device.
    let uuid = tree.uuid.as_deref().unwrap_or_default().replace('-', "");
    let (_, minor) = control.create(NAME, &format!("CRYPT-VERITY-{uuid}-{NAME}"))?;
    let sectors = tree.sectors().unwrap_or_default();
    let target = Target { sectors, kind: "verity", parameters: table };
    let made = control
        .load_table(NAME, &target)
        .and_then(|()| control.resume(NAME))
        .and_then(|()| dm::create_symlink(dir, NAME, minor));
    made.inspect_err(|_| {
        let _ = control.remove(NAME);
    })
}

/// The last check of a verified root: reads the whole init. A corrupted block of it would otherwise
/// show as a page fault after the switch, when nothing can be reported any more.
#[derive(Debug)]
pub(super) struct ReadInit;

impl RootStep for ReadInit {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let ready = cx
            .check_root(cx.params.root.spec())
            .map_err(|error| StepError::SwitchRoot { error, is_final: false })?;
        let mut file = open_inside(&cx.dir.join(SYSROOT), &ready.init)?;
        let read = std::io::copy(&mut file, &mut std::io::sink());
        read.map_err(|e| Error::io("read", ready.init.as_ref(), &e))?;
        Ok(Progress::Done)
    }
}

/// Opens `path` as it will be found when `directory` is the root.
pub(super) fn open_inside(directory: &Path, path: &str) -> sys::Result<File> {
    let top = File::open(directory).map_err(|e| Error::io("open", directory, &e))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    openat2(&top, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
        .map(File::from)
        .map_err(|e| Error::new("open", format_args!("{path} in the root"), e))
}
