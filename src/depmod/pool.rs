//! The same work on many things, over all processors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::sys;

/// Does `work` on each of `items`, begun in their order, and gives the results in that order. Every thread has a state
/// of its own, made by `state`. `begun` is told from time to time how many are begun.
pub(super) fn map<T: Sync, S, R: Send>(
    items: &[T],
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> R + Sync,
    begun: &mut dyn FnMut(usize),
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let share = |begun: &mut dyn FnMut(usize)| {
        let (mut state, mut results) = (state(), Vec::new());
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(place) else { return results };
            results.push((place, work(&mut state, item)));
            begun(place + 1);
        }
    };
    let mut results = thread::scope(|scope| {
        let others = (1..sys::processors().min(items.len()))
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, || share(&mut |_| {})).ok());
        let others: Vec<_> = others.collect();
        let mut results = share(begun);
        for other in others {
            results.extend(other.join().unwrap_or_default());
        }
        results
    });
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn results_are_in_order() {
        let items: Vec<usize> = (0..1000).collect();
        let mut last = 0;
        let doubled = map(&items, || (), |(), n| 2 * n, &mut |begun| last = last.max(begun));
        assert_eq!(doubled, items.iter().map(|n| 2 * n).collect::<Vec<_>>());
        // The other threads may have been quicker with all of it.
        assert!(last <= 1000);
        assert!(map(&[0; 0], || (), |(), n| *n, &mut |_| {}).is_empty());
    }
}
