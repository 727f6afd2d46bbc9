//! The part of rayon that argon2 uses: `(a..b).into_par_iter().for_each(f)`.
//!
//! argon2 calls it once for each quarter of a pass, with one item for each lane: 2 to 4 items that
//! take some milliseconds or more. A thread for each item costs nothing there, and rayon's own pool
//! of threads is 60 KB of code.

/// The traits that callers import.
pub mod iter {
    use std::ops::Range;
    use std::thread;

    /// A value that becomes a parallel iterator.
    pub trait IntoParallelIterator {
        /// The iterator.
        type Iter: ParallelIterator;

        /// Returns the iterator.
        fn into_par_iter(self) -> Self::Iter;
    }

    /// An iterator whose items are processed in parallel.
    pub trait ParallelIterator {
        /// What is processed.
        type Item;

        /// Calls `f` for each item and waits until all calls have returned. The order is undefined.
        fn for_each<F: Fn(Self::Item) + Sync + Send>(self, f: F);
    }

    /// The parallel iterator of a range.
    #[derive(Debug)]
    pub struct Items(Range<usize>);

    impl IntoParallelIterator for Range<usize> {
        type Iter = Items;

        fn into_par_iter(self) -> Items {
            Items(self)
        }
    }

    impl ParallelIterator for Items {
        type Item = usize;

        /// Calls `f` for the first item in this thread, and for each other one in a thread of its
        /// own. If no thread can be started, this one does its work.
        fn for_each<F: Fn(usize) + Sync + Send>(mut self, f: F) {
            let Some(first) = self.0.next() else { return };
            thread::scope(|scope| {
                for item in self.0 {
                    let f = &f;
                    if thread::Builder::new().spawn_scoped(scope, move || f(item)).is_err() {
                        f(item);
                    }
                }
                f(first);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::iter::{IntoParallelIterator, ParallelIterator};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn each_item_is_processed_once() {
        for count in [0, 1, 2, 9] {
            let calls: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            (0..count).into_par_iter().for_each(|item| {
                calls[item].fetch_add(1, Ordering::Relaxed);
            });
            assert!(calls.iter().all(|call| call.load(Ordering::Relaxed) == 1), "{count}");
        }
    }
}
