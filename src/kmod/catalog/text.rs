//! The text forms of the index files, for trees whose `.bin` file is missing or damaged.
//!
//! Patterns are grouped by the part before their first `:`, so that a lookup tries only the
//! patterns of one bus.

use std::collections::HashMap;

use crate::kmod::Warning;
use crate::kmod::alias::{self, fnmatch, is_wildcard};
use crate::kmod::dep::DepLine;
use crate::kmod::index::IndexValue;
use crate::kmod::name::ModuleName;

/// Format of a table's text form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextFormat {
    /// `PATH: PATH…`
    Dep,
    /// `alias PATTERN MODULE`
    Alias,
    /// One path per line.
    Paths,
    /// `NAME.alias=PATTERN` records, separated by NUL.
    Modinfo,
}

/// Key and value as in the index, or the line of an invalid record and the problem.
pub(super) type Record<'a> = Result<(&'a [u8], &'a [u8]), (usize, String)>;

impl TextFormat {
    /// Returns whether keys are patterns.
    fn has_patterns(self) -> bool {
        matches!(self, Self::Alias | Self::Modinfo)
    }

    /// Returns the byte that ends each record.
    pub(super) fn terminator(self) -> u8 {
        if self == Self::Modinfo { 0 } else { b'\n' }
    }

    /// Calls `visit` for each record of the text.
    pub(super) fn read(self, bytes: &[u8], visit: &mut dyn FnMut(Record<'_>)) {
        let end = self.terminator();
        let mut key = Vec::new();
        for (number, record) in bytes.split(|b| *b == end).enumerate() {
            if record.is_empty() || (record.starts_with(b"#") && self != Self::Modinfo) {
                continue;
            }
            key.clear();
            match self.split(record, &mut key) {
                Ok(Some(value)) => visit(Ok((&key, value))),
                Ok(None) => {}
                Err(()) => visit(Err(self.problem(number + 1, record))),
            }
        }
    }

    /// Splits a record: appends its key to `key` and returns its value, or `None` if the record is
    /// about something else.
    ///
    /// # Errors
    /// The record is invalid.
    fn split<'a>(self, record: &'a [u8], key: &mut Vec<u8>) -> Result<Option<&'a [u8]>, ()> {
        let (pattern, value) = match self {
            Self::Dep => {
                let module = DepLine::module(record).ok_or(())?;
                key.extend_from_slice(module.as_bytes());
                return Ok(Some(record));
            }
            Self::Paths => {
                let module = ModuleName::from_path(record).ok_or(())?;
                key.extend_from_slice(module.as_bytes());
                return Ok(Some(b""));
            }
            Self::Alias => alias_line(record).ok_or(())?,
            Self::Modinfo => {
                let equals = record.iter().position(|byte| *byte == b'=').ok_or(())?;
                let (name, pattern) = (&record[..equals], &record[equals + 1..]);
                match name.strip_suffix(b".alias") {
                    Some(module) => (pattern, module),
                    None => return Ok(None),
                }
            }
        };
        key.extend_from_slice(pattern);
        alias::normalize_in_place(key).map_err(|_| ())?;
        Ok(Some(value))
    }

    /// Returns the line of an invalid record and the problem.
    fn problem(self, number: usize, record: &[u8]) -> (usize, String) {
        let text = match self {
            Self::Dep => "ignoring a line that is not PATH: PATH...",
            Self::Paths => "ignoring a line that is not the path of a module",
            Self::Alias => match alias_line(record) {
                Some(_) => "ignoring an alias with an unmatched bracket",
                None => "ignoring a line that is not 'alias PATTERN MODULE'",
            },
            // The file has no lines.
            Self::Modinfo => {
                return (0, format!("ignoring record {number}, which is not MODULE.KEY=VALUE"));
            }
        };
        (number, text.to_owned())
    }
}

#[derive(Debug, Default)]
pub(super) struct Text {
    exact: HashMap<Vec<u8>, IndexValue>,
    by_bus: HashMap<Vec<u8>, Vec<IndexValue>>,
    /// Patterns with a wildcard before their first colon.
    anywhere: Vec<IndexValue>,
    count: u32,
}

impl Text {
    pub(super) fn parse(file: &str, bytes: &[u8], format: TextFormat) -> (Self, Vec<Warning>) {
        let mut text = Self::default();
        let mut warnings = Vec::new();
        format.read(bytes, &mut |record| match record {
            Ok((key, value)) if format.has_patterns() => text.add_pattern(key, value),
            Ok((key, value)) => text.add_exact(key, value),
            Err((line, problem)) => warnings.push(Warning::new(file, line, problem)),
        });
        (text, warnings)
    }

    pub(super) fn exact(&self, name: &[u8]) -> Option<IndexValue> {
        self.exact.get(name).cloned()
    }

    pub(super) fn search(&self, name: &[u8]) -> Vec<IndexValue> {
        let bus = self.by_bus.get(bus(name)).into_iter().flatten();
        let mut hits: Vec<IndexValue> =
            bus.chain(&self.anywhere).filter(|h| fnmatch(&h.key, name)).cloned().collect();
        hits.sort_by_key(|hit| hit.priority);
        hits
    }

    pub(super) fn entries(&self) -> Vec<IndexValue> {
        let patterns = self.by_bus.values().flatten().chain(&self.anywhere);
        let mut hits: Vec<IndexValue> = patterns.chain(self.exact.values()).cloned().collect();
        hits.sort_by(|a, b| (&a.key, a.priority).cmp(&(&b.key, b.priority)));
        hits
    }

    fn add_exact(&mut self, key: &[u8], value: &[u8]) {
        let value = IndexValue { priority: 0, value: value.to_owned(), key: key.to_owned() };
        self.exact.entry(key.to_owned()).or_insert(value);
    }

    fn add_pattern(&mut self, key: &[u8], module: &[u8]) {
        let hit =
            IndexValue { priority: self.count, value: module.to_owned(), key: key.to_owned() };
        self.count = self.count.saturating_add(1);
        let bus = bus(key);
        let list = match bus.iter().any(|b| is_wildcard(*b) || *b == b'\\') {
            true => &mut self.anywhere,
            false => self.by_bus.entry(bus.to_vec()).or_default(),
        };
        list.push(hit);
    }
}

/// Returns the part of `name` before its first colon, or all of it if there is none.
fn bus(name: &[u8]) -> &[u8] {
    name.split(|b| *b == b':').next().unwrap_or(name)
}

/// Returns the pattern and the module of an alias line. The pattern may hold spaces, so the module
/// is the last word.
fn alias_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_prefix(b"alias ")?.trim_ascii();
    let space = rest.iter().rposition(|byte| *byte == b' ')?;
    Some((rest.get(..space)?.trim_ascii(), rest.get(space + 1..)?))
}
