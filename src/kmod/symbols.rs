//! Symbol versions of a module: those of its exports, and those that it was built against.
//!
//! ```text
//! .symtab             __crc_NAME: the version itself if absolute (or undefined), otherwise the
//!                     location of a u32
//! __ksymtab_strings   NAME NUL NAME NUL…, without versions
//! __versions          records of 64 bytes: version (u64 or u32 by ELF class), NAME padded with NUL
//! __version_ext_crcs  u32 u32…             from Linux 6.14 on, for names too long for a record; a
//! __version_ext_names NAME NUL NAME NUL…   file may have both forms, and the kernel uses this one
//! ```

use std::collections::HashSet;

use super::elf::{Sections, Symbol, until_nul};

/// A symbol and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SymbolVersion<'a> {
    /// Name of the symbol.
    pub(crate) name: &'a [u8],
    /// Version (a CRC); 0 if the module has none.
    pub(crate) crc: u32,
}

/// `st_shndx` of a symbol whose value is absolute.
const ABSOLUTE: usize = 0xfff1;
/// Size of a record in `__versions`.
const RECORD_SIZE: usize = 64;

/// Returns the symbols that a module exports, or `None` if it has no list of them.
pub fn exports<'a>(sections: &Sections<'a>) -> Option<Vec<SymbolVersion<'a>>> {
    let crcs = sections.symbols().filter_map(|symbol| export(sections, &symbol));
    let exports: Vec<_> = crcs.collect();
    if !exports.is_empty() {
        return Some(exports);
    }
    unversioned_exports(sections).map(Iterator::collect)
}

/// Returns the export that a symbol `__crc_NAME` describes.
pub fn export<'a>(sections: &Sections<'a>, symbol: &Symbol<'a>) -> Option<SymbolVersion<'a>> {
    let name = symbol.name_after(b"__crc_")?;
    let crc = match symbol.section {
        0 | ABSOLUTE => low_word(symbol.value),
        section => crc_at(sections, section, symbol.value).unwrap_or(u32::MAX),
    };
    Some(SymbolVersion { name, crc })
}

/// Returns the exports of a module without versions, or `None` if it has no list of them.
pub(crate) fn unversioned_exports<'a>(
    sections: &Sections<'a>,
) -> Option<impl Iterator<Item = SymbolVersion<'a>>> {
    let names = sections.get("__ksymtab_strings")?.split(|byte| *byte == 0);
    Some(names.filter(|n| !n.is_empty()).map(|name| SymbolVersion { name, crc: 0 }))
}

/// Returns the symbols that a module was built against: those of the basic form, then those that
/// only the extended form has. Returns `None` if the kernel was built without versions.
pub fn versions<'a>(sections: &Sections<'a>) -> Option<Vec<SymbolVersion<'a>>> {
    let basic =
        BasicVersions::from_sections(sections).map(|versions| versions.iter().collect::<Vec<_>>());
    let extended = extended_versions(sections);
    if basic.is_none() && extended.is_none() {
        return None;
    }
    let mut versions = basic.unwrap_or_default();
    let known: HashSet<&[u8]> = versions.iter().map(|v| v.name).collect();
    let more = extended.unwrap_or_default().into_iter().filter(|v| !known.contains(v.name));
    versions.extend(more.collect::<Vec<_>>());
    Some(versions)
}

/// Returns the entries that are present in both `__version_ext_crcs` and `__version_ext_names`.
fn extended_versions<'a>(sections: &Sections<'a>) -> Option<Vec<SymbolVersion<'a>>> {
    let (crcs, names) = (sections.get("__version_ext_crcs")?, sections.get("__version_ext_names")?);
    let names = names.split(|byte| *byte == 0).take_while(|name| !name.is_empty());
    let versions = names.zip(crcs.chunks_exact(4));
    let versions = versions.filter_map(|(name, crc)| {
        Some(SymbolVersion { name, crc: number(sections.is_little_endian(), crc)? })
    });
    Some(versions.collect())
}

/// `__versions`, the basic form, which lists every undefined symbol of the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BasicVersions<'a> {
    records: &'a [u8],
    is_64_bit: bool,
    is_little_endian: bool,
}

impl<'a> BasicVersions<'a> {
    /// Returns the table of a module, or `None` if it has none.
    pub(crate) fn from_sections(sections: &Sections<'a>) -> Option<Self> {
        Some(Self {
            records: sections.get("__versions")?,
            is_64_bit: sections.is_64_bit(),
            is_little_endian: sections.is_little_endian(),
        })
    }

