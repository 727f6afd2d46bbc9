//! What the kernel's module files, indexes, configuration and messages mean. Pure: bytes in, values out.
//!
//! The words are kmod's: a *modalias* is what a device says of itself, an *alias* is the pattern a
//! module offers, a *softdep* orders without being needed, *builtin* is what the kernel image holds.

pub mod alias;
pub mod autoclean;
pub mod catalog;
pub mod compress;
pub mod conf;
pub mod dep;
#[cfg(feature = "host")]
pub mod depmod;
pub mod elf;
pub mod index;
pub mod mask;
pub mod modinfo;
#[cfg(feature = "host")]
pub mod modules_conf;
pub mod name;
pub mod plan;
pub mod probe_list;
pub mod proc_modules;
pub mod settings;
pub mod signature;
pub mod strip_versions;
pub mod symbols;
pub mod uevent;

use std::fmt;

/// Something in an input that was passed over, with the place where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file, as the caller named it.
    pub file: String,
    /// The line, counted from 1; 0 where the file has no lines.
    pub line: usize,
    /// What is wrong and what was done about it.
    pub text: String,
}

impl Warning {
    /// A warning about line `line` of `file`.
    pub fn new(file: &str, line: usize, text: impl Into<String>) -> Self {
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
