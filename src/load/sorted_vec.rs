//! A sorted list without duplicates. It replaces `BTreeSet`, which is 5 KB of code for each type of
//! element; the graph keeps only a few elements in order.

use std::ops::Deref;

/// Elements in ascending order.
#[derive(Debug)]
pub(super) struct SortedVec<T>(Vec<T>);

impl<T: Ord> SortedVec<T> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Inserts an element at its place, unless it is there already.
    pub(super) fn insert(&mut self, element: T) {
        if let Err(at) = self.0.binary_search(&element) {
            self.0.insert(at, element);
        }
    }

    /// Removes an element. Returns whether it was there.
    pub(super) fn remove(&mut self, element: &T) -> bool {
        match self.0.binary_search(element) {
            Ok(at) => {
                self.0.remove(at);
                true
            }
            Err(_) => false,
        }
    }
}

impl<T> Deref for SortedVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_sorted_and_occur_once() {
        let mut list = SortedVec::new();
        for element in [3, 1, 2, 1] {
            list.insert(element);
        }
        assert_eq!(*list, [1, 2, 3]);
        assert!(list.remove(&2) && !list.remove(&2));
        assert_eq!(*list, [1, 3]);
    }
}
