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

/// A pattern of modules that are never loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mask {
    /// Pattern, normalised.
    pub(crate) pattern: String,
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
    pub(crate) fn add_line(&mut self, pattern: String, file: &str, line: usize) {
        self.0.push(Mask { pattern, origin: MaskOrigin::Line(file.to_owned(), line) });
    }

    /// Adds the patterns of `coldplug.mask=`, separated by commas. Returns a warning for each
    /// invalid pattern.
    pub(crate) fn add_cmdline(&mut self, list: &str) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for word in list.split(',').filter(|word| !word.is_empty()) {
            match alias::normalize(word.as_bytes()) {
                Ok(pattern) => {
                    let pattern = String::from_utf8_lossy(&pattern).into_owned();
                    self.0.push(Mask { pattern, origin: MaskOrigin::Cmdline });
                }
                Err(_) => {
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
        let name = module.as_str().as_bytes();
        Some(&self.0.iter().find(|mask| fnmatch(mask.pattern.as_bytes(), name))?.origin)
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
        let warnings = masks.add_cmdline("usb-storage,,snd-hda,bad[");
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].to_string(), "kernel command line: ignoring 'coldplug.mask=bad['");
        for (module, want) in [
            ("snd_hda", Some("/etc/m.conf line 7")),
            ("usb_storage", Some("coldplug.mask= on the kernel command line")),
            ("usb_storage2", None),
            ("bad", None),
        ] {
            let origin = masks.origin(&module.into()).map(ToString::to_string);
            assert_eq!(origin.as_deref(), want, "{module}");
        }
    }
}
