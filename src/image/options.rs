//! The options of a build.

use std::path::PathBuf;

use super::{CacheChoice, Compress, Init, ModuleFormat, Shell};

/// The modules of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Modules {
    /// All modules of the tree.
    All,
    /// Names, globs and `@sets`; their dependencies are added.
    Named(Vec<String>),
}

impl Modules {
    /// Returns these modules and more words.
    pub(super) fn with(&self, more: &[String]) -> Self {
        match self {
            Self::All => Self::All,
            Self::Named(words) => Self::Named(words.iter().chain(more).cloned().collect()),
        }
    }
}

/// The options of a build.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The kernel's release (`uname -r`).
    pub(crate) release: String,
    /// Root directory of /lib/modules, /lib/firmware and the modprobe.d directories.
    pub(crate) root: PathBuf,
    /// Path of the image.
    pub(crate) out: PathBuf,
    /// The modules of the image.
    pub(crate) modules: Modules,
    /// The program that becomes /init.
    pub(crate) init: Init,
    /// Format of the module files.
    pub(crate) module_format: ModuleFormat,
    /// The cache of packed modules.
    pub(crate) cache: CacheChoice,
    /// Compression of the whole archive.
    pub(crate) compress: Compress,
    /// Whether to write a list for gen_init_cpio instead of an archive.
    pub(crate) as_list: bool,
    /// The file list that replaces the built-in one.
    pub(crate) list: Option<PathBuf>,
    /// Whether to add firmware.
    pub(crate) firmware: bool,
    /// The rescue shell.
    pub(crate) shell: Option<Shell>,
    /// The hash of the password for a shell, or the path of a file that holds it.
    pub(crate) shell_password: Option<String>,
    /// Whether to take nothing from the configuration of the root's devices.
    pub(crate) generic: bool,
    /// The date of every entry, in seconds since 1970.
    pub(crate) mtime: u32,
}
