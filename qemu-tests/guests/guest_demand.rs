//! /sbin/init of the root in boots/demand.rs: runs the commands in /etc/commands and powers off.
//! The output of a command is one line of JSON on the second serial port, as in guest_tools.rs.
//!
//! As /sbin/asked it is the kernel's helper for modules: it appends the name to /run/asked and
//! executes /sbin/modprobe.
//!
//! | command | makes the kernel request |
//! | --- | --- |
//! | `mount KIND SOURCE DIR [OPTIONS]`, `umount DIR` | a filesystem, and what its options name |
//! | `node c\|b MAJOR MINOR` | the driver of a new node that is opened |
//! | `together N c MAJOR MINOR STEP` | N such drivers in parallel, for MINOR, MINOR + STEP… |
//! | `socket FAMILY TYPE PROTOCOL` | a protocol |
//! | `alg TYPE NAME` | a cipher or hash, through AF_ALG |
//! | `execute HEX` | the format of a program that begins with these bytes |
//! | `discipline N` | a line discipline of a terminal |
//! | `interface NAME` | a network interface by its name |
//! | `congestion NAME`, `ulp NAME` | an option of a TCP socket |
//! | `match NAME`, `table NAME` | parts of ip_tables |
//! | `link KIND`, `qdisc KIND [PARENT]`, `filter KIND`, `action KIND` | what rtnetlink makes |
//! | `generic NAME`, `diagnose FAMILY PROTOCOL`, `netfilter SUBSYSTEM`, `set TYPE` | what other netlink protocols make |
//! | `mapper TARGET`, `array LEVEL` | a device-mapper target, a RAID level |
//! | `scheduler MODULE DISK` | an I/O scheduler |
//!
//! `asked` prints the requests since the last `asked`, `loaded NAME...` those names that
//! /proc/modules has, `write PATH TEXT` writes a line, `sh LINE` runs a shell. Any other command is
//! a program in /sbin.
#![allow(unsafe_code, reason = "ioctl(2) and setsockopt(2) with structures that no crate knows")]

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};

use rustix::system::{RebootCommand, reboot};
use serde_json::{Value, json};

/// Serial port of the report; the console is ttyS0.
const PORT: &str = "/dev/ttyS1";
const ASKED: &str = "/run/asked";

fn main() {
    let args: Vec<_> = std::env::args_os().collect();
    if args.first().is_some_and(|name| Path::new(name).ends_with("asked")) {
        note(&args);
        let error = Command::new("/sbin/modprobe").args(&args[1..]).exec();
        let _ = fs::write("/dev/kmsg", format!("asked: {error}"));
        return;
    }
    if let Err(error) = carry_out() {
        // Only the console is left for the error.
        let _ = writeln!(io::stderr(), "guest_demand: {error}");
    }
    rustix::fs::sync();
    let _ = reboot(RebootCommand::PowerOff);
}

/// Appends the name that the kernel requests, in one write, so that parallel requests do not mix.
fn note(args: &[std::ffi::OsString]) {
    let name = args.last().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(ASKED) {
        let _ = file.write_all(format!("{name}\n").as_bytes());
    }
}

fn carry_out() -> io::Result<()> {
    let mut port = OpenOptions::new().write(true).open(PORT)?;
    for (number, line) in fs::read_to_string("/etc/commands")?.lines().enumerate() {
        let outcome = carry_out_one(line);
        writeln!(port, "{}", json!({ number.to_string(): outcome }))?;
    }
    writeln!(port, "{}", json!({ "end": true }))?;
    Ok(rustix::termios::tcdrain(&port)?)
}

/// Runs one line. All commands in it are run, and the result of the last one is returned.
fn carry_out_one(line: &str) -> Value {
    if let Some((first, rest)) = line.split_once("; ").filter(|_| !line.starts_with("sh ")) {
        carry_out_one(first);
        return carry_out_one(rest);
    }
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    match act(&words, line) {
        Some(Ok(text)) => json!({ "code": 0, "stdout": text, "stderr": "" }),
        Some(Err(error)) => json!({ "code": 1, "stdout": "", "stderr": format!("{error}\n") }),
        None => match program(&words) {
            Ok(outcome) => outcome,
            Err(error) => json!({ "code": 127, "stdout": "", "stderr": format!("{error}\n") }),
        },
    }
}

