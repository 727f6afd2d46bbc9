//! What systemd is told when it becomes the real init: when the initramfs began.
//!
//! Without it systemd-analyze(1) counts our time as its own. systemd reads the state of the manager before it from a
//! descriptor; one line of that is enough:
//!
//! ```text
//! systemd --switched-root --system --deserialize FD
//! initrd-timestamp=REALTIME MONOTONIC                   in microseconds
//! ```

use std::ffi::OsString;
use std::os::fd::IntoRawFd;
use std::path::Path;

use crate::sys::{self, process};

/// Words before those of the command line for the init at `init`; none where that is not systemd. `began` is
/// CLOCK_BOOTTIME at the entry of /init, in nanoseconds; this early that is the monotonic clock too.
pub(super) fn arguments(init: &Path, began: u64) -> Vec<OsString> {
    let real = std::fs::canonicalize(init).unwrap_or_default();
    if !real.ends_with("systemd/systemd") {
        return Vec::new();
    }
    let since = sys::boottime_ns().saturating_sub(began) / 1000;
    let start = process::realtime_us().saturating_sub(since);
    let state = format!("initrd-timestamp={start} {}\n\n", began / 1000);
    match process::inherited_memory("systemd-state", state.as_bytes()) {
        Ok(memory) => ["--switched-root", "--system", "--deserialize"]
            .into_iter()
            .map(OsString::from)
            .chain([memory.into_raw_fd().to_string().into()])
            .collect(),
        // It only helps a reader.
        Err(_) => Vec::new(),
    }
}
