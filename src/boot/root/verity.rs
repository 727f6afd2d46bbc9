//! dm-verity: the data device and its hash tree become /dev/mapper/root, of which each block is checked when it is read.
//!
//! What the kernel reads of it and is not as the root hash says is an I/O error, and the device's status says so ever after.

use std::fs::File;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::devices::{Candidate, Content};
use super::{Progress, RootStep, StepContext, StepError};
use crate::boot::{BootError, SYSROOT, switch_root, switch_root_error};
use crate::cmdline::root_name::RootName;
use crate::cmdline::storage::VerityParams;
use crate::disk::verity::{Devices, FEC_ROOTS, Fec, Tree};
use crate::report::Verdict;
use crate::sys::block::Disk;
use crate::sys::dm::{self, Control, Target};
use crate::sys::{self, Error, Root, block};

/// What the mapped device is called, as systemd and veritysetup(8) have it.
const NAME: &str = "root";
/// The device that the root is then on.
pub(crate) const DEVICE: &str = "/dev/mapper/root";
/// `C` is what the kernel says once it has met a block that is not as it should be.
const CORRUPTED: &str = "C";

/// The devices it is made of.
#[derive(Debug, Clone)]
struct Sources {
    data: Candidate,
    hash: Candidate,
    fec: Option<Candidate>,
}

#[derive(Debug)]
pub(super) struct Verity {
    words: VerityParams,
    /// Its devices, once all have come; then its modules are loaded.
    sources: Option<Sources>,
    /// The data device, once it is mapped.
    mapped: Option<String>,
}

impl Verity {
    pub(super) fn new(words: VerityParams) -> Self {
        Self { words, sources: None, mapped: None }
    }

    /// The device called `name`, or what is awaited.
    fn find(
        &self,
        part: &str,
        name: Option<&RootName>,
        cx: &mut StepContext<'_>,
    ) -> Result<Candidate, String> {
        let found = name.and_then(|name| cx.devices.find(name, Content::Any));
        let text = name.map(ToString::to_string).unwrap_or_default();
        found.ok_or_else(|| format!("{text}, the {part} of roothash={},", self.words.root_hash))
    }

    fn sources(&self, cx: &mut StepContext<'_>) -> Result<Sources, String> {
        let words = &self.words;
        let fec = words.fec_device.as_ref();
        Ok(Sources {
            data: self.find("data device", words.data.as_ref(), cx)?,
            hash: self.find("hash device", words.hash.as_ref(), cx)?,
            fec: fec.map(|name| self.find("FEC device", Some(name), cx)).transpose()?,
        })
    }

    fn map(&mut self, sources: &Sources, cx: &StepContext<'_>) -> Result<(), StepError> {
        let root = &cx.boot.root;
        let node = sources.data.node.display().to_string();
        let wrong = |text: String| refused(format!("roothash of {node}: {text}"), false);
        let (disk, hash_size) =
            open(root, &sources.hash).ok_or_else(|| wrong("its hash device is gone".into()))?;
        let tree = tree(&self.words, &disk).map_err(|text| {
            wrong(format!("{text} of the hash device {}", sources.hash.node.display()))
        })?;
        let devices = Devices {
            data: sources.data.number,
            hash: sources.hash.number,
            hash_size,
            fec: sources.fec.as_ref().map(|fec| Fec {
                device: fec.number,
                offset: self.words.fec_offset,
                roots: self.words.fec_roots.unwrap_or(FEC_ROOTS),
            }),
        };
        let table = tree.table(&devices, &self.words.root_hash, &self.words.options);
        activate(root, &tree, &table).map_err(|e| wrong(e.to_string()))?;
        self.mapped = Some(node);
        Ok(())
    }
}

