//! The errors that end a boot.

use std::fmt;

use super::root::{Awaited, StepError};
use super::seconds;
use super::switch_root::SwitchRootError;
use crate::cmdline::storage::StorageError;
use crate::disk::seen::SeenDevice;
use crate::kmod::name::ModuleName;
use crate::report::Verdict;
use crate::sys::{self, crash::Crash, process::Shutdown};

use std::time::Duration;

/// The cause that a boot cannot go on.
#[derive(Debug)]
pub(super) enum BootError {
    /// /dev, /proc or /sys cannot be mounted, or the loader cannot start.
    Setup(sys::Error),
    /// The kernel command line asks for storage that cannot be set up as written.
    Storage(StorageError),
    /// A step towards the root failed for good.
    Step(StepError),
    /// Modules that a step needs were still loading at the deadline.
    ModulesNotLoaded {
        /// The root as the command line names it.
        root: String,
        /// Modules whose loads had not ended.
        modules: Vec<ModuleName>,
    },
    /// What a step waits for did not appear before the deadline.
    RootNotFound(Box<RootNotFound>),
    /// The new root failed a check before the switch.
    SwitchRoot(SwitchRootError),
    /// The switch itself failed; mounts may have moved by then.
    Switch(sys::Error),
    /// The init of the new root, or the command of `coldplug.exec=`, cannot be executed.
    Exec {
        error: sys::Error,
        /// Mount points that the new root lacks, separated by commas: the program may be missing
        /// because of them.
        missing: String,
    },
    /// The script of `coldplug.exec=@NAME` cannot be fetched.
    Script(String),
    /// A person has ended the boot.
    Interrupted(Interruption),
    /// The program that ran before as PID 1 crashed.
    Crashed(Crash),
}

impl From<SwitchRootError> for BootError {
    fn from(error: SwitchRootError) -> Self {
        Self::SwitchRoot(error)
    }
}

impl BootError {
    /// Returns the verdict of a boot that ends with this error.
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Setup(_) => Verdict::NoMounts,
            Self::Storage(_) | Self::ModulesNotLoaded { .. } => Verdict::MountFailed,
            Self::Step(error) => error.verdict(),
            Self::RootNotFound(_) => Verdict::NoRoot,
            Self::SwitchRoot(error) => error.verdict(),
            Self::Switch(_) => Verdict::SwitchFailed,
            Self::Exec { .. } | Self::Script(_) => Verdict::ExecFailed,
            Self::Interrupted(_) => Verdict::Interrupted,
            Self::Crashed(crash) if crash.is_panic() => Verdict::Panic,
            Self::Crashed(_) => Verdict::Crash,
        }
    }
}

impl BootError {
    /// Returns whether a person may go on with the boot. After the switch the files of the
    /// initramfs are gone, and a kernel that may still resume needs every filesystem as it is.
    pub(super) fn allows_another_attempt(&self) -> bool {
        !matches!(
            self,
            Self::Switch(_)
                | Self::Exec { .. }
                | Self::Crashed(_)
                | Self::Step(StepError::StuckResume { .. })
        )
    }

    /// Returns the message for people, one line each. A newline in a name does not start a line.
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Self::RootNotFound(error) => error.lines(),
            Self::SwitchRoot(error) | Self::Step(StepError::SwitchRoot(error)) => {
                std::iter::once(error.to_string()).chain(error.hint()).collect()
            }
            Self::Step(error @ StepError::NoSlot(_)) => {
                let hint = "hint: 'retry root=NAME' boots without slots; 'coldplug slot good SLOT' \
                            in the real system gives a slot its attempts back";
                vec![error.to_string(), hint.to_owned()]
            }
            error => vec![error.to_string()],
        }
    }
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(error) | Self::Switch(error) => error.fmt(f),
            Self::Exec { error, missing } if missing.is_empty() => error.fmt(f),
            Self::Exec { error, missing } => {
                write!(f, "{error}; the root has no mount points {missing}")
            }
            Self::Storage(error) => error.fmt(f),
            Self::Step(error) => error.fmt(f),
            Self::ModulesNotLoaded { root, modules } => {
                let names: Vec<_> = modules.iter().map(ModuleName::text).collect();
                write!(f, "{root}: modules not loaded: {}", names.join(", "))
            }
            Self::RootNotFound(error) => error.fmt(f),
            Self::SwitchRoot(error) => error.fmt(f),
            Self::Script(text) => f.write_str(text),
            Self::Interrupted(how) => how.fmt(f),
            Self::Crashed(crash) => crash.fmt(f),
        }
    }
}

impl std::error::Error for BootError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Setup(error) | Self::Switch(error) | Self::Exec { error, .. } => Some(error),
            Self::Step(error) => Some(error),
            Self::Storage(error) => Some(error),
            Self::SwitchRoot(error) => Some(error),
            Self::ModulesNotLoaded { .. }
            | Self::RootNotFound(_)
            | Self::Script(_)
            | Self::Interrupted(_)
            | Self::Crashed(_) => None,
        }
    }
}

/// How a person has ended the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    /// By Ctrl-Alt-Del.
    CtrlAltDel,
    /// By `reboot` at `coldplug.break=`.
    Reboot,
    /// By `poweroff` at `coldplug.break=`.
    PowerOff,
}

impl Interruption {
    /// Returns what the machine does then.
    pub(super) fn shutdown(self) -> Shutdown {
        match self {
            Self::CtrlAltDel | Self::Reboot => Shutdown::Reboot,
            Self::PowerOff => Shutdown::PowerOff,
        }
    }
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CtrlAltDel => "Ctrl-Alt-Del was pressed: rebooting",
            Self::Reboot => "reboot requested at coldplug.break=: rebooting",
            Self::PowerOff => "poweroff requested at coldplug.break=: powering off",
        })
    }
}

/// What a boot waited for, and which devices were found instead.
#[derive(Debug)]
pub(super) struct RootNotFound {
    /// What the last step waited for.
    pub(super) awaited: Awaited,
    /// Whether the kernel command line names a root.
    pub(super) is_named: bool,
    /// Time since the search for this root began.
    pub(super) waited: Duration,
    /// Devices that may be meant, one line each.
    pub(super) near: Vec<String>,
    /// All block devices found.
    pub(super) seen: Vec<SeenDevice>,
}

impl RootNotFound {
    fn lines(&self) -> Vec<String> {
        let first = match self.is_named {
            true => self.awaited.failure(&seconds(self.waited)),
            false => {
                "no root= on the kernel command line and no root partition found by type".into()
            }
        };
        let seen = match self.seen.is_empty() {
            true => "  no block devices seen",
            false => "block devices seen:",
        };
        let mut lines = vec![first];
        lines.extend(self.near.iter().map(|line| format!("  {line}")));
        lines.push(seen.to_owned());
        lines.extend(self.seen.iter().map(|device| format!("  {}", device.line())));
        lines
    }
}

impl fmt::Display for RootNotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

impl std::error::Error for RootNotFound {}
