//! Module names.
//!
//! A module's name is its file's base name up to the first `.`, every `-` turned into `_`:
//! `kernel/fs/foo-bar.ko.zst` is module `foo_bar`.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Endings that make a file a module (kmod's own list). Which decoder runs is told by the content.
pub const SUFFIXES: [&str; 4] = [".ko", ".ko.zst", ".ko.xz", ".ko.gz"];

/// A module's name in canonical form: no dashes, no ending. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleName(Arc<str>);

impl ModuleName {
    /// The canonical form of what a user, an index or a file name says.
    pub fn new(text: &str) -> Self {
        let base = text.rsplit('/').next().unwrap_or(text);
        let stem = base.split('.').next().unwrap_or(base);
        Self(stem.replace('-', "_").into())
    }

    /// The name of the module in the file at `path`; `None` where it has no module's ending.
    pub fn from_path(path: &str) -> Option<Self> {
        let base = path.rsplit('/').next().unwrap_or(path);
        SUFFIXES
            .iter()
            .any(|suffix| base.len() > suffix.len() && base.ends_with(suffix))
            .then(|| Self::new(base))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
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
    fn a_module_file_has_a_known_ending() {
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
