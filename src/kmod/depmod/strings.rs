//! Many short strings in two allocations instead of one each: a tree of modules has some hundred thousand.

/// A list of byte strings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strings {
    text: Vec<u8>,
    ends: Vec<u32>,
}

impl Strings {
    /// Appends one; gives `false`, and leaves the list as it is, after 4 GiB.
    pub fn push(&mut self, string: &[u8]) -> bool {
        let Ok(end) = u32::try_from(self.text.len() + string.len()) else { return false };
        self.text.extend_from_slice(string);
        self.ends.push(end);
        true
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start as usize..*end as usize])
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Makes it empty; its memory is used again.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}
