//! /sbin/init of the mounted root in a test: reports what it finds and powers off.
//!
//! Every fact is one line of JSON, an object with one key, on the second serial port. The last line
//! is `{"end":true}`; without it the report is incomplete. `boottime_ns` and `modules` are written
//! before the others are collected, which takes memory.
//!
//! | key | value |
//! | --- | --- |
//! | `boottime_ns` | CLOCK_BOOTTIME at entry |
//! | `argv`, `env` | as this program got them; a byte that is not UTF-8 is written `\xf6` |
//! | `fds` | descriptors open at entry: `{"fd", "target"}` |
//! | `own_mounts` | filesystems mounted here because the initramfs had not handed them over |
//! | `mountinfo`, `modules`, `meminfo`, `status` | the lines of those files of /proc; a kernel without modules has no `modules` |
//! | `cmdline` | /proc/cmdline |
//! | `modaliases` | every modalias in sysfs, from `modalias` and `uevent` files, sorted |
//! | `drivers` | `BUS/DRIVER DEVICE` for every bound device, a path below /sys/devices, sorted |
//! | `names` | `block/NAME DEVICE` and `net/NAME DEVICE` for disks and interfaces, sorted |
//! | `capture` | output of `coldplug scan --save`; null without /bin/coldplug or /run/coldplug |
//! | `keep` | the text of /etc/keep, or null |
//! | `mark` | the text of /mark at entry, or null; then it becomes that of `mark=` |
//! | `mark_error` | why /mark could not be written, or null |
//! | `hostname` | the host name |
//! | `leds` | `NAME BRIGHTNESS TRIGGERS` of each LED, sorted |
//! | `net_conf` | the text of /run/net-eth0.conf, or null |
//! | `net_mtu` | the MTU of eth0 as the kernel shows it, or null |
//! | `scsi_scan` | the parameter `scan` of scsi_mod in the same form, or null |
//! | `record` | the text of /run/coldplug/record.json, or null |
//! | `entry_ns` | CLOCK_BOOTTIME at the start of the initramfs, as entry.rs noted it, or null |
//! | `trace` | the lines of tracefs's `trace` if the kernel command line asks for events, or null |

use rustix::fs::sync;
use rustix::mount::{MountFlags, mount};
use rustix::process::WaitOptions;
use rustix::system::{RebootCommand, reboot};
use rustix::termios::tcdrain;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Serial port of the facts; the console is ttyS0. The parameter `guest.facts=` names another one.
const PORT: &str = "/dev/ttyS1";

/// A module parameter that is text.
const SCAN: &str = "/sys/module/scsi_mod/parameters/scan";
/// File that is written if the kernel command line has `mark=`, which init gets as a variable.
const MARK: &str = "/mark";

/// O_NONBLOCK: a read of the kernel log fails at its end.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

fn main() {
    let boottime_ns = boottime_ns();
    let fds = open_fds();
    if let Err(error) = report(boottime_ns, &fds) {
        // Only the console is left for the error.
        let _ = writeln!(io::stderr(), "guest: {error}");
    }
    sync();
    end();
}

/// Ends the machine: with -no-reboot QEMU exits at a restart. The restart by sysrq comes first
/// because it involves no driver: a power-off waits for probes that are still running, which with
/// `async_probe` may be forever.
fn end() {
    let _ = fs::write("/proc/sysrq-trigger", "b");
    let _ = reboot(RebootCommand::PowerOff);
}

