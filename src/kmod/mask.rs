//! Masks: modules that are never loaded, whatever requests them. kmod has no counterpart; its
//! blacklist stops neither names nor dependencies.
//!
//! ```text
//! mask PATTERN              in modprobe.d
//! coldplug.mask=A,B         on the kernel command line
//! ```

use std::fmt;

use super::Warning;
use super::alias::{self, fnmatch};
use super::name::ModuleName;
use crate::escape;

/// A pattern of modules that are never loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mask {
    /// Pattern, normalised.
    pub(crate) pattern: Vec<u8>,
    /// Origin of the mask.
    pub(crate) origin: MaskOrigin,
}

/// Origin of a mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaskOrigin {
    /// A line of a file: file name and line number.
    Line(String, usize),
    /// The kernel command line.
    Cmdline,
}

impl fmt::Display for MaskOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(file, line) => write!(f, "{file} line {line}"),
            Self::Cmdline => f.write_str("coldplug.mask= on the kernel command line"),
        }
    }
}

/// The masks, in the order in which they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Masks(Vec<Mask>);

impl Masks {
    /// Adds the pattern from line `line` of `file`.
    pub(crate) fn add_line(&mut self, pattern: Vec<u8>, file: &str, line: usize) {
        self.0.push(Mask { pattern, origin: MaskOrigin::Line(file.to_owned(), line) });
    }

    /// Adds the patterns of `coldplug.mask=`, separated by commas. Returns a warning for each
    /// invalid pattern.
    pub(crate) fn add_cmdline(&mut self, list: &[u8]) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for word in list.split(|byte| *byte == b',').filter(|word| !word.is_empty()) {
            match alias::normalize(word) {
                Ok(pattern) => {
                    self.0.push(Mask { pattern, origin: MaskOrigin::Cmdline });
                }
                Err(_) => {
                    let word = escape::bytes(word);
                    let text = format!("ignoring 'coldplug.mask={word}'");
                    warnings.push(Warning::new("kernel command line", 0, text));
                }
            }
        }
        warnings
    }

    /// Appends the masks of `other`.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Returns the origin of the first mask that matches `module`.
    pub fn origin(&self, module: &ModuleName) -> Option<&MaskOrigin> {
        Some(&self.0.iter().find(|mask| fnmatch(&mask.pattern, module.as_bytes()))?.origin)
    }

    /// Returns whether there are no masks.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the masks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mask> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_mask_names_its_origin() {
        let mut masks = Masks::default();
        assert!(masks.is_empty());
        masks.add_line("snd_*".into(), "/etc/m.conf", 7);
        let warnings = masks.add_cmdline(b"usb-storage,,snd-hda,f\xe4o,bad\xf6[");
        assert_eq!(warnings.len(), 1);
        assert_eq!(
            warnings[0].to_string(),
            "kernel command line: ignoring 'coldplug.mask=bad\\xf6['"
        );
        for (module, want) in [
            (&b"snd_hda"[..], Some("/etc/m.conf line 7")),
            (b"snd_\xff", Some("/etc/m.conf line 7")),
            (b"f\xe4o", Some("coldplug.mask= on the kernel command line")),
            (b"f\xf6o", None),
            (b"usb_storage", Some("coldplug.mask= on the kernel command line")),
            (b"usb_storage2", None),
            (b"bad", None),
        ] {
            let origin = masks.origin(&ModuleName::new(module)).map(ToString::to_string);
            assert_eq!(origin.as_deref(), want, "{module:?}");
        }
    }
}
