//! Errors of loads.

use std::error::Error;
use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::io::Errno;

use crate::kmod::name::ModuleName;
use crate::sys::modfile::ImageError;
use crate::sys::module_errno::{KERNEL_LOG, meaning};
use crate::sys::{self, errno};

/// Error of one attempt to insert a module file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InsertError {
    /// The file does not exist.
    Missing,
    /// The file cannot be read or decoded.
    Image(ImageError),
    /// The kernel refused the module.
    Kernel(Errno),
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(&errno::text(Errno::NOENT)),
            Self::Image(error) => error.fmt(f),
            Self::Kernel(errno) => {
                f.write_str(&errno::text(*errno))?;
                meaning(*errno).map_or(Ok(()), |meaning| write!(f, " ({})", meaning.cause))
            }
        }
    }
}

impl Error for InsertError {}

/// Why a requested module was not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LoadError {
    /// The indexes list no file for the module.
    UnknownModule,
    /// The module file was not inserted.
    Insert(InsertError),
    /// The module's install command returned a status other than 0.
    CommandStatus(String, ExitStatus),
    /// The module's install command could not be started.
    CommandStart(String, sys::Error),
    /// A module that it needs is masked; the text is the origin of the mask.
    DependencyMasked(ModuleName, String),
    /// A module that it needs is not live; the word is the outcome of that module.
    DependencyNotLive(ModuleName, &'static str),
    /// Its parameters do not fit into a message to the worker process.
    OptionsTooLong,
    /// The worker process died during the load, and again when it ran this load alone.
    WorkerDied(Option<ExitStatus>),
    /// The worker process died during the load, and the kernel keeps the module in state `coming`.
    HalfLoaded(Option<ExitStatus>),
    /// No worker process can be started.
    NoWorker(sys::Error),
    /// The thread that ran the module's init has ended: the kernel ends it after an oops.
    InitCrashed,
    /// The module's init has not returned after this time.
    InitTimeout(Duration),
    /// The module's install command has not ended after this time.
    CommandTimeout(Duration),
    /// An error that a worker process reported as text.
    Reported(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownModule => f.write_str("no such module"),
            Self::Insert(error) => error.fmt(f),
            Self::CommandStatus(command, status) => {
                write!(f, "install command '{command}': {status}")
            }
            Self::CommandStart(command, error) => write!(f, "install command '{command}': {error}"),
            Self::DependencyMasked(module, origin) => {
                write!(f, "needs {module}, which is masked by {origin}")
            }
            Self::DependencyNotLive(module, outcome) => {
                write!(f, "needs {module}, which is {outcome}")
            }
            Self::OptionsTooLong => f.write_str("module parameters too long"),
            Self::WorkerDied(status) => {
                f.write_str("the worker process died while loading it alone")?;
                write_status(f, *status)
            }
            Self::HalfLoaded(status) => {
                f.write_str(
                    "its init has not ended and never will: the kernel keeps it in state \
                     'coming', and the worker process died",
                )?;
                write_status(f, *status)
            }
            Self::NoWorker(error) => write!(f, "no worker process: {error}"),
            Self::InitCrashed => {
                f.write_str("its init crashed (kernel oops), see ")?;
                f.write_str(KERNEL_LOG)
            }
            Self::InitTimeout(time) => write!(f, "still in its init after {} s", time.as_secs()),
            Self::CommandTimeout(time) => {
                write!(f, "its install command still runs after {} s", time.as_secs())
            }
            Self::Reported(text) => f.write_str(text),
        }
    }
}

fn write_status(f: &mut fmt::Formatter<'_>, status: Option<ExitStatus>) -> fmt::Result {
    status.map_or(Ok(()), |status| write!(f, ": {status}"))
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Insert(error) => Some(error),
            Self::CommandStart(_, error) | Self::NoWorker(error) => Some(error),
            _ => None,
        }
    }
}
