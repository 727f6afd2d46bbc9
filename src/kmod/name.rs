//! Module names.
//!
//! The name of a module is the base name of its file up to the first `.`, with `-` replaced by `_`:
//! `kernel/fs/foo-bar.ko.zst` is module `foo_bar`.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Suffixes of module files, as in kmod. The decoder is chosen by the content of the file.
pub(crate) const SUFFIXES: [&str; 4] = [".ko", ".ko.zst", ".ko.xz", ".ko.gz"];

/// A module name in canonical form: without dashes and suffix. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleName(Arc<str>);

impl ModuleName {
    /// Returns the canonical form of a name from a user or an index, or of a file name.
    pub fn new(text: impl AsRef<[u8]>) -> Self {
        Self::from_bytes(text.as_ref())
    }

    /// Does the work of [`Self::new`]. The names of modules are ASCII.
    fn from_bytes(text: &[u8]) -> Self {
        let stem = base_name(text).split(|byte| *byte == b'.').next().unwrap_or_default();
        Self(String::from_utf8_lossy(stem).replace('-', "_").into())
    }

    /// Returns the name of the module in the file at `path`, or `None` if the file does not have
    /// the suffix of a module.
    pub(crate) fn from_path(path: impl AsRef<[u8]>) -> Option<Self> {
        let base = base_name(path.as_ref());
        SUFFIXES
            .iter()
            .any(|suffix| base.len() > suffix.len() && base.ends_with(suffix.as_bytes()))
            .then(|| Self::from_bytes(base))
    }

    /// Returns the name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl From<&str> for ModuleName {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl Borrow<str> for ModuleName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_canonical() {
        for (text, name) in [
            ("foo-bar", "foo_bar"),
            ("kernel/fs/foo-bar.ko.zst", "foo_bar"),
            ("/lib/snd-hda.x.ko", "snd_hda"),
            ("UPPER", "UPPER"),
            ("", ""),
        ] {
            assert_eq!(ModuleName::new(text).as_str(), name, "{text}");
        }
    }

    #[test]
    fn a_module_file_has_a_known_suffix() {
        for (path, name) in [
            ("a/b-c.ko", Some("b_c")),
            ("b.ko.xz", Some("b")),
            ("b.ko.gz", Some("b")),
            ("b.ko.zst", Some("b")),
            (".ko", None),
            ("b.ko.bz2", None),
            ("b.o", None),
            ("b", None),
        ] {
            assert_eq!(
                ModuleName::from_path(path).as_ref().map(ModuleName::as_str),
                name,
                "{path}"
            );
        }
    }
}
