//! The errors of steps towards the root.

use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

use super::fsck::left_errors;
use super::worker::WorkerError;
use crate::boot::error::Interruption;
use crate::boot::seconds;
use crate::boot::switch_root::SwitchRootError;
use crate::disk::verity::VerityError;
use crate::report::Verdict;
use crate::sys::{self, DeviceError};

/// The cause that a step cannot be done as things are.
#[derive(Debug)]
pub(in crate::boot) enum StepError {
    /// An operation failed. A retry may help: a device or a module may still be on its way.
    System(sys::Error),
    /// An operation failed that `parameter` of the command line asks for. A retry may help.
    Parameter {
        /// The parameter with its value.
        parameter: String,
        /// The operation that failed.
        error: sys::Error,
    },
    /// The superblock of a device cannot be read. A retry may help.
    Device(DeviceError),
    /// The check of a filesystem found errors that it cannot correct, or failed.
    Fsck {
        /// `fsck.ext4 /dev/vda1`
        command: String,
        /// Exit status of the command.
        status: ExitStatus,
    },
    /// The tree of hashes cannot be used.
    Verity {
        /// Node of the data device.
        device: String,
        /// Why not.
        problem: VerityProblem,
    },
    /// dm-verity found a block that does not match the root hash.
    Corrupted {
        /// Node of the data device.
        device: String,
        /// The root hash of the command line.
        root_hash: String,
        /// The failure that the block led to.
        failure: Option<Box<StepError>>,
    },
    /// A filesystem is still being checked at its deadline.
    FsckTimeout {
        /// `fsck.ext4 /dev/vda1`
        command: String,
        /// The longest time that the check may take.
        timeout: Duration,
    },
    /// An operation did not end before its deadline.
    Unfinished {
        /// The operation, in words.
        operation: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The kernel reads the image of a hibernated system, and may resume it at any time.
    StuckResume {
        /// The operation, in words.
        operation: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The worker died during the operation that the text names. A retry may help.
    WorkerDied(WorkerError),
    /// The kernel lacks something that only a module could add, and none does.
    NotInKernel {
        /// What it lacks: `filesystem 9p`.
        feature: String,
        /// Modules that should add it, and why each does not.
        modules: Vec<String>,
    },
    /// This program is built without what a root needs.
    #[cfg_attr(feature = "full", expect(dead_code, reason = "the whole program lacks nothing"))]
    Absent {
        /// The parameter with its value.
        parameter: String,
        /// What the program lacks.
        feature: &'static str,
    },
    /// `ip=` has neither an address nor a protocol to ask for one.
    NoAddress,
    /// Neither the command line nor DHCP names an NFS server.
    NoNfsServer,
    /// The root failed a check before the switch.
    SwitchRoot(SwitchRootError),
    /// No slot has attempts left that was not tried in this boot. The text lists the slots and
    /// their attempts.
    NoSlot(String),
    /// A person has ended the boot at `coldplug.break=mount`.
    Interrupted(Interruption),
}

/// Why a tree of hashes cannot be used.
#[derive(Debug)]
pub(in crate::boot) enum VerityProblem {
    /// The hash device, by its node, holds no usable tree.
    Tree(String, VerityError),
    /// The hash device cannot be read, or the kernel refused the mapped device.
    Device(sys::Error),
}

impl fmt::Display for VerityProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(node, error) => write!(f, "hash device {node}: {error}"),
            Self::Device(error) => error.fmt(f),
        }
    }
}

impl StepError {
    /// Returns the verdict of a boot that ends with this error.
    pub(in crate::boot) fn verdict(&self) -> Verdict {
        match self {
            Self::Absent { .. } | Self::NoAddress | Self::NoNfsServer => Verdict::NoRoot,
            Self::SwitchRoot(error) => error.verdict(),
            Self::Interrupted(_) => Verdict::Interrupted,
            Self::NoSlot(_) => Verdict::NoSlot,
            _ => Verdict::MountFailed,
        }
    }

    /// Returns the error of an operation that `parameter` of the command line asks for.
    pub(super) fn of_parameter(parameter: String, error: WorkerError) -> Self {
        match error {
            WorkerError::System(error) => Self::Parameter { parameter, error },
            died @ WorkerError::Died(_) => Self::WorkerDied(died),
        }
    }

