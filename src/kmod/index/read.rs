//! Searches an index. Every offset comes from the file and is checked: a damaged file leads to an
//! error or to missing values, never to a panic, and a search ends after a bounded number of nodes.

use std::ffi::CStr;
use std::fmt;

use super::{CHILDREN, MAGIC, OFFSET, PREFIX, VALUES, VERSION};
use crate::kmod::alias::{fnmatch, is_wildcard};

/// The bytes of an index, in memory or mapped.
pub type Bytes = Box<dyn AsRef<[u8]> + Send + Sync>;

/// An index with a valid header.
pub struct Index {
    bytes: Bytes,
    root: u32,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Index({} bytes)", self.bytes().len())
    }
}

/// The reason why a file cannot be used as an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexError {
    /// The file is shorter than a header.
    Short,
    /// The first word is this one instead of the magic number.
    Magic(u32),
    /// The file has this version, whose major part is unknown.
    Version(u32),
    /// The node at this offset extends past the end of the file, or is part of a cycle.
    Damaged(u32),
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("too short for an index"),
            Self::Magic(word) => write!(f, "magic check fail: {word:x} instead of {MAGIC:x}"),
            Self::Version(word) => {
                write!(f, "major version check fail: {} instead of {}", word >> 16, VERSION >> 16)
            }
            Self::Damaged(offset) => write!(f, "damaged at byte {offset}"),
        }
    }
}

impl std::error::Error for IndexError {}

/// A value of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexValue {
    /// Position in modules.order; lower comes first.
    pub(crate) priority: u32,
    /// Module name, or modules.dep line.
    pub value: Vec<u8>,
    /// Key of the value; in an alias index, the pattern that matched.
    pub key: Vec<u8>,
}

/// Callback of a walk, called for each node with its key. Returns whether the nodes below are
/// visited too.
type Visit<'a> = dyn FnMut(&[u8], &Node<'_>) -> Result<bool, IndexError> + 'a;

/// Callback for each value, called with its key, its priority and itself.
type VisitValue<'a> = dyn FnMut(&[u8], u32, &[u8]) + 'a;

/// Size of the offset word of a node, which limits the number of nodes in a file.
const WORD_SIZE: usize = 4;
/// Minimum size of a value, which limits the number of values in a file.
const MIN_VALUE_SIZE: usize = 5;
/// Maximum depth of a node, and length of a key: longer than any alias.
const MAX_DEPTH: usize = 4096;

impl Index {
    /// Creates an index after checking the header of `bytes`.
    ///
    /// # Errors
    /// The file is too short, or has another magic number or major version.
    pub fn new(bytes: Bytes) -> Result<Self, IndexError> {
        let head = |at| word((*bytes).as_ref(), at).ok_or(IndexError::Short);
        let (magic, version, root) = (head(0)?, head(4)?, head(8)?);
        if magic != MAGIC {
            return Err(IndexError::Magic(magic));
        }
        if version >> 16 != VERSION >> 16 {
            return Err(IndexError::Version(version));
        }
        Ok(Self { bytes, root })
    }

    fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    /// Returns the first value with exactly this key.
    ///
    /// # Errors
    /// The file is damaged on the way to the key.
    pub fn exact(&self, key: &[u8]) -> Result<Option<IndexValue>, IndexError> {
        let mut at = self.root;
        let mut rest = key;
        for _ in 0..MAX_DEPTH {
            let Some(node) = self.node(at)? else { return Ok(None) };
            let Some(after) = rest.strip_prefix(node.prefix) else { return Ok(None) };
            let Some((edge, below)) = after.split_first() else {
                return Ok(node
                    .values()?
                    .next()
                    .transpose()?
                    .map(|(priority, value)| value_of(priority, value, key)));
            };
            at = node.child(*edge);
            rest = below;
        }
        Err(IndexError::Damaged(at & OFFSET))
    }

    /// Returns all values whose key, as a pattern, matches `name`: by ascending priority, among
    /// equals the last one found first, as kmod orders them.
    ///
    /// # Errors
    /// The searched part of the file is damaged.
    pub fn search(&self, name: &[u8]) -> Result<Vec<IndexValue>, IndexError> {
        let mut search = Search { index: self, name, values: Vec::new(), visits: 0 };
        search.descend()?;
        Ok(search.values)
    }

