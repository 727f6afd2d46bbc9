//! Flags of groups, physical volumes and volumes. Reference: lvm2's lib/format_text/flags.c.
//!
//! ```text
//! status = ["READ", "WRITE", "VISIBLE"]      a flag that is unknown makes the metadata unreadable
//! flags  = ["ACTIVATION_SKIP"]               an unknown flag has no effect
//! type   = "thin-pool+CROP_METADATA"         flags of a segment type count as status
//! ```

use super::text::{Scalar, Section, TextError};

/// A set of flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(u32);

impl Flags {
    pub(crate) const WRITE: Self = Self(1);
    pub(crate) const VISIBLE: Self = Self(1 << 1);
    pub(crate) const EXPORTED: Self = Self(1 << 2);
    pub(crate) const MISSING: Self = Self(1 << 3);
    pub(crate) const PVMOVE: Self = Self(1 << 4);
    pub(crate) const LOCKED: Self = Self(1 << 5);
    pub(crate) const REBUILD: Self = Self(1 << 6);
    pub(crate) const WRITE_MOSTLY: Self = Self(1 << 7);
    pub(crate) const ACTIVATION_SKIP: Self = Self(1 << 8);
    pub(crate) const ERROR_WHEN_FULL: Self = Self(1 << 9);
    pub(crate) const CROP_METADATA: Self = Self(1 << 10);
    pub(crate) const PLUS_DISKS: Self = Self(1 << 11);
    pub(crate) const MINUS_DISKS: Self = Self(1 << 12);
    pub(crate) const CLUSTERED: Self = Self(1 << 13);
    const NONE: Self = Self(0);

    /// Returns whether all of `flags` are set.
    pub(crate) fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    pub(super) fn insert(&mut self, flags: Self) {
        self.0 |= flags.0;
    }

    pub(super) fn remove(&mut self, flags: Self) {
        self.0 &= !flags.0;
    }

    /// Reads `status` and `flags` of a section.
    pub(super) fn read(section: &Section) -> Result<Self, TextError> {
        let mut all = Self::default();
        for value in section.need_values("status")? {
            let flag = name_of(value).and_then(Self::named);
            let unknown = || section.error(&format!("unknown status {value:?}"));
            all.insert(flag.ok_or_else(unknown)?);
        }
        let flags = section.values("flags").unwrap_or_default();
        flags.iter().filter_map(|v| name_of(v).and_then(Self::named)).for_each(|f| all.insert(f));
        Ok(all)
    }

    /// Returns the flag with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, flag)| *flag)
    }
}

fn name_of(value: &Scalar) -> Option<&str> {
    match value {
        Scalar::Text(text) => Some(text),
        _ => None,
    }
}

/// All flags of lvm2 2.03; [`Flags::NONE`] stands for those without effect here.
const NAMES: [(&str, Flags); 29] = [
    ("READ", Flags::NONE),
    ("WRITE", Flags::WRITE),
    ("WRITE_LOCKED", Flags::WRITE),
    ("VISIBLE", Flags::VISIBLE),
    ("EXPORTED", Flags::EXPORTED),
    ("RESIZEABLE", Flags::NONE),
    ("ALLOCATABLE", Flags::NONE),
    ("MISSING", Flags::MISSING),
    ("PVMOVE", Flags::PVMOVE),
    ("LOCKED", Flags::LOCKED),
    ("FIXED_MINOR", Flags::NONE),
    ("NOTSYNCED", Flags::NONE),
    ("REBUILD", Flags::REBUILD),
    ("RESHAPE", Flags::NONE),
    ("RESHAPE_DATA_OFFSET", Flags::NONE),
    ("RESHAPE_DELTA_DISKS_PLUS", Flags::PLUS_DISKS),
    ("RESHAPE_DELTA_DISKS_MINUS", Flags::MINUS_DISKS),
    ("REMOVE_AFTER_RESHAPE", Flags::NONE),
    ("WRITEMOSTLY", Flags::WRITE_MOSTLY),
    ("ACTIVATION_SKIP", Flags::ACTIVATION_SKIP),
    ("NOAUTOACTIVATE", Flags::NONE),
    ("ERROR_WHEN_FULL", Flags::ERROR_WHEN_FULL),
    ("METADATA_FORMAT", Flags::NONE),
    ("CROP_METADATA", Flags::CROP_METADATA),
    ("CACHE_VOL", Flags::NONE),
    ("CACHE_USES_CACHEVOL", Flags::NONE),
    ("CLUSTERED", Flags::CLUSTERED),
    ("SHARED", Flags::NONE),
    ("PARTIAL", Flags::NONE),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Flags, String> {
        Flags::read(&Section::parse(text.as_bytes()).unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn unknown_flags_are_errors_only_in_status() {
        let both =
            read("status = [\"READ\", \"VISIBLE\"]\nflags = [\"MISSING\", \"NEW\"]").unwrap();
        assert!(both.has(Flags::VISIBLE) && both.has(Flags::MISSING) && !both.has(Flags::WRITE));
        assert_eq!(read("status = []"), Ok(Flags::default()));
        assert_eq!(read("status = \"WRITE\""), Ok(Flags::WRITE));
        for bad in ["", "status = [\"NEW\"]", "status = [1]"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
