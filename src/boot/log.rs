//! The log of a boot: every message goes to the kernel's log, and to the console if the level
//! allows it.

use crate::cmdline::boot::LogLevel;
use crate::sys::console::{self, Console};
use crate::sys::kmsg::{Kmsg, Priority};
use crate::sys::{Root, procfs, sysfs};

/// Whether a screen shows what the boot waits for.
const HAS_STATUS: bool = cfg!(feature = "full");
/// What begins each of our lines on the console.
const PREFIX: &str = "coldplug: ";
/// Longest status after the prefix, in bytes.
pub(super) const MAX_STATUS: usize = console::MAX_STATUS - PREFIX.len();

/// The log of a boot. None of its functions fails. What the console does not accept in time is
/// dropped; the kernel's log has it.
#[derive(Debug)]
pub(super) struct Log {
    kmsg: Option<Kmsg>,
    console: Option<Console>,
    level: LogLevel,
    /// Whether the console is a screen, on which a status can be erased.
    is_screen: bool,
    /// The kernel itself prints records with a priority below this number on the console.
    kernel_prints: u8,
}

impl Log {
    /// Returns the log before anything is mounted: it prints to descriptor 1.
    pub(super) fn new() -> Self {
        let level = LogLevel::Info;
        Self { kmsg: None, console: None, level, is_screen: false, kernel_prints: 0 }
    }

    /// Opens /dev/kmsg and the console, once /dev and /proc are mounted.
    pub(super) fn open(&mut self, root: &Root, level: LogLevel) {
        self.level = level;
        // By default the kernel accepts only ten records in five seconds from one writer. This
        // write fails if printk.devkmsg= is on the command line, which has priority.
        let _ = procfs::set_sysctl(root, "kernel/printk_devkmsg", "on\n");
        self.kernel_prints = kernel_prints(root);
        self.kmsg = Kmsg::open(root).ok();
        self.console = Console::open(root).ok();
        self.is_screen = HAS_STATUS && sysfs::has_screen(root);
    }

    /// Logs what ends the boot.
    pub(super) fn error(&self, text: &str) {
        self.write(LogLevel::Error, text);
    }

    /// Logs a problem that the boot survives.
    pub(super) fn warn(&self, text: &str) {
        self.write(LogLevel::Warn, text);
    }

    /// Logs a detail for developers.
    pub(super) fn debug(&self, text: &str) {
        self.write(LogLevel::Debug, text);
    }

    /// Logs a normal event.
    pub(super) fn info(&self, text: &str) {
        self.write(LogLevel::Info, text);
    }

    /// Returns whether [`Self::show_status`] shows anything.
    pub(super) fn shows_status(&self) -> bool {
        HAS_STATUS && self.is_screen
    }

    /// Returns whether the console shows errors and warnings alone.
    pub(super) fn is_quiet(&self) -> bool {
        self.level < LogLevel::Info
    }

    /// Shows what the boot waits for on a screen, until the next line or [`Self::erase_status`].
    pub(super) fn show_status(&self, text: &str) {
        self.console.as_ref().inspect(|console| console.show_status(&format!("{PREFIX}{text}")));
    }

    /// Erases the status, if there is one.
    pub(super) fn erase_status(&self) {
        self.console.as_ref().inspect(|console| console.erase_status());
    }

    /// Logs the verdict, whatever the level is.
    pub(super) fn verdict(&self, text: &str) {
        console::reserve_time();
        self.log(LogLevel::Error, true, text);
    }

    fn write(&self, level: LogLevel, text: &str) {
        self.log(level, level <= self.level, text);
    }

    /// Writes a message to the kernel's log, and to the console if it is wanted there and the
    /// kernel does not print it.
    fn log(&self, level: LogLevel, wanted: bool, text: &str) {
        let priority = match level {
            _ if !wanted => Priority::Debug,
            // The kernel prints asynchronously. This text must appear before the verdict, so it is
            // printed here.
            LogLevel::Error => Priority::Debug,
            LogLevel::Warn => Priority::Warning,
            LogLevel::Info => Priority::Info,
            LogLevel::Debug => Priority::Debug,
        };
        if wanted {
            self.erase_status();
        }
        if let Some(kmsg) = &self.kmsg {
            kmsg.write(priority, text);
        }
        let printed = self.kmsg.is_some() && (priority as u8) < self.kernel_prints;
        if wanted && !printed {
            self.print(&format!("{PREFIX}{text}"));
        }
    }

    /// Prints one line on the console. If that cannot be opened, descriptor 1 may still be the one
    /// that the kernel opened.
    fn print(&self, line: &str) {
        match &self.console {
            Some(console) => console.print(line),
            None => console::print_to_stdout(line),
        }
    }
}

/// Returns the number below which the kernel prints records on the console: the first one of
/// kernel.printk. With `ignore_loglevel` it prints all, with `printk.devkmsg=off` none of ours.
fn kernel_prints(root: &Root) -> u8 {
    if procfs::sysctl(root, "kernel/printk_devkmsg").is_ok_and(|state| state == "off") {
        return 0;
    }
    if sysfs::ignores_loglevel(root) {
        return u8::MAX;
    }
    procfs::sysctl(root, "kernel/printk")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(7)
}
