//! How a boot ended, in one word.

use std::fmt;

/// The word behind `verdict=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The real init was started.
    Ok,
    /// The record was written while the boot was under way.
    Unfinished,
    /// /proc, /sys, /dev or /run cannot be had.
    NoMounts,
    /// The root was not found in time.
    NoRoot,
    /// The root was found and cannot be mounted.
    MountFailed,
    /// The root holds no init that can be run.
    NoInit,
    /// The root could not be switched.
    SwitchFailed,
    /// The init of the root could not be started.
    ExecFailed,
    /// A bug of ours.
    Panic,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Unfinished => "unfinished",
            Self::NoMounts => "no-mounts",
            Self::NoRoot => "no-root",
            Self::MountFailed => "mount-failed",
            Self::NoInit => "no-init",
            Self::SwitchFailed => "switch-failed",
            Self::ExecFailed => "exec-failed",
            Self::Panic => "panic",
        })
    }
}

/// Modules by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that a device, a user or another module wanted.
    pub wanted: usize,
    /// Those that are live.
    pub loaded: usize,
    /// Those that were refused.
    pub failed: usize,
}
