//! Module names.
//!
//! The name of a module is the base name of its file up to the first `.`, with `-` replaced by `_`:
//! `kernel/fs/foo-bar.ko.zst` is module `foo_bar`.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;

use crate::escape;

/// Suffixes of module files, as in kmod. The decoder is chosen by the content of the file.
pub(crate) const SUFFIXES: [&str; 4] = [".ko", ".ko.zst", ".ko.xz", ".ko.gz"];

/// A module name in canonical form: without dashes and suffix. Usually ASCII, but the name of a file
/// may hold any byte. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleName(Arc<[u8]>);

impl ModuleName {
    /// Returns the canonical form of a name from a user or an index, or of a file name.
    pub fn new(text: impl AsRef<[u8]>) -> Self {
        Self::from_bytes(text.as_ref())
    }

    /// Does the work of [`Self::new`].
    fn from_bytes(text: &[u8]) -> Self {
        let stem = base_name(text).split(|byte| *byte == b'.').next().unwrap_or_default();
        Self(stem.iter().map(|byte| if *byte == b'-' { b'_' } else { *byte }).collect())
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

    /// Returns the name as it is.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the name as text for people, as [`escape::bytes`] does.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        escape::bytes(&self.0)
    }
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

impl From<&str> for ModuleName {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl Borrow<[u8]> for ModuleName {
    fn borrow(&self) -> &[u8] {
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
            assert_eq!(ModuleName::new(text).text(), name, "{text}");
        }
    }

    #[test]
    fn a_name_keeps_its_bytes() {
        for (raw, name, text) in [
            (&b"f\xe4-o"[..], &b"f\xe4_o"[..], "f\\xe4_o"),
            (b"d\xff/f\xf6o.ko.zst", b"f\xf6o", "f\\xf6o"),
            (b"\xfe", b"\xfe", "\\xfe"),
            ("föo.ko".as_bytes(), "föo".as_bytes(), "föo"),
        ] {
            let module = ModuleName::new(raw);
            assert_eq!((module.as_bytes(), &*module.text()), (name, text));
            assert_eq!(
                (module.to_string(), format!("{module:?}")),
                (text.into(), format!("{text:?}"))
            );
        }
        assert_ne!(ModuleName::new(b"f\xe4o"), ModuleName::new(b"f\xf6o"));
        assert_ne!(ModuleName::new(b"f\xe4o"), ModuleName::new("f\u{fffd}o"));
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
            assert_eq!(ModuleName::from_path(path), name.map(ModuleName::new), "{path}");
        }
    }
}
