//! Arguments that tell systemd, as the real init, when the initramfs began.
//!
//! Without them systemd-analyze(1) counts the time of the initramfs as its own. systemd reads the
//! state of its predecessor from a descriptor, and accepts a single line:
//!
//! ```text
//! systemd --switched-root --system --deserialize FD
//! initrd-timestamp=REALTIME MONOTONIC                   in microseconds
//! ```

use std::ffi::OsString;
use std::os::fd::IntoRawFd;
use std::path::Path;

use crate::sys::{BootTime, process};

/// Returns the arguments that precede those of the command line; none if `init` is not systemd.
/// `began` is the time at the entry of /init; this early it equals the monotonic clock.
pub(super) fn arguments(init: &Path, began: BootTime) -> Vec<OsString> {
    let real = std::fs::canonicalize(init).unwrap_or_default();
    if !real.ends_with("systemd/systemd") {
        return Vec::new();
    }
    let elapsed = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let start = process::realtime_us().saturating_sub(elapsed);
    let state = format!("initrd-timestamp={start} {}\n\n", began.as_micros());
    match process::memfd("systemd-state", state.as_bytes()) {
        Ok(memory) => ["--switched-root", "--system", "--deserialize"]
            .into_iter()
            .map(OsString::from)
            .chain([memory.into_raw_fd().to_string().into()])
            .collect(),
        // The time is only informative.
        Err(_) => Vec::new(),
    }
}
