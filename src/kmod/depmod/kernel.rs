//! The symbols that the kernel exports, from a file of its build.
//!
//! ```text
//! Module.symvers (-E)   CRC SYMBOL MODULE …   separated by tabs or spaces; MODULE is `vmlinux`
//! System.map (-F)       ADDRESS TYPE __ksymtab_SYMBOL
//! ```

use std::collections::HashMap;

use crate::kmod::Warning;
use crate::kmod::elf::until_nul;

/// Symbols that every kernel has and no list contains.
const IMPLICIT: [&[u8]; 3] = [b"__this_module", b"_GLOBAL_OFFSET_TABLE_", b"TOC."];

/// The kernel's symbols with their versions; 0 if the file has no version.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct KernelSymbols(HashMap<Vec<u8>, u32>);

impl KernelSymbols {
    /// Parses a Module.symvers. Invalid lines are ignored.
    pub(crate) fn from_symvers(text: &[u8], prefix: Option<u8>) -> Self {
        let mut symbols = Self::implicit();
        for line in text.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| b" \t".contains(byte)).filter(|f| !f.is_empty());
            let (Some(crc), Some(name), Some(b"vmlinux")) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let Some(crc) = hexadecimal(crc) else { continue };
            symbols.0.insert(strip_prefix(prefix, name).to_vec(), crc);
        }
        symbols
    }

    /// Parses the System.map `file`. Returns a warning for each line without three words,
    /// which ends at its first NUL.
    pub(crate) fn from_system_map(
        file: &str,
        text: &[u8],
        prefix: Option<u8>,
    ) -> (Self, Vec<Warning>) {
        let (mut symbols, mut warnings) = (Self::implicit(), Vec::new());
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        for (line, number) in lines.zip(1..) {
            // As in kmod: a crash of the machine may leave a file whose last blocks are zero.
            let line = until_nul(line);
            let Some(name) = line.splitn(3, |byte| *byte == b' ').nth(2) else {
                let line = String::from_utf8_lossy(line);
                warnings.push(Warning::new(file, number, format!("invalid line: {line}")));
                continue;
            };
            let name = name.strip_suffix(b"\n").unwrap_or(name);
            if let Some(symbol) = strip_prefix(prefix, name).strip_prefix(b"__ksymtab_") {
                symbols.0.insert(symbol.to_vec(), 0);
            }
        }
        (symbols, warnings)
    }

    /// Returns the version of a symbol, or `None` if the kernel does not export it.
    pub(crate) fn get(&self, name: &[u8]) -> Option<u32> {
        self.0.get(name).copied()
    }

    /// Returns whether the file had no symbol that the kernel exports.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() <= IMPLICIT.len()
    }

    fn implicit() -> Self {
        Self(IMPLICIT.iter().map(|name| (name.to_vec(), 0)).collect())
    }
}

/// Returns a symbol without the prefix that symbols of the platform start with.
pub(super) fn strip_prefix(prefix: Option<u8>, symbol: &[u8]) -> &[u8] {
    prefix.and_then(|p| symbol.strip_prefix(&[p])).unwrap_or(symbol)
}

/// Parses a number such as `0x12ab34cd`.
fn hexadecimal(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    // As in kmod, only the low 32 bits are used.
    u32::try_from(u64::from_str_radix(digits, 16).ok()? & 0xffff_ffff).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_symvers_of_vmlinux_are_used() {
        let text = b"0x0000000a\tfoo\tvmlinux\tEXPORT_SYMBOL\t\n0xb bar vmlinux EXPORT\n\
            0xc baz drivers/x EXPORT\n0xz bad vmlinux\nshort\n";
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
    fn exports_are_read_from_a_system_map() {
        let text = b"00 t __ksymtab_foo\n00 T bar\nbad\n00 r ___ksymtab_baz\n";
        let (symbols, warnings) = KernelSymbols::from_system_map("map", text, None);
        assert_eq!([&b"foo"[..], b"bar", b"baz"].map(|n| symbols.get(n)), [Some(0), None, None]);
        assert_eq!(warnings[0].to_string(), "map line 3: invalid line: bad\n");
        let torn = b"00 t __ksymtab_foo\n00 t __ksymtab_b\0ar\n00 \0\0\0\n\0\0";
        let (symbols, warnings) = KernelSymbols::from_system_map("map", torn, None);
        assert_eq!([&b"foo"[..], b"b", b"bar"].map(|n| symbols.get(n)), [Some(0), Some(0), None]);
        let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["map line 3: invalid line: 00 ", "map line 4: invalid line: "]);
        let (symbols, _) = KernelSymbols::from_system_map("map", text, Some(b'_'));
        assert_eq!([&b"foo"[..], b"baz"].map(|n| symbols.get(n)), [None, Some(0)]);
    }
}
