//! /proc/modules, as proc_modules(5) and the kernel's kernel/module/procfs.c have it.
//!
//! ```text
//! nf_nat 57344 2 nft_masq,nft_chain_nat, Live 0xffffffffc0a35000
//! ^ name ^size ^ references, or '-' where modules can't be unloaded
//!                ^ users       ^ state: Live, Loading, Unloading     behind the address: (TAINT), such as (OE)
//! ```

/// One loaded module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadedModule<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its size in memory, in bytes.
    pub size: u64,
    /// How many users it has.
    pub refcnt: i64,
    /// `Live`, `Loading` or `Unloading`.
    pub state: &'a str,
    /// Letters for what it taints the kernel with; mostly none.
    pub taint: &'a str,
}

/// The modules of the file, in its order. A line without a number where one belongs reads as 0.
pub fn parse(text: &str) -> impl Iterator<Item = LoadedModule<'_>> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let size = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
        let refcnt = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
        let state = words.nth(1).unwrap_or_default();
        let taint = words.nth(1).and_then(|w| w.strip_prefix('(')?.strip_suffix(')'));
        Some(LoadedModule { name, size, refcnt, state, taint: taint.unwrap_or_default() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_far_as_they_go() {
        let text = "a 4096 2 b,c, Live 0x0\nb 8192 - - Live 0x0 (OE)\nc\n\n";
        let read: Vec<_> =
            parse(text).map(|m| (m.name, m.size, m.refcnt, m.state, m.taint)).collect();
        assert_eq!(
            read,
            [("a", 4096, 2, "Live", ""), ("b", 8192, 0, "Live", "OE"), ("c", 0, 0, "", "")]
        );
    }
}
