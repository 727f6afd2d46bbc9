//! The floor: an init without any discovery, the least a boot can cost.
//!
//! It mounts /dev, /proc and /sys, loads the plain modules of /modules.list, mounts the ext4 root that `root=/dev/…`
//! names and runs its /sbin/init. What coldplug takes longer than this is the price of finding out.
//!
//! ```text
//! PATH: NEED NEED...        /modules.list: a module's file, and the files that must be loaded before
//! floor.threads=N           on the kernel command line: so many threads, each module as soon as what it needs is in;
//!                           without it one after the other, in the order of the list
//! floor.async_probe         with this parameter for each module: the load comes back before its devices are bound
//! ```
//!
//! The time of entry goes to the real init as `COLDPLUG_INIT_BOOTTIME_NS`.

use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::{chdir, chroot};
use rustix::system::finit_module;
use rustix::time::{ClockId, clock_gettime};
use std::collections::HashSet;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
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
    let cmdline = fs::read_to_string("/proc/cmdline")?;
    load(&fs::read_to_string("/modules.list")?, &cmdline);
    let device = root_device(&cmdline)?;
    mount(device.as_str(), "/root", "ext4", MountFlags::RDONLY, None)?;
    switch()?;
    Err(Command::new("/sbin/init").env("COLDPLUG_INIT_BOOTTIME_NS", entry_ns.to_string()).exec())
}

/// Loads what the list names, as the command line says.
fn load(list: &str, cmdline: &str) {
    let words = || cmdline.split_ascii_whitespace();
    let threads = words().find_map(|word| word.strip_prefix("floor.threads=")?.parse().ok());
    let parameter = if words().any(|w| w == "floor.async_probe") { c"async_probe" } else { c"" };
    let lines: Vec<(&str, Vec<&str>)> = list
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, needs)| (path, needs.split_ascii_whitespace().collect()))
        .collect();
    match threads {
        None => lines.iter().for_each(|(path, _)| insert(path, parameter)),
        Some(threads) => in_threads(threads, &lines, parameter),
    }
}

/// One finit_module(2); a refusal is told and passed over, as some drivers find no device.
fn insert(path: &str, parameter: &CStr) {
    let done = File::open(path).and_then(|f| Ok(finit_module(f, parameter, 0)?));
    if let Err(error) = done {
        let _ = writeln!(io::stderr(), "floor: {path}: {error}");
    }
}

/// What is still to be started, and what has been tried.
struct Work<'a> {
    waiting: Vec<usize>,
    tried: HashSet<&'a str>,
}

fn in_threads(threads: usize, lines: &[(&str, Vec<&str>)], parameter: &CStr) {
    let work = Mutex::new(Work { waiting: (0..lines.len()).collect(), tried: HashSet::new() });
    let changed = Condvar::new();
    let serve = || {
        let mut state = lock(&work);
        while !state.waiting.is_empty() {
            let is_ready = |at: &usize| lines[*at].1.iter().all(|need| state.tried.contains(need));
            let Some(place) = state.waiting.iter().position(is_ready) else {
                state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let at = state.waiting.remove(place);
            drop(state);
            insert(lines[at].0, parameter);
            state = lock(&work);
            state.tried.insert(lines[at].0);
            changed.notify_all();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(serve);
        }
    });
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
