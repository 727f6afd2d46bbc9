//! How far a long run has come, for a person at a terminal; nothing in a pipe.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A run that is over sooner is not worth a bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// A bar that is drawn once a run turns out to be long.
pub(super) struct Progress {
    began: Instant,
    wanted: bool,
    bar: Option<ProgressBar>,
}

impl Default for Progress {
    fn default() -> Self {
        let wanted = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        Self { began: Instant::now(), wanted, bar: None }
    }
}

impl Progress {
    /// So many of so many modules are read.
    pub(super) fn tell(&mut self, done: usize, of: usize) {
        if !self.wanted || (self.bar.is_none() && self.began.elapsed() < PATIENCE) {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("reading modules {bar:40} {pos}/{len}");
            let bar = ProgressBar::new(of as u64);
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        });
        bar.set_position(done as u64);
        if done == of {
            bar.finish_and_clear();
        }
    }
}
