//! What depmod wants to know of one module.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::strings::Strings;
use crate::kmod::elf::Sections;
use crate::kmod::modinfo::split_key_value;
use crate::kmod::symbols::{self, BasicVersions, SymbolVersion};

/// The sections from which [`Facts`] are taken. The versions of exports may stand in others: they need the whole file.
pub const SECTIONS: [&str; 5] =
    [".modinfo", ".symtab", ".strtab", "__versions", "__ksymtab_strings"];

/// What one module says of itself, as kmod's depmod reads it: each list in the order of the file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `alias=` of `.modinfo`.
    pub aliases: Strings,
    /// `softdep=` of `.modinfo`.
    pub softdeps: Strings,
    /// `weakdep=` of `.modinfo`.
    pub weakdeps: Strings,
    /// Symbols that it offers.
    pub exports: Strings,
    /// Their versions.
    pub export_crcs: Vec<u32>,
    /// Symbols that it needs.
    pub needs: Strings,
    /// What else is known of each symbol that it needs.
    pub need_marks: Vec<Need>,
}

/// What is known of a symbol that is needed, besides its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Need {
    /// It may stay unresolved.
    pub is_weak: bool,
    /// The version that the module was built against; 0 where none is recorded.
    pub crc: u32,
}

/// Takes facts from module after module, in memory that is used again: only what is found takes new memory.
#[derive(Debug, Default)]
pub struct Collector {
    facts: Facts,
    /// Places in `__versions` by the hash of the name; where two meet the second goes into the next slot.
    slots: Vec<Slot>,
    /// Places in `__versions` of names that stand there once more.
    twins: Vec<usize>,
}

impl Collector {
    /// The facts of a module. A section that it lacks has nothing to say.
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

    /// Exports, and what is needed: symbols that are undefined, then those that stand in the list of versions alone
    /// (`module_layout`).
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
                self.need(name, Need { is_weak: symbol.is_weak, crc });
            }
        }
        let once = self.slots.iter().filter_map(|slot| slot.left());
        let mut left: Vec<usize> = once.chain(self.twins.iter().copied()).collect();
        left.sort_unstable();
        for version in left.into_iter().filter_map(|place| versions?.get(place)) {
            self.need(version.name, Need { is_weak: false, crc: version.crc });
        }
    }

    fn fill_slots(&mut self, table: Option<BasicVersions<'_>>) {
        self.slots.clear();
        self.twins.clear();
        let Some(table) = table else { return };
        // Never more than half full, and each name once, so that a search is short and comes to an end.
        self.slots.resize(2 * table.len().next_power_of_two(), Slot::Empty);
        for (place, version) in table.iter().enumerate() {
            let mut at = self.slot_of(version.name);
            while let Slot::Left(other) = self.slots[at] {
                if table.get(other).is_some_and(|other| other.name == version.name) {
                    self.twins.push(place);
                    break;
                }
                at = (at + 1) % self.slots.len();
            }
            if self.slots[at] == Slot::Empty {
                self.slots[at] = Slot::Left(place);
            }
        }
    }

    /// The recorded version of a symbol, at the first time that it is asked for.
    fn take_version(&mut self, table: BasicVersions<'_>, name: &[u8]) -> Option<u32> {
        let mut at = self.slot_of(name);
        loop {
            match self.slots[at] {
                Slot::Empty => return None,
                Slot::Left(place) => {
                    let version = table.get(place)?;
                    if version.name == name {
                        self.slots[at] = Slot::Taken;
                        return Some(version.crc);
                    }
                }
                Slot::Taken => {}
            }
            at = (at + 1) % self.slots.len();
        }
    }

    /// Where a search begins. There must be slots.
    fn slot_of(&self, name: &[u8]) -> usize {
        let hash = FixedState::default().hash_one(name);
        usize::try_from(hash % self.slots.len() as u64).unwrap_or(0)
    }

    fn export(&mut self, export: SymbolVersion<'_>) {
        if self.facts.exports.push(export.name) {
            self.facts.export_crcs.push(export.crc);
        }
    }

    fn need(&mut self, symbol: &[u8], mark: Need) {
        if self.facts.needs.push(symbol) {
            self.facts.need_marks.push(mark);
        }
    }
}

/// A place of a table by hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Empty,
    /// The version at this place has not been asked for.
    Left(usize),
    /// It has.
    Taken,
}

impl Slot {
    fn left(self) -> Option<usize> {
        match self {
            Self::Left(place) => Some(place),
            Self::Empty | Self::Taken => None,
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
        self.need_marks.clear();
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
            let marks: Vec<_> = facts.need_marks.iter().map(|n| (n.is_weak, n.crc)).collect();
            assert_eq!(marks, [(false, 9), (true, 8), (false, 7)]);
        }
        let empty = LAYOUTS[0].elf(&[]);
        assert_eq!(Collector::default().facts(&Sections::parse(&empty).unwrap()), Facts::default());
    }

    /// A search for each of them among all the others would take minutes.
    #[test]
    fn a_table_of_equal_names_is_no_trouble() {
        let versions = vec![0; 64 * 200_000];
        let image = LAYOUTS[0].elf(&[("__versions", &versions)]);
        let facts = Collector::default().facts(&Sections::parse(&image).unwrap());
        assert_eq!(facts.needs.len(), 200_000);
    }
}