impl RootStep for Verity {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        if let Some(sources) = self.sources.take() {
            self.map(&sources, cx)?;
            let (data, hash) = (sources.data.node.display(), sources.hash.node.display());
            cx.boot.record.root.layers.push(format!("verity of {data} by {hash}"));
            return Ok(Progress::Done);
        }
        Ok(match self.sources(cx) {
            Ok(sources) => {
                let algorithm = self.words.algorithm.as_deref().unwrap_or("sha256");
                let digest = format!("crypto-{algorithm}");
                self.sources = Some(sources);
                Progress::LoadingModules(cx.request_modules(&["dm_mod", "dm_verity", &digest]))
            }
            Err(awaited) => Progress::NeedsDevice(awaited),
        })
    }

    fn explain_failure(&self, cx: &StepContext<'_>) -> Option<String> {
        let node = self.mapped.as_ref()?;
        let status = Control::open(&cx.boot.root).and_then(|control| control.status(NAME));
        (status.ok()? == CORRUPTED).then(|| {
            format!(
                "verification of {node} failed: it is not what roothash={} stands for",
                self.words.root_hash
            )
        })
    }

    fn undo(&mut self, cx: &mut StepContext<'_>) {
        if self.mapped.take().is_some() {
            let _ = Control::open(&cx.boot.root).and_then(|control| control.remove(NAME));
        }
    }
}

fn refused(text: String, is_final: bool) -> StepError {
    StepError { text, verdict: Verdict::MountFailed, is_final }
}

/// The device opened, and its size.
fn open(root: &Root, candidate: &Candidate) -> Option<(Disk, u64)> {
    let devices = block::list(root).ok()?;
    let device = devices.into_iter().find(|d| d.number == candidate.number)?;
    Some((Disk::open(root, &device).ok()?, device.size))
}

/// The tree as its superblock or the command line has it; what the command line says goes before.
fn tree(words: &VerityParams, disk: &Disk) -> Result<Tree, String> {
    let mut tree = if words.no_superblock {
        let block = words.hash_block.unwrap_or(4096);
        Tree {
            hash_type: 1,
            algorithm: "sha256".to_owned(),
            data_block: 4096,
            hash_block: block,
            data_blocks: 0,
            start: words.offset / u64::from(block.max(1)),
            salt: Vec::new(),
            uuid: None,
        }
    } else {
        Tree::read(disk, words.offset)?
    };
    let take = |place: &mut u32, value: Option<u32>| *place = value.unwrap_or(*place);
    take(&mut tree.hash_type, words.format);
    take(&mut tree.data_block, words.data_block);
    take(&mut tree.hash_block, words.hash_block);
    tree.data_blocks = words.data_blocks.unwrap_or(tree.data_blocks);
    tree.algorithm = words.algorithm.clone().unwrap_or(tree.algorithm);
    tree.salt = words.salt.clone().unwrap_or(tree.salt);
    tree.check().map(|()| tree)
}

/// Makes the mapped device, which is not there or not at all.
fn activate(root: &Root, tree: &Tree, table: &str) -> sys::Result<()> {
    let control = Control::open(root)?;
    // The form of libcryptsetup, so that its tools know the device.
    let uuid = tree.uuid.as_deref().unwrap_or_default().replace('-', "");
    let (_, minor) = control.create(NAME, &format!("CRYPT-VERITY-{uuid}-{NAME}"))?;
    let sectors = tree.sectors().unwrap_or_default();
    let target = Target { sectors, kind: "verity", parameters: table };
    let made = control
        .load(NAME, &target)
        .and_then(|()| control.resume(NAME))
        .and_then(|()| dm::link(root, NAME, minor));
    made.inspect_err(|_| {
        let _ = control.remove(NAME);
    })
}

/// The last look before the switch: init itself, whose first page fault would come when nothing can be told any more.
#[derive(Debug)]
pub(super) struct ReadInit;

impl RootStep for ReadInit {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let boot = &cx.boot;
        let sysroot = boot.root.join(SYSROOT);
        let unfit =
            |stop: BootError| StepError { verdict: stop.verdict, ..refused(stop.text, false) };
        let ready = switch_root::prepare(&boot.root, &sysroot, boot.params.boot.init.as_deref())
            .map_err(|e| unfit(switch_root_error(&boot.record.root.spec, e)))?;
        let mut file = open_inside(&sysroot, &ready.init)?;
        let read = std::io::copy(&mut file, &mut std::io::sink());
        read.map_err(|e| Error::io("read", ready.init.as_ref(), &e))?;
        Ok(Progress::Done)
    }
}

/// Opens `path` as it will be found when `folder` is the root.
pub(super) fn open_inside(folder: &std::path::Path, path: &str) -> sys::Result<File> {
    let top = File::open(folder).map_err(|e| Error::io("open", folder, &e))?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    openat2(&top, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
        .map(File::from)
        .map_err(|e| Error::new("open", format_args!("{path} in the root"), e))
}
