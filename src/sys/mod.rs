//! The kernel's face: one small function per fact or act. Nothing here decides, retries or prints; errors
//! name operation, object and errno.

pub mod atomic_file;
pub mod block;
mod boot_time;
mod deferred;
mod descriptors;
pub mod device;
pub mod disk_links;
pub mod dm;
pub mod errno;
mod error;
pub mod flash;
pub mod helper;
pub mod kmsg;
pub mod loopdev;
pub mod machine;
pub mod mark;
pub mod moddir;
pub mod modfile;
pub mod module;
pub mod module_errno;
#[cfg(feature = "host")]
pub mod modules_conf;
pub mod mount;
pub mod net;
pub mod process;
pub mod procfs;
pub mod settings;
pub mod slot;
pub mod sysfs;
pub mod syslog;
pub mod tree;
pub mod uevent;

mod raw;

pub use boot_time::BootTime;
pub use deferred::DeferredDevice;
pub use error::{Cause, Error, Result};

use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};

/// The prefix of every path below /sys, /proc, /dev, /etc, /run and /lib: `/`, or a tree of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    /// The tree below `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The path below this root that is called `path` (absolute or not) in it.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// CLOCK_BOOTTIME in nanoseconds: time since the kernel started, sleep included.
pub fn boottime_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// How many processors there are to work with; 1 where the kernel does not say.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The running kernel's release, as uname(2) gives it.
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The machine's architecture, as `uname -m` has it.
pub fn machine() -> String {
    rustix::system::uname().machine().to_string_lossy().into_owned()
}
