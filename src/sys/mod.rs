//! The kernel's interface: one small function per fact or action. Errors name operation, object and
//! cause.
//!
//! This layer has no policy: callers choose modules, devices, deadlines and options, and callers
//! print. On its own it does only what a man page prescribes for a call:
//!
//! - A call that a signal interrupts (EINTR), or that writes only a part, is repeated.
//! - An address or route that is already there (EEXIST) counts as added.
//! - A loop device that another process takes first (EBUSY) is replaced by the next free one, and a
//!   kernel without LOOP_CONFIGURE gets the older calls.
//! - Configuration directories are merged by the precedence of modprobe.d(5).
//! - A message for the system log goes to /dev/kmsg, or to /dev/log if that is not writable.

pub mod atomic_file;
pub mod autoclean_marker;
pub mod block;
mod boot_time;
pub mod deferred_probe;
mod descriptors;
pub mod devices;
pub mod disk_links;
pub mod dm;
pub mod errno;
mod error;
pub mod flash;
pub mod helper;
pub mod kmsg;
pub mod loopdev;
pub mod machine;
pub mod moddir;
pub mod modfile;
pub mod module;
pub mod module_errno;
#[cfg(feature = "host")]
pub mod modules_conf;
pub mod mount;
pub mod net;
pub mod port;
pub mod process;
pub mod procfs;
pub mod semaphore;
pub mod settings;
pub mod sysfs;
pub mod syslog;
pub mod tree;
pub mod uevent;
pub mod usb;

mod raw;

pub use boot_time::BootTime;
pub use deferred_probe::DeferredDevice;
pub use error::{Cause, Error, Result};

use std::path::{Path, PathBuf};

/// Prefix of every path below /sys, /proc, /dev, /etc, /run and /lib: `/`, or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    /// Returns the prefix `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the path below this prefix for `path`, which may start with a slash.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// sched_getaffinity(2): returns the number of processors that this process may use, or 1 if that
/// is unknown. The quota of a cgroup limits it too.
#[cfg(feature = "host")]
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// sched_getaffinity(2): returns the number of processors that this process may use, or 1 if that
/// is unknown. An initramfs has no cgroups, and the code for their quotas is 3 KB.
#[cfg(not(feature = "host"))]
pub fn processors() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count() as usize)
}

/// uname(2): returns the release of the running kernel.
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// uname(2): returns the machine's architecture, as `uname -m` prints it.
pub fn machine() -> String {
    rustix::system::uname().machine().to_string_lossy().into_owned()
}
