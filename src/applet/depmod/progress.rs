//! A progress bar for long runs. Nothing is printed if the output is not a terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time before the bar is drawn: a shorter run needs none.
const DELAY: Duration = Duration::from_millis(500);

/// A bar that is drawn when a run takes longer than [`DELAY`].
pub(super) struct Progress {
    start: Instant,
    enabled: bool,
    bar: Option<ProgressBar>,
}

impl Default for Progress {
    fn default() -> Self {
        let enabled = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        Self { start: Instant::now(), enabled, bar: None }
    }
}

impl Progress {
    /// Shows that `done` of `total` modules are read.
    pub(super) fn update(&mut self, done: usize, total: usize) {
        if !self.enabled || (self.bar.is_none() && self.start.elapsed() < DELAY) {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("reading modules {bar:40} {pos}/{len}");
            let bar = ProgressBar::new(total as u64);
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        });
        bar.set_position(done as u64);
        if done == total {
            bar.finish_and_clear();
        }
    }
}