    /// Returns every key and value by ascending key, in the order of kmod's dump.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn entries(&self) -> Result<Vec<IndexValue>, IndexError> {
        let mut found = Vec::new();
        self.for_each(&mut |key, priority, value| found.push(value_of(priority, value, key)))?;
        Ok(found)
    }

    /// Calls `visit` with every key, priority and value, in the order of [`Self::entries`].
    ///
    /// # Errors
    /// The file is damaged. `visit` has been called for what comes before the damage.
    pub(crate) fn for_each(&self, visit: &mut VisitValue<'_>) -> Result<(), IndexError> {
        let (mut found, mut visits) = (0, 0);
        self.walk(self.root, &mut Vec::new(), &mut visits, &mut |key, node| {
            for value in node.values()? {
                let (priority, value) = value?;
                self.check_count(found, node)?;
                found += 1;
                visit(key, priority, value);
            }
            Ok(true)
        })
    }

    /// Fails if `found` values are more than the file can hold, which means a cycle of nodes.
    fn check_count(&self, found: usize, node: &Node<'_>) -> Result<(), IndexError> {
        let max = self.bytes().len() / MIN_VALUE_SIZE;
        if found < max { Ok(()) } else { Err(IndexError::Damaged(node.offset)) }
    }

    /// Visits the node at `at` and the nodes below it; `key` is the key of its parent with the
    /// edge.
    fn walk(
        &self,
        at: u32,
        key: &mut Vec<u8>,
        visits: &mut usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), IndexError> {
        let Some(node) = self.node(at)? else { return Ok(()) };
        *visits += 1;
        if *visits > self.bytes().len() / WORD_SIZE || key.len() > MAX_DEPTH {
            return Err(IndexError::Damaged(at & OFFSET));
        }
        let len = key.len();
        key.extend_from_slice(node.prefix);
        if visit(key, &node)? {
            for (edge, child) in node.children() {
                key.push(edge);
                self.walk(child, key, visits, visit)?;
                key.pop();
            }
        }
        key.truncate(len);
        Ok(())
    }

    /// Returns the node that an offset word points to.
    fn node(&self, at: u32) -> Result<Option<Node<'_>>, IndexError> {
        let offset = at & OFFSET;
        if offset == 0 {
            return Ok(None);
        }
        Node::parse(self.bytes(), at).map(Some).ok_or(IndexError::Damaged(offset))
    }
}

struct Search<'a> {
    index: &'a Index,
    name: &'a [u8],
    values: Vec<IndexValue>,
    visits: usize,
}

impl Search<'_> {
    /// Descends along the edges that the name spells. At each wildcard, tries every pattern of the
    /// subtree below it.
    fn descend(&mut self) -> Result<(), IndexError> {
        let mut at = self.index.root;
        let mut key: Vec<u8> = Vec::new();
        let mut pos = 0;
        for _ in 0..MAX_DEPTH {
            let Some(node) = self.index.node(at)? else { return Ok(()) };
            for byte in node.prefix {
                if is_wildcard(*byte) {
                    return self.subtree(at, key.clone());
                }
                if self.name.get(pos) != Some(byte) {
                    return Ok(());
                }
                pos += 1;
            }
            key.extend_from_slice(node.prefix);
            for wild in *b"*?[" {
                let below = [&key[..], &[wild]].concat();
                self.subtree(node.child(wild), below)?;
            }
            let Some(edge) = self.name.get(pos) else {
                return self.add_values(&key, &node);
            };
            at = node.child(*edge);
            key.push(*edge);
            pos += 1;
        }
        Err(IndexError::Damaged(at & OFFSET))
    }

    /// Tries every key at and below the node `at` as a pattern; `key` is as for [`Index::walk`].
    ///
    /// All patterns for devices of a device tree start with `of:N*T*C`, thousands in one subtree,
    /// so the nodes below a key that no longer fits the name are not visited.
    fn subtree(&mut self, at: u32, mut key: Vec<u8>) -> Result<(), IndexError> {
        let mut visits = self.visits;
        let (index, name) = (self.index, self.name);
        let result = index.walk(at, &mut key, &mut visits, &mut |key, node| {
            if node.values.is_some() && fnmatch(key, name) {
                self.add_values(key, node)?;
            }
            Ok(node.words.is_empty() || can_start_match(key, name))
        });
        self.visits = visits;
        result
    }

    /// Adds the values of a node, sorted by priority.
    fn add_values(&mut self, key: &[u8], node: &Node<'_>) -> Result<(), IndexError> {
        for value in node.values()? {
            let (priority, value) = value?;
            self.index.check_count(self.values.len(), node)?;
            let before = self.values.partition_point(|value| value.priority < priority);
            self.values.insert(before, value_of(priority, value, key));
        }
        Ok(())
    }
}

/// Returns whether a pattern that starts with `key` may match `name`.
fn can_start_match(key: &[u8], name: &[u8]) -> bool {
    // The key may end inside a bracket expression or behind a backslash.
    key.iter().any(|byte| matches!(byte, b'[' | b'\\')) || fnmatch(&[key, b"*"].concat(), name)
}

/// A node whose parts lie inside the file.
struct Node<'a> {
    offset: u32,
    prefix: &'a [u8],
    first: u8,
    words: &'a [u8],
    values: Option<&'a [u8]>,
}

impl<'a> Node<'a> {
    fn parse(file: &'a [u8], at: u32) -> Option<Self> {
        let mut rest = file.get((at & OFFSET) as usize..)?;
        let mut node =
            Self { offset: at & OFFSET, prefix: b"", first: 0, words: b"", values: None };
        if at & PREFIX != 0 {
            (node.prefix, rest) = c_string(rest)?;
        }
        if at & CHILDREN != 0 {
            let (range, after) = rest.split_first_chunk::<2>()?;
            let count = usize::from(range[1].checked_sub(range[0])?) + 1;
            node.first = range[0];
            (node.words, rest) = after.split_at_checked(4 * count)?;
        }
        if at & VALUES != 0 {
            node.values = Some(rest);
        }
        Some(node)
    }