/// Writes all facts to the port, and waits until they are transmitted.
fn report(boottime_ns: i64, fds: &Value) -> io::Result<()> {
    let own_mounts = mount_what_is_missing();
    reap_children();
    let cmdline = read(Path::new("/proc/cmdline"));
    let named = cmdline.split_ascii_whitespace().find_map(|w| w.strip_prefix("guest.facts="));
    let mut port = OpenOptions::new().write(true).open(named.unwrap_or(PORT))?;
    writeln!(port, "{}", json!({ "boottime_ns": boottime_ns }))?;
    writeln!(port, "{}", json!({ "modules": lines("/proc/modules").unwrap_or_default() }))?;
    let facts = [
        json!({ "fds": fds }),
        json!({ "own_mounts": own_mounts }),
        json!({ "argv": std::env::args_os().map(|a| text(&a)).collect::<Vec<_>>() }),
        json!({ "env": environment() }),
        json!({ "cmdline": cmdline.trim_end() }),
        json!({ "mountinfo": lines("/proc/self/mountinfo")? }),
        json!({ "meminfo": lines("/proc/meminfo")? }),
        json!({ "status": lines("/proc/self/status")? }),
        json!({ "modaliases": modaliases() }),
        json!({ "drivers": drivers() }),
        json!({ "names": names() }),
        json!({ "capture": capture() }),
        json!({ "keep": fs::read_to_string("/etc/keep").ok() }),
        json!({ "mark": fs::read_to_string(MARK).ok() }),
        json!({ "mark_error": leave_mark() }),
        json!({ "hostname": fs::read_to_string("/proc/sys/kernel/hostname")?.trim_end() }),
        json!({ "leds": leds() }),
        json!({ "net_conf": fs::read_to_string("/run/net-eth0.conf").ok() }),
        json!({ "net_mtu": fs::read_to_string("/sys/class/net/eth0/mtu").ok() }),
        json!({ "scsi_scan": fs::read(SCAN).ok().map(|bytes| shown(bytes.trim_ascii_end())) }),
        json!({ "record": fs::read_to_string("/run/coldplug/record.json").ok() }),
        json!({ "entry_ns": entry_ns() }),
        json!({ "trace": trace(&cmdline) }),
        json!({ "end": true }),
    ];
    for fact in facts {
        writeln!(port, "{fact}")?;
    }
    Ok(tcdrain(&port)?)
}

/// Returns the time that entry.rs has written to the kernel log.
fn entry_ns() -> Option<i64> {
    let log = OpenOptions::new().read(true).custom_flags(NONBLOCK).open("/dev/kmsg").ok()?;
    let mut record = [0; 8192];
    loop {
        match (&log).read(&mut record) {
            Ok(length) => {
                let text = String::from_utf8_lossy(&record[..length]);
                let noted = text.split_once("bench-entry: boottime_ns=");
                if let Some((_, rest)) = noted {
                    return rest.lines().next()?.parse().ok();
                }
            }
            // The kernel has overwritten a record; the next read finds the oldest one.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(_) => return None,
        }
    }
}

/// Returns what the kernel has traced, without comments.
fn trace(cmdline: &str) -> Option<Vec<String>> {
    const DIR: &str = "/sys/kernel/tracing";
    if !cmdline.contains("trace_event=") && !cmdline.contains("kprobe_event=") {
        return None;
    }
    if !Path::new(DIR).join("trace").exists() {
        mount("tracefs", DIR, "tracefs", MountFlags::empty(), None).ok()?;
    }
    let all = lines(&format!("{DIR}/trace")).ok()?;
    Some(all.into_iter().filter(|line| !line.starts_with('#')).collect())
}

/// Returns each LED with its brightness and its triggers, of which the chosen one is in brackets.
fn leds() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/leds").into_iter().flatten().flatten();
    let of = |path: &Path, name: &str| read(&path.join(name)).trim_end().to_owned();
    let line = |entry: fs::DirEntry| {
        let (path, name) = (entry.path(), entry.file_name());
        format!("{} {} {}", text(&name), of(&path, "brightness"), of(&path, "trigger"))
    };
    let mut lines: Vec<_> = entries.map(line).collect();
    lines.sort();
    lines
}

/// Waits for the processes that the initramfs left running; one of them frees its memory. A script
/// of a test may have left one that never ends.
fn reap_children() {
    let end = boottime_ns() + 10_000_000_000;
    while rustix::process::wait(WaitOptions::NOHANG).is_ok() && boottime_ns() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Writes the mark, if there is one, and returns the error.
fn leave_mark() -> Option<String> {
    let text = std::env::var("mark").ok()?;
    fs::write(MARK, text).err().map(|e| e.to_string())
}

fn boottime_ns() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn text(os: &std::ffi::OsStr) -> String {
    shown(os.as_encoded_bytes())
}

fn shown(bytes: &[u8]) -> String {
    let chunk = |chunk: std::str::Utf8Chunk<'_>| {
        let escapes = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
        chunk.valid().to_owned() + &escapes.collect::<String>()
    };
    bytes.utf8_chunks().map(chunk).collect()
}

