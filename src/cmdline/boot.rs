//! What the kernel command line asks of the boot itself: order and number of loads, waiting, what
//! to do on failure, logging. The parameters stand in [`super::parameters`].

use std::fmt;
use std::time::Duration;

use super::store_name::StoreName;

/// What happens if the boot cannot continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// Offer a shell.
    Shell,
    /// Restart the machine.
    Reboot,
    /// Power off.
    PowerOff,
    /// Halt.
    Halt,
}

/// Point at which the boot pauses for a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// Before the first scan for devices.
    Scan,
    /// Before the root is mounted.
    Mount,
    /// Before switch_root.
    Switch,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = BREAKS.iter().find(|(_, point)| point == self).map_or("", |(word, _)| word);
        f.write_str(word)
    }
}

/// What must have settled before switch_root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Settle {
    /// The modules of every device are loaded.
    #[default]
    All,
    /// The root is mounted.
    Root,
}

/// Modules that are loaded with the parameter `async_probe`. The load of such a module returns
/// before its devices are bound, and does not wait until all asynchronous work of the system is
/// done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum AsyncProbe {
    /// No module; drivers that prefer asynchronous probing still use it.
    #[default]
    None,
    /// Drivers of storage.
    Storage,
    /// All modules.
    All,
}

/// Severity of a message; those up to the chosen one are printed on the console.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Errors that end the boot, and the verdict.
    Error,
    /// Things that went wrong.
    Warn,
    /// Progress of the boot.
    #[default]
    Info,
    /// Details.
    Debug,
}

/// Where compressed modules are decompressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Decode {
    /// In the kernel if it knows the format.
    #[default]
    Kernel,
    /// Always in user space.
    User,
}

/// What ends a virtual machine with an exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitPort {
    /// The I/O port of QEMU's isa-debug-exit.
    Io(u16),
    /// A call of semihosting.
    Semihosting,
}

impl ExitPort {
    /// Parses a number, such as `0xf4`, or `semihosting`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let number = match text.strip_prefix("0x") {
            Some(digits) => usize::from_str_radix(digits, 16).ok()?,
            None if text == "semihosting" => return Some(Self::Semihosting),
            None => text.parse().ok()?,
        };
        u16::try_from(number).ok().map(Self::Io)
    }
}

/// A watchdog to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchdogParams {
    /// Path of its device.
    pub(crate) path: String,
    /// Its timeout in seconds; `None` leaves that of the driver.
    pub(crate) timeout: Option<u32>,
}

impl WatchdogParams {
    /// Parses `/dev/NAME[,SECONDS]`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (path, timeout) = match text.split_once(',') {
            Some((path, seconds)) => (path, Some(seconds.parse().ok().filter(|s| *s > 0)?)),
            None => (text, None),
        };
        path.starts_with("/dev/").then(|| Self { path: path.to_owned(), timeout })
    }
}

/// The parameters of the boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootParams {
    /// `init=`.
    pub(crate) init: Option<Vec<u8>>,
    /// `coldplug.modules=`: modules to load before the first scan.
    pub(crate) extra_modules: Vec<String>,
    /// `rd.driver.pre=`: modules to load before these.
    pub(crate) pre_modules: Vec<String>,
    /// `modules_load=`, `rd.modules_load=` and `rd.driver.post=`: modules to load besides those of
    /// the devices.
    pub(crate) more_modules: Vec<String>,
    /// `coldplug.settle=`.
    pub(crate) settle: Settle,
    /// `coldplug.jobs=`; `None` means the default.
    pub(crate) jobs: Option<usize>,
    /// `coldplug.async=`.
    pub(crate) async_probe: AsyncProbe,
    /// `coldplug.module_timeout=`; zero means without limit.
    pub(crate) module_timeout: Duration,
    /// `coldplug.alone=`: modules to load while no other load runs.
    pub(crate) exclusive: Vec<String>,
    /// `coldplug.replay=`: path of an earlier boot record.
    pub(crate) replay: Option<String>,
    /// `coldplug.seed=`.
    pub(crate) seed: Option<u64>,
    /// `coldplug.rcvbuf=`, in bytes.
    pub(crate) rcvbuf: Option<usize>,
    /// `deferred_probe_timeout=` of the kernel, in seconds; negative means without limit.
    pub(crate) deferred_timeout: Option<i64>,
    /// `coldplug.onfail=`; `None` leaves the decision to the kernel's `panic=`.
    pub(crate) on_failure: Option<OnFailure>,
    /// Whether no shell may be offered: `coldplug.shell=0`.
    pub(crate) no_shell: bool,
    /// `panic=` of the kernel, in seconds.
    pub(crate) panic: Option<i64>,
    /// `coldplug.break=`.
    pub(crate) break_at: Option<Break>,
    /// `quiet` or `debug`.
    pub(super) kernel_level: LogLevel,
    /// `coldplug.log=`.
    pub(super) own_level: Option<LogLevel>,
    /// `coldplug.report=`: path to which the boot record is also written.
    pub(crate) report: Option<String>,
    /// `coldplug.capture=`: path to which a capture of the machine is written.
    pub(crate) capture: Option<String>,
    /// `coldplug.exec=`: command to run instead of the real init.
    pub(crate) exec: Option<Vec<u8>>,
    /// `coldplug.exitport=`.
    pub(crate) exit_port: Option<ExitPort>,
    /// `coldplug.decode=`.
    pub(crate) decode: Decode,
    /// `coldplug.watchdog=`.
    pub(crate) watchdog: Option<WatchdogParams>,
    /// `coldplug.led=`: name of the LED that shows the state of the boot.
    pub(crate) led: Option<String>,
    /// `coldplug.lock=`: whether no module may be loaded after the switch.
    pub(crate) lock: bool,
    /// `coldplug.persist=`.
    pub(crate) store: Option<StoreName>,
}