    /// Returns whether the boot ends with this error, whatever other roots there are.
    pub(in crate::boot) fn ends_the_boot(&self) -> bool {
        matches!(self, Self::Interrupted(_) | Self::StuckResume { .. } | Self::NoSlot(_))
    }

    /// Adds the failure that this error explains.
    pub(super) fn with_failure(self, error: Self) -> Self {
        match self {
            Self::Corrupted { device, root_hash, .. } => {
                Self::Corrupted { device, root_hash, failure: Some(Box::new(error)) }
            }
            explanation => explanation,
        }
    }

    /// Returns whether a retry is useless.
    pub(in crate::boot) fn is_final(&self) -> bool {
        match self {
            Self::System(_)
            | Self::Device(_)
            | Self::Parameter { .. }
            | Self::Verity { .. }
            | Self::WorkerDied(_) => false,
            Self::SwitchRoot(error) => error.is_final(),
            Self::Fsck { .. }
            | Self::FsckTimeout { .. }
            | Self::Unfinished { .. }
            | Self::StuckResume { .. }
            | Self::Corrupted { .. }
            | Self::NotInKernel { .. }
            | Self::Absent { .. }
            | Self::NoAddress
            | Self::NoNfsServer
            | Self::NoSlot(_)
            | Self::Interrupted(_) => true,
        }
    }
}

impl From<WorkerError> for StepError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::System(error) => Self::System(error),
            died @ WorkerError::Died(_) => Self::WorkerDied(died),
        }
    }
}

impl From<sys::Error> for StepError {
    fn from(error: sys::Error) -> Self {
        Self::System(error)
    }
}

impl From<SwitchRootError> for StepError {
    fn from(error: SwitchRootError) -> Self {
        Self::SwitchRoot(error)
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::Parameter { parameter, error } => write!(f, "{parameter}: {error}"),
            Self::Fsck { command, status } if left_errors(*status) => {
                write!(f, "{command}: errors remain ({status})")
            }
            Self::Fsck { command, status } => write!(f, "{command}: check failed ({status})"),
            Self::FsckTimeout { command, timeout } => {
                let timeout = seconds(*timeout);
                write!(f, "{command}: did not end within {timeout} (coldplug.fsck_timeout); killed")
            }
            Self::Unfinished { operation, waited } | Self::StuckResume { operation, waited } => {
                write!(f, "{operation} did not end within {}", seconds(*waited))
            }
            Self::WorkerDied(error) => error.fmt(f),
            Self::Device(error) => error.fmt(f),
            Self::Verity { device, problem } => write!(f, "roothash of {device}: {problem}"),
            Self::Corrupted { device, root_hash, failure } => {
                write!(
                    f,
                    "verification of {device} failed: it does not match roothash={root_hash}"
                )?;
                failure.as_ref().map_or(Ok(()), |failure| write!(f, " ({failure})"))
            }
            Self::NotInKernel { feature, modules } => {
                write!(f, "{feature} is not built into this kernel, and no module adds it")?;
                if modules.is_empty() { Ok(()) } else { write!(f, " ({})", modules.join("; ")) }
            }
            Self::Absent { parameter, feature } => {
                write!(f, "{parameter}: this coldplug has no {feature}")
            }
            Self::NoAddress => f.write_str("ip=: no address, and none may be requested by DHCP"),
            Self::NoNfsServer => {
                f.write_str("no NFS server: none in root=, nfsroot= or ip=, and none from DHCP")
            }
            Self::NoSlot(slots) => {
                write!(f, "no slot is left to try; attempts left: {slots}")
            }
            Self::SwitchRoot(error) => error.fmt(f),
            Self::Interrupted(how) => how.fmt(f),
        }
    }
}

impl std::error::Error for StepError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System(error) | Self::Parameter { error, .. } => Some(error),
            Self::Device(error) => Some(error),
            Self::Corrupted { failure, .. } => failure.as_deref().map(|error| error as _),
            Self::SwitchRoot(error) => Some(error),
            _ => None,
        }
    }
}