/// Runs one of the commands above; `None` for other commands.
fn act(words: &[&str], line: &str) -> Option<io::Result<String>> {
    let done = match *words {
        ["mount", kind, source, dir] => mount(kind, source, dir, ""),
        ["mount", kind, source, dir, options] => mount(kind, source, dir, options),
        ["umount", dir] => {
            rustix::mount::unmount(dir, rustix::mount::UnmountFlags::empty()).map_err(Into::into)
        }
        ["node", kind, major, minor] => number(minor).and_then(|n| open_node(kind, major, n)),
        ["together", count, kind, major, minor, step] => {
            return Some(together(count, kind, major, minor, step));
        }
        ["socket", family, kind, protocol] => open_socket(family, kind, protocol).map(drop),
        ["alg", kind, name] => bind_algorithm(kind, name),
        ["execute", bytes] => execute(bytes),
        ["discipline", n] => discipline(n),
        ["interface", name] => interface(name),
        ["congestion", name] => tcp_option(13, name), // TCP_CONGESTION
        ["ulp", name] => tcp_option(31, name),        // TCP_ULP
        ["match", name] => ip_tables(66, name, 30),   // IPT_SO_GET_REVISION_MATCH
        ["table", name] => ip_tables(64, name, 84),   // IPT_SO_GET_INFO
        ["link", kind] => new_link(kind),
        ["qdisc", kind] => traffic(36, kind, 0xffff_ffff, 0), // RTM_NEWQDISC, TC_H_ROOT
        ["qdisc", kind, "ingress"] => traffic(36, kind, 0xffff_fff1, 0), // TC_H_INGRESS
        ["filter", kind] => traffic(44, kind, 0xffff_0000, 1 << 16 | 3 << 8), // RTM_NEWTFILTER
        ["action", kind] => new_action(kind),
        ["generic", name] => generic(name),
        ["diagnose", family, protocol] => diagnose(family, protocol),
        ["netfilter", subsystem] => number(subsystem).and_then(|n| netfilter(n, 0, &[])),
        ["set", kind] => new_set(kind),
        ["mapper", target] => mapper(target),
        ["array", level] => array(level),
        ["scheduler", name, disk] => fs::write(format!("/sys/block/{disk}/queue/scheduler"), name),
        ["write", path, ..] => {
            let text = line.splitn(3, ' ').nth(2).unwrap_or_default();
            fs::write(path, format!("{}\n", text.replace("\\n", "\n")))
        }
        ["cat", path] => return Some(fs::read_to_string(path)),
        ["asked"] => return Some(asked()),
        ["loaded", ref names @ ..] => return Some(loaded(names)),
        ["sh", ..] => return Some(shell(line.trim_start_matches("sh "))),
        _ => return None,
    };
    Some(done.map(|()| String::new()))
}

fn program(words: &[&str]) -> io::Result<Value> {
    let [name, args @ ..] = words else { return Err(io::ErrorKind::InvalidInput.into()) };
    let output = Command::new(format!("/sbin/{name}")).args(args).stdin(Stdio::null()).output()?;
    Ok(json!({
        "code": output.status.code(),
        "stdout": String::from_utf8_lossy(&output.stdout),
        "stderr": String::from_utf8_lossy(&output.stderr),
    }))
}

fn shell(line: &str) -> io::Result<String> {
    let output = Command::new("/bin/sh").args(["-c", line]).stdin(Stdio::null()).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(text(&output.stdout) + &text(&output.stderr))
}

fn number<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse().map_err(|_| io::Error::other(format!("{text} is no number")))
}

/// Returns the result of a system call that returns -1 for an error.
fn answer(result: impl Into<i64>) -> io::Result<i64> {
    match result.into() {
        -1 => Err(io::Error::last_os_error()),
        n => Ok(n),
    }
}

/// Calls ioctl(2) with a structure whose length is in the number of the command, or in the
/// structure.
fn ioctl(file: &impl AsRawFd, command: u32, value: *mut u8) -> io::Result<()> {
    // SAFETY: the structures of the callers are as long as their commands require.
    answer(unsafe { libc::ioctl(file.as_raw_fd(), command as libc::Ioctl, value) }).map(drop)
}

fn asked() -> io::Result<String> {
    let text = fs::read_to_string(ASKED).or_else(|e| match e.kind() {
        io::ErrorKind::NotFound => Ok(String::new()),
        _ => Err(e),
    })?;
    let _ = fs::remove_file(ASKED);
    Ok(text)
}

/// Returns those of `names` that are loaded, one per line; all modules without names.
fn loaded(names: &[&str]) -> io::Result<String> {
    let text = fs::read_to_string("/proc/modules")?;
    let live: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    let names = if names.is_empty() { &live[..] } else { names };
    Ok(names.iter().filter(|n| live.contains(n)).map(|n| format!("{n}\n")).collect())
}

/// Returns the node of the disk `virtioN` on the virtio bus, whichever /dev/vdX it is; other names
/// unchanged.
fn source(name: &str) -> String {
    let disks = fs::read_dir(format!("/sys/bus/virtio/devices/{name}/block"));
    let disk = disks.into_iter().flatten().flatten().next();
    disk.map_or_else(|| name.to_owned(), |d| format!("/dev/{}", d.file_name().to_string_lossy()))
}