impl BootParams {
    /// Returns the modules to load before the first scan, in this order, each list with its
    /// parameter.
    pub(crate) fn first_modules(&self) -> [(&'static str, &[String]); 2] {
        [("rd.driver.pre", &self.pre_modules), ("coldplug.modules", &self.extra_modules)]
    }

    /// Returns the modules of the ports and of fw_cfg that the harness of a virtual machine uses.
    /// With `coldplug.settle=root` they would not be waited for.
    pub(crate) fn port_modules(&self) -> &'static [&'static str] {
        let is_port = |path: &String| path.starts_with("/dev/virtio-ports/");
        match &self.exec {
            Some(command) if command.starts_with(b"@") => &["qemu_fw_cfg", "virtio_console"],
            _ if self.report.as_ref().is_some_and(is_port) => &["virtio_console"],
            _ => &[],
        }
    }

    /// Returns the level of `coldplug.log=` or, without it, the level that `quiet` or `debug` sets.
    pub fn level(&self) -> LogLevel {
        self.own_level.unwrap_or(self.kernel_level)
    }
}

/// Parses the value of `coldplug.jobs=`.
pub(super) fn jobs(text: &str) -> Option<usize> {
    text.parse().ok().filter(|jobs| (1..=256).contains(jobs))
}

/// Parses the value of `coldplug.led=`: the name of a directory entry.
pub(super) fn led(text: &str) -> Option<String> {
    let is_name = !text.is_empty() && !text.contains('/') && text != "." && text != "..";
    is_name.then(|| text.to_owned())
}

/// Values of `coldplug.onfail=`.
pub(super) const ON_FAILURE: [(&str, OnFailure); 4] = [
    ("shell", OnFailure::Shell),
    ("reboot", OnFailure::Reboot),
    ("poweroff", OnFailure::PowerOff),
    ("halt", OnFailure::Halt),
];
/// Values of `coldplug.lock=`.
pub(super) const LOCK: [(&str, bool); 2] = [("0", false), ("1", true)];
/// Values of `coldplug.settle=`.
pub(super) const SETTLE: [(&str, Settle); 2] = [("all", Settle::All), ("root", Settle::Root)];
/// Values of `coldplug.decode=`.
pub(super) const DECODE: [(&str, Decode); 2] = [("kernel", Decode::Kernel), ("user", Decode::User)];
/// Values of `coldplug.async=`.
pub(super) const ASYNC_PROBE: [(&str, AsyncProbe); 3] =
    [("none", AsyncProbe::None), ("storage", AsyncProbe::Storage), ("all", AsyncProbe::All)];
/// Values of `coldplug.break=`.
pub(super) const BREAKS: [(&str, Break); 3] =
    [("scan", Break::Scan), ("mount", Break::Mount), ("switch", Break::Switch)];
/// Values of `coldplug.log=`.
pub(super) const LOG_LEVELS: [(&str, LogLevel); 4] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_led_is_named_without_its_directory() {
        for (text, is_name) in [
            ("green:status", true),
            ("beaglebone:green:usr0", true),
            ("input3::capslock", true),
            ("", false),
            (".", false),
            ("..", false),
            ("../../block", false),
            ("/sys/class/leds/x", false),
        ] {
            assert_eq!(led(text).is_some(), is_name, "{text}");
        }
    }

    #[test]
    fn an_exit_port_is_a_number_or_semihosting() {
        for (text, want) in [
            ("0xf4", Some(ExitPort::Io(0xf4))),
            ("1281", Some(ExitPort::Io(0x501))),
            ("semihosting", Some(ExitPort::Semihosting)),
            ("", None),
            ("0x", None),
            ("0x10000", None),
            ("f4", None),
            ("-1", None),
        ] {
            assert_eq!(ExitPort::parse(text), want, "{text}");
        }
    }

    #[test]
    fn a_watchdog_is_a_device_and_perhaps_a_timeout() {
        let found = |path: &str, timeout| Some(WatchdogParams { path: path.to_owned(), timeout });
        for (text, want) in [
            ("/dev/watchdog0", found("/dev/watchdog0", None)),
            ("/dev/watchdog,30", found("/dev/watchdog", Some(30))),
            ("", None),
            ("watchdog0", None),
            ("/dev/watchdog0,", None),
            ("/dev/watchdog0,0", None),
            ("/dev/watchdog0,1,2", None),
            ("/dev/watchdog0,-1", None),
        ] {
            assert_eq!(WatchdogParams::parse(text), want, "{text}");
        }
    }
}
