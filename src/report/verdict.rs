//! The verdict of a boot.

use std::fmt;

/// The end of a boot; its word follows `verdict=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The real init was started.
    Ok,
    /// The record was written during the boot.
    Unfinished,
    /// /proc, /sys, /dev or /run could not be mounted.
    NoMounts,
    /// Every slot of `coldplug.slots=` has used up its attempts, or has failed in this boot.
    NoSlot,
    /// The root device was not found in time.
    NoRoot,
    /// The root filesystem could not be mounted.
    MountFailed,
    /// The root filesystem holds no executable init.
    NoInit,
    /// switch_root failed.
    SwitchFailed,
    /// The real init could not be executed.
    ExecFailed,
    /// Ctrl-Alt-Del was pressed.
    Interrupted,
    /// coldplug panicked.
    Panic,
    /// A fatal signal hit PID 1.
    Crash,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Unfinished => "unfinished",
            Self::NoMounts => "no-mounts",
            Self::NoSlot => "no-slot",
            Self::NoRoot => "no-root",
            Self::MountFailed => "mount-failed",
            Self::NoInit => "no-init",
            Self::SwitchFailed => "switch-failed",
            Self::ExecFailed => "exec-failed",
            Self::Interrupted => "interrupted",
            Self::Panic => "panic",
            Self::Crash => "crash",
        })
    }
}

/// Numbers of modules by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Modules that a device, a user or another module wanted.
    pub(crate) wanted: usize,
    /// Modules that are live.
    pub(crate) loaded: usize,
    /// Modules that failed.
    pub(crate) failed: usize,
}
