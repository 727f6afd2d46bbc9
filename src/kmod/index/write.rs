//! Writes a `modules.*.bin` index; the format is drawn in the parent module.
//!
//! The bytes are those of kmod 34's depmod: the tree is built key by key, so the order of the
//! insertions shows only among values of one key with equal priorities (the newest comes first),
//! and nodes are written in pre-order, each before its children, children by ascending character.

use std::collections::BTreeMap;
use std::fmt;

use super::{CHILDREN, MAGIC, OFFSET, PREFIX, VALUES, VERSION};

/// Why an index can't be written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// A key or a value holds a byte outside 1..=127; the format has room for those alone.
    BadCharacter {
        /// The byte.
        byte: u8,
        /// The whole key or value.
        text: Vec<u8>,
    },
    /// The file would pass 256 MiB, the reach of an offset word.
    TooLarge,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCharacter { byte, text } => write!(
                f,
                "Module index: bad character '{}'={byte:#x} - only 7-bit ASCII is supported:\n{}",
                char::from(*byte),
                String::from_utf8_lossy(text)
            ),
            Self::TooLarge => f.write_str("Module index: larger than 256 MiB"),
        }
    }
}

impl std::error::Error for WriteError {}

#[derive(Debug, Default)]
struct Node {
    prefix: Vec<u8>,
    /// Character on the edge → place in [`Writer::nodes`].
    children: BTreeMap<u8, usize>,
    /// By ascending priority, among equals the newest first.
    values: Vec<(u32, Vec<u8>)>,
}

/// An index in the making: a radix tree over the bytes 1..=127.
///
/// The nodes lie in one list and name each other by place, so that neither a walk nor the end of
/// the tree's life depends on its depth.
#[derive(Debug)]
pub struct Writer {
    /// The root comes first.
    nodes: Vec<Node>,
}

impl Default for Writer {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Writer {
    /// Adds `value` to `key` with a priority; the lowest is found first.
    ///
    /// # Errors
    ///
    /// [`WriteError::BadCharacter`] if key or value is not 7-bit text; the index is unchanged then.
    pub fn insert(&mut self, key: &[u8], value: &[u8], priority: u32) -> Result<(), WriteError> {
        check(key)?;
        check(value)?;
        let node = self.node_of(key);
        let values = &mut self.nodes[node].values;
        let at = values.partition_point(|(existing, _)| *existing < priority);
        values.insert(at, (priority, value.to_vec()));
        Ok(())
    }

    /// The node where `key` ends; made, and others split, if it is not there yet.
    fn node_of(&mut self, key: &[u8]) -> usize {
        let (mut at, mut rest) = (0, key);
        loop {
            let common = common(&self.nodes[at].prefix, rest);
            if common < self.nodes[at].prefix.len() {
                self.split(at, common);
            }
            let Some((&edge, below)) = rest[common..].split_first() else { return at };
            let Some(&child) = self.nodes[at].children.get(&edge) else {
                return self.add_leaf(at, edge, below);
            };
            (at, rest) = (child, below);
        }
    }

    fn add_leaf(&mut self, parent: usize, edge: u8, prefix: &[u8]) -> usize {
        let leaf = self.nodes.len();
        self.nodes.push(Node { prefix: prefix.to_vec(), ..Node::default() });
        self.nodes[parent].children.insert(edge, leaf);
        leaf
    }

    /// Leaves `at` the first `keep` bytes of its prefix; what it was goes below it, without the
    /// character that now stands on the edge.
    fn split(&mut self, at: usize, keep: usize) {
        let below = self.nodes.len();
        let mut old = std::mem::take(&mut self.nodes[at]);
        let remainder = old.prefix.split_off(keep);
        let node = &mut self.nodes[at];
        node.prefix = std::mem::replace(&mut old.prefix, remainder[1..].to_vec());
        node.children.insert(remainder[0], below);
        self.nodes.push(old);
    }

    /// The file's bytes.
    ///
    /// # Errors
    ///
    /// [`WriteError::TooLarge`] if an offset would not fit into its 28 bits.
    pub fn finish(&self) -> Result<Vec<u8>, WriteError> {
        let mut out = Vec::new();
        for word in [MAGIC, VERSION, 0] {
            out.extend(word.to_be_bytes());
        }
        // Nodes still to write, each with the place of the word that points to it.
        let mut pending = vec![(0, 8)];
        while let Some((at, word)) = pending.pop() {
            let node = &self.nodes[at];
            let offset = u32::try_from(out.len()).unwrap_or(u32::MAX);
            if offset > OFFSET {
                return Err(WriteError::TooLarge);
            }
            out[word..word + 4].copy_from_slice(&(offset | flags(node)).to_be_bytes());
            let words = write_node(&mut out, node);
            pending.extend(words.into_iter().rev());
        }
        Ok(out)
    }
}

fn check(text: &[u8]) -> Result<(), WriteError> {
    match text.iter().find(|byte| !(1..=127).contains(*byte)) {
        Some(&byte) => Err(WriteError::BadCharacter { byte, text: text.to_vec() }),
        None => Ok(()),
    }
}

/// How many bytes `a` and `b` share at their start.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn flags(node: &Node) -> u32 {
    let flag = |there, flag| if there { flag } else { 0 };
    flag(!node.prefix.is_empty(), PREFIX)
        | flag(!node.children.is_empty(), CHILDREN)
        | flag(!node.values.is_empty(), VALUES)
}