    /// Returns the record at `index`.
    pub(crate) fn get(&self, index: usize) -> Option<SymbolVersion<'a>> {
        let record = self.records.chunks_exact(RECORD_SIZE).nth(index)?;
        let width = if self.is_64_bit { 8 } else { 4 };
        let (crc, name) = record.split_at(width);
        // The low word: the first four bytes if little-endian, otherwise the last four.
        let crc = if self.is_little_endian { &crc[..4] } else { &crc[width - 4..] };
        let crc = number(self.is_little_endian, crc)?;
        Some(SymbolVersion { name: until_nul(name), crc })
    }

    /// Returns the number of records.
    pub(crate) fn count(&self) -> usize {
        self.records.len() / RECORD_SIZE
    }

    /// Returns all records, in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = SymbolVersion<'a>> {
        (0..self.count()).filter_map(move |index| self.get(index))
    }
}

fn crc_at(sections: &Sections<'_>, section: usize, offset: u64) -> Option<u32> {
    let at = usize::try_from(offset).ok()?;
    number(sections.is_little_endian(), sections.by_index(section)?.get(at..at.checked_add(4)?)?)
}

fn number(is_little_endian: bool, bytes: &[u8]) -> Option<u32> {
    let bytes = bytes.try_into().ok()?;
    Some(if is_little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
}

fn low_word(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::elf::tests::LAYOUTS;

    fn words(list: Option<Vec<SymbolVersion<'_>>>) -> Option<String> {
        let word =
            |v: &SymbolVersion<'_>| format!("{}={:x}", String::from_utf8_lossy(v.name), v.crc);
        Some(list?.iter().map(word).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn exports_are_parsed_in_every_layout() {
        for layout in LAYOUTS {
            let (mut table, mut crcs) = (Vec::new(), vec![0; 4]);
            layout.put(&mut crcs, 0xabcd_0123, 4);
            for (name, section, value) in
                [(0, 0, 0), (1, 0xfff1, 0x77), (9, 1, 4), (17, 1, 5), (25, 2, 0)]
            {
                layout.symbol(&mut table, name, 0x10, section, value);
            }
            let names = b"\0__crc_a\0__crc_b\0__crc_c\0other\0";
            let image =
                layout.elf(&[("__kcrctab", &crcs), (".symtab", &table), (".strtab", names)]);
            let sections = Sections::parse(&image).unwrap();
            assert_eq!(words(exports(&sections)).unwrap(), "a=77 b=abcd0123 c=ffffffff");
            assert_eq!(words(versions(&sections)), None);
            let image = layout.elf(&[("__ksymtab_strings", b"x\0\0y\0")]);
            assert_eq!(words(exports(&Sections::parse(&image).unwrap())).unwrap(), "x=0 y=0");
            assert_eq!(exports(&Sections::parse(&layout.elf(&[])).unwrap()), None);
        }
    }

    #[test]
    fn versions_are_parsed_in_every_layout() {
        for layout in LAYOUTS {
            let mut table = Vec::new();
            layout.put(&mut table, 0x1234_5678, 8);
            table.extend(b"module_layout");
            table.resize(64 + 3, 0);
            let image = layout.elf(&[("__versions", &table)]);
            let sections = Sections::parse(&image).unwrap();
            assert_eq!(words(versions(&sections)).unwrap(), "module_layout=12345678");
        }
    }

    #[test]
    fn extended_versions_add_to_the_basic_ones() {
        for layout in LAYOUTS {
            let mut table = Vec::new();
            layout.put(&mut table, 0x11, 8);
            table.extend(b"module_layout");
            table.resize(64, 0);
            let mut crcs = Vec::new();
            for crc in [0x11, 0x8000_0022, 0x33] {
                layout.put(&mut crcs, crc, 4);
            }
            let long = "_RNvNtCs_core_".repeat(8);
            let names = format!("module_layout\0{long}\0lone\0\0");
            let both = [
                ("__versions", &table[..]),
                ("__version_ext_crcs", &crcs),
                ("__version_ext_names", names.as_bytes()),
            ];
            let read = |elf: &[(&str, &[u8])]| {
                words(versions(&Sections::parse(&layout.elf(elf)).unwrap()))
            };
            let want = format!("module_layout=11 {long}=80000022 lone=33");
            assert_eq!(read(&both).unwrap(), want);
            assert_eq!(read(&both[1..]).unwrap(), want);
            assert_eq!(read(&both[..2]).unwrap(), "module_layout=11");
            assert_eq!(read(&both[2..]), None);
            let short = [("__version_ext_crcs", &crcs[..7]), both[2]];
            assert_eq!(read(&short).unwrap(), "module_layout=11");
        }
    }
}
