//! The options of a build.

use std::path::PathBuf;

use super::{Compress, ModuleFormat};

/// The modules of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modules {
    /// All modules of the tree.
    All,
    /// Names, globs and `@sets`; their dependencies are added.
    Named(Vec<String>),
}

/// The options of a build.
#[derive(Debug, Clone)]
pub struct Options {
    /// The kernel's release (`uname -r`).
    pub release: String,
    /// Root directory of /lib/modules, /lib/firmware and the modprobe.d directories.
    pub root: PathBuf,
    /// Path of the image.
    pub out: PathBuf,
    /// The modules of the image.
    pub modules: Modules,
    /// The program that becomes /init.
    pub init: PathBuf,
    /// Format of the module files.
    pub module_format: ModuleFormat,
    /// Compression of the whole archive.
    pub compress: Compress,
    /// The file list that replaces the built-in one.
    pub list: Option<PathBuf>,
    /// Whether to add firmware.
    pub firmware: bool,
    /// The date of every entry, in seconds since 1970.
    pub mtime: u32,
}
