//! UUIDs of lvm2, and the names and UUIDs of mapped devices.
//!
//! ```text
//! UUID         32 characters of 0-9 a-z A-Z ! #, printed in groups: 6-4-4-4-4-4-6
//! name         GROUP-VOLUME[-LAYER], in which a dash of a part is doubled
//! mapped UUID  LVM-, UUID of the group, UUID of the volume, [-LAYER]
//! ```

use std::fmt;

use super::probe;

/// A UUID of lvm2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id([u8; 32]);

impl Id {
    /// Returns the UUID that these bytes are, or `None` if they are none.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let is_valid = |b: &u8| b.is_ascii_alphanumeric() || b"!#".contains(b);
        bytes.try_into().ok().filter(|id: &[u8; 32]| id.iter().all(is_valid)).map(Self)
    }

    /// Parses the UUID in its printed form; dashes may be anywhere.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
        Self::from_bytes(&bytes)
    }

    /// Returns the UUID without dashes.
    pub(crate) fn compact(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&probe::format_uuid(&self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Returns whether lvm2 accepts a name of a group or a volume.
pub(crate) fn is_name(name: &str) -> bool {
    let is_valid = |b: u8| b.is_ascii_alphanumeric() || b".-_+".contains(&b);
    !name.is_empty()
        && name.len() < 128
        && !name.starts_with('-')
        && !matches!(name, "." | "..")
        && name.bytes().all(is_valid)
}

/// Returns the name of a mapped device; `layer` is empty for the volume itself.
pub(crate) fn mapped_name(group: &str, volume: &str, layer: &str) -> String {
    let double = |part: &str| part.replace('-', "--");
    let dash = if layer.is_empty() { "" } else { "-" };
    format!("{}-{}{dash}{}", double(group), double(volume), double(layer))
}

/// Returns the UUID of a mapped device; `layer` is empty for the volume itself.
pub(super) fn mapped_uuid(group: &Id, volume: &Id, layer: &str) -> String {
    let dash = if layer.is_empty() { "" } else { "-" };
    format!("LVM-{}{}{dash}{layer}", group.compact(), volume.compact())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_double_their_dashes() {
        for (group, volume, layer, want) in [
            ("vg0", "root", "", "vg0-root"),
            ("my-vg", "a-b", "", "my--vg-a--b"),
            ("vg", "pool", "tpool", "vg-pool-tpool"),
            ("vg", "r_rimage_0", "missing_0_0", "vg-r_rimage_0-missing_0_0"),
        ] {
            assert_eq!(mapped_name(group, volume, layer), want);
        }
    }

    #[test]
    fn uuids_have_two_forms() {
        let printed = "gMZvEV-aVUa-bJgn-5Hyi-gMwl-8k7L-UoxZ12";
        let id = Id::parse(printed).unwrap();
        assert_eq!(id.to_string(), printed);
        assert_eq!(id.compact(), "gMZvEVaVUabJgn5HyigMwl8k7LUoxZ12");
        let mapped = mapped_uuid(&id, &id, "real");
        assert_eq!(mapped, format!("LVM-{0}{0}-real", id.compact()));
        for bad in ["", "gMZvEV", &"a".repeat(33), &"?".repeat(32)] {
            assert_eq!(Id::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_those_of_lvm2() {
        for (name, want) in [
            ("vg0", true),
            ("a.b_c+d-e", true),
            ("", false),
            ("-a", false),
            ("..", false),
            ("a/b", false),
            (&"x".repeat(128), false),
        ] {
            assert_eq!(is_name(name), want, "{name}");
        }
    }
}
