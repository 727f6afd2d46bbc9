//! Writes a `modules.*.bin` index; the parent module shows the format.
//!
//! The output is identical to that of depmod in kmod 34. The order of insertion matters only for
//! values of one key with equal priorities (the newest comes first). Nodes are written in
//! pre-order: each before its children, children by ascending byte.

use std::cmp::Ordering;
#[cfg(feature = "host")]
use std::collections::HashSet;
use std::fmt;

use crate::escape;

use super::{CHILDREN, MAGIC, OFFSET, PREFIX, VALUES, VERSION};

/// The reason why an index cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// A key or a value holds a byte outside 1..=127, the only bytes that the format supports.
    BadCharacter {
        /// The byte.
        byte: u8,
        /// The whole key or value.
        text: Vec<u8>,
    },
    /// The file would exceed 256 MiB, the limit of an offset word.
    TooLarge,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadCharacter { byte, text } => write!(
                f,
                "Module index: bad character '{}'={byte:#x} - only 7-bit ASCII is supported:\n{}",
                char::from(*byte),
                escape::bytes(text)
            ),
            Self::TooLarge => f.write_str("Module index: larger than 256 MiB"),
        }
    }
}

impl std::error::Error for WriteError {}

/// A key with a value: offsets in [`Writer::text`].
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    key_end: u32,
    end: u32,
    priority: u32,
}

/// Builder of an index, a radix tree over the bytes 1..=127.
///
/// The keys alone determine the tree, so entries are collected as they come and sorted at the end.
/// Nodes are written from the sorted list, in which the entries of one subtree are adjacent.
#[derive(Debug, Default)]
pub struct Writer {
    /// Keys and values, concatenated.
    text: Vec<u8>,
    entries: Vec<Entry>,
}

/// A node to write: the entries at and below it, and the offset of the word that points to it.
struct Pending<'a> {
    entries: &'a [Entry],
    /// Number of key bytes above the node.
    depth: usize,
    word: usize,
}

impl Writer {
    /// Adds `value` to `key` with a priority. A search finds the lowest priority first.
    ///
    /// # Errors
    ///
    /// [`WriteError::BadCharacter`] if the key or the value is not 7-bit text,
    /// [`WriteError::TooLarge`] after 4 GiB. On an error the index is unchanged.
    pub fn insert(&mut self, key: &[u8], value: &[u8], priority: u32) -> Result<(), WriteError> {
        check(key)?;
        check(value)?;
        let offset = |at: usize| u32::try_from(at).map_err(|_| WriteError::TooLarge);
        let start = self.text.len();
        let key_end = start + key.len();
        let end = key_end + value.len();
        let (start, key_end, end) = (offset(start)?, offset(key_end)?, offset(end)?);
        self.text.extend_from_slice(key);
        self.text.extend_from_slice(value);
        self.entries.push(Entry { start, key_end, end, priority });
        Ok(())
    }

    /// Returns the key and value of every entry that repeats an earlier one, in order. The index
    /// keeps both.
    #[cfg(feature = "host")]
    pub(crate) fn repeated(&self) -> Vec<(&[u8], &[u8])> {
        let mut seen = HashSet::new();
        let pairs = self.entries.iter().map(|entry| (self.key(*entry), self.value(*entry)));
        pairs.filter(|pair| !seen.insert(*pair)).collect()
    }

    fn key(&self, entry: Entry) -> &[u8] {
        slice(&self.text, entry.start, entry.key_end)
    }

    fn value(&self, entry: Entry) -> &[u8] {
        slice(&self.text, entry.key_end, entry.end)
    }

    /// Returns the entries sorted by key, then by ascending priority, among equals the newest
    /// first.
    fn sorted(&self) -> Vec<Entry> {
        let mut sorted = self.entries.clone();
        sorted.reverse();
        sorted.sort_by(|a, b| {
            compare(self.key(*a), self.key(*b)).then_with(|| a.priority.cmp(&b.priority))
        });
        sorted
    }

    /// Returns the bytes of the index file.
    ///
    /// # Errors
    ///
    /// [`WriteError::TooLarge`] if an offset would not fit into its 28 bits.
    pub fn finish(&self) -> Result<Vec<u8>, WriteError> {
        let mut out = Vec::with_capacity(2 * self.text.len());
        for word in [MAGIC, VERSION, 0] {
            out.extend(word.to_be_bytes());
        }
        let sorted = self.sorted();
        let mut pending = vec![Pending { entries: &sorted, depth: 0, word: 8 }];
        while let Some(node) = pending.pop() {
            self.write_node(&mut out, &node, &mut pending)?;
        }
        Ok(out)
    }

