//! Values by name, sorted by name. A file has some hundred; the code of a sorted list is a tenth of
//! that of a tree.

/// The list.
#[derive(Debug, Clone)]
pub(super) struct Table<T>(Vec<(String, T)>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default> Table<T> {
    fn search(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }

    /// Returns the value of `name`.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        let at = self.search(name).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Returns whether `name` has a value.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.search(name).is_ok()
    }

    /// Returns the value of `name`; inserts the default value if there is none.
    pub(super) fn get_or_insert(&mut self, name: &str) -> &mut T {
        let at = self.search(name).unwrap_or_else(|at| {
            self.0.insert(at, (name.to_owned(), T::default()));
            at
        });
        &mut self.0[at].1
    }

    /// Returns all names with their values.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, (String, T)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted() {
        let mut table: Table<usize> = Table::default();
        for (at, name) in ["b", "c", "a", "b"].into_iter().enumerate() {
            *table.get_or_insert(name) += at;
        }
        assert_eq!(table.0, [("a".into(), 2), ("b".into(), 3), ("c".into(), 1)]);
        assert_eq!((table.get("c"), table.get("d"), table.contains("a")), (Some(&1), None, true));
    }
}
