//! Parsers for the kernel's module files, indexes, configuration and uevents. Pure: bytes in,
//! values out.
//!
//! The terms are kmod's: a *modalias* describes a device, an *alias* is a pattern that a module
//! offers, a *softdep* orders two modules without requiring either, and a *builtin* module is part
//! of the kernel image.

pub mod alias;
pub mod autoclean;
pub mod catalog;
pub mod compress;
pub mod conf;
pub mod dep;
#[cfg(feature = "host")]
pub mod depmod;
pub mod elf;
pub(crate) mod elf_machine;
pub mod index;
pub(crate) mod mask;
pub mod modinfo;
#[cfg(feature = "host")]
pub mod modules_conf;
pub(crate) mod modules_load;
pub mod name;
pub(crate) mod plan;
pub(crate) mod probe_list;
pub mod proc_modules;
pub mod program;
pub mod settings;
pub mod signature;
pub mod strip_versions;
pub mod symbols;
pub mod uevent;

use std::fmt;

/// A part of an input that was ignored, with its file and line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Name of the file, as the caller gave it.
    pub(crate) file: String,
    /// Line number, counted from 1; 0 if the file has no lines.
    pub line: usize,
    /// Description of the problem and of the action taken.
    pub(crate) text: String,
}

impl Warning {
    /// Creates a warning about line `line` of `file`.
    pub(crate) fn new(file: &str, line: usize, text: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.text),
            line => write!(f, "{} line {line}: {}", self.file, self.text),
        }
    }
}