    fn child(&self, edge: u8) -> u32 {
        let position = edge.checked_sub(self.first).map(usize::from);
        position.and_then(|position| word(self.words, 4 * position)).unwrap_or(0)
    }

    fn children(&self) -> impl Iterator<Item = (u8, u32)> + '_ {
        let words = self.words.chunks_exact(4).map(|w| word(w, 0).unwrap_or(0));
        (self.first..=u8::MAX).zip(words).filter(|(_, child)| child & OFFSET != 0)
    }

    /// Returns the values of the node, each with its priority.
    fn values(
        &self,
    ) -> Result<impl Iterator<Item = Result<(u32, &'a [u8]), IndexError>> + use<'a>, IndexError>
    {
        let damaged = IndexError::Damaged(self.offset);
        let (count, mut rest) = match self.values {
            Some(bytes) => (word(bytes, 0).ok_or(damaged)?, &bytes[4..]),
            None => (0, &b""[..]),
        };
        // Each value takes at least five bytes, so a wrong count fails at the end of the file.
        Ok((0..count).map(move |_| {
            let priority = word(rest, 0).ok_or(damaged)?;
            let (value, after) = c_string(&rest[4..]).ok_or(damaged)?;
            rest = after;
            Ok((priority, value))
        }))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

/// Splits `bytes` at the first NUL and drops the NUL.
fn c_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // The standard library searches word by word.
    let string = CStr::from_bytes_until_nul(bytes).ok()?.to_bytes();
    Some((string, &bytes[string.len() + 1..]))
}

fn value_of(priority: u32, value: &[u8], key: &[u8]) -> IndexValue {
    IndexValue { priority, value: value.to_owned(), key: key.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::alias::boards::{DEVICES, PATTERNS};
    use crate::kmod::alias::{normalize, normalize_modalias};
    use crate::kmod::index::Writer;

    /// Creates an index whose root has `values` values and is its own child under each byte from
    /// `*` to `?`.
    fn cycle(values: u32) -> Index {
        let root = (CHILDREN | VALUES | 12).to_be_bytes();
        let mut file = [MAGIC.to_be_bytes(), VERSION.to_be_bytes(), root].concat();
        file.extend(b"*?");
        file.extend((b'*'..=b'?').flat_map(|_| root));
        file.extend(values.to_be_bytes());
        file.extend((0..values).flat_map(|_| *b"\0\0\0\x07\0"));
        Index::new(Box::new(file)).unwrap()
    }

    /// Returns an index in which the value of each pattern is the pattern itself.
    fn index_of(patterns: &[Vec<u8>]) -> Index {
        let mut writer = Writer::default();
        for (priority, pattern) in (0..).zip(patterns) {
            writer.insert(pattern, pattern, priority).unwrap();
        }
        Index::new(Box::new(writer.finish().unwrap())).unwrap()
    }

    fn found(index: &Index, name: &[u8]) -> Vec<Vec<u8>> {
        index.search(name).unwrap().into_iter().map(|hit| hit.key).collect()
    }

    #[test]
    fn devices_of_boards_are_found_by_the_patterns_of_their_bus() {
        let normal = |pattern: &&str| normalize(pattern.as_bytes()).unwrap();
        let index = index_of(&PATTERNS.iter().map(normal).collect::<Vec<_>>());
        for (device, wanted) in DEVICES {
            let wanted: Vec<_> = wanted.iter().map(normal).collect();
            assert_eq!(found(&index, &normalize_modalias(device.as_bytes())), wanted, "{device}");
        }
    }

    proptest::proptest! {
        /// A search visits a part of the nodes, and finds all that a list of patterns would.
        #[test]
        fn a_search_finds_what_a_list_of_patterns_would(
            patterns in proptest::collection::vec("([abc*?]|\\[!?[ab]{1,2}\\]){0,7}", 0..30),
            name in "[abc]{0,8}",
        ) {
            let patterns: Vec<_> = patterns.into_iter().map(String::into_bytes).collect();
            let mut wanted = patterns.clone();
            wanted.retain(|pattern| fnmatch(pattern, name.as_bytes()));
            proptest::prop_assert_eq!(found(&index_of(&patterns), name.as_bytes()), wanted);
        }
    }

    /// The number of results is bounded by the size of the file, however often a node is visited.
    #[test]
    fn a_cycle_of_nodes_ends_within_the_size_of_the_file() {
        for values in [0, 1, 3, 20_000] {
            let index = cycle(values);
            assert_eq!(index.entries(), Err(IndexError::Damaged(12)), "{values}");
            assert_eq!(index.search(b"?x"), Err(IndexError::Damaged(12)), "{values}");
            assert_eq!(index.exact(b"*").unwrap().is_some(), values > 0);
        }
    }
}
