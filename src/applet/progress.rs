//! A progress bar for long runs.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time before the bar is drawn: a shorter run needs none.
const DELAY: Duration = Duration::from_millis(500);

/// A bar on standard error that is drawn when a run takes longer than [`DELAY`].
pub(super) struct Progress {
    start: Instant,
    enabled: bool,
    /// The bar, and what it counts.
    bar: Option<(ProgressBar, &'static str)>,
}

impl Progress {
    /// Returns a bar that is not drawn yet; it never is unless it is enabled.
    pub(super) fn new(enabled: bool) -> Self {
        Self { start: Instant::now(), enabled, bar: None }
    }

    /// Shows that `done` of `total` are done of what `label` says, such as `reading modules`.
    pub(super) fn update(&mut self, label: &'static str, done: usize, total: usize) {
        if !self.enabled || (self.bar.is_none() && self.start.elapsed() < DELAY) {
            return;
        }
        let old = self.bar.take_if(|(_, old)| *old != label);
        old.into_iter().for_each(|(bar, _)| bar.finish_and_clear());
        let (bar, _) = self.bar.get_or_insert_with(|| (bar(label, total), label));
        bar.set_position(done as u64);
        if done == total {
            bar.finish_and_clear();
            self.bar = None;
        }
    }
}

fn bar(label: &str, total: usize) -> ProgressBar {
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len}") {
        bar.set_style(style);
    }
    bar.set_message(label.to_owned());
    bar
}