fn mount(kind: &str, from: &str, dir: &str, options: &str) -> io::Result<()> {
    let options = CString::new(options)?;
    let flags = rustix::mount::MountFlags::RDONLY;
    Ok(rustix::mount::mount(source(from), dir, kind, flags, Some(options.as_c_str()))?)
}

fn open_node(kind: &str, major: &str, minor: u32) -> io::Result<()> {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let path = format!("/dev/own-{kind}-{major}-{minor}");
    let kind = if kind == "b" { FileType::BlockDevice } else { FileType::CharacterDevice };
    let device = makedev(number(major)?, minor);
    let _ = mknodat(CWD, &path, kind, Mode::from_raw_mode(0o600), device);
    OpenOptions::new().read(true).open(path).map(drop)
}

/// Returns the number of threads that returned.
fn together(count: &str, kind: &str, major: &str, minor: &str, step: &str) -> io::Result<String> {
    let (count, minor, step): (u32, u32, u32) = (number(count)?, number(minor)?, number(step)?);
    let barrier = Arc::new(Barrier::new(count as usize));
    let threads = (0..count).map(|n| {
        let (barrier, kind, major) = (Arc::clone(&barrier), kind.to_owned(), major.to_owned());
        std::thread::spawn(move || {
            barrier.wait();
            // The device does not exist, so the open always fails.
            let _ = open_node(&kind, &major, minor + n * step);
        })
    });
    let threads: Vec<_> = threads.collect();
    let back = threads.into_iter().filter_map(|thread| thread.join().ok()).count();
    Ok(format!("{back}\n"))
}

fn open_socket(family: &str, kind: &str, protocol: &str) -> io::Result<OwnedFd> {
    // SAFETY: the call takes three numbers and returns a new descriptor or -1.
    let fd = unsafe { libc::socket(number(family)?, number(kind)?, number(protocol)?) };
    answer(fd)?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Writes `bytes` at offset `at` of a structure.
fn put(into: &mut [u8], at: usize, bytes: &[u8]) {
    into[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A `struct sockaddr_alg`: family (16 bits), type (14 bytes), feature and mask (32 bits each),
/// name (64 bytes).
fn bind_algorithm(kind: &str, name: &str) -> io::Result<()> {
    let socket = open_socket("38", "5", "0")?;
    let mut address = [0; 88];
    put(&mut address, 0, &38u16.to_ne_bytes());
    put(&mut address, 2, kind.as_bytes());
    put(&mut address, 24, name.as_bytes());
    // SAFETY: the length is that of the address.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), 88) };
    answer(bound).map(drop)
}

fn execute(hex: &str) -> io::Result<()> {
    let bytes = (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16));
    let bytes: Result<Vec<u8>, _> = bytes.collect();
    let path = "/run/program";
    fs::write(path, bytes.map_err(io::Error::other)?)?;
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Command::new(path).status().map(drop)
}

fn discipline(n: &str) -> io::Result<()> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/ttyS2")?;
    let mut n: i32 = number(n)?;
    ioctl(&terminal, 0x5423, (&raw mut n).cast()) // TIOCSETD
}

fn interface(name: &str) -> io::Result<()> {
    let socket = open_socket("2", "2", "0")?;
    let mut request = [0u8; 40];
    put(&mut request, 0, name.as_bytes());
    ioctl(&socket, 0x8913, request.as_mut_ptr()) // SIOCGIFFLAGS
}

fn tcp_option(option: i32, name: &str) -> io::Result<()> {
    let socket = open_socket("2", "1", "6")?;
    let len = libc::socklen_t::try_from(name.len()).map_err(io::Error::other)?;
    let value = name.as_ptr().cast();
    // SAFETY: the length is that of the value.
    answer(unsafe { libc::setsockopt(socket.as_raw_fd(), 6, option, value, len) }).map(drop)
}

/// Calls getsockopt(2) on a raw socket with a structure of `len` bytes that starts with a name.
fn ip_tables(option: i32, name: &str, len: libc::socklen_t) -> io::Result<()> {
    let socket = open_socket("2", "3", "255")?;
    let mut value = vec![0; len as usize];
    put(&mut value, 0, name.as_bytes());
    let mut len = len;
    let place = value.as_mut_ptr().cast();
    // SAFETY: the length is that of the value.
    answer(unsafe { libc::getsockopt(socket.as_raw_fd(), 0, option, place, &raw mut len) })
        .map(drop)
}

/// Returns a `struct nlattr` with `bytes`, padded to a multiple of four.
fn attribute(kind: u16, bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len() + 4).unwrap_or(u16::MAX);
    let mut out = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

/// Returns an attribute that is a NUL-terminated text.
fn text(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, &[text.as_bytes(), b"\0"].concat())
}

