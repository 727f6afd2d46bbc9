//! Index files without the lines about modules that are not in the image.
//!
//! ```text
//! modules.dep, modules.order                 PATH or PATH: NEEDS, a module a line
//! modules.alias, modules.symbols             alias PATTERN MODULE; PATTERN may have spaces
//! modules.alias.bin, modules.symbols.bin     made again from these
//! the others                                 as they are: they are short, or about builtin modules
//! ```

use std::collections::HashSet;

use super::Error;
use super::select::Selection;
use super::tree::Tree;
use crate::kmod::alias::normalize;
use crate::kmod::index;
use crate::kmod::name::ModuleName;

/// The modules of an image whose index files are trimmed.
pub(super) struct TrimmedIndexes<'t> {
    tree: &'t Tree,
    modules: HashSet<ModuleName>,
}

impl<'t> TrimmedIndexes<'t> {
    /// Returns the index files for these modules of a tree.
    pub(super) fn new(tree: &'t Tree, selection: &Selection) -> Self {
        let name = |at: &usize| ModuleName::new(&tree.lines[*at].path);
        Self { tree, modules: selection.iter().map(name).collect() }
    }

    /// Returns the index file `name`; `None` if there is none. modules.dep is not among them.
    ///
    /// # Errors
    /// The file exists and cannot be read, or an index becomes too large.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let text = |name| self.tree.indexes.read(name);
        match name {
            "modules.order" => Ok(text(name)?.map(|text| {
                lines(&text, |line| ModuleName::from_path(line).is_some_and(|m| self.has(&m)))
            })),
            "modules.alias" | "modules.symbols" => Ok(text(name)?
                .map(|text| lines(&text, |line| alias(line).is_some_and(|(_, m)| self.has(&m))))),
            "modules.alias.bin" | "modules.symbols.bin" => {
                match text(name.trim_end_matches(".bin"))? {
                    Some(text) => self.index(&text).map(Some),
                    None => text(name),
                }
            }
            _ => text(name),
        }
    }

    fn has(&self, module: &ModuleName) -> bool {
        self.modules.contains(module)
    }

    /// Returns the index of the aliases of these modules. An alias that no index can hold is only in
    /// the text, as depmod(8) has it.
    fn index(&self, text: &[u8]) -> Result<Vec<u8>, Error> {
        let mut writer = index::Writer::default();
        let aliases = text.split(|byte| *byte == b'\n').filter_map(alias);
        for (pattern, module) in aliases.filter(|(_, module)| self.has(module)) {
            let priority = self.tree.by_name.get(&module).and_then(|at| u32::try_from(*at).ok());
            if let Ok(pattern) = normalize(pattern) {
                let _ = writer.insert(&pattern, module.as_bytes(), priority.unwrap_or(u32::MAX));
            }
        }
        writer.finish().map_err(Error::Index)
    }
}

/// Returns the comments of a text and the lines that are kept.
fn lines(text: &[u8], is_kept: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let kept = |line: &&[u8]| {
        let line = line.trim_ascii_end();
        line.starts_with(b"#") || is_kept(line)
    };
    lines.filter(kept).flatten().copied().collect()
}

/// Returns pattern and module of a line `alias PATTERN MODULE`.
fn alias(line: &[u8]) -> Option<(&[u8], ModuleName)> {
    let rest = line.strip_prefix(b"alias ")?;
    let space = rest.iter().rposition(|byte| *byte == b' ')?;
    Some((&rest[..space], ModuleName::new(&rest[space + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_may_have_spaces() {
        let (pattern, module) = alias(b"alias Cobalt buttons x a-b").unwrap();
        assert_eq!((pattern, module), (&b"Cobalt buttons x"[..], ModuleName::new("a_b")));
        for line in [&b""[..], b"alias", b"alias x", b"# alias a b"] {
            assert_eq!(alias(line), None);
        }
    }

    #[test]
    fn comments_stay() {
        let text = b"# a\nx\ny\nz";
        assert_eq!(lines(text, |line| line != b"y"), b"# a\nx\nz");
    }
}
