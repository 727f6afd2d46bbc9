//! The text forms of the index files, for trees whose `.bin` file is missing or damaged.
//!
//! Patterns are grouped by the part before their first `:`, so that a lookup tries only the
//! patterns of one bus.

use std::collections::HashMap;

use crate::kmod::Warning;
use crate::kmod::alias::{self, fnmatch, is_wildcard};
use crate::kmod::dep;
use crate::kmod::index::IndexValue;
use crate::kmod::name::ModuleName;

/// Format of a table's text form.
#[derive(Debug, Clone, Copy)]
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

#[derive(Debug, Default)]
pub(super) struct Text {
    exact: HashMap<String, IndexValue>,
    by_bus: HashMap<Vec<u8>, Vec<IndexValue>>,
    /// Patterns with a wildcard before their first colon.
    anywhere: Vec<IndexValue>,
    count: u32,
}

impl Text {
    pub(super) fn parse(file: &str, bytes: &[u8], content: TextFormat) -> (Self, Vec<Warning>) {
        let mut text = Self::default();
        let mut warnings = Vec::new();
        match content {
            TextFormat::Dep => warnings = text.add_dep(file, bytes),
            TextFormat::Alias => text.add_aliases(file, bytes, &mut warnings),
            TextFormat::Paths => text.add_paths(file, bytes, &mut warnings),
            TextFormat::Modinfo => text.add_modinfo(file, bytes, &mut warnings),
        }
        (text, warnings)
    }

    pub(super) fn exact(&self, name: &str) -> Option<IndexValue> {
        self.exact.get(name).cloned()
    }

    pub(super) fn search(&self, name: &[u8]) -> Vec<IndexValue> {
        let bus = self.by_bus.get(bus(name)).into_iter().flatten();
        let mut hits: Vec<IndexValue> = bus
            .chain(&self.anywhere)
            .filter(|h| fnmatch(h.key.as_bytes(), name))
            .cloned()
            .collect();
        hits.sort_by_key(|hit| hit.priority);
        hits
    }

    pub(super) fn entries(&self) -> Vec<IndexValue> {
        let patterns = self.by_bus.values().flatten().chain(&self.anywhere);
        let mut hits: Vec<IndexValue> = patterns.chain(self.exact.values()).cloned().collect();
        hits.sort_by(|a, b| (&a.key, a.priority).cmp(&(&b.key, b.priority)));
        hits
    }

    fn add_dep(&mut self, file: &str, bytes: &[u8]) -> Vec<Warning> {
        let (lines, warnings) = dep::parse(file, bytes);
        for (name, line) in lines {
            let needs: Vec<&str> = line.needs.iter().rev().map(String::as_str).collect();
            let value = format!("{}: {}", line.path, needs.join(" "));
            let key = name.as_str().to_owned();
            self.exact.insert(key.clone(), IndexValue { priority: 0, value, key });
        }
        warnings
    }

    fn add_aliases(&mut self, file: &str, bytes: &[u8], warnings: &mut Vec<Warning>) {
        for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let bad = match std::str::from_utf8(line).ok().and_then(alias_line) {
                Some((pattern, module)) if self.add_pattern(pattern, module) => continue,
                Some(_) => "ignoring an alias with an unmatched bracket",
                None => "ignoring a line that is not 'alias PATTERN MODULE'",
            };
            warnings.push(Warning::new(file, number + 1, bad));
        }
    }

    fn add_paths(&mut self, file: &str, bytes: &[u8], warnings: &mut Vec<Warning>) {
        for (number, line) in String::from_utf8_lossy(bytes).lines().enumerate() {
            match ModuleName::from_path(line) {
                Some(name) => {
                    let key = name.as_str().to_owned();
                    self.exact
                        .insert(key.clone(), IndexValue { priority: 0, value: String::new(), key });
                }
                None if line.is_empty() => {}
                None => {
                    let text = "ignoring a line that is not the path of a module";
                    warnings.push(Warning::new(file, number + 1, text));
                }
            }
        }
    }

    /// Adds the aliases of a modules.builtin.modinfo. The file has no lines, so a warning gives the
    /// number of the record.
    fn add_modinfo(&mut self, file: &str, bytes: &[u8], warnings: &mut Vec<Warning>) {
        for (number, record) in bytes.split(|b| *b == 0).enumerate() {
            let pair = std::str::from_utf8(record).ok().and_then(|r| r.split_once('='));
            let good = match pair.map(|(key, value)| (key.strip_suffix(".alias"), value)) {
                Some((Some(module), pattern)) => self.add_pattern(pattern, module),
                Some((None, _)) => true,
                None => record.is_empty(),
            };
            if !good {
                let text = format!("ignoring record {}, which is not MODULE.KEY=VALUE", number + 1);
                warnings.push(Warning::new(file, 0, text));
            }
        }
    }

    /// Adds a pattern. Returns `false` if the pattern is invalid.
    fn add_pattern(&mut self, pattern: &str, module: &str) -> bool {
        let Ok(key) = alias::normalize(pattern.as_bytes()) else { return false };
        let hit = IndexValue {
            priority: self.count,
            value: module.to_owned(),
            key: String::from_utf8_lossy(&key).into_owned(),
        };
        self.count = self.count.saturating_add(1);
        let bus = bus(&key);
        let list = match bus.iter().any(|b| is_wildcard(*b) || *b == b'\\') {
            true => &mut self.anywhere,
            false => self.by_bus.entry(bus.to_vec()).or_default(),
        };
        list.push(hit);
        true
    }
}

/// Returns the part of `name` before its first colon, or all of it if there is none.
fn bus(name: &[u8]) -> &[u8] {
    name.split(|b| *b == b':').next().unwrap_or(name)
}

/// Returns the pattern and the module of an alias line. The pattern may hold spaces, so the module
/// is the last word.
fn alias_line(line: &str) -> Option<(&str, &str)> {
    let (pattern, module) = line.strip_prefix("alias ")?.trim().rsplit_once(' ')?;
    Some((pattern.trim(), module))
}
