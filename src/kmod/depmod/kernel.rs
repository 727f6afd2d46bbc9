//! The symbols that the kernel itself offers, from its build.
//!
//! ```text
//! Module.symvers (-E)   CRC SYMBOL MODULE …          parted by tabs or spaces; those of MODULE `vmlinux` count
//! System.map (-F)       ADDRESS TYPE __ksymtab_SYMBOL
//! ```

use std::collections::HashMap;

use crate::kmod::Warning;

/// Symbols that every kernel has and no list names.
const ALWAYS: [&[u8]; 3] = [b"__this_module", b"_GLOBAL_OFFSET_TABLE_", b"TOC."];

/// The kernel's symbols with their versions, 0 where the list has none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct KernelSymbols(HashMap<Vec<u8>, u32>);

impl KernelSymbols {
    /// The symbols of a Module.symvers. A line that is not understood has none.
    pub fn from_symvers(text: &[u8], prefix: Option<u8>) -> Self {
        let mut symbols = Self::bare();
        for line in text.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| b" \t".contains(byte)).filter(|f| !f.is_empty());
            let (Some(crc), Some(name), Some(b"vmlinux")) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let Some(crc) = hexadecimal(crc) else { continue };
            symbols.0.insert(without(prefix, name).to_vec(), crc);
        }
        symbols
    }

    /// The symbols of the System.map that `file` is. A line without three words is told.
    pub fn from_system_map(file: &str, text: &[u8], prefix: Option<u8>) -> (Self, Vec<Warning>) {
        let (mut symbols, mut warnings) = (Self::bare(), Vec::new());
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        for (line, number) in lines.zip(1..) {
            let Some(name) = line.splitn(3, |byte| *byte == b' ').nth(2) else {
                let line = String::from_utf8_lossy(line);
                warnings.push(Warning::new(file, number, format!("invalid line: {line}")));
                continue;
            };
            let name = name.strip_suffix(b"\n").unwrap_or(name);
            if let Some(symbol) = without(prefix, name).strip_prefix(b"__ksymtab_") {
                symbols.0.insert(symbol.to_vec(), 0);
            }
        }
        (symbols, warnings)
    }

    /// The version of a symbol; `None` if the kernel does not have it.
    pub fn get(&self, name: &[u8]) -> Option<u32> {
        self.0.get(name).copied()
    }

    fn bare() -> Self {
        Self(ALWAYS.iter().map(|name| (name.to_vec(), 0)).collect())
    }
}

/// A symbol without the character that symbols of its platform begin with.
pub(super) fn without(prefix: Option<u8>, symbol: &[u8]) -> &[u8] {
    prefix.and_then(|p| symbol.strip_prefix(&[p])).unwrap_or(symbol)
}

/// `0x12ab34cd`
fn hexadecimal(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    // The low half counts.
    u32::try_from(u64::from_str_radix(digits, 16).ok()? & 0xffff_ffff).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symvers_of_the_kernel_alone_count() {
        let text = b"0x0000000a\tfoo\tvmlinux\tEXPORT_SYMBOL\t\n0xb bar vmlinux EXPORT\n0xc baz drivers/x EXPORT\n0xz bad vmlinux\nshort\n";
        let symbols = KernelSymbols::from_symvers(text, None);
        let names: [&[u8]; 6] = [b"foo", b"bar", b"baz", b"bad", b"__this_module", b"TOC."];
        assert_eq!(
            names.map(|n| symbols.get(n)),
            [Some(10), Some(11), None, None, Some(0), Some(0)]
        );
        let symbols =
            KernelSymbols::from_symvers(b"0x1 _foo vmlinux x\n0x2 bar vmlinux x\n", Some(b'_'));
        assert_eq!(
            [&b"foo"[..], b"bar", b"_foo"].map(|n| symbols.get(n)),
            [Some(1), Some(2), None]
        );
    }

    #[test]
    fn a_system_map_has_exports() {
        let text = b"00 t __ksymtab_foo\n00 T bar\nbad\n00 r ___ksymtab_baz\n";
        let (symbols, warnings) = KernelSymbols::from_system_map("map", text, None);
        assert_eq!([&b"foo"[..], b"bar", b"baz"].map(|n| symbols.get(n)), [Some(0), None, None]);
        assert_eq!(warnings[0].to_string(), "map line 3: invalid line: bad\n");
        let (symbols, _) = KernelSymbols::from_system_map("map", text, Some(b'_'));
        assert_eq!([&b"foo"[..], b"baz"].map(|n| symbols.get(n)), [None, Some(0)]);
    }
}
