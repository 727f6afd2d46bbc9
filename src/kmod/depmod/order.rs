//! The order of the modules, which determines the content of every index file.
//!
//! `modules.order` comes from the kernel's build. Each line is a path below the module directory,
//! always with the suffix `.ko`, even if modules are compressed.

use std::collections::HashMap;

use super::hash;
use crate::kmod::Warning;
use crate::kmod::elf::until_nul;

/// A module that can be sorted.
pub(crate) trait Ordered {
    /// Returns the module's name.
    fn name(&self) -> &[u8];
    /// Returns its path in modules.dep.
    fn path(&self) -> &[u8];
}

/// Sorts modules as kmod's depmod does: the modules of `modules.order` first, in its order, then
/// the rest by a hash of the name.
///
/// # Errors
/// `modules.order` has a line without a newline, or with a NUL before it; the whole file is ignored
/// then.
pub(crate) fn sort<T: Ordered>(
    modules: &mut [T],
    file: &str,
    order: Option<&[u8]>,
) -> Result<(), Warning> {
    modules.sort_by_cached_key(|m| (hash::bucket(m.name(), hash::MODULES), m.name().to_owned()));
    let Some(order) = order.filter(|text| !text.is_empty()) else { return Ok(()) };
    let lines = order.split_inclusive(|byte| *byte == b'\n');
    let mut positions: HashMap<&[u8], usize> = HashMap::new();
    for (number, line) in lines.enumerate() {
        // As in kmod, a line that starts with a NUL is no line.
        let line = until_nul(line);
        if line.is_empty() {
            continue;
        }
        let text = line
            .strip_suffix(b"\n")
            .ok_or_else(|| Warning::new(file, number + 1, "corrupted line misses '\\n'"))?;
        positions.entry(text).or_insert(number);
    }
    let position = |m: &T| positions.get(uncompressed(m.path())).copied().unwrap_or(usize::MAX);
    modules.sort_by_cached_key(position);
    Ok(())
}

/// Returns a module's path without the suffix of its compression.
fn uncompressed(path: &[u8]) -> &[u8] {
    match path.windows(3).rposition(|part| part == b".ko") {
        Some(at) => &path[..at + 3],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Module(&'static str, &'static str);

    impl Ordered for Module {
        fn name(&self) -> &[u8] {
            self.0.as_bytes()
        }
        fn path(&self) -> &[u8] {
            self.1.as_bytes()
        }
    }

    fn sorted(order: Option<&[u8]>) -> (String, Option<String>) {
        let mut modules = [
            Module("a", "x/a.ko"),
            Module("b", "b.ko.xz"),
            Module("c", "c.ko"),
            Module("d", "d.ko.zst"),
        ];
        let error = sort(&mut modules, "modules.order", order).err().map(|e| e.to_string());
        (modules.iter().map(|m| m.0).collect(), error)
    }

    #[test]
    fn modules_of_the_list_precede_those_sorted_by_hash() {
        let by_hash = sorted(None).0;
        assert_eq!(by_hash.len(), 4);
        let (order, error) = sorted(Some(b"d.ko\nnone.ko\nb.ko\nd.ko\n"));
        let rest: String = by_hash.chars().filter(|c| !"db".contains(*c)).collect();
        assert_eq!((order, error), (format!("db{rest}"), None));
        assert_eq!(sorted(Some(b"d.ko\n\0\0\nb.ko\n\0")), (format!("db{rest}"), None));
        for damaged in ["d.ko\nb.ko", "d.ko\nb.ko\0\n", "d.ko\nb.ko\0\0"] {
            let (order, error) = sorted(Some(damaged.as_bytes()));
            assert_eq!(order, by_hash);
            assert_eq!(error.unwrap(), "modules.order line 2: corrupted line misses '\\n'");
        }
    }
}