    /// Appends one node; the offset words of its children are zero until the children are written.
    fn write_node<'a>(
        &self,
        out: &mut Vec<u8>,
        node: &Pending<'a>,
        pending: &mut Vec<Pending<'a>>,
    ) -> Result<(), WriteError> {
        let start = u32::try_from(out.len()).unwrap_or(u32::MAX);
        if start > OFFSET {
            return Err(WriteError::TooLarge);
        }
        let prefix = self.prefix(node);
        let depth = node.depth + prefix.len();
        // A key that ends at this node sorts before all longer keys.
        let own = node.entries.partition_point(|entry| self.key(*entry).len() == depth);
        let (values, below) = node.entries.split_at(own);
        let flag = |there: bool, flag: u32| if there { flag } else { 0 };
        let flags = flag(!prefix.is_empty(), PREFIX)
            | flag(!below.is_empty(), CHILDREN)
            | flag(!values.is_empty(), VALUES);
        out[node.word..node.word + 4].copy_from_slice(&(start | flags).to_be_bytes());
        if !prefix.is_empty() {
            out.extend_from_slice(prefix);
            out.push(0);
        }
        self.write_children(out, below, depth, pending);
        self.write_values(out, values);
        Ok(())
    }

    /// Returns the common prefix of a node's keys after `depth`. The root never has a prefix.
    fn prefix<'a>(&'a self, node: &Pending<'_>) -> &'a [u8] {
        match (node.depth, node.entries) {
            (0, _) | (_, []) => &[],
            (depth, [first, .., last]) => {
                let (first, last) = (self.key(*first), self.key(*last));
                &first[depth..depth + common(&first[depth..], &last[depth..])]
            }
            (depth, [only]) => &self.key(*only)[depth..],
        }
    }

    /// Appends the child table of a node. The keys of each child share the byte at `depth`.
    fn write_children<'a>(
        &self,
        out: &mut Vec<u8>,
        entries: &'a [Entry],
        depth: usize,
        pending: &mut Vec<Pending<'a>>,
    ) {
        let edge = |entry: &Entry| self.key(*entry)[depth];
        let (Some(first), Some(last)) = (entries.first().map(edge), entries.last().map(edge))
        else {
            return;
        };
        out.extend([first, last]);
        let words = out.len();
        out.resize(words + 4 * (usize::from(last - first) + 1), 0);
        let at = pending.len();
        for entries in entries.chunk_by(|a, b| edge(a) == edge(b)) {
            let position = edge(&entries[0]) - first;
            pending.push(Pending {
                entries,
                depth: depth + 1,
                word: words + 4 * usize::from(position),
            });
        }
        // `pending` is a stack, and the first child is written first.
        pending[at..].reverse();
    }

    fn write_values(&self, out: &mut Vec<u8>, values: &[Entry]) {
        if !values.is_empty() {
            out.extend(u32::try_from(values.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
        for entry in values {
            out.extend(entry.priority.to_be_bytes());
            out.extend_from_slice(self.value(*entry));
            out.push(0);
        }
    }
}

fn slice(text: &[u8], start: u32, end: u32) -> &[u8] {
    &text[start as usize..end as usize]
}

/// Compares keys eight bytes at a time, because most keys share a long prefix and the C library
/// compares byte by byte.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (mut a, mut b) = (a, b);
    while let (Some((x, more_a)), Some((y, more_b))) =
        (a.split_first_chunk(), b.split_first_chunk())
    {
        let (x, y) = (u64::from_be_bytes(*x), u64::from_be_bytes(*y));
        if x != y {
            return x.cmp(&y);
        }
        (a, b) = (more_a, more_b);
    }
    a.cmp(b)
}

fn check(text: &[u8]) -> Result<(), WriteError> {
    if text.is_ascii() && !text.contains(&0) {
        return Ok(());
    }
    match text.iter().find(|byte| !(1..=127).contains(*byte)) {
        Some(&byte) => Err(WriteError::BadCharacter { byte, text: text.to_vec() }),
        None => Ok(()),
    }
}

/// Returns the length of the common prefix of `a` and `b`.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
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
    fn an_empty_index_is_only_a_header() {
        assert_eq!(index(&[]), [0xb0, 7, 0xf4, 0x57, 0, 2, 0, 1, 0, 0, 0, 12]);
    }

    #[test]
    fn nodes_precede_their_children() {
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
    fn values_are_sorted_by_priority_then_newest_first() {
        let bytes =
            index(&[("a", "1", 5), ("a", "2", 5), ("a", "3", 1), ("a", "2", 5), ("a", "4", 9)]);
        let index = Index::new(Box::new(bytes)).unwrap();
        let values: Vec<_> = index.entries().unwrap().into_iter().map(|hit| hit.value).collect();
        assert_eq!(values, [b"3", b"2", b"2", b"1", b"4"]);
    }

    #[test]
    fn only_seven_bit_text_is_accepted() {
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
        fn written_keys_are_found(keys in proptest::collection::vec("[ab]{0,6}", 0..40)) {
            let mut writer = Writer::default();
            for (key, at) in keys.iter().zip(0..) {
                writer.insert(key.as_bytes(), format!("{key}={at}").as_bytes(), at).unwrap();
            }
            let index = Index::new(Box::new(writer.finish().unwrap())).unwrap();
            for key in &keys {
                let first = keys.iter().position(|other| other == key).unwrap();
                let hit = index.exact(key.as_bytes()).unwrap().unwrap();
                proptest::prop_assert_eq!(hit.value, format!("{key}={first}").into_bytes());
            }
            proptest::prop_assert_eq!(index.entries().unwrap().len(), keys.len());
        }
    }
}
