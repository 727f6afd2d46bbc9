//! Values by name, in the order of names. A file has some hundred; a sorted list is a tenth of a tree's code.

/// The list.
#[derive(Debug, Clone)]
pub(super) struct Table<T>(Vec<(String, T)>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default> Table<T> {
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }

    /// The value of `name`.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        let at = self.place(name).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Whether `name` has one.
    pub(super) fn has(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// The value of `name`, an empty one where it had none.
    pub(super) fn of(&mut self, name: &str) -> &mut T {
        let at = self.place(name).unwrap_or_else(|at| {
            self.0.insert(at, (name.to_owned(), T::default()));
            at
        });
        &mut self.0[at].1
    }

    /// All names with their values.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, (String, T)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_in_order() {
        let mut table: Table<usize> = Table::default();
        for (at, name) in ["b", "c", "a", "b"].into_iter().enumerate() {
            *table.of(name) += at;
        }
        assert_eq!(table.0, [("a".into(), 2), ("b".into(), 3), ("c".into(), 1)]);
        assert_eq!((table.get("c"), table.get("d"), table.has("a")), (Some(&1), None, true));
    }
}
