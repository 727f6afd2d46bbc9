//! A list of configuration lines by name, in the order in which they were read.
//!
//! A lookup takes no longer when the list grows: an index over the names is made at the first
//! lookup. Only the patterns are tried one by one.

use std::ops::Deref;
use std::sync::OnceLock;

use super::super::alias::{fnmatch, is_wildcard};
use super::{Alias, Entry, Softdep};

/// An element that has a name or a pattern.
pub(crate) trait Named {
    /// Returns the name or the pattern.
    fn name(&self) -> &[u8];
}

impl Named for Alias {
    fn name(&self) -> &[u8] {
        &self.pattern
    }
}

impl Named for Entry {
    fn name(&self) -> &[u8] {
        &self.name
    }
}

impl Named for Softdep {
    fn name(&self) -> &[u8] {
        &self.name
    }
}

/// The elements, in the order in which they were added.
#[derive(Debug, Clone)]
pub(crate) struct NamedList<T> {
    elements: Vec<T>,
    index: OnceLock<Index>,
}

/// Positions in the list.
#[derive(Debug, Clone)]
struct Index {
    /// All positions, sorted by name, then by position.
    by_name: Vec<usize>,
    /// Positions of patterns, in ascending order.
    patterns: Vec<usize>,
}

impl<T: Named> NamedList<T> {
    /// Appends an element.
    pub(crate) fn push(&mut self, element: T) {
        self.elements.push(element);
        self.index.take();
    }

    /// Returns whether an element has exactly this name.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        !self.positions(name).is_empty()
    }

    /// Returns the elements whose name is exactly `name` or `other`, in order.
    pub(crate) fn named_either(
        &self,
        name: &[u8],
        other: Option<&[u8]>,
    ) -> impl Iterator<Item = &T> {
        let mut hits = self.positions(name).to_vec();
        let other = other.filter(|other| *other != name);
        hits.extend(other.map_or(&[][..], |other| self.positions(other)));
        hits.sort_unstable();
        hits.into_iter().filter_map(|at| self.elements.get(at))
    }

    /// Returns the elements whose pattern matches `text`, in order.
    pub(crate) fn matching(&self, text: &[u8]) -> impl Iterator<Item = &T> {
        let positions = self.positions(text).iter().copied();
        let literal = |at: &usize| !is_pattern(self.name(*at));
        let mut hits: Vec<usize> = positions.filter(literal).collect();
        let matches = |at: &usize| fnmatch(self.name(*at), text);
        hits.extend(self.index().patterns.iter().copied().filter(matches));
        hits.sort_unstable();
        hits.into_iter().filter_map(|at| self.elements.get(at))
    }

    fn name(&self, at: usize) -> &[u8] {
        self.elements.get(at).map_or(&[], T::name)
    }

    /// Returns the positions of the elements with this name, in ascending order.
    fn positions(&self, name: &[u8]) -> &[usize] {
        let by_name = &self.index().by_name;
        let from = by_name.partition_point(|at| self.name(*at) < name);
        let rest = by_name.get(from..).unwrap_or_default();
        let count = rest.partition_point(|at| self.name(*at) == name);
        rest.get(..count).unwrap_or_default()
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let mut by_name: Vec<usize> = (0..self.elements.len()).collect();
            by_name.sort_unstable_by(|a, b| (self.name(*a), a).cmp(&(self.name(*b), b)));
            let all = 0..self.elements.len();
            Index { by_name, patterns: all.filter(|at| is_pattern(self.name(*at))).collect() }
        })
    }
}

/// Returns whether fnmatch(3) matches anything but the name itself.
fn is_pattern(name: &[u8]) -> bool {
    name.iter().any(|byte| is_wildcard(*byte) || *byte == b'\\')
}

impl<T> Default for NamedList<T> {
    fn default() -> Self {
        Self { elements: Vec::new(), index: OnceLock::new() }
    }
}

impl<T: PartialEq> PartialEq for NamedList<T> {
    fn eq(&self, other: &Self) -> bool {
        self.elements == other.elements
    }
}

impl<T: Eq> Eq for NamedList<T> {}

impl<T> Deref for NamedList<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements
    }
}

impl<'a, T> IntoIterator for &'a NamedList<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.elements.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(names: &[String]) -> NamedList<Entry> {
        let mut list = NamedList::default();
        for (at, name) in names.iter().enumerate() {
            list.push(Entry { name: name.clone().into(), text: at.to_string().into() });
            // An index that was made before the last element must not be used.
            assert!(list.has(name.as_bytes()));
        }
        list
    }

    proptest! {
        #[test]
        fn lookups_find_what_a_search_of_all_elements_finds(
            names in prop::collection::vec(r"[ab*?\\]{0,3}|\[a[ab]?\]?", 0..12),
            text in r"[ab*\\]{0,3}",
            other in prop::option::of("[ab*]{0,2}"),
        ) {
            let list = list(&names);
            let all = |is_hit: &dyn Fn(&Entry) -> bool| -> Vec<Entry> {
                list.iter().filter(|e| is_hit(e)).cloned().collect()
            };
            let matching: Vec<Entry> = list.matching(text.as_bytes()).cloned().collect();
            let fits = |e: &Entry| fnmatch(&e.name, text.as_bytes());
            prop_assert_eq!(matching, all(&fits));
            let either = other.as_deref().map(str::as_bytes);
            let named: Vec<Entry> = list.named_either(text.as_bytes(), either).cloned().collect();
            let is_either = |e: &Entry| e.name == text.as_bytes() || Some(&*e.name) == either;
            prop_assert_eq!(named, all(&is_either));
            prop_assert_eq!(list.has(text.as_bytes()), names.contains(&text));
        }
    }
}
