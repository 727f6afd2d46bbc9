//! LEDs in /sys/class/leds (the kernel's ABI/testing/sysfs-class-led and
//! sysfs-class-led-trigger-pattern).
//!
//! ```text
//! max_brightness   NUMBER
//! brightness       NUMBER
//! trigger          NAME [NAME] NAME...          the trigger in brackets is active
//! pattern          BRIGHTNESS MS BRIGHTNESS MS...    if the trigger is `pattern`
//! ```
//!
//! Two equal brightnesses in a row are a step, two different ones a slope; a time of 0 ms skips the
//! slope. A write may wait until the driver has reached the LED, over I2C for example, so this is
//! not for PID 1, except for [`has_led`] and [`led_names`].

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;

use super::sysfs::{bracketed, entry_names};
use super::{Error, Result, Root};
use crate::byte_text;
use crate::escape;

/// The directory of all LEDs.
const LEDS: &str = "sys/class/leds";

/// Whether an LED is lit, and for how many milliseconds.
pub(crate) type Step = (bool, u32);

/// An LED. It stays usable when /sys is moved.
#[derive(Debug)]
pub(crate) struct Led {
    dir: OwnedFd,
    path: PathBuf,
    max_brightness: u32,
}

/// Returns whether the LED exists.
pub(crate) fn has_led(root: &Root, name: &str) -> bool {
    path(root, name).exists()
}

/// Returns the names of all LEDs, sorted.
pub(crate) fn led_names(root: &Root) -> Vec<String> {
    let mut names = entry_names(&root.join(LEDS));
    names.sort_unstable();
    names
}

fn path(root: &Root, name: &str) -> PathBuf {
    root.join(LEDS).join(byte_text::to_path(name))
}

impl Led {
    /// Opens the LED `name`.
    ///
    /// # Errors
    /// It does not exist (ENOENT), or its brightness cannot be read.
    pub(crate) fn open(root: &Root, name: &str) -> Result<Self> {
        let path = path(root, name);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = open(&path, flags, Mode::empty())
            .map_err(|errno| Error::new("open", escape::path(&path), errno))?;
        let mut led = Self { dir, path, max_brightness: 1 };
        led.max_brightness = led.read("max_brightness")?.trim().parse().unwrap_or(1);
        Ok(led)
    }

    /// Returns the active trigger; `None` if there is none, or the kernel has no triggers at all.
    ///
    /// # Errors
    /// The attribute cannot be read.
    pub(crate) fn trigger(&self) -> Result<Option<String>> {
        let text = match self.read("trigger") {
            Err(error) if error.cause == Errno::NOENT => return Ok(None),
            text => text?,
        };
        Ok(bracketed(&text).filter(|name| *name != "none").map(str::to_owned))
    }

    /// Sets the trigger.
    ///
    /// # Errors
    /// The kernel has no such trigger (EINVAL), or the LED has another user (EBUSY).
    pub(crate) fn set_trigger(&self, name: &str) -> Result<()> {
        self.write("trigger", name)
    }

    /// Removes the trigger, if there is one, and turns the LED on or off.
    ///
    /// # Errors
    /// The LED has another user (EBUSY), or its driver fails.
    pub(crate) fn set_lit(&self, is_lit: bool) -> Result<()> {
        match self.set_trigger("none") {
            Err(error) if error.cause != Errno::NOENT => return Err(error),
            _ => {}
        }
        self.write("brightness", &self.brightness(is_lit).to_string())
    }

    /// Has the kernel repeat `steps` until another trigger is set.
    ///
    /// # Errors
    /// The kernel has no trigger `pattern` (EINVAL), or the LED has another user (EBUSY).
    pub(crate) fn repeat(&self, steps: &[Step]) -> Result<()> {
        self.set_trigger("pattern")?;
        self.write("pattern", &self.pattern(steps))
    }

    fn pattern(&self, steps: &[Step]) -> String {
        let words = steps.iter().map(|(is_lit, time)| {
            let level = self.brightness(*is_lit);
            format!("{level} {time} {level} 0 ")
        });
        words.collect()
    }

    fn brightness(&self, is_lit: bool) -> u32 {
        if is_lit { self.max_brightness } else { 0 }
    }

    fn read(&self, name: &str) -> Result<String> {
        let mut text = String::new();
        self.open_attribute(name, OFlags::RDONLY)?
            .read_to_string(&mut text)
            .map_err(|e| Error::io("read", &self.path.join(name), &e))?;
        Ok(text)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        // As a shell does. In sysfs O_TRUNC has no effect.
        self.open_attribute(name, OFlags::WRONLY | OFlags::TRUNC)?
            .write_all(text.as_bytes())
            .map_err(|e| Error::io("write", &self.path.join(name), &e))
    }

    fn open_attribute(&self, name: &str, mode: OFlags) -> Result<File> {
        openat(&self.dir, name, mode | OFlags::CLOEXEC, Mode::empty())
            .map(File::from)
            .map_err(|errno| Error::new("open", escape::path(&self.path.join(name)), errno))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn attributes_are_read_and_written() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let dir = scratch.path().join(LEDS).join("green:status");
        assert!(!has_led(&root, "green:status") && led_names(&root).is_empty());
        let error = Led::open(&root, "green:status").unwrap_err();
        assert_eq!(error.cause, Errno::NOENT);
        fs::create_dir_all(&dir).unwrap();
        for (name, text) in [
            ("max_brightness", "31\n"),
            ("brightness", "0\n"),
            ("trigger", "none timer [mmc0] pattern\n"),
            ("pattern", ""),
        ] {
            fs::write(dir.join(name), text).unwrap();
        }
        let led = Led::open(&root, "green:status").unwrap();
        assert!(has_led(&root, "green:status"));
        assert_eq!(led_names(&root), ["green:status"]);
        assert_eq!(led.trigger().unwrap().as_deref(), Some("mmc0"));
        led.repeat(&[(true, 200), (false, 1500)]).unwrap();
        led.set_lit(true).unwrap();
        for (name, want) in
            [("trigger", "none"), ("pattern", "31 200 31 0 0 1500 0 0 "), ("brightness", "31")]
        {
            assert_eq!(fs::read_to_string(dir.join(name)).unwrap(), want, "{name}");
        }
        // A kernel without triggers.
        fs::remove_file(dir.join("trigger")).unwrap();
        led.set_lit(false).unwrap();
        assert_eq!(fs::read_to_string(dir.join("brightness")).unwrap(), "0");
        assert_eq!(led.trigger().unwrap(), None);
        fs::write(dir.join("trigger"), "[none] timer\n").unwrap();
        assert_eq!(led.trigger().unwrap(), None);
    }
}
