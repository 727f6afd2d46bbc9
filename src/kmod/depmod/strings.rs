//! A list of many short strings in two allocations: the modules of a kernel have several hundred
//! thousand.

/// A list of byte strings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Strings {
    text: Vec<u8>,
    ends: Vec<u32>,
}

impl Strings {
    /// Appends a string. Returns `false`, with the list unchanged, if it would exceed 4 GiB.
    pub(crate) fn push(&mut self, string: &[u8]) -> bool {
        let Ok(end) = u32::try_from(self.text.len() + string.len()) else { return false };
        self.text.extend_from_slice(string);
        self.ends.push(end);
        true
    }

    /// Returns the strings in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start as usize..*end as usize])
    }

    /// Returns whether the list is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Removes all strings and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}
