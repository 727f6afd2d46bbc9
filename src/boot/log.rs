//! The log of a boot: every message goes to the kernel's log, and to the console if the level
//! allows it.

use std::fs::{File, OpenOptions};
use std::io::Write;

use crate::cmdline::boot::LogLevel;
use crate::sys::kmsg::{Kmsg, Priority};
use crate::sys::{Root, procfs};

/// The log of a boot. None of its functions fails or blocks.
#[derive(Debug)]
pub(super) struct Log {
    kmsg: Option<Kmsg>,
    console: Option<File>,
    level: LogLevel,
    /// The kernel itself prints records with a priority below this number on the console.
    kernel_prints: u8,
}

impl Log {
    /// Returns the log before anything is mounted: it prints to descriptor 1.
    pub(super) fn new() -> Self {
        Self { kmsg: None, console: None, level: LogLevel::Info, kernel_prints: 0 }
    }

    /// Opens /dev/kmsg and the console, once /dev and /proc are mounted.
    pub(super) fn open(&mut self, root: &Root, level: LogLevel) {
        self.level = level;
        // By default the kernel accepts only ten records in five seconds from one writer. This
        // write fails if printk.devkmsg= is on the command line, which has priority.
        let _ = procfs::set_sysctl(root, "kernel/printk_devkmsg", "on\n");
        self.kernel_prints = procfs::sysctl(root, "kernel/printk")
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse().ok())
            .unwrap_or(7);
        self.kmsg = Kmsg::open(root).ok();
        self.console = OpenOptions::new().write(true).open(root.join("dev/console")).ok();
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

    fn write(&self, level: LogLevel, text: &str) {
        let wanted = level <= self.level;
        let priority = match level {
            _ if !wanted => Priority::Debug,
            // The kernel prints asynchronously. This text must appear before the verdict, so it is
            // printed here.
            LogLevel::Error => Priority::Debug,
            LogLevel::Warn => Priority::Warning,
            LogLevel::Info => Priority::Info,
            LogLevel::Debug => Priority::Debug,
        };
        if let Some(kmsg) = &self.kmsg {
            kmsg.write(priority, text);
        }
        let printed = self.kmsg.is_some() && (priority as u8) < self.kernel_prints;
        if wanted && !printed {
            self.print(&format!("coldplug: {text}"));
        }
    }

    /// Writes one line to the console at any level: the verdict.
    pub(super) fn print(&self, line: &str) {
        let line = format!("{line}\n");
        // If the console cannot be opened, descriptor 1 may still be the one that the kernel
        // opened.
        let _ = match &self.console {
            Some(console) => (&*console).write_all(line.as_bytes()),
            None => std::io::stdout().write_all(line.as_bytes()),
        };
    }
}
