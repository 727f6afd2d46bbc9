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
    pub fn new(text: &str) -> Self {
        let base = text.rsplit('/').next().unwrap_or(text);
        let stem = base.split('.').next().unwrap_or(base);
        Self(stem.replace('-', "_").into())
    }

    /// Returns the name of the module in the file at `path`, or `None` if the file does not have
    /// the suffix of a module.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let base = path.rsplit('/').next().unwrap_or(path);
        SUFFIXES
            .iter()
            .any(|suffix| base.len() > suffix.len() && base.ends_with(suffix))
            .then(|| Self::new(base))
    }

    /// Returns the name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
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
