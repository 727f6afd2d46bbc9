//! The fingerprint of a table: equal for an index and its text if both hold the same entries.
//!
//! The index format has no checksum, and a damaged index may still be well-formed: a changed byte
//! in a key hides an entry, one in a value changes it.

use super::text::TextFormat;
use crate::kmod::index::{Index, IndexError};

/// The number of entries, and the sum of their hashes, which is independent of their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fingerprint {
    count: u32,
    sum: u64,
}

impl Fingerprint {
    /// Returns the fingerprint of an index.
    ///
    /// # Errors
    /// The index is damaged.
    pub(super) fn of_index(index: &Index) -> Result<Self, IndexError> {
        let mut found = Self::default();
        index.for_each(&mut |key, _, value| found.add(key, value))?;
        Ok(found)
    }

    /// Returns the fingerprint of the entries in a text, or `None` if the text is incomplete or has
    /// invalid records: it does not show then what an index should hold.
    pub(super) fn of_text(bytes: &[u8], format: TextFormat) -> Option<Self> {
        let mut complete = bytes.last() == Some(&format.terminator());
        let mut found = Self::default();
        format.read(bytes, &mut |record| match record {
            Ok((key, value)) => found.add(key, value),
            Err(_) => complete = false,
        });
        complete.then_some(found)
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(hash(hash(0, key), value));
    }
}

/// Continues `state` with `bytes` and their number. Each step is a bijection of the state and of
/// the word, so a single changed word always changes the hash.
pub(super) fn hash(mut state: u64, bytes: &[u8]) -> u64 {
    let mut step = |word: u64| {
        state = (state.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    };
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        step(u64::from_le_bytes(*word));
    }
    let last = rest.iter().fold(0, |last, byte| last << 8 | u64::from(*byte));
    step(last);
    step(bytes.len() as u64);
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::index::Writer;

    fn of_index(entries: &[(&str, &str)]) -> Fingerprint {
        let mut writer = Writer::default();
        for (key, value) in entries {
            writer.insert(key.as_bytes(), value.as_bytes(), 7).unwrap();
        }
        let bytes = writer.finish().unwrap();
        Fingerprint::of_index(&Index::new(Box::new(bytes)).unwrap()).unwrap()
    }

    #[test]
    fn a_text_and_an_index_of_the_same_entries_are_equal() {
        for (format, text, entries) in [
            (
                TextFormat::Alias,
                "# head\nalias pci:v1-2*[0-9]x-y a_b\nalias x c\nalias x c\n",
                &[("x", "c"), ("pci:v1_2*[0-9]x_y", "a_b"), ("x", "c")][..],
            ),
            (
                TextFormat::Dep,
                "kernel/b-c/d-e.x.ko.xz: /lib/f-g.ko\n# note\nh.ko:\n",
                &[("d_e", "kernel/b-c/d-e.x.ko.xz: /lib/f-g.ko"), ("h", "h.ko:")],
            ),
            (TextFormat::Paths, "kernel/a-b.ko\n", &[("a_b", "")]),
            (TextFormat::Modinfo, "a.alias=x-y\0a.author=z\0", &[("x_y", "a")]),
        ] {
            let index = of_index(entries);
            let bytes = text.as_bytes();
            assert_eq!(Fingerprint::of_text(bytes, format), Some(index), "{text}");
            assert_ne!(index, of_index(&entries[1..]));
            assert_eq!(Fingerprint::of_text(&bytes[..bytes.len() - 1], format), None);
        }
    }

    #[test]
    fn other_entries_are_not_equal() {
        let all = [("a", "b"), ("long_key", "c"), ("x", "")];
        for other in [
            &[("ab", ""), all[1], all[2]][..],
            &[("a", "c"), ("long_key", "b"), all[2]],
            &[("b", "b"), all[1], ("w", "")],
            &[all[0], all[1], all[2], all[2]],
        ] {
            assert_ne!(of_index(&all), of_index(other), "{other:?}");
        }
    }
}
