//! A clock for the wait for devices, which stands still while a person is asked for a passphrase or
//! a key is derived: neither says anything about when a device will come.

use std::time::Duration;

use crate::sys::BootTime;

/// The clock.
#[derive(Debug, Default)]
pub(in crate::boot) struct WaitingClock {
    /// Time since which it stands still.
    stopped_since: Option<BootTime>,
    /// How long it has stood still before.
    stopped: Duration,
}

impl WaitingClock {
    /// Stops the clock, or lets it go on. Returns how long it has stood still, if it goes on now.
    pub(super) fn set_stopped(&mut self, stop: bool) -> Option<Duration> {
        match self.stopped_since {
            None if stop => self.stopped_since = Some(BootTime::now()),
            Some(since) if !stop => {
                let stopped = since.elapsed();
                self.stopped += stopped;
                self.stopped_since = None;
                return Some(stopped);
            }
            _ => {}
        }
        None
    }

    /// Returns whether the clock stands still.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped_since.is_some()
    }

    /// Returns the time of this clock.
    pub(super) fn now(&self) -> BootTime {
        let real = self.stopped_since.unwrap_or_else(BootTime::now);
        BootTime::default() + (real - BootTime::default()).saturating_sub(self.stopped)
    }
}
