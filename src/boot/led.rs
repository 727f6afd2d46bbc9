//! `coldplug.led=`: an LED that shows the state of the boot, on a board without a console.
//!
//! A child (`coldplug led-blinker`) looks for the LED, waits until its driver is loaded, and writes
//! its attributes, because a driver may sleep. PID 1 sends the state as a word and does not wait.
//! The child ends with PID 1's program; the kernel goes on to blink.
//!
//! The kernel blinks if it has the trigger `pattern`. Else the child does, and tries the trigger
//! again with each repetition: its module may still be loading.

use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use super::Boot;
use crate::byte_text;
use crate::load::{Loader, Rank};
use crate::report::Verdict;
use crate::sys::child::{self, ChildProcess, Received};
use crate::sys::led::{Led, Step, has_led, led_names};
use crate::sys::{self, Root};

/// Name of the command that the child runs.
const APPLET: &str = "led-blinker";
/// The module with the trigger that repeats a pattern.
const MODULE: &str = "ledtrig-pattern";
/// The state before the verdict; all others are verdicts.
const SEARCHING: &str = "searching";
/// Interval at which the child looks for an LED that is missing.
const SEARCH_INTERVAL: Duration = Duration::from_millis(250);
/// Delay before an LED whose driver has failed is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Half a period while the root is searched for, in milliseconds.
const EVEN_MS: u32 = 500;
/// Times of a verdict that is blinked, in milliseconds.
const LIT_MS: u32 = 200;
const DARK_MS: u32 = 300;
const PAUSE_MS: u32 = 1500;

/// The child. A static, because the boot may end anywhere.
static CHILD: Mutex<Option<ChildProcess>> = Mutex::new(None);

