//! What the kernel command line asks of the initramfs: our own words, and those of the kernel that we follow. What it
//! says about the root stands in root.rs.
//!
//! Where a word stands twice the later one wins, as with the kernel. Ours are described in README "Kernel parameters".

use std::fmt;

use super::root::RootParams;
use super::words::{key_value, list, pick, set, words};

/// What happens when the boot can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// A shell where the image has one; without one, a halt that can be reset from the console.
    Shell,
    /// Restart the machine.
    Reboot,
    /// Switch it off.
    PowerOff,
    /// Stop it.
    Halt,
}

/// Where to stop with a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Before the scan.
    Scan,
    /// Before the root is mounted.
    Mount,
    /// Before the switch.
    Switch,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = BREAKS.iter().find(|(_, place)| place == self).map_or("", |(word, _)| word);
        f.write_str(word)
    }
}

/// What must be settled before the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// Every match of every device is loaded.
    All,
    /// The root is mounted.
    Root,
}

/// Which modules are loaded with the parameter `async_probe`: their load comes back before their devices are
/// bound, and does not wait for the asynchronous work of the whole system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AsyncProbe {
    /// None; drivers that prefer it probe asynchronously all the same.
    #[default]
    None,
    /// Those of storage.
    Storage,
    /// All.
    All,
}

/// What reaches the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What ends the boot.
    Error,
    /// What is wrong.
    Warn,
    /// What happens.
    Info,
    /// Everything.
    Debug,
}

/// Which road compressed modules take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decode {
    /// The kernel decompresses what it can.
    Kernel,
    /// The kernel is given decoded images only.
    User,
}

/// The command line, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootParams {
    /// The root.
    pub root: RootParams,
    /// `init=`.
    pub init: Option<String>,
    /// `coldplug.modules=`.
    pub modules: Vec<String>,
    /// `coldplug.settle=`.
    pub settle: Settle,
    /// `coldplug.jobs=`; `None` is the default.
    pub jobs: Option<usize>,
    /// `coldplug.async=`.
    pub async_probe: AsyncProbe,
    /// `coldplug.alone=`.
    pub alone: Vec<String>,
    /// `coldplug.replay=`.
    pub replay: Option<String>,
    /// `coldplug.seed=`.
    pub seed: Option<u64>,
    /// `coldplug.rcvbuf=`, in bytes.
    pub rcvbuf: Option<usize>,
    /// `deferred_probe_timeout=` of the kernel, in seconds; below 0 is for ever.
    pub deferred_timeout: Option<i64>,
    /// `coldplug.onfail=`; `None` leaves it to the kernel's `panic=`.
    pub on_failure: Option<OnFailure>,
    /// `panic=` of the kernel, in seconds.
    pub panic: Option<i64>,
    /// `coldplug.break=`.
    pub break_at: Option<Break>,
    /// `quiet`, `debug`.
    kernel_level: LogLevel,
    /// `coldplug.log=`.
    own_level: Option<LogLevel>,
    /// `coldplug.report=`.
    pub report: Option<String>,
    /// `coldplug.exec=`.
    pub exec: Option<String>,
    /// `coldplug.decode=`.
    pub decode: Decode,
    /// Words of ours that make no sense, with the reason.
    pub warnings: Vec<String>,
}

impl Default for BootParams {
    fn default() -> Self {
        Self {
            root: RootParams::default(),
            init: None,
            modules: Vec::new(),
            settle: Settle::All,
            jobs: None,
            async_probe: AsyncProbe::None,
            alone: Vec::new(),
            replay: None,
            seed: None,
            rcvbuf: None,
            deferred_timeout: None,
            on_failure: None,
            panic: None,
            break_at: None,
            kernel_level: LogLevel::Info,
            own_level: None,
            report: None,
            exec: None,
            decode: Decode::Kernel,
            warnings: Vec::new(),
        }
    }
}

impl BootParams {
    /// Reads /proc/cmdline. Words behind a bare `--` belong to the real init.
    pub fn parse(line: &str) -> Self {
        let mut params = Self::default();
        for word in words(line).into_iter().take_while(|w| *w != "--") {
            let (key, value) = key_value(word);
            match key.strip_prefix("coldplug.") {
                Some(own) => params.own(own, value),
                None => params.kernel(key, value),
            }
        }
        params
    }

    /// What reaches the console: `coldplug.log=`, without it what `quiet` or `debug` say.
    pub fn level(&self) -> LogLevel {
        self.own_level.unwrap_or(self.kernel_level)
    }

    /// A word that the kernel knows too.
    fn kernel(&mut self, key: &str, value: Option<&str>) {
        if let Some(known) = self.root.word(key, value) {
            self.complain_unless(known, key, value);
            return;
        }
        match (key, value) {
            ("init", Some(value)) => self.init = Some(value.to_owned()),
            ("deferred_probe_timeout", Some(value)) => self.deferred_timeout = value.parse().ok(),
            ("panic", Some(value)) => self.panic = value.parse().ok(),
            ("quiet", None) => self.kernel_level = LogLevel::Warn,
            ("debug", None) => self.kernel_level = LogLevel::Debug,
            _ => {}
        }
    }