/// Appends one node with zero words for its children; gives each child with its word's place.
fn write_node(out: &mut Vec<u8>, node: &Node) -> Vec<(usize, usize)> {
    if !node.prefix.is_empty() {
        out.extend(&node.prefix);
        out.push(0);
    }
    let words = write_children(out, &node.children);
    if !node.values.is_empty() {
        out.extend(u32::try_from(node.values.len()).unwrap_or(u32::MAX).to_be_bytes());
    }
    for (priority, value) in &node.values {
        out.extend(priority.to_be_bytes());
        out.extend(value);
        out.push(0);
    }
    words
}

fn write_children(out: &mut Vec<u8>, children: &BTreeMap<u8, usize>) -> Vec<(usize, usize)> {
    let (Some((&first, _)), Some((&last, _))) =
        (children.first_key_value(), children.last_key_value())
    else {
        return Vec::new();
    };
    out.extend([first, last]);
    let words = out.len();
    out.resize(words + 4 * (usize::from(last - first) + 1), 0);
    children.iter().map(|(edge, child)| (*child, words + 4 * usize::from(edge - first))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::index::Index;

    fn index(entries: &[(&str, &str, u32)]) -> Vec<u8> {
        let mut writer = Writer::default();
        for (key, value, priority) in entries {
            writer.insert(key.as_bytes(), value.as_bytes(), *priority).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn no_keys_are_a_header_alone() {
        assert_eq!(index(&[]), [0xb0, 7, 0xf4, 0x57, 0, 2, 0, 1, 0, 0, 0, 12]);
    }

    #[test]
    fn nodes_stand_before_their_children() {
        let bytes = index(&[("ext4", "new", 5), ("ext3", "old", 5)]);
        let parts: [(usize, &[u8]); 6] = [
            (0, b"\xb0\x07\xf4\x57\0\x02\0\x01"),
            (8, b"\x20\0\0\x0c"),    // root at 12
            (12, b"ee\xa0\0\0\x12"), // edge e to 18
            (18, b"xt\x0034"),       // prefix xt, then the edges
            (31, b"\0\0\0\x01\0\0\0\x05old\0"),
            (43, b"\0\0\0\x01\0\0\0\x05new\0"),
        ];
        for (at, part) in parts {
            assert_eq!(&bytes[at..at + part.len()], part, "at {at}");
        }
        assert_eq!(bytes[23..31], [0x40, 0, 0, 31, 0x40, 0, 0, 43]);
        assert_eq!(bytes.len(), 55);
    }

    #[test]
    fn values_go_by_priority_the_newest_first() {
        let bytes =
            index(&[("a", "1", 5), ("a", "2", 5), ("a", "3", 1), ("a", "2", 5), ("a", "4", 9)]);
        let index = Index::new(Box::new(bytes)).unwrap();
        let values: Vec<_> = index.entries().unwrap().into_iter().map(|hit| hit.value).collect();
        assert_eq!(values, ["3", "2", "2", "1", "4"]);
    }

    #[test]
    fn only_seven_bits_are_written() {
        for (key, value, byte) in
            [(&b"a\xc3"[..], &b"b"[..], 0xc3), (b"a", b"b\0", 0), (b"\x80", b"", 0x80)]
        {
            let mut writer = Writer::default();
            let error = writer.insert(key, value, 0).unwrap_err();
            assert!(matches!(error, WriteError::BadCharacter { byte: b, .. } if b == byte));
            assert_eq!(writer.finish().unwrap().len(), 12);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_found(keys in proptest::collection::vec("[ab]{0,6}", 0..40)) {
            let mut writer = Writer::default();
            for (key, at) in keys.iter().zip(0..) {
                writer.insert(key.as_bytes(), format!("{key}={at}").as_bytes(), at).unwrap();
            }
            let index = Index::new(Box::new(writer.finish().unwrap())).unwrap();
            for key in &keys {
                let first = keys.iter().position(|other| other == key).unwrap();
                let hit = index.exact(key.as_bytes()).unwrap().unwrap();
                proptest::prop_assert_eq!(hit.value, format!("{key}={first}"));
            }
            proptest::prop_assert_eq!(index.entries().unwrap().len(), keys.len());
        }
    }
}
