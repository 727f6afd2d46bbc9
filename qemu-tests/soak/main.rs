//! `make soak`: boots the fleet machine many times, each time differently, and looks for what never
//! may differ.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `SOAK` | number of boots (50) |
//! | `SOAK_SEED` | if set, boots with random faults and devices (faults.rs), chosen by this number; else whole machines in random orders (orders.rs) |
//! | `SOAK_ONLY` | with `SOAK_SEED`: the number of the only boot to run |
//! | `SOAK_SAME` | without `SOAK_SEED`: 1 gives every boot the default settings and `SOAK_WORDS` |
//! | `SOAK_WORDS` | more words for every kernel command line |
//! | `SOAK_AT_ONCE` | machines that run in parallel (2) |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

mod faults;
mod orders;
mod random;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

fn main() {
    let boots = number_of("SOAK").unwrap_or(50);
    match number_of("SOAK_SEED") {
        Some(seed) => faults::run(seed, boots),
        None => orders::run(boots),
    }
}

/// Returns the number in an environment variable, if it is set.
fn number_of(name: &str) -> Option<usize> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// Runs `boot` for each number, some in parallel, and returns the results as they end.
fn in_parallel<T: Send + 'static>(
    numbers: Vec<usize>,
    boot: impl Fn(usize) -> T + Send + Sync + 'static,
) -> mpsc::IntoIter<T> {
    let (sender, results) = mpsc::channel();
    let (next, boot, numbers) = (Arc::new(AtomicUsize::new(0)), Arc::new(boot), Arc::new(numbers));
    for _ in 0..number_of("SOAK_AT_ONCE").unwrap_or(2) {
        let (sender, next) = (sender.clone(), Arc::clone(&next));
        let (boot, numbers) = (Arc::clone(&boot), Arc::clone(&numbers));
        std::thread::spawn(move || {
            while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
                if sender.send(boot(*number)).is_err() {
                    return;
                }
            }
        });
    }
    results.into_iter()
}
