//! The floor: an init without any discovery, the least a boot can cost.
//!
//! It mounts /dev, /proc and /sys, loads the plain modules that /modules.list names, in that
//! order, mounts the ext4 root that `root=/dev/…` names and runs its /sbin/init. What coldplug
//! takes longer than this is the price of finding out.
//!
//! The time of entry goes to the real init as `COLDPLUG_INIT_BOOTTIME_NS`.

use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::{chdir, chroot};
use rustix::system::finit_module;
use rustix::time::{ClockId, clock_gettime};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long the root device may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() {
    let now = clock_gettime(ClockId::Boottime);
    let entry_ns = now.tv_sec * 1_000_000_000 + now.tv_nsec;
    let Err(error) = boot(entry_ns);
    // Returning ends PID 1; panic=-1 and -no-reboot then end the machine.
    let _ = writeln!(io::stderr(), "floor: {error}");
}

fn boot(entry_ns: i64) -> io::Result<std::convert::Infallible> {
    for (kind, dir) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        mount(kind, dir, kind, MountFlags::empty(), None)?;
    }
    load(&fs::read_to_string("/modules.list")?);
    let device = root_device(&fs::read_to_string("/proc/cmdline")?)?;
    mount(device.as_str(), "/root", "ext4", MountFlags::RDONLY, None)?;
    switch()?;
    Err(Command::new("/sbin/init").env("COLDPLUG_INIT_BOOTTIME_NS", entry_ns.to_string()).exec())
}

/// One finit_module(2) a line; a refusal is told and passed over, as some drivers find no device.
fn load(list: &str) {
    for path in list.lines() {
        let done = File::open(path).and_then(|f| Ok(finit_module(f, c"", 0)?));
        if let Err(error) = done {
            let _ = writeln!(io::stderr(), "floor: {path}: {error}");
        }
    }
}

/// The device of `root=`, once its node is there.
fn root_device(cmdline: &str) -> io::Result<String> {
    let device = cmdline
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("root="))
        .ok_or_else(|| io::Error::other("no root= on the command line"))?;
    let start = Instant::now();
    while !Path::new(device).exists() {
        if start.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{device} never came")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(device.to_owned())
}

/// Moves the mounts below /root, and /root over the root of all.
fn switch() -> io::Result<()> {
    for dir in ["/dev", "/proc", "/sys"] {
        mount_move(dir, format!("/root{dir}"))?;
    }
    chdir("/root")?;
    mount_move(".", "/")?;
    chroot(".")?;
    Ok(chdir("/")?)
}
