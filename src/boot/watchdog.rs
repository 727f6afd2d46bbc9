//! The watchdog of `coldplug.watchdog=`: it is started as soon as its device appears, and pinged
//! from the event loop, so that a stalled loop resets the machine.
//!
//! The real init takes it over: the device is closed without stopping the watchdog, and systemd
//! (`RuntimeWatchdogSec=`) or another program opens it.

use super::{Boot, seconds};
use crate::byte_text;
use crate::cmdline::boot::WatchdogParams;
use crate::sys::watchdog::{self, Watchdog};
use crate::sys::{BootTime, Cause, Root};
use rustix::io::Errno;

/// The state of the watchdog.
#[derive(Debug, Default)]
pub(super) enum WatchdogState {
    /// None is wanted, or it cannot be used.
    #[default]
    Unused,
    /// Its device has not appeared.
    Awaited(WatchdogParams),
    /// It runs. The next ping is due at this time.
    Running(BootTime),
}

/// What there is to say about the watchdog.
enum Message {
    Info(String),
    Warning(String),
}

impl WatchdogState {
    /// Returns the time at which the next ping is due.
    pub(super) fn next_ping(&self) -> Option<BootTime> {
        match self {
            Self::Running(at) => Some(*at),
            Self::Unused | Self::Awaited(_) => None,
        }
    }

    /// Starts the watchdog if its device has appeared, and pings it if that is due.
    fn advance(&mut self, dir: &Root) -> Vec<Message> {
        let mut messages = Vec::new();
        if let Self::Awaited(params) = self {
            match start(dir, params, &mut messages) {
                Some(true) => {}
                Some(false) => *self = Self::Unused,
                None => return messages,
            }
        }
        match watchdog::ping_if_due() {
            Ok(Some(next)) => *self = Self::Running(next),
            Ok(None) => {}
            Err(error) => {
                *self = Self::Unused;
                messages.push(Message::Warning(format!("coldplug.watchdog: {error}")));
            }
        }
        messages
    }
}

/// Starts the watchdog. Returns whether it runs, or `None` if its device is missing.
fn start(dir: &Root, params: &WatchdogParams, messages: &mut Vec<Message>) -> Option<bool> {
    let mut watchdog = match Watchdog::open(&dir.join(byte_text::to_path(&params.path))) {
        Ok(watchdog) => watchdog,
        Err(error) if matches!(error.cause, Cause::Errno(Errno::NOENT)) => return None,
        Err(error) => {
            messages.push(Message::Warning(format!("coldplug.watchdog: {error}")));
            return Some(false);
        }
    };
    if let Some(seconds) = params.timeout
        && let Err(error) = watchdog.set_timeout(seconds)
    {
        messages.push(Message::Warning(format!("coldplug.watchdog: {error}")));
    }
    let timeout = seconds(watchdog.timeout());
    messages.push(Message::Info(format!("watchdog {watchdog}: timeout {timeout}")));
    if !watchdog.survives_close() {
        let text = format!("watchdog {watchdog}: stops when the real init starts (no magic close)");
        messages.push(Message::Warning(text));
    }
    watchdog::activate(watchdog);
    Some(true)
}

impl Boot {
    /// Starts the watchdog if its device has appeared, and pings it if that is due.
    pub(super) fn tend_watchdog(&mut self) {
        for message in self.watchdog.advance(&self.dir) {
            match message {
                Message::Info(text) => self.reporter.log().info(&text),
                Message::Warning(text) => self.reporter.warn(text),
            }
        }
    }

    /// Warns if the device of the watchdog has not appeared.
    pub(super) fn report_watchdog(&mut self) {
        self.tend_watchdog();
        if let WatchdogState::Awaited(params) = &self.watchdog {
            self.reporter.warn(format!("coldplug.watchdog: {} not found", params.path));
        }
    }
}
