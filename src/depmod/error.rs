//! Why the modules of a tree cannot be indexed.

use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::escape;
use crate::kmod::index::WriteError;
use crate::sys::{self, errno};

/// Why the modules of a tree cannot be indexed. The messages are those of kmod.
#[derive(Debug)]
pub(crate) enum Error {
    /// An operation on a file or directory failed.
    System(sys::Error),
    /// A module file that was named by a relative path.
    NotAbsolute(PathBuf),
    /// A second file for a module.
    Duplicate(PathBuf),
    /// Modules that depend on each other in cycles.
    Cycles {
        /// One path for each cycle, with the first module again at its end.
        paths: Vec<String>,
        /// Number of modules on these paths.
        modules: usize,
    },
    /// An entry that the format of an index has no room for.
    Index(WriteError),
    /// A thread of the program panicked.
    Panicked,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::NotAbsolute(path) => write!(f, "{}: not absolute path.", escape::path(&path)),
            Self::Duplicate(path) => {
                let reason = errno::text(Errno::EXIST);
                write!(f, "could not add module {}: {reason}", escape::path(&path))
            }
            Self::Cycles { paths, .. } => write!(f, "dependency cycles: {}", paths.join("; ")),
            Self::Index(error) => error.fmt(f),
            Self::Panicked => f.write_str("coldplug panicked; please report it"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            Self::Index(error) => Some(error),
            _ => None,
        }
    }
}

impl From<sys::Error> for Error {
    fn from(error: sys::Error) -> Self {
        Self::System(error)
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        Self::Index(error)
    }
}
