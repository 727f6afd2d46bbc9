//! The metadata and symbols of one module that depmod uses.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::strings::Strings;
use crate::kmod::elf::Sections;
use crate::kmod::modinfo::split_key_value;
use crate::kmod::symbols::{self, BasicVersions, SymbolVersion};

/// The sections that contain [`Facts`]. The versions of exports may be in other sections, so that
/// they need the whole file.
pub(crate) const SECTIONS: [&str; 5] =
    [".modinfo", ".symtab", ".strtab", "__versions", "__ksymtab_strings"];

/// The metadata and symbols of one module, as kmod's depmod reads them. Each list is in the order
/// of the file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Values of `alias=` in `.modinfo`.
    pub(crate) aliases: Strings,
    /// Whether `.modinfo` is too long to be read.
    pub(crate) has_long_modinfo: bool,
    /// Values of `softdep=` in `.modinfo`.
    pub(crate) softdeps: Strings,
    /// Values of `weakdep=` in `.modinfo`.
    pub(crate) weakdeps: Strings,
    /// Exported symbols.
    pub(crate) exports: Strings,
    /// Versions of the exported symbols.
    pub(crate) export_crcs: Vec<u32>,
    /// Symbols that the module needs.
    pub(crate) needs: Strings,
    /// Attributes of the symbols that the module needs.
    pub(crate) need_attributes: Vec<NeedAttributes>,
}

/// Attributes of a symbol that a module needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NeedAttributes {
    /// Whether the symbol may stay unresolved.
    pub(crate) is_weak: bool,
    /// The version that the module was built against; 0 if none is recorded.
    pub(crate) crc: u32,
}

/// Reads the facts of one module after the other. Working memory is reused; only the results are
/// allocated.
#[derive(Debug, Default)]
pub struct Collector {
    facts: Facts,
    /// Hash table of positions in `__versions` by name, with linear probing.
    slots: Vec<Slot>,
    /// Positions in `__versions` of names that occur there before.
    duplicates: Vec<usize>,
}

impl Collector {
    /// Reads the facts of a module. The facts of a missing section are empty.
    pub fn facts(&mut self, sections: &Sections<'_>) -> Facts {
        self.facts.clear();
        self.read_modinfo(sections);
        self.read_symbols(sections);
        if self.facts.exports.is_empty() {
            let exports = symbols::unversioned_exports(sections);
            exports.into_iter().flatten().for_each(|export| self.export(export));
        }
        self.facts.clone()
    }

    fn read_modinfo(&mut self, sections: &Sections<'_>) {
        self.facts.has_long_modinfo = sections.has_long_modinfo();
        for string in sections.modinfo() {
            let (key, value) = split_key_value(string);
            match key {
                b"alias" => self.facts.aliases.push(value),
                b"softdep" => self.facts.softdeps.push(value),
                b"weakdep" => self.facts.weakdeps.push(value),
                _ => true,
            };
        }
    }

    /// Reads the exported symbols and the needed symbols. The latter are the undefined symbols,
    /// followed by those that occur only in the list of versions (`module_layout`).
    fn read_symbols(&mut self, sections: &Sections<'_>) {
        let versions = BasicVersions::from_sections(sections);
        self.fill_slots(versions);
        for symbol in sections.symbols() {
            if let Some(export) = symbols::export(sections, &symbol) {
                self.export(export);
            }
            if symbol.section == 0 {
                let name = symbol.name();
                let crc = versions.and_then(|table| self.take_version(table, name)).unwrap_or(0);
                self.need(name, NeedAttributes { is_weak: symbol.is_weak, crc });
            }
        }
        let unused = self.slots.iter().filter_map(|slot| slot.unused());
        let mut rest: Vec<usize> = unused.chain(self.duplicates.iter().copied()).collect();
        rest.sort_unstable();
        for version in rest.into_iter().filter_map(|position| versions?.get(position)) {
            self.need(version.name, NeedAttributes { is_weak: false, crc: version.crc });
        }
    }

    fn fill_slots(&mut self, table: Option<BasicVersions<'_>>) {
        self.slots.clear();
        self.duplicates.clear();
        let Some(table) = table else { return };
        // The table is at most half full and has each name once, so that searches are short and
        // terminate.
        self.slots.resize(2 * table.count().next_power_of_two(), Slot::Empty);
        for (position, version) in table.iter().enumerate() {
            let mut at = self.slot_of(version.name);
            while let Slot::Unused(other) = self.slots[at] {
                if table.get(other).is_some_and(|other| other.name == version.name) {
                    self.duplicates.push(position);
                    break;
                }
                at = (at + 1) % self.slots.len();
            }
            if self.slots[at] == Slot::Empty {
                self.slots[at] = Slot::Unused(position);
            }
        }
    }

