//! What the boot says: to the kernel's log always, to the console as far as it is wanted there.

use std::fs::{File, OpenOptions};
use std::io::Write;

use crate::cmdline::boot::LogLevel;
use crate::sys::kmsg::{Kmsg, Priority};
use crate::sys::{Root, procfs};

/// The log of the boot. Nothing it does can fail or stop the boot.
#[derive(Debug)]
pub(super) struct Log {
    kmsg: Option<Kmsg>,
    console: Option<File>,
    level: LogLevel,
    /// The kernel itself prints records below this number on the console.
    kernel_prints: u8,
}

impl Log {
    /// The log before anything is mounted or known.
    pub(super) fn new() -> Self {
        Self { kmsg: None, console: None, level: LogLevel::Info, kernel_prints: 0 }
    }

    /// Opens what /dev and /proc offer by now.
    pub(super) fn open(&mut self, root: &Root, level: LogLevel) {
        self.level = level;
        // By default the kernel drops all but ten records in five seconds from one writer. A command line
        // that says printk.devkmsg= has the last word, and then this is refused.
        let _ = procfs::set_sysctl(root, "kernel/printk_devkmsg", "on\n");
        self.kernel_prints = procfs::sysctl(root, "kernel/printk")
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse().ok())
            .unwrap_or(7);
        self.kmsg = Kmsg::open(root).ok();
        self.console = OpenOptions::new().write(true).open(root.join("dev/console")).ok();
    }

    /// Says what ends the boot.
    pub(super) fn error(&self, text: &str) {
        self.say(LogLevel::Error, text);
    }

    /// Says what is wrong.
    pub(super) fn warn(&self, text: &str) {
        self.say(LogLevel::Warn, text);
    }

    /// Says what only a developer wants to know.
    pub(super) fn debug(&self, text: &str) {
        self.say(LogLevel::Debug, text);
    }

    /// Says what happens.
    pub(super) fn info(&self, text: &str) {
        self.say(LogLevel::Info, text);
    }

    fn say(&self, level: LogLevel, text: &str) {
        let wanted = level <= self.level;
        let priority = match level {
            _ if !wanted => Priority::Debug,
            // The kernel prints in its own time, and after this the verdict is to come, which we print.
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

    /// Writes one line to the console, whatever the level: the verdict.
    pub(super) fn print(&self, line: &str) {
        let line = format!("{line}\n");
        // Where the console cannot be opened, descriptor 1 may still be what the kernel opened for us.
        let _ = match &self.console {
            Some(console) => (&*console).write_all(line.as_bytes()),
            None => std::io::stdout().write_all(line.as_bytes()),
        };
    }
}
