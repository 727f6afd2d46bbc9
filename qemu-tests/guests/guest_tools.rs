//! /sbin/init of the root in boots/module_tools.rs: runs the commands in /etc/commands and powers
//! off.
//!
//! The result of each command is one line of JSON on the second serial port, under the number of
//! the command: `{"0":{"code":0,"stdout":"…","stderr":"…"}}`. The last line is `{"end":true}`.
//!
//! | command | effect |
//! | --- | --- |
//! | `mount KIND DEVICE DIR` | read-only mount(2) of the disk `virtioN` |
//! | `umount DIR` | umount(2) |
//! | `socket FAMILY` | socket(2) of the family with that number |
//! | `alg TYPE NAME` | bind(2) of a socket of AF_ALG |
//! | `node PATH MAJOR MINOR` | mknod(2) of a character device |
//! | `open PATH` | open(2) to read and write |
//! | `cat PATH` | prints a file |
//! | `write PATH TEXT` | writes a line to a file |
//! | `loaded NAME...` | prints those that /proc/modules has |
//! | anything else | runs the program of that name in /sbin |

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat, sync};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, SocketType, bind, socket};
use rustix::system::{RebootCommand, reboot};
use rustix::termios::tcdrain;
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::process::{Command, Stdio};

/// Serial port of the report; the console is ttyS0.
const PORT: &str = "/dev/ttyS1";

/// Address family of the kernel's crypto API; its sockets are SOCK_SEQPACKET.
const AF_ALG: u16 = 38;

fn main() {
    if let Err(error) = carry_out() {
        // Only the console is left for the error.
        let _ = writeln!(io::stderr(), "guest_tools: {error}");
    }
    sync();
    let _ = reboot(RebootCommand::PowerOff);
}

/// Runs every command and reports it immediately, so that an incomplete report shows the last
/// command.
fn carry_out() -> io::Result<()> {
    let mut port = OpenOptions::new().write(true).open(PORT)?;
    for (number, line) in fs::read_to_string("/etc/commands")?.lines().enumerate() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let outcome = outcome(&words);
        writeln!(port, "{}", json!({ number.to_string(): outcome }))?;
    }
    writeln!(port, "{}", json!({ "end": true }))?;
    Ok(tcdrain(&port)?)
}

fn outcome(words: &[&str]) -> Value {
    match act(words) {
        Some(Ok(text)) => json!({ "code": 0, "stdout": text, "stderr": "" }),
        Some(Err(error)) => json!({ "code": 1, "stdout": "", "stderr": format!("{error}\n") }),
        None => match program(words) {
            Ok(outcome) => outcome,
            Err(error) => json!({ "code": 127, "stdout": "", "stderr": format!("{error}\n") }),
        },
    }
}

/// Runs one of the commands above; `None` for other commands.
fn act(words: &[&str]) -> Option<io::Result<String>> {
    let done = match *words {
        ["mount", kind, device, dir] => {
            let node = disk(device);
            node.and_then(|node| Ok(mount(node, dir, kind, MountFlags::RDONLY, None)?))
        }
        ["umount", dir] => unmount(dir, UnmountFlags::empty()).map_err(io::Error::from),
        ["socket", family] => open_family(family),
        ["alg", kind, name] => bind_algorithm(kind, name),
        ["node", path, major, minor] => make_node(path, major, minor),
        ["open", path] => OpenOptions::new().read(true).write(true).open(path).map(drop),
        ["cat", path] => return Some(fs::read_to_string(path)),
        ["write", path, text] => fs::write(path, format!("{text}\n")),
        ["loaded", ref names @ ..] => return Some(loaded(names)),
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

fn number<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse().map_err(|_| io::Error::other(format!("{text} is no number")))
}

/// Returns the node of a disk on the virtio bus; the letter in /dev/vdX depends on the order of
/// probes.
fn disk(device: &str) -> io::Result<String> {
    let mut block = fs::read_dir(format!("/sys/bus/virtio/devices/{device}/block"))?;
    let name = block.next().ok_or(io::ErrorKind::NotFound)??.file_name();
    Ok(format!("/dev/{}", name.to_string_lossy()))
}

fn open_family(family: &str) -> io::Result<()> {
    socket(AddressFamily::from_raw(number(family)?), SocketType::SEQPACKET, None)?;
    Ok(())
}

fn bind_algorithm(kind: &str, name: &str) -> io::Result<()> {
    let socket = socket(AddressFamily::from_raw(AF_ALG), SocketType::SEQPACKET, None)?;
    Ok(bind(&socket, &Algorithm::new(kind, name))?)
}

fn make_node(path: &str, major: &str, minor: &str) -> io::Result<()> {
    let device = makedev(number(major)?, number(minor)?);
    Ok(mknodat(CWD, path, FileType::CharacterDevice, Mode::from_raw_mode(0o600), device)?)
}

/// Returns those of `names` that are loaded, one per line.
fn loaded(names: &[&str]) -> io::Result<String> {
    let text = fs::read_to_string("/proc/modules")?;
    let live: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    Ok(names.iter().filter(|n| live.contains(n)).map(|n| format!("{n}\n")).collect())
}

/// A `struct sockaddr_alg`: family (16 bits), type (14 bytes), feature and mask (32 bits each),
/// name (64 bytes).
struct Algorithm([u8; 88]);

impl Algorithm {
    fn new(kind: &str, name: &str) -> Self {
        let mut bytes = [0; 88];
        bytes[..2].copy_from_slice(&AF_ALG.to_ne_bytes());
        // Texts that are too long are cut, and the last byte of each stays zero.
        bytes[2..15].iter_mut().zip(kind.bytes()).for_each(|(to, from)| *to = from);
        bytes[24..87].iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        Self(bytes)
    }
}

#[allow(unsafe_code, reason = "rustix knows no address of AF_ALG")]
// SAFETY: pointer and length are those of one array, which outlives the call.
unsafe impl SocketAddrArg for Algorithm {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        f(self.0.as_ptr().cast(), 88)
    }
}