fn environment() -> serde_json::Map<String, Value> {
    std::env::vars_os().map(|(name, value)| (text(&name), json!(text(&value)))).collect()
}

/// Returns the entries of /proc/self/fd, except for the descriptor that reads it; null without
/// /proc.
fn open_fds() -> Value {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Value::Null };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name(), fs::read_link(entry.path()).ok()?)))
        .filter(|(_, target)| !(target.starts_with("/proc") && target.ends_with("fd")))
        .map(|(fd, target)| json!({ "fd": text(&fd), "target": text(target.as_os_str()) }))
        .collect()
}

/// Mounts proc, sysfs and devtmpfs if they were not handed over, and returns their directories.
fn mount_what_is_missing() -> Vec<&'static str> {
    [("/proc", "proc", "/proc/self"), ("/sys", "sysfs", "/sys/devices"), ("/dev", "devtmpfs", PORT)]
        .into_iter()
        .filter(|(_, _, witness)| !Path::new(witness).exists())
        .map(|(dir, kind, _)| {
            let _ = mount(kind, dir, kind, MountFlags::empty(), None);
            dir
        })
        .collect()
}

fn lines(path: &str) -> io::Result<Vec<String>> {
    Ok(shown(&fs::read(path)?).lines().map(str::to_owned).collect())
}

fn modaliases() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(Path::new("/sys/devices"), &mut found);
    found
}

/// Collects from directories only: symbolic links in sysfs form loops.
fn collect(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            collect(&entry.path(), found);
        } else if entry.file_name() == "modalias" {
            found.extend(read(&entry.path()).lines().map(str::to_owned));
        } else if entry.file_name() == "uevent" {
            let text = read(&entry.path());
            found.extend(
                text.lines().filter_map(|l| l.strip_prefix("MODALIAS=")).map(str::to_owned),
            );
        }
    }
}

/// Returns the links /sys/bus/BUS/drivers/DRIVER/DEVICE, except those to modules.
fn drivers() -> BTreeSet<String> {
    let mut bound = BTreeSet::new();
    for bus in entries(Path::new("/sys/bus")) {
        for driver in entries(&bus.join("drivers")) {
            for link in entries(&driver) {
                let Ok(target) = fs::canonicalize(&link) else { continue };
                let Ok(device) = target.strip_prefix("/sys/devices") else { continue };
                let name = |path: &Path| path.file_name().map(text).unwrap_or_default();
                bound.insert(format!("{}/{} {}", name(&bus), name(&driver), device.display()));
            }
        }
    }
    bound
}

/// Returns disks and network interfaces, which the kernel names in the order in which they appear.
fn names() -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for class in ["block", "net"] {
        for entry in entries(&Path::new("/sys/class").join(class)) {
            // A partition has no device and is named after its disk.
            let device = fs::canonicalize(entry.join("device"));
            let (Ok(device), Some(name)) = (device, entry.file_name()) else { continue };
            let Ok(device) = device.strip_prefix("/sys/devices") else { continue };
            named.insert(format!("{class}/{} {}", text(name), device.display()));
        }
    }
    named
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Returns the machine as coldplug saves it, if the root has coldplug.
fn capture() -> Option<String> {
    const FILE: &str = "/run/capture";
    if !Path::new("/run/coldplug").exists() {
        // The floor hands over no /run.
        return None;
    }
    let status = Command::new("/bin/coldplug").args(["scan", "--save", FILE]).status().ok()?;
    let text = fs::read_to_string(FILE).unwrap_or_default();
    Some(if status.success() { text } else { format!("scan --save: {status}") })
}

/// Returns the text of a file of sysfs or /proc, which is empty if it cannot be read.
fn read(path: &Path) -> String {
    let mut text = Vec::new();
    if let Ok(mut file) = File::open(path) {
        let _ = file.read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}
