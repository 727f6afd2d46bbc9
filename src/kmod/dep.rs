//! `modules.dep`: the file of each module and the modules that must be live before it.
//!
//! ```text
//! kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/lib/crc16.ko
//! ^ file                  ^ all dependencies, each before its own: load from last to first
//! ```
//!
//! The values of modules.dep.bin are the same lines, keyed by module name.

use std::collections::HashMap;

use super::Warning;
use super::name::ModuleName;

/// One line of modules.dep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepLine {
    /// Path of the module file, relative to the module directory (absolute for external modules).
    pub(crate) path: Vec<u8>,
    /// Paths of its dependencies in load order, deepest first: the reverse order of the line.
    pub(crate) needs: Vec<Vec<u8>>,
}

impl DepLine {
    /// Parses one line. Returns `None` if it does not begin with the path of a module and a colon.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let (path, needs) = split(line)?;
        let needs = needs.split(u8::is_ascii_whitespace).filter(|need| !need.is_empty());
        Some(Self { path: path.to_owned(), needs: needs.rev().map(<[u8]>::to_vec).collect() })
    }

    /// Returns the name of the module that a line is about. Returns `None` if [`Self::parse`] does.
    pub(crate) fn module(line: &[u8]) -> Option<ModuleName> {
        ModuleName::from_path(split(line)?.0)
    }
}

/// Splits a line into the path of a module and its dependencies.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let path = line.get(..colon)?.trim_ascii();
    ModuleName::from_path(path)?;
    Some((path, line.get(colon + 1..)?))
}

/// Parses a modules.dep text into lines by module name. Damaged lines are ignored with a warning.
pub fn parse(file: &str, text: &[u8]) -> (HashMap<ModuleName, DepLine>, Vec<Warning>) {
    let mut lines = HashMap::new();
    let mut warnings = Vec::new();
    for (number, raw) in text.split(|b| *b == b'\n').enumerate() {
        if raw.is_empty() || raw.starts_with(b"#") {
            continue;
        }
        match DepLine::parse(raw) {
            Some(line) => {
                lines.entry(ModuleName::new(&line.path)).or_insert(line);
            }
            None => warnings.push(Warning::new(
                file,
                number + 1,
                "ignoring a line that is not PATH: PATH...",
            )),
        }
    }
    (lines, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_in_load_order() {
        let line = DepLine::parse(b"kernel/a-b.ko: kernel/c\xf6.ko kernel/d.ko").unwrap();
        assert_eq!(line.path, b"kernel/a-b.ko");
        assert_eq!(line.needs, [&b"kernel/d.ko"[..], b"kernel/c\xf6.ko"]);
        assert!(DepLine::parse(b"kernel/a.ko:").unwrap().needs.is_empty());
    }

    #[test]
    fn damaged_lines_are_reported() {
        let (lines, warnings) =
            parse("modules.dep", b"kernel/a.ko: kernel/b.ko\ngarbage\n\xff\xfe: x\nkernel/b.ko:\n");
        assert_eq!(lines.len(), 2);
        assert!(lines.contains_key(&b"a"[..]) && lines.contains_key(&b"b"[..]));
        assert_eq!(warnings.iter().map(|w| w.line).collect::<Vec<_>>(), [2, 3]);
        assert!(warnings[0].to_string().starts_with("modules.dep line 2: "));
    }
}
