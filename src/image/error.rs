//! Why an image can't be built or read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::list::ListError;
use crate::kmod::compress::DecodeError;
use crate::kmod::index::WriteError;

/// Why an image can't be built or read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file act failed.
    Io {
        /// What was tried: "read", "create"…
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There are no modules of the kernel.
    NoModules {
        /// The module directory that isn't there.
        dir: PathBuf,
        /// The kernel's release.
        release: String,
    },
    /// The modules of a directory that has no index can't be indexed, in words.
    Depmod(PathBuf, String),
    /// modules.dep has no line for a file that another one needs.
    NoDepLine {
        /// The file that needs it.
        path: String,
        /// The file without a line.
        needs: String,
    },
    /// A line of a file list.
    List(ListError),
    /// Module names that were asked for and are neither in the tree nor in the kernel.
    UnknownModules(Vec<String>),
    /// A module set that does not exist.
    UnknownSet(String),
    /// A path in the image lies below something that isn't a folder.
    NotADir(String),
    /// What is to be /init and is no program.
    NotProgram(PathBuf),
    /// A path that can't be written into an archive or index.
    NotText(PathBuf),
    /// A module or an image that can't be decoded.
    Decode(PathBuf, DecodeError),
    /// The rewritten modules.dep.bin.
    Index(WriteError),
    /// A damaged archive, or one in a format that is not read here.
    Archive(String),
}

impl Error {
    /// Makes the error of a file act from the system's answer, for `map_err`.
    pub(super) fn io<'a>(op: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { op, path: path.to_owned(), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { op, path, source } => write!(f, "can't {op} {}: {source}", path.display()),
            Self::NoModules { dir, release } => {
                write!(f, "no modules of kernel {release}: {} is missing", dir.display())
            }
            Self::NotProgram(path) => {
                write!(f, "{} is no program: neither ELF nor a script with #!", path.display())
            }
            Self::Depmod(dir, why) => {
                write!(f, "{} has no modules.dep, and: {why}", dir.display())
            }
            Self::NoDepLine { path, needs } => {
                write!(f, "modules.dep: {path} needs {needs}, which has no line: run depmod")
            }
            Self::List(error) => error.fmt(f),
            Self::UnknownModules(names) => {
                write!(f, "no such module, builtin or alias: {}", names.join(", "))
            }
            Self::UnknownSet(name) => {
                write!(f, "no module set @{name}; there are: {}", super::sets::names())
            }
            Self::NotADir(name) => write!(f, "/{name} lies below something that is no folder"),
            Self::NotText(path) => write!(f, "{}: the path is not UTF-8", path.display()),
            Self::Decode(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Index(error) => write!(f, "modules.dep.bin: {error}"),
            Self::Archive(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

impl From<ListError> for Error {
    fn from(error: ListError) -> Self {
        Self::List(error)
    }
}
