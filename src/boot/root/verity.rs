//! dm-verity: the data device and its hash tree become /dev/mapper/root. The kernel checks each
//! block when it reads it.
//!
//! A block that does not match the root hash is an I/O error, and from then on the status of the
//! mapped device says so.

use super::devices::{Candidate, Content};
use super::error::VerityProblem;
use super::worker::{Request, WorkerError};
use super::{Awaited, Progress, RootStep, StepContext, StepError};
use crate::byte_text;
use crate::cmdline::root_name::RootName;
use crate::cmdline::storage::VerityParams;
use crate::disk::Source;
use crate::disk::verity::{Devices, FEC_ROOTS, Fec, HashTree, SUPERBLOCK_SIZE, VerityError};
use crate::sys::dm::{self, Control, Target};
use crate::sys::{self, Root};

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

/// The state of the step.
#[derive(Debug)]
enum State {
    /// The devices have not all been found yet.
    NeedsDevices,
    /// The modules are being loaded.
    LoadingModules(Sources),
    /// The worker reads the superblock.
    Reading(Sources),
    /// The worker creates the mapped device.
    Mapping(Sources),
    /// The data device with this node is mapped.
    Mapped(String),
}

#[derive(Debug)]
pub(super) struct Verity {
    params: VerityParams,
    state: State,
}

/// Bytes read from a device, at their offset.
struct Window<'a> {
    size: u64,
    offset: u64,
    bytes: &'a [u8],
}

impl Source for Window<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        offset.checked_sub(self.offset).map_or(Ok(0), |at| self.bytes.read(at, buf))
    }
}

impl Verity {
    pub(super) fn new(params: VerityParams) -> Self {
        Self { params, state: State::NeedsDevices }
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

    /// Has the worker read the superblock of the hash device.
    fn read(&mut self, sources: Sources, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let length = u32::try_from(SUPERBLOCK_SIZE).unwrap_or(u32::MAX);
        let (number, offset) = (sources.hash.number, self.params.offset);
        let text = format!("roothash: read of {}", byte_text::from_path(&sources.hash.node));
        let progress = cx.worker.request(Request::Read { number, offset, length }, text)?;
        self.state = State::Reading(sources);
        Ok(progress)
    }

    /// Has the worker create the mapped device.
    fn map(
        &mut self,
        sources: Sources,
        read: &[u8],
        cx: &mut StepContext<'_>,
    ) -> Result<Progress, StepError> {
        let (size, bytes) = read.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let hash_device_size = u64::from_le_bytes(*size);
        let window = Window { size: hash_device_size, offset: self.params.offset, bytes };
        let tree = tree(&self.params, &window).map_err(|error| {
            let node = byte_text::from_path(&sources.hash.node).into_owned();
            failed(&sources, VerityProblem::Tree(node, error))
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
        // The format of libcryptsetup, so that its tools recognize the device.
        let uuid = tree.uuid.as_deref().unwrap_or_default().replace('-', "");
        let request = Request::Map {
            uuid: format!("CRYPT-VERITY-{uuid}-{NAME}"),
            sectors: tree.sectors().unwrap_or_default(),
            table: tree.table_line(&devices, &self.params.root_hash, &self.params.options),
        };
        let text = format!("roothash: mapping of {}", byte_text::from_path(&sources.data.node));
        let progress = cx.worker.request(request, text)?;
        self.state = State::Mapping(sources);
        Ok(progress)
    }
}

/// Returns the error of a tree of hashes.
fn failed(sources: &Sources, problem: VerityProblem) -> StepError {
    StepError::Verity { device: byte_text::from_path(&sources.data.node).into_owned(), problem }
}

/// Returns the value of a request, or its error as one of the tree of hashes.
fn value(result: Result<Vec<u8>, WorkerError>, sources: &Sources) -> Result<Vec<u8>, StepError> {
    result.map_err(|error| match error {
        WorkerError::System(error) => failed(sources, VerityProblem::Device(error)),
        died @ WorkerError::Died(_) => died.into(),
    })
}

impl RootStep for Verity {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        match std::mem::replace(&mut self.state, State::NeedsDevices) {
            State::NeedsDevices => Ok(match self.sources(cx) {
                Ok(sources) => {
                    let algorithm = self.params.algorithm.as_deref().unwrap_or("sha256");
                    let digest = format!("crypto-{algorithm}");
                    self.state = State::LoadingModules(sources);
                    Progress::LoadingModules(cx.request_modules(&["dm_mod", "dm_verity", &digest]))
                }
                Err(awaited) => Progress::NeedsDevice(awaited),
            }),
            State::LoadingModules(sources) => self.read(sources, cx),
            State::Reading(sources) => match cx.worker.poll() {
                None => {
                    self.state = State::Reading(sources);
                    Ok(cx.worker.progress())
                }
                Some(result) => {
                    let read = value(result, &sources)?;
                    self.map(sources, &read, cx)
                }
            },
            State::Mapping(sources) => match cx.worker.poll() {
                None => {
                    self.state = State::Mapping(sources);
                    Ok(cx.worker.progress())
                }
                Some(result) => {
                    value(result, &sources)?;
                    let (data, hash) = (
                        byte_text::from_path(&sources.data.node),
                        byte_text::from_path(&sources.hash.node),
                    );
                    cx.reporter.add_layer(format!("verity of {data} by {hash}"));
                    self.state = State::Mapped(data.to_string());
                    Ok(Progress::Done)
                }
            },
            mapped @ State::Mapped(_) => {
                self.state = mapped;
                Ok(Progress::Done)
            }
        }
    }

    fn explain_failure(&self, cx: &StepContext<'_>) -> Option<StepError> {
        let State::Mapped(device) = &self.state else { return None };
        // The one device-mapper ioctl of PID 1: it reads a flag of the target. It takes the
        // kernel's lock of the list of mapped devices, which nothing holds while it waits for a
        // disk: create, load, resume and remove have released it by then.
        let status = Control::open(cx.dir).and_then(|control| control.status(NAME));
        (status.ok()? == CORRUPTED).then(|| StepError::Corrupted {
            device: device.clone(),
            root_hash: self.params.root_hash.clone(),
            failure: None,
        })
    }
}

/// Returns the tree as the command line and its superblock describe it; the command line wins.
fn tree(params: &VerityParams, disk: &Window<'_>) -> Result<HashTree, VerityError> {
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

/// Creates the mapped device and its node. After an error there is no such device. The worker calls
/// this.
pub(super) fn activate(dir: &Root, uuid: &str, sectors: u64, table: &str) -> sys::Result<()> {
    let control = Control::open(dir)?;
    let (_, minor) = control.create(NAME, uuid)?;
    let target = Target { start: 0, sectors, kind: "verity", parameters: table };
    let made = control
        .load_table(NAME, &[target], true)
        .and_then(|()| control.resume(NAME))
        .and_then(|()| dm::create_symlink(dir, NAME, minor));
    made.inspect_err(|_| {
        let _ = control.remove(NAME);
    })
}

/// Removes the mapped device, if there is one.
pub(super) fn remove(dir: &Root) {
    let _ = Control::open(dir).and_then(|control| control.remove(NAME));
}