    /// Returns the recorded version of a symbol, once.
    fn take_version(&mut self, table: BasicVersions<'_>, name: &[u8]) -> Option<u32> {
        let mut at = self.slot_of(name);
        loop {
            match self.slots[at] {
                Slot::Empty => return None,
                Slot::Unused(position) => {
                    let version = table.get(position)?;
                    if version.name == name {
                        self.slots[at] = Slot::Used;
                        return Some(version.crc);
                    }
                }
                Slot::Used => {}
            }
            at = (at + 1) % self.slots.len();
        }
    }

    /// Returns the slot at which a search starts. The table must not be empty.
    fn slot_of(&self, name: &[u8]) -> usize {
        let hash = FixedState::default().hash_one(name);
        usize::try_from(hash % self.slots.len() as u64).unwrap_or(0)
    }

    fn export(&mut self, export: SymbolVersion<'_>) {
        if self.facts.exports.push(export.name) {
            self.facts.export_crcs.push(export.crc);
        }
    }

    fn need(&mut self, symbol: &[u8], attributes: NeedAttributes) {
        if self.facts.needs.push(symbol) {
            self.facts.need_attributes.push(attributes);
        }
    }
}

/// A slot of the hash table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Empty,
    /// The position of a version that was not used yet.
    Unused(usize),
    /// A version that was used.
    Used,
}

impl Slot {
    fn unused(self) -> Option<usize> {
        match self {
            Self::Unused(position) => Some(position),
            Self::Empty | Self::Used => None,
        }
    }
}

impl Facts {
    fn clear(&mut self) {
        let Self { aliases, softdeps, weakdeps, exports, needs, .. } = self;
        for list in [aliases, softdeps, weakdeps, exports, needs] {
            list.clear();
        }
        self.export_crcs.clear();
        self.need_attributes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::elf::tests::LAYOUTS;

    fn words(list: &Strings) -> String {
        let words: Vec<_> = list.iter().map(String::from_utf8_lossy).collect();
        words.join(" ")
    }

    #[test]
    fn facts_are_read_in_every_layout() {
        for layout in LAYOUTS {
            let mut table = Vec::new();
            for (name, info, section) in [(0, 0, 0), (1, 0x10, 0), (5, 0x20, 0), (11, 0x10, 1)] {
                layout.symbol(&mut table, name, info, section, 0);
            }
            let mut versions = Vec::new();
            for (crc, name) in [(7, "module_layout"), (8, "weak2"), (9, "abc")] {
                layout.put(&mut versions, crc, 8);
                versions.extend(name.bytes());
                versions.resize(versions.len().next_multiple_of(64), 0);
            }
            let image = layout.elf(&[
                (".modinfo", b"alias=a*\0license=GPL\0softdep=pre: x\0alias=b\0weakdep=y\0"),
                (".symtab", &table),
                (".strtab", b"\0abc\0weak2\0__crc_own\0"),
                ("__versions", &versions),
                ("__ksymtab_strings", b"own\0"),
            ]);
            let facts = Collector::default().facts(&Sections::parse(&image).unwrap());
            assert_eq!(words(&facts.aliases), "a* b");
            assert_eq!(words(&facts.softdeps), "pre: x");
            assert_eq!(words(&facts.weakdeps), "y");
            assert_eq!(words(&facts.exports), "own");
            assert_eq!(words(&facts.needs), "abc weak2 module_layout");
            let attributes: Vec<_> =
                facts.need_attributes.iter().map(|n| (n.is_weak, n.crc)).collect();
            assert_eq!(attributes, [(false, 9), (true, 8), (false, 7)]);
        }
        let empty = LAYOUTS[0].elf(&[]);
        assert_eq!(Collector::default().facts(&Sections::parse(&empty).unwrap()), Facts::default());
    }

    /// With a linear search for each name the test would take minutes.
    #[test]
    fn a_table_of_equal_names_is_read_in_linear_time() {
        let versions = vec![0; 64 * 200_000];
        let image = LAYOUTS[0].elf(&[("__versions", &versions)]);
        let facts = Collector::default().facts(&Sections::parse(&image).unwrap());
        assert_eq!(facts.needs.iter().count(), 200_000);
    }
}
