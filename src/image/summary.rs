//! The result of a build, for people: the lines that `image build` prints.

use std::fmt;
use std::path::PathBuf;

use super::microcode::Microcode;
use super::missing_firmware::MissingFirmware;
use super::optional_firmware::LeftOut;
use super::roots::Roots;
use crate::escape;

/// The result of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Path of the image.
    pub(crate) path: PathBuf,
    /// Size of the image in bytes.
    pub(crate) bytes: u64,
    /// Each kernel of the image.
    pub(crate) kernels: Vec<KernelSummary>,
    /// Number of firmware files in the image.
    pub(crate) firmware: usize,
    /// The firmware names in these modules for which no file exists.
    pub(crate) missing: MissingFirmware,
    /// Firmware that only some machines need.
    pub(crate) firmware_left_out: LeftOut,
    /// The microcode in front of the image.
    pub(crate) microcode: Microcode,
    /// Warnings: those of depmod if the tree had no index files, modules that are left out, and
    /// programs that the kernel may not execute.
    pub(crate) notices: Vec<String>,
}

/// What an image holds for one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelSummary {
    /// Its release.
    pub(crate) release: String,
    /// Number of its modules in the image.
    pub(crate) modules: usize,
    /// Number of modules in its tree.
    pub(crate) modules_known: usize,
    /// What the image can boot from.
    pub(crate) roots: Roots,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} bytes, ", escape::path(&self.path), self.bytes)?;
        let (firmware, missing) = (self.firmware, self.missing.len());
        let files = if firmware == 1 { "file" } else { "files" };
        let firmware = format!("{firmware} firmware {files} ({missing} missing)");
        match &self.kernels[..] {
            [KernelSummary { modules, modules_known, roots, .. }] => {
                write!(f, "{modules} of {modules_known} modules, {firmware}\n{roots}")?;
            }
            kernels => {
                write!(f, "{} kernels, {firmware}", kernels.len())?;
                for KernelSummary { release, modules, modules_known, roots } in kernels {
                    let release = escape::line(release);
                    write!(f, "\n{release}: {modules} of {modules_known} modules, {roots}")?;
                }
            }
        }
        if let Some(text) = self.microcode.text() {
            write!(f, "\n{text}")?;
        }
        if self.firmware_left_out.files > 0 {
            write!(f, "\n{}", self.firmware_left_out)?;
        }
        self.missing.fmt(f)
    }
}
