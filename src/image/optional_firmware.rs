//! Firmware that an image for any machine leaves out: that of GPUs and wireless adapters. It is
//! most of all firmware, and no root is on such a device.
//!
//! ```text
//! module of the image                          its firmware
//!   named by its name or alias                 in the image
//!   of a machine (--board, --host)             in the image
//!   of --with gpu or wireless, @gpu, @wireless in the image
//!   needed by one of these                     in the image
//!   any other GPU or wireless adapter          left out
//!   any other module                           in the image
//! ```
//!
//! A module is for a GPU or a wireless adapter if it is in the kernel's directory of these, or
//! needs the common code of their drivers, `drm` or `cfg80211`, as modules from elsewhere do.

use std::collections::BTreeSet;
use std::fmt;

use super::Error;
use super::options::Extra;
use super::select::{Group, Selected, find_set};
use super::tree::Tree;
use crate::kmod::name::ModuleName;

/// Directories of the modules.
const DIRECTORIES: [&[u8]; 2] = [b"kernel/drivers/gpu/", b"kernel/drivers/net/wireless/"];
/// The common code of their drivers.
const CORES: [&str; 2] = ["drm", "cfg80211"];

/// Returns the modules of an extra.
///
/// # Errors
/// There is no set of its name.
pub(super) fn group(tree: &Tree, extra: Extra) -> Result<Group, Error> {
    let is_specific = extra.is_for_firmware();
    let word = format!("--with={}", extra.set());
    Ok(Group { word, modules: find_set(tree, extra.set())?, is_specific })
}

/// Returns the positions of the modules whose firmware is left out.
pub(super) fn modules_without(tree: &Tree, selected: &Selected) -> BTreeSet<usize> {
    let general = selected.modules.difference(&selected.specific);
    general.copied().filter(|at| is_optional(tree, *at)).collect()
}

fn is_optional(tree: &Tree, at: usize) -> bool {
    let line = &tree.lines[at];
    let cores = CORES.map(ModuleName::new);
    DIRECTORIES.iter().any(|directory| line.path.starts_with(directory))
        || line.needs.iter().any(|path| cores.contains(&ModuleName::new(path)))
}

/// Firmware that is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Number of files.
    pub(crate) files: usize,
    /// Their size in bytes.
    pub(crate) bytes: u64,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "firmware of GPUs and wireless adapters left out: {} files, {} bytes\n\
             hint: use --with gpu, --with wireless, --board or --host, or name the modules",
            self.files, self.bytes
        )
    }
}
