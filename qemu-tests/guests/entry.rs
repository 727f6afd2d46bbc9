//! /bench-entry of an image that is measured: notes when the kernel has started it, and becomes the
//! /init of the image.
//!
//! Any image can carry it, as a second archive, and `rdinit=/bench-entry` starts it. The time goes
//! to the kernel log, because nothing else reaches the real init through every initramfs: dracut's
//! systemd clears the environment, and not every init hands over /run.
//!
//! ```text
//! bench-entry: boottime_ns=N       CLOCK_BOOTTIME at entry
//! ```

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::time::{ClockId, clock_gettime};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Node of the kernel log, made because no filesystem is mounted yet.
const LOG: &str = "/bench-entry.kmsg";

fn main() {
    let now = clock_gettime(ClockId::Boottime);
    let entry_ns = now.tv_sec * 1_000_000_000 + now.tv_nsec;
    if let Err(error) = note(entry_ns) {
        let _ = writeln!(io::stderr(), "bench-entry: {LOG}: {error}");
    }
    let error = Command::new("/init").args(std::env::args_os().skip(1)).exec();
    // Returning ends PID 1; panic=-1 and -no-reboot then end the machine.
    let _ = writeln!(io::stderr(), "bench-entry: /init: {error}");
}

/// Writes the time to the kernel log, at a level that `quiet` keeps from the console.
fn note(entry_ns: i64) -> io::Result<()> {
    mknodat(CWD, LOG, FileType::CharacterDevice, Mode::WUSR, makedev(1, 11))?;
    let mut log = OpenOptions::new().write(true).open(LOG)?;
    log.write_all(format!("<6>bench-entry: boottime_ns={entry_ns}\n").as_bytes())?;
    fs::remove_file(LOG)
}
