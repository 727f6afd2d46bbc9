//! Applies one function to many items on all processors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::sys;

/// Calls `work` for each of `items`, started in their order, and returns the results in this order.
/// Every thread has its own state, made by `state`. `started` receives from time to time the number
/// of items started.
pub(crate) fn map<T: Sync, S, R: Send>(
    items: &[T],
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> R + Sync,
    started: &mut dyn FnMut(usize),
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = |started: &mut dyn FnMut(usize)| {
        let (mut state, mut results) = (state(), Vec::new());
        loop {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(position) else { return results };
            results.push((position, work(&mut state, item)));
            started(position + 1);
        }
    };
    let mut results = thread::scope(|scope| {
        let others = (1..sys::processors().min(items.len()))
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, || run(&mut |_| {})).ok());
        let others: Vec<_> = others.collect();
        let mut results = run(started);
        for other in others {
            results.extend(other.join().unwrap_or_default());
        }
        results
    });
    results.sort_by_key(|(position, _)| *position);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn results_are_in_order() {
        let items: Vec<usize> = (0..1000).collect();
        let mut last = 0;
        let doubled = map(&items, || (), |(), n| 2 * n, &mut |started| last = last.max(started));
        assert_eq!(doubled, items.iter().map(|n| 2 * n).collect::<Vec<_>>());
        // The other threads may have started all items.
        assert!(last <= 1000);
        assert!(map(&[0; 0], || (), |(), n| *n, &mut |_| {}).is_empty());
    }
}
