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
//! - A file that cannot be created without a name (O_TMPFILE) gets a temporary one.
//! - A message for the system log goes to /dev/kmsg, or to /dev/log if that is not writable.

#[cfg(feature = "stacks")]
pub(crate) mod af_alg;
pub(crate) mod atomic_file;
pub(crate) mod autoclean_marker;
pub mod block;
#[cfg(feature = "stacks")]
pub(crate) mod block_stack;
mod boot_time;
pub(crate) mod btrfs;
pub(crate) mod child;
pub(crate) mod console;
pub(crate) mod crash;
pub(crate) mod crypt;
pub(crate) mod deferred_probe;
mod descriptors;
mod device_error;
pub(crate) mod device_nodes;
pub(crate) mod device_tree;
pub(crate) mod devices;
#[cfg(feature = "full")]
pub mod disk_links;
#[cfg(not(feature = "full"))]
#[path = "no_disk_links.rs"]
pub mod disk_links;
pub(crate) mod dm;
#[cfg(feature = "full")]
pub(crate) mod environment_file;
pub(crate) mod errno;
mod error;
#[cfg(feature = "full")]
pub(crate) mod exit_port;
pub(crate) mod fields;
pub(crate) mod flash;
pub(crate) mod helper;
#[cfg(feature = "stacks")]
pub(crate) mod hidden_keys;
pub(crate) mod inheritance;
#[cfg(feature = "stacks")]
pub(crate) mod input;
#[cfg(feature = "host")]
pub(crate) mod inside;
#[cfg(feature = "stacks")]
pub(crate) mod key_memory;
#[cfg(feature = "full")]
pub(crate) mod keymap;
#[cfg(feature = "stacks")]
pub(crate) mod keyring;
pub(crate) mod kmsg;
#[cfg(feature = "full")]
pub(crate) mod led;
pub(crate) mod loopdev;
pub(crate) mod machine;
#[cfg(feature = "stacks")]
pub(crate) mod md;
pub(crate) mod moddir;
pub(crate) mod modfile;
pub(crate) mod module;
pub(crate) mod module_errno;
#[cfg(feature = "host")]
pub(crate) mod modules_conf;
pub(crate) mod modules_load;
pub(crate) mod mount;
pub(crate) mod mount_options;
#[cfg(feature = "host")]
pub(crate) mod mount_table;
pub(crate) mod net;
pub(crate) mod port;
pub mod probe_message;
pub(crate) mod process;
pub(crate) mod procfs;
pub(crate) mod read_at;
pub(crate) mod regular_file;
pub(crate) mod semaphore;
pub(crate) mod settings;
pub(crate) mod signals;
#[cfg(feature = "full")]
pub(crate) mod store_file;
#[cfg(feature = "host")]
pub(crate) mod subtree;
pub(crate) mod sysfs;
pub(crate) mod syslog;
pub(crate) mod terminal;
pub(crate) mod threads;
#[cfg(feature = "stacks")]
pub(crate) mod tpm;
pub(crate) mod tree;
pub(crate) mod uevent;
pub(crate) mod usb;
pub(crate) mod virtio_port;
pub(crate) mod watchdog;

mod raw;

pub(crate) use boot_time::BootTime;
pub(crate) use deferred_probe::DeferredDevice;
pub(crate) use device_error::DeviceError;
pub(crate) use error::{Cause, Error, Result};

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
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
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the path below this prefix for `path`, which may start with a slash.
    pub(crate) fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns the path of the file that `path` names when this prefix is `/`: links, absolute ones
    /// too, are followed below it.
    #[cfg(feature = "host")]
    pub(crate) fn inside(&self, path: impl AsRef<Path>) -> PathBuf {
        inside::inside(&self.0, path.as_ref())
    }
}

/// sched_getaffinity(2): returns the number of processors that this process may use, or 1 if that
/// is unknown. The quota of a cgroup limits it too.
#[cfg(feature = "host")]
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// sched_getaffinity(2): returns the number of processors that this process may use, or 1 if that
/// is unknown. An initramfs has no cgroups, and the code for their quotas is 3 KB.
#[cfg(not(feature = "host"))]
pub(crate) fn processors() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count() as usize)
}

/// sysinfo(2): returns the usable memory of the machine in bytes.
pub(crate) fn total_memory() -> u64 {
    let info = rustix::system::sysinfo();
    // Both are `unsigned long`, of a size that depends on the machine.
    let [total, unit] = [info.totalram.to_string(), info.mem_unit.to_string()];
    total.parse::<u64>().unwrap_or(0).saturating_mul(unit.parse().unwrap_or(1))
}

/// Returns how many bytes each of `count` buffers that exist at the same time may have: together a
/// quarter of the machine's memory, and each 64 MiB at most.
#[cfg(feature = "host")]
pub(crate) fn buffer_share(count: usize) -> usize {
    let memory = usize::try_from(total_memory() / 4).unwrap_or(usize::MAX);
    (memory / count.max(1)).clamp(1 << 20, 64 << 20)
}

/// Returns bytes as a path.
pub(crate) fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// uname(2): returns the release of the running kernel.
pub(crate) fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// uname(2): returns the machine's architecture, as `uname -m` prints it.
pub(crate) fn machine() -> String {
    rustix::system::uname().machine().to_string_lossy().into_owned()
}
