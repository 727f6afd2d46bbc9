//! /proc/modules, as described in proc_modules(5) and written by the kernel's
//! kernel/module/procfs.c.
//!
//! ```text
//! nf_nat 57344 2 nft_masq,nft_chain_nat, Live 0xffffffffc0a35000
//! ^ name ^size ^ reference count, or '-' if the kernel cannot unload modules
//!                ^ users, or '-'; `[permanent],` if it cannot be unloaded
//!                                             ^ state: Live, Loading, Unloading
//!
//! After the address: (TAINT), such as (OE)
//! ```

/// A loaded module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadedModule<'a> {
    /// Name of the module.
    pub(crate) name: &'a str,
    /// Size in memory, in bytes.
    pub(crate) size: u64,
    /// Number of users.
    pub(crate) refcnt: i64,
    /// The modules that use it, with a comma after each; `-` if there are none.
    pub(crate) users: &'a str,
    /// `Live`, `Loading` or `Unloading`.
    pub(crate) state: &'a str,
    /// Letters of the kernel taints that the module causes; usually empty.
    pub(crate) taint: &'a str,
}

/// Parses the file and returns its modules in order. A missing or invalid number is 0.
pub fn parse(text: &str) -> impl Iterator<Item = LoadedModule<'_>> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let size = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
        let refcnt = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
        let users = words.next().unwrap_or_default();
        let state = words.next().unwrap_or_default();
        let taint = words.nth(1).and_then(|w| w.strip_prefix('(')?.strip_suffix(')'));
        Some(LoadedModule { name, size, refcnt, users, state, taint: taint.unwrap_or_default() })
    })
}

impl LoadedModule<'_> {
    /// Returns the names of the modules that use it.
    pub(crate) fn user_names(&self) -> impl Iterator<Item = &str> {
        let names = self.users.split(',');
        names.filter(|name| !name.is_empty() && *name != "-" && *name != "[permanent]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_cannot_be_unloaded_is_no_user() {
        let module = parse("a 1 1 b,[permanent], Live 0x0").next().unwrap();
        assert_eq!(module.user_names().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn incomplete_lines_are_parsed() {
        let text = "a 4096 2 b,c, Live 0x0\nb 8192 - - Live 0x0 (OE)\nc\n\n";
        let users: Vec<Vec<_>> =
            parse(text).map(|m| m.user_names().map(str::to_owned).collect()).collect();
        assert_eq!(users, [vec!["b", "c"], vec![], vec![]]);
        let read: Vec<_> =
            parse(text).map(|m| (m.name, m.size, m.refcnt, m.state, m.taint)).collect();
        assert_eq!(
            read,
            [("a", 4096, 2, "Live", ""), ("b", 8192, 0, "Live", "OE"), ("c", 0, 0, "", "")]
        );
    }
}
