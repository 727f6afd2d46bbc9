//! The options of a build.

use std::path::PathBuf;

use super::{
    CacheChoice, Compress, Fsck, Include, Init, Keymap, MicrocodeChoice, ModuleFormat, Shell,
};
use crate::machine::capture::Capture;

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

/// What a machine may need besides the modules that it boots with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    /// Keyboards, removable disks and the usual filesystems, for a person who repairs the system.
    Rescue,
    /// GPUs, with their firmware.
    Gpu,
    /// Wireless network adapters, with their firmware.
    Wireless,
}

impl Extra {
    /// Returns what `word` stands for.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Rescue, Self::Gpu, Self::Wireless].into_iter().find(|extra| extra.set() == word)
    }

    /// Returns whether it is for the firmware of its modules too.
    pub(super) fn is_for_firmware(self) -> bool {
        self != Self::Rescue
    }

    /// Returns its module set, which has the same name.
    pub(super) fn set(self) -> &'static str {
        match self {
            Self::Rescue => "rescue",
            Self::Gpu => "gpu",
            Self::Wireless => "wireless",
        }
    }
}

/// The options of a build.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The kernel's release (`uname -r`).
    pub(crate) release: String,
    /// The releases of further kernels, whose modules the image has too.
    pub(crate) more_releases: Vec<String>,
    /// Root directory of /lib/modules, /lib/firmware and the modprobe.d directories.
    pub(crate) root: PathBuf,
    /// Path of the image.
    pub(crate) out: PathBuf,
    /// The modules of the image.
    pub(crate) modules: Modules,
    /// Captured machines, whose modules are added to those.
    pub(crate) boards: Vec<Capture>,
    /// Whether the modules of the machine below the root are added too.
    pub(crate) host: bool,
    /// Sets of modules that are added to those of any other option.
    pub(crate) extras: Vec<Extra>,
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
    /// Path of the manifest, a file for programs.
    pub(crate) manifest: Option<PathBuf>,
    /// The file list that replaces the built-in one.
    pub(crate) list: Option<PathBuf>,
    /// Whether to leave out of the index files what is about modules that are not in the image.
    pub(crate) trims_indexes: bool,
    /// Whether to add firmware.
    pub(crate) firmware: bool,
    /// The microcode in front of the image.
    pub(crate) microcode: Option<MicrocodeChoice>,
    /// Files and trees to add.
    pub(crate) includes: Vec<Include>,
    /// The programs that check filesystems.
    pub(crate) fsck: Option<Fsck>,
    /// The keymap of the console.
    pub(crate) keymap: Option<Keymap>,
    /// The rescue shell.
    pub(crate) shell: Option<Shell>,
    /// The hash of the password for a shell, or the path of a file that holds it.
    pub(crate) shell_password: Option<String>,
    /// Whether to take nothing from the configuration of the root's devices.
    pub(crate) generic: bool,
    /// The date of every entry, in seconds since 1970.
    pub(crate) mtime: u32,
}
