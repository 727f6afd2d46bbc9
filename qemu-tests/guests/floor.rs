//! The floor: an init without discovery, the minimum cost of a boot.
//!
//! It mounts /dev, /proc and /sys, loads the modules of /modules.list, mounts the ext4 root that
//! `root=/dev/…` names, and runs its /sbin/init. The time that coldplug takes longer, and the memory
//! that it takes in addition, is the cost of discovery. The kernel reads uncompressed modules;
//! compressed ones are decoded here, one after the other.
//!
//! ```text
//! PATH: NEED NEED...        /modules.list: file of a module, and files that are loaded before
//! floor.threads=N           kernel command line: N threads; a module starts when those that it
//!                           needs are loaded; without it loading is sequential, in list order
//! floor.async_probe         passes async_probe to each module: a load returns before devices are
//!                           bound
//! ```
//!
//! The real init gets the time of entry as `COLDPLUG_INIT_BOOTTIME_NS`.

use coldplug::cmdline::words::words;
use coldplug::kmod::compress::{Decoder, IMAGE_LIMIT};
use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::{chdir, chroot};
use rustix::system::{finit_module, init_module};
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

/// Longest time until the root device appears.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() {
    if std::process::id() != 1 {
        // The kernel requests a module: in images of coldplug, /sbin/modprobe is a link to /init.
        return;
    }
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

/// Loads the modules of the list as the kernel command line says.
fn load(list: &str, cmdline: &str) {
    let words = || words(cmdline).map(|word| word.text);
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

/// Loads one module. An error is printed and otherwise ignored, because some drivers find no
/// device.
fn insert(path: &str, parameter: &CStr) {
    let done = if path.ends_with(".ko") {
        File::open(path).and_then(|f| Ok(finit_module(f, parameter, 0)?))
    } else {
        insert_compressed(path, parameter)
    };
    if let Err(error) = done {
        let _ = writeln!(io::stderr(), "floor: {path}: {error}");
    }
}

/// Decodes and loads one module, and keeps no memory of it.
fn insert_compressed(path: &str, parameter: &CStr) -> io::Result<()> {
    let mut image = Vec::new();
    let file = fs::read(path)?;
    let decoded = Decoder::default().decode_into(&file, IMAGE_LIMIT, &mut image);
    drop(file);
    decoded.map_err(io::Error::other)?;
    Ok(init_module(&image, parameter)?)
}

/// Modules that have not been started, and files that have been tried.
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

/// Waits for the device of `root=` and returns it.
fn root_device(cmdline: &str) -> io::Result<String> {
    let device = words(cmdline)
        .find_map(|word| word.text.strip_prefix("root="))
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

/// Moves the mounts below /root, and /root over /.
fn switch() -> io::Result<()> {
    for dir in ["/dev", "/proc", "/sys"] {
        mount_move(dir, format!("/root{dir}"))?;
    }
    chdir("/root")?;
    mount_move(".", "/")?;
    chroot(".")?;
    Ok(chdir("/")?)
}