fn with_child<T>(act: impl FnOnce(&mut Option<ChildProcess>) -> T) -> T {
    act(&mut CHILD.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Ends the child. The LED stays as it is.
pub(super) fn end() {
    if let Some(child) = with_child(Option::take) {
        child.release();
    }
}

fn show(state: &str) {
    // A child that has died leaves an LED that shows nothing new.
    with_child(|child| child.as_ref().map(|child| child.send(state.as_bytes())));
}

impl Boot {
    /// Starts the child if `coldplug.led=` is set.
    pub(super) fn start_led(&mut self) {
        let Some(name) = &self.params.boot.led else { return };
        match ChildProcess::start(APPLET, &[byte_text::to_path(name).as_os_str()]) {
            Ok(child) => with_child(|place| *place = Some(child)),
            Err(error) => self.reporter.warn(format!("coldplug.led: {error}")),
        }
    }

    /// Requests what the LED needs from `loader`.
    pub(super) fn request_led_trigger(&self, loader: &Loader) {
        if self.params.boot.led.is_some() {
            loader.want_name(MODULE, Rank::Rest);
        }
    }

    /// Shows that the root is being searched for again.
    pub(super) fn show_search(&self) {
        show(SEARCHING);
    }

    /// Shows the verdict.
    pub(super) fn show_verdict(&self, verdict: Verdict) {
        show(&verdict.to_string());
        if verdict == Verdict::Ok {
            end();
        }
    }

    /// Warns if the LED is missing or cannot be set.
    pub(super) fn report_led(&mut self) {
        let Some(name) = &self.params.boot.led else { return };
        if !has_led(&self.dir, name) {
            let names = led_names(&self.dir).join(", ");
            let others = if names.is_empty() { "no LED is there" } else { &names };
            let text = format!("coldplug.led: {name} not found in /sys/class/leds: {others}");
            self.reporter.warn_once(text);
        }
        let received = with_child(|child| child.as_ref().map(ChildProcess::try_receive));
        if let Some(Received::Message(error)) = received {
            let error = String::from_utf8_lossy(&error);
            self.reporter.warn_once(format!("coldplug.led: {error}"));
        }
    }
}

/// What the LED shows.
#[derive(Debug, PartialEq, Eq)]
enum Code {
    /// Steps that are repeated.
    Blink(Vec<Step>),
    /// What it showed before the boot; if that was nothing, it is on.
    Released,
    /// Nothing.
    Off,
}

impl Code {
    /// Returns the code of a state. docs/unattended.md has the table.
    fn new(state: &str) -> Self {
        let count = match state {
            SEARCHING => return Self::Blink(vec![(true, EVEN_MS), (false, EVEN_MS)]),
            "ok" => return Self::Released,
            "interrupted" => return Self::Off,
            "no-root" => 2,
            "mount-failed" => 3,
            "no-init" => 4,
            "switch-failed" | "exec-failed" => 5,
            "no-slot" => 6,
            "no-mounts" => 7,
            // panic, crash
            _ => 8,
        };
        let mut steps = [(true, LIT_MS), (false, DARK_MS)].repeat(count);
        steps.extend([(false, PAUSE_MS)]);
        Self::Blink(steps)
    }
}

/// Runs the child: shows the states that arrive at `socket` by the LED `name`, until PID 1 closes
/// its end. Sends the first error to PID 1.
pub(crate) fn serve_led(root: &Root, name: &str, socket: impl AsFd) {
    let mut light = Light { code: Code::new(SEARCHING), at: 0, led: None };
    let mut has_failed = false;
    loop {
        let wait = light.advance(root, name).unwrap_or_else(|error| {
            if !has_failed {
                has_failed = true;
                child::send_to_parent(&socket, error.to_string().as_bytes());
            }
            Some(RETRY_DELAY)
        });
        match child::receive_from_parent_within(&socket, wait) {
            Received::Message(state) => {
                light.code = Code::new(&String::from_utf8_lossy(&state));
                light.at = 0;
            }
            Received::Pending => {}
            Received::Ended => return,
        }
    }
}

/// The LED, and how far its code has come.
struct Light {
    code: Code,
    /// Number of the next step, if the child blinks.
    at: usize,
    /// The LED, and its trigger before the boot.
    led: Option<(Led, Option<String>)>,
}

impl Light {
    /// Shows the next part of the code. Returns the time until the part after it, or `None` if none
    /// follows.
    fn advance(&mut self, root: &Root, name: &str) -> sys::Result<Option<Duration>> {
        if self.led.is_none() {
            self.led = match Led::open(root, name) {
                Ok(led) => {
                    let trigger = led.trigger()?;
                    Some((led, trigger))
                }
                Err(error) if error.cause == Errno::NOENT => return Ok(Some(SEARCH_INTERVAL)),
                Err(error) => return Err(error),
            };
        }
        let Some((led, before)) = &self.led else { return Ok(None) };
        match (&self.code, before) {
            (Code::Blink(steps), _) => {
                let (is_lit, time) = steps[self.at % steps.len()];
                if self.at.is_multiple_of(steps.len()) && led.repeat(steps).is_ok() {
                    return Ok(None);
                }
                led.set_lit(is_lit)?;
                self.at += 1;
                return Ok(Some(Duration::from_millis(time.into())));
            }
            (Code::Released, Some(trigger)) => led.set_trigger(trigger)?,
            (Code::Released, None) => led.set_lit(true)?,
            (Code::Off, _) => led.set_lit(false)?,
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn made(root: &Path, trigger: &str, has_pattern: bool) -> std::path::PathBuf {
        let dir = root.join("sys/class/leds/x");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("max_brightness"), "255\n").unwrap();
        fs::write(dir.join("brightness"), "0\n").unwrap();
        fs::write(dir.join("trigger"), trigger).unwrap();
        if has_pattern {
            fs::write(dir.join("pattern"), "").unwrap();
        }
        dir
    }

    #[test]
    fn verdicts_differ_in_the_number_of_blinks() {
        let count = |state: &str| match Code::new(state) {
            Code::Blink(steps) => steps.iter().filter(|(is_lit, _)| *is_lit).count(),
            Code::Released | Code::Off => 0,
        };
        for (verdict, want) in [
            (Verdict::Ok, 0),
            (Verdict::Interrupted, 0),
            (Verdict::NoRoot, 2),
            (Verdict::MountFailed, 3),
            (Verdict::NoInit, 4),
            (Verdict::SwitchFailed, 5),
            (Verdict::ExecFailed, 5),
            (Verdict::NoSlot, 6),
            (Verdict::NoMounts, 7),
            (Verdict::Panic, 8),
            (Verdict::Crash, 8),
        ] {
            assert_eq!(count(&verdict.to_string()), want, "{verdict}");
            let row = format!("`{verdict}`");
            let document = include_str!("../../docs/unattended.md");
            let blinks = if want == 0 { String::new() } else { format!("| {want} blinks") };
            let is_there = |line: &str| line.contains(&row) && line.contains(&blinks);
            assert!(document.lines().any(is_there), "{verdict}");
        }
        assert_eq!(Code::new(SEARCHING), Code::Blink(vec![(true, EVEN_MS), (false, EVEN_MS)]));
    }

    #[test]
    fn the_kernel_blinks_if_it_can() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let mut light = Light { code: Code::new("no-root"), at: 0, led: None };
        assert_eq!(light.advance(&root, "x"), Ok(Some(SEARCH_INTERVAL)), "it may appear");
        let dir = made(scratch.path(), "none [mmc0] pattern\n", true);
        assert_eq!(light.advance(&root, "x"), Ok(None));
        let blinks = "255 200 255 0 0 300 0 0 ".repeat(2) + "0 1500 0 0 ";
        assert_eq!(fs::read_to_string(dir.join("pattern")).unwrap(), blinks);
        light.code = Code::new("ok");
        assert_eq!(light.advance(&root, "x"), Ok(None));
        assert_eq!(fs::read_to_string(dir.join("trigger")).unwrap(), "mmc0");
    }

    #[test]
    fn the_child_blinks_if_the_kernel_cannot() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let dir = made(scratch.path(), "[none]\n", false);
        let brightness = || fs::read_to_string(dir.join("brightness")).unwrap();
        let mut light = Light { code: Code::new("no-root"), at: 0, led: None };
        for (level, time) in [
            ("255", LIT_MS),
            ("0", DARK_MS),
            ("255", LIT_MS),
            ("0", DARK_MS),
            ("0", PAUSE_MS),
            ("255", LIT_MS),
        ] {
            let time = Duration::from_millis(time.into());
            assert_eq!(light.advance(&root, "x"), Ok(Some(time)));
            assert_eq!(brightness(), level);
        }
        light.code = Code::new("interrupted");
        assert_eq!(light.advance(&root, "x"), Ok(None));
        light.code = Code::new("ok");
        assert_eq!(light.advance(&root, "x"), Ok(None));
        assert_eq!(brightness(), "255");
    }
}
