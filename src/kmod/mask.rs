//! Masks: modules that nothing may load, whoever asks. kmod has no such word; its blacklist stops neither names
//! nor dependencies.
//!
//! ```text
//! mask PATTERN              in modprobe.d
//! coldplug.mask=A,B         on the kernel command line
//! ```

use std::fmt;

use super::Warning;
use super::alias::{self, fnmatch};
use super::name::ModuleName;

/// A module, or a pattern of modules, that is not to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// The pattern, normalised.
    pub pattern: String,
    /// Where it stands.
    pub origin: MaskOrigin,
}

/// Where a mask stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaskOrigin {
    /// On a line of a file.
    Line(String, usize),
    /// On the kernel command line.
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

/// All masks, in the order in which they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Masks(Vec<Mask>);

impl Masks {
    /// Adds the pattern that stands on line `line` of `file`.
    pub fn add_line(&mut self, pattern: String, file: &str, line: usize) {
        self.0.push(Mask { pattern, origin: MaskOrigin::Line(file.to_owned(), line) });
    }

    /// Adds the patterns of `coldplug.mask=`, which are parted by commas; gives what is none.
    pub fn add_cmdline(&mut self, list: &str) -> Vec<Warning> {
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

    /// Adds the masks of `other` behind these.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Where `module` is masked: the first pattern that matches.
    pub fn origin(&self, module: &ModuleName) -> Option<&MaskOrigin> {
        let name = module.as_str().as_bytes();
        Some(&self.0.iter().find(|mask| fnmatch(mask.pattern.as_bytes(), name))?.origin)
    }

    /// Whether nothing is masked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mask> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_matches_tells_its_place() {
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
            let place = masks.origin(&module.into()).map(ToString::to_string);
            assert_eq!(place.as_deref(), want, "{module}");
        }
    }
}