/// Sends one message and reads the answer, which may be an error.
fn netlink(protocol: &str, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    const REQUEST_ACK: u16 = 5;
    let socket = open_socket("16", "3", protocol)?;
    let len = u32::try_from(body.len() + 16).map_err(io::Error::other)?;
    let mut message = len.to_ne_bytes().to_vec();
    message.extend([kind.to_ne_bytes(), (REQUEST_ACK | flags).to_ne_bytes()].concat());
    message.extend([1u32.to_ne_bytes(), 0u32.to_ne_bytes()].concat());
    message.extend(body);
    rustix::io::write(&socket, &message)?;
    let mut reply = [0; 4096];
    rustix::io::read(&socket, &mut reply)?;
    Ok(())
}

fn new_link(kind: &str) -> io::Result<()> {
    let info = attribute(18 | 0x8000, &text(1, kind)); // IFLA_LINKINFO, IFLA_INFO_KIND
    netlink("0", 16, 0x600, &[vec![0; 16], info].concat()) // RTM_NEWLINK
}

/// Sends a message with a `struct tcmsg` about the loopback interface.
fn traffic(message: u16, kind: &str, parent: u32, info: u32) -> io::Result<()> {
    let fields = [0, 1, 0, parent, info].map(u32::to_ne_bytes).concat();
    netlink("0", message, 0x600, &[fields, text(1, kind)].concat())
}

fn new_action(kind: &str) -> io::Result<()> {
    let table = attribute(1 | 0x8000, &attribute(1 | 0x8000, &text(1, kind)));
    netlink("0", 48, 0x600, &[vec![0; 4], table].concat()) // RTM_NEWACTION
}

fn generic(name: &str) -> io::Result<()> {
    netlink("16", 16, 0, &[vec![3, 1, 0, 0], text(2, name)].concat()) // CTRL_CMD_GETFAMILY
}

fn diagnose(family: &str, protocol: &str) -> io::Result<()> {
    let mut request = vec![0; 56];
    put(&mut request, 0, &[number(family)?, number(protocol)?]);
    netlink("4", 20, 0x300, &request) // SOCK_DIAG_BY_FAMILY
}

fn netfilter(subsystem: u16, message: u16, attributes: &[u8]) -> io::Result<()> {
    netlink("12", subsystem << 8 | message, 0x600, &[&[2, 0, 0, 0], attributes].concat())
}

fn new_set(kind: &str) -> io::Result<()> {
    let parts = [
        attribute(1, &[7]),
        text(2, "own"),
        text(3, kind),
        attribute(4, &[0]),
        attribute(5, &[2]),
        attribute(7 | 0x8000, &[]),
    ];
    netfilter(6, 2, &parts.concat()) // NFNL_SUBSYS_IPSET, IPSET_CMD_CREATE
}

/// Calls DM_DEV_CREATE and DM_TABLE_LOAD with one target of one sector.
fn mapper(target: &str) -> io::Result<()> {
    let control = File::open("/dev/mapper/control")?;
    for (command, targets) in [(0xc138_fd03_u32, 0u32), (0xc138_fd09, 1)] {
        let mut request = vec![0u8; 312 + 64];
        put(&mut request, 0, &[4, 0, 0, 376, 312, targets].map(u32::to_ne_bytes).concat());
        put(&mut request, 48, b"own");
        put(&mut request, 312 + 8, &1u64.to_ne_bytes());
        put(&mut request, 312 + 24, target.as_bytes());
        ioctl(&control, command, request.as_mut_ptr())?;
    }
    Ok(())
}

/// Starts an array without superblocks on the disk virtio1: SET_ARRAY_INFO, ADD_NEW_DISK,
/// RUN_ARRAY.
fn array(level: &str) -> io::Result<()> {
    let path = "/dev/own-b-9-0";
    let _ = open_node("b", "9", 0);
    let array = OpenOptions::new().read(true).write(true).open(path)?;
    let disk = rustix::fs::stat(source("virtio1"))?.st_rdev;
    let mut info = [0i32; 18];
    (info[1], info[2], info[4], info[7], info[9]) = (90, 0, number(level)?, 1, 1);
    info[17] = 64 << 10;
    let major = rustix::fs::major(disk).cast_signed();
    let member = [0, major, rustix::fs::minor(disk).cast_signed(), 0, 6];
    let ioctl = |command, value: &[i32]| ioctl(&array, command, value.as_ptr().cast_mut().cast());
    ioctl(0x4048_0923, &info)?;
    ioctl(0x4014_0921, &member)?;
    ioctl(0x400c_0930, &[0; 3])
}