    /// A word of ours, without its `coldplug.`.
    fn own(&mut self, key: &str, value: Option<&str>) {
        let text = value.unwrap_or("");
        let known = match key {
            "modules" => set(&mut self.modules, Some(list(text))),
            "alone" => set(&mut self.alone, Some(list(text))),
            "replay" => set(&mut self.replay, value.map(|v| Some(v.to_owned()))),
            "seed" => set(&mut self.seed, text.parse().ok().map(Some)),
            "rcvbuf" => set(&mut self.rcvbuf, text.parse().ok().map(Some)),
            "async" => set(&mut self.async_probe, pick(text, &ASYNC)),
            "report" => set(&mut self.report, value.map(|v| Some(v.to_owned()))),
            "exec" => set(&mut self.exec, value.map(|v| Some(v.to_owned()))),
            "jobs" => {
                set(&mut self.jobs, text.parse().ok().filter(|n| (1..=256).contains(n)).map(Some))
            }
            "settle" => {
                set(&mut self.settle, pick(text, &[("all", Settle::All), ("root", Settle::Root)]))
            }
            "decode" => set(
                &mut self.decode,
                pick(text, &[("kernel", Decode::Kernel), ("user", Decode::User)]),
            ),
            "onfail" => set(&mut self.on_failure, pick(text, &ONFAIL).map(Some)),
            "break" => set(&mut self.break_at, pick(text, &BREAKS).map(Some)),
            "log" => set(&mut self.own_level, pick(text, &LEVELS).map(Some)),
            // Read with the rest of what the line says about modules.
            "mask" | "rules" | "verity" | "image" | "overlay" => value.is_some(),
            _ => self.root.own_word(key, value).unwrap_or(false),
        };
        self.complain_unless(known, &format!("coldplug.{key}"), value);
    }

    fn complain_unless(&mut self, known: bool, key: &str, value: Option<&str>) {
        if !known {
            let word = value.map_or_else(|| key.to_owned(), |v| format!("{key}={v}"));
            self.warnings.push(format!("kernel command line: ignoring '{word}'"));
        }
    }
}

const ONFAIL: [(&str, OnFailure); 4] = [
    ("shell", OnFailure::Shell),
    ("reboot", OnFailure::Reboot),
    ("poweroff", OnFailure::PowerOff),
    ("halt", OnFailure::Halt),
];
const ASYNC: [(&str, AsyncProbe); 3] =
    [("none", AsyncProbe::None), ("storage", AsyncProbe::Storage), ("all", AsyncProbe::All)];
const BREAKS: [(&str, Break); 3] =
    [("scan", Break::Scan), ("mount", Break::Mount), ("switch", Break::Switch)];
const LEVELS: [(&str, LogLevel); 4] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn later_words_win_and_bad_ones_are_named() {
        let p = BootParams::parse(
            "ro quiet root=/dev/a root=/dev/b rw rootfstype=ext4,xfs rootwait=7 init=/x panic=-1 \
             coldplug.modules=a,b-c coldplug.settle=root coldplug.jobs=1 coldplug.onfail=poweroff \
             coldplug.jobs=0 coldplug.colour=red coldplug.timeout=soon coldplug.mask=x coldplug.rules=y -- coldplug.jobs=5",
        );
        assert_eq!(p.root.spec(), "/dev/b");
        assert!(p.root.writable);
        assert_eq!(p.root.fstypes, ["ext4", "xfs"]);
        assert_eq!(p.root.timeout, Some(Duration::from_secs(7)));
        assert_eq!(
            (p.jobs, p.settle, p.on_failure),
            (Some(1), Settle::Root, Some(OnFailure::PowerOff))
        );
        assert_eq!(p.level(), LogLevel::Warn);
        assert_eq!(BootParams::parse("coldplug.log=debug quiet").level(), LogLevel::Debug);
        assert_eq!(p.panic, Some(-1));
        assert_eq!(
            p.warnings,
            [
                "kernel command line: ignoring 'coldplug.jobs=0'",
                "kernel command line: ignoring 'coldplug.colour=red'",
                "kernel command line: ignoring 'coldplug.timeout=soon'",
            ]
        );
        assert_eq!(BootParams::parse("rootwait").root.timeout, None);
        let p = BootParams::parse(
            "coldplug.async=all coldplug.async=some coldplug.alone=a,b coldplug.replay=/r \
             coldplug.seed=7 coldplug.rcvbuf=4096 deferred_probe_timeout=-1",
        );
        assert_eq!((p.async_probe, p.seed, p.rcvbuf), (AsyncProbe::All, Some(7), Some(4096)));
        assert_eq!(
            (p.alone.len(), p.replay.as_deref(), p.deferred_timeout),
            (2, Some("/r"), Some(-1))
        );
        assert_eq!(p.warnings, ["kernel command line: ignoring 'coldplug.async=some'"]);
    }
}
