//! What the kernel command line asks of the initramfs: the root and our own words.
//!
//! Root words follow the kernel's admin-guide/kernel-parameters; where a word stands twice the later one
//! wins, as with the kernel. Our own are described in README "Kernel parameters".

use std::time::Duration;

use super::cmdline::{key_value, words};
use super::link_name;

/// Longest wait for the root where nothing else is said.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// How the root is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootName {
    /// `/dev/NAME`.
    Device(String),
    /// `UUID=` of the filesystem.
    Uuid(String),
    /// `LABEL=` of the filesystem.
    Label(String),
    /// `PARTUUID=` of the partition, and `/PARTNROFF=` from it.
    PartUuid(String, i32),
    /// `PARTLABEL=` of the partition.
    PartLabel(String),
    /// `MAJOR:MINOR`, or the kernel's hexadecimal form.
    Number(u32, u32),
    /// Anything else, such as a tag of a filesystem without a device.
    Other(String),
}

/// What happens when the boot can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFail {
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
pub enum Async {
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
pub enum Level {
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
    /// `root=`.
    pub root: Option<RootName>,
    /// `root=` as written.
    pub root_text: Option<String>,
    /// `rootfstype=`, a list tried in order.
    pub fstypes: Vec<String>,
    /// `rootflags=`.
    pub flags: String,
    /// `rw` was the last of `ro` and `rw`.
    pub writable: bool,
    /// `rootdelay=`: a pause before the root is looked for.
    pub delay: Duration,
    /// Longest wait for the root; `None` is for ever (`rootwait`).
    pub timeout: Option<Duration>,
    /// `init=`.
    pub init: Option<String>,
    /// `coldplug.modules=`.
    pub modules: Vec<String>,
    /// `coldplug.settle=`.
    pub settle: Settle,
    /// `coldplug.jobs=`; `None` is the default.
    pub jobs: Option<usize>,
    /// `coldplug.async=`.
    pub probing: Async,
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
    pub onfail: Option<OnFail>,
    /// `panic=` of the kernel, in seconds.
    pub panic: Option<i64>,
    /// `coldplug.break=`.
    pub stop_at: Option<Break>,
    /// `quiet`, `debug`.
    kernel_level: Level,
    /// `coldplug.log=`.
    own_level: Option<Level>,
    /// `coldplug.report=`.
    pub report: Option<String>,
    /// `coldplug.exec=`.
    pub exec: Option<String>,
    /// `coldplug.decode=`.
    pub decode: Decode,
    /// Words of ours that make no sense, with the reason.
    pub complaints: Vec<String>,
}

impl Default for BootParams {
    fn default() -> Self {
        Self {
            root: None,
            root_text: None,
            fstypes: Vec::new(),
            flags: String::new(),
            writable: false,
            delay: Duration::ZERO,
            timeout: Some(DEFAULT_TIMEOUT),
            init: None,
            modules: Vec::new(),
            settle: Settle::All,
            jobs: None,
            probing: Async::None,
            alone: Vec::new(),
            replay: None,
            seed: None,
            rcvbuf: None,
            deferred_timeout: None,
            onfail: None,
            panic: None,
            stop_at: None,
            kernel_level: Level::Info,
            own_level: None,
            report: None,
            exec: None,
            decode: Decode::Kernel,
            complaints: Vec::new(),
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
    pub fn level(&self) -> Level {
        self.own_level.unwrap_or(self.kernel_level)
    }

    /// A word that the kernel knows too.
    fn kernel(&mut self, key: &str, value: Option<&str>) {
        match (key, value) {
            ("root", Some(value)) => {
                self.root = root_name(value);
                self.root_text = Some(value.to_owned());
            }
            ("rootfstype", Some(value)) => self.fstypes = list(value),
            ("rootflags", Some(value)) => value.clone_into(&mut self.flags),
            ("ro", None) => self.writable = false,
            ("rw", None) => self.writable = true,
            ("rootwait", None) => self.timeout = None,
            ("rootwait", Some(value)) => {
                self.timeout = self.seconds(key, value).map(Some).unwrap_or(self.timeout)
            }
            ("rootdelay", Some(value)) => {
                self.delay = self.seconds(key, value).unwrap_or(self.delay)
            }
            ("init", Some(value)) => self.init = Some(value.to_owned()),
            ("deferred_probe_timeout", Some(value)) => self.deferred_timeout = value.parse().ok(),
            ("panic", Some(value)) => self.panic = value.parse().ok(),
            ("quiet", None) => self.kernel_level = Level::Warn,
            ("debug", None) => self.kernel_level = Level::Debug,
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
            "async" => set(&mut self.probing, pick(text, &ASYNC)),
            "report" => set(&mut self.report, value.map(|v| Some(v.to_owned()))),
            "exec" => set(&mut self.exec, value.map(|v| Some(v.to_owned()))),
            "jobs" => {
                set(&mut self.jobs, text.parse().ok().filter(|n| (1..=256).contains(n)).map(Some))
            }
            "timeout" => {
                self.timeout =
                    self.seconds("coldplug.timeout", text).map(Some).unwrap_or(self.timeout);
                return;
            }
            "settle" => {
                set(&mut self.settle, pick(text, &[("all", Settle::All), ("root", Settle::Root)]))
            }
            "decode" => set(
                &mut self.decode,
                pick(text, &[("kernel", Decode::Kernel), ("user", Decode::User)]),
            ),
            "onfail" => set(&mut self.onfail, pick(text, &ONFAIL).map(Some)),
            "break" => set(&mut self.stop_at, pick(text, &BREAKS).map(Some)),
            "log" => set(&mut self.own_level, pick(text, &LEVELS).map(Some)),
            // Read with the rest of what the line says about modules.
            "mask" | "rules" => value.is_some(),
            _ => false,
        };
        if !known {
            let word =
                value.map_or_else(|| format!("coldplug.{key}"), |v| format!("coldplug.{key}={v}"));
            self.complaints.push(format!("kernel command line: ignoring '{word}'"));
        }
    }

    fn seconds(&mut self, key: &str, value: &str) -> Option<Duration> {
        let seconds = value.parse::<u32>().ok();
        if seconds.is_none() {
            self.complaints
                .push(format!("kernel command line: '{key}={value}' is no number of seconds"));
        }
        seconds.map(|s| Duration::from_secs(s.into()))
    }
}

const ONFAIL: [(&str, OnFail); 4] = [
    ("shell", OnFail::Shell),
    ("reboot", OnFail::Reboot),
    ("poweroff", OnFail::PowerOff),
    ("halt", OnFail::Halt),
];
const ASYNC: [(&str, Async); 3] =
    [("none", Async::None), ("storage", Async::Storage), ("all", Async::All)];
const BREAKS: [(&str, Break); 3] =
    [("scan", Break::Scan), ("mount", Break::Mount), ("switch", Break::Switch)];
const LEVELS: [(&str, Level); 4] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
];

fn pick<T: Copy>(text: &str, table: &[(&str, T)]) -> Option<T> {
    table.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

fn set<T>(place: &mut T, value: Option<T>) -> bool {
    let known = value.is_some();
    if let Some(value) = value {
        *place = value;
    }
    known
}

fn list(text: &str) -> Vec<String> {
    text.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// The root as `root=` names it; `None` where the value is empty.
pub fn root_name(text: &str) -> Option<RootName> {
    type Make = fn(String) -> RootName;
    const BY: [(&str, Make); 4] = [
        ("UUID", RootName::Uuid),
        ("LABEL", RootName::Label),
        ("PARTUUID", part_uuid),
        ("PARTLABEL", RootName::PartLabel),
    ];
    if text.is_empty() {
        return None;
    }
    for (tag, make) in BY {
        if let Some(value) = text.strip_prefix(tag).and_then(|rest| rest.strip_prefix('=')) {
            return Some(make(unquote(value)));
        }
        let link = format!("/dev/disk/by-{}/", tag.to_ascii_lowercase());
        if let Some(value) = text.strip_prefix(&link) {
            return Some(make(link_name::decode(value)));
        }
    }
    if text.starts_with("/dev/") {
        return Some(RootName::Device(text.to_owned()));
    }
    Some(number(text).unwrap_or_else(|| RootName::Other(text.to_owned())))
}

fn part_uuid(text: String) -> RootName {
    match text.split_once("/PARTNROFF=") {
        Some((uuid, offset)) => RootName::PartUuid(uuid.to_owned(), offset.parse().unwrap_or(0)),
        None => RootName::PartUuid(text, 0),
    }
}

/// `8:1`, or `801` in the kernel's old and new hexadecimal device encodings.
fn number(text: &str) -> Option<RootName> {
    if let Some((major, minor)) = text.split_once(':') {
        return Some(RootName::Number(major.parse().ok()?, minor.parse().ok()?));
    }
    let code = u32::from_str_radix(text, 16).ok()?;
    // linux/kdev_t.h: new_decode_dev
    Some(RootName::Number((code & 0xfff00) >> 8, (code & 0xff) | ((code >> 12) & 0xfff00)))
}

/// Quotes around a tag's value, as fstab(5) allows them, taken off.
fn unquote(text: &str) -> String {
    let inner = |q: char| text.strip_prefix(q).and_then(|t| t.strip_suffix(q));
    inner('"').or_else(|| inner('\'')).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_named_in_many_ways() {
        for (text, want) in [
            ("/dev/vda1", RootName::Device("/dev/vda1".into())),
            ("UUID=ab-CD", RootName::Uuid("ab-CD".into())),
            ("LABEL=\"my root\"", RootName::Label("my root".into())),
            ("PARTUUID=1234-02", RootName::PartUuid("1234-02".into(), 0)),
            ("PARTUUID=x/PARTNROFF=-1", RootName::PartUuid("x".into(), -1)),
            ("PARTLABEL=r", RootName::PartLabel("r".into())),
            ("/dev/disk/by-label/a\\x20b", RootName::Label("a b".into())),
            ("/dev/disk/by-label/a\\x+5", RootName::Label("a\\x+5".into())),
            ("/dev/disk/by-uuid/1", RootName::Uuid("1".into())),
            ("8:1", RootName::Number(8, 1)),
            ("b302", RootName::Number(0xb3, 2)),
            ("rootfs_tag", RootName::Other("rootfs_tag".into())),
        ] {
            assert_eq!(root_name(text), Some(want), "{text}");
        }
        assert_eq!(root_name(""), None);
    }

    #[test]
    fn later_words_win_and_bad_ones_are_named() {
        let p = BootParams::parse(
            "ro quiet root=/dev/a root=/dev/b rw rootfstype=ext4,xfs rootwait=7 init=/x panic=-1 \
             coldplug.modules=a,b-c coldplug.settle=root coldplug.jobs=1 coldplug.onfail=poweroff \
             coldplug.jobs=0 coldplug.colour=red coldplug.timeout=soon coldplug.mask=x coldplug.rules=y -- coldplug.jobs=5",
        );
        assert_eq!(p.root, Some(RootName::Device("/dev/b".into())));
        assert!(p.writable);
        assert_eq!(p.fstypes, ["ext4", "xfs"]);
        assert_eq!(p.timeout, Some(Duration::from_secs(7)));
        assert_eq!((p.jobs, p.settle, p.onfail), (Some(1), Settle::Root, Some(OnFail::PowerOff)));
        assert_eq!(p.level(), Level::Warn);
        assert_eq!(BootParams::parse("coldplug.log=debug quiet").level(), Level::Debug);
        assert_eq!(p.panic, Some(-1));
        assert_eq!(
            p.complaints,
            [
                "kernel command line: ignoring 'coldplug.jobs=0'",
                "kernel command line: ignoring 'coldplug.colour=red'",
                "kernel command line: 'coldplug.timeout=soon' is no number of seconds",
            ]
        );
        assert_eq!(BootParams::parse("rootwait").timeout, None);
        let p = BootParams::parse(
            "coldplug.async=all coldplug.async=some coldplug.alone=a,b coldplug.replay=/r \
             coldplug.seed=7 coldplug.rcvbuf=4096 deferred_probe_timeout=-1",
        );
        assert_eq!((p.probing, p.seed, p.rcvbuf), (Async::All, Some(7), Some(4096)));
        assert_eq!(
            (p.alone.len(), p.replay.as_deref(), p.deferred_timeout),
            (2, Some("/r"), Some(-1))
        );
        assert_eq!(p.complaints, ["kernel command line: ignoring 'coldplug.async=some'"]);
    }
}
