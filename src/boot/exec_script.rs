//! `coldplug.exec=@NAME`: a script from outside, which runs in the real root instead of its init.
//!
//! A child (`coldplug script-reader`) reads it from the first of these places that has it, because
//! a port may have no other end:
//!
//! 1. /etc/coldplug/exec/NAME in the image, or in an archive that is appended to it
//! 2. opt/NAME in fw_cfg of QEMU
//! 3. the virtio port NAME, up to the end of the stream
//!
//! It copies the script to /run, which is moved into the real root, piece by piece: the script may be
//! long, and its source slow.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::error::{BootError, Interruption};
use super::{Boot, reply, seconds, write};
use crate::sys::child::ChildProcess;
use crate::sys::{self, BootTime, Cause, Error, Root, procfs, signals, virtio_port};
use crate::{byte_text, escape};

/// Name of the command that the child runs.
const APPLET: &str = "script-reader";
/// Path of the script for the real root.
const SCRIPT: &str = "run/coldplug/exec";
/// Directory of scripts in the image.
const IN_IMAGE: &str = "etc/coldplug/exec";
/// Directory of what the user of QEMU has named in fw_cfg (the kernel's
/// ABI/testing/sysfs-firmware-qemu_fw_cfg).
const IN_FW_CFG: &str = "sys/firmware/qemu_fw_cfg/by_name/opt";
/// Size of a read, in bytes. Of an entry of fw_cfg the kernel returns no more than a page.
const PIECE: usize = 64 << 10;
/// Longest wait for a place that has the script: its driver may just be loading.
const PLACE_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for the child while the script does not grow.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for the child in total.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(600);
/// Interval of the looks for a script.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Returns the name of the script in `@NAME WORDS`, and the words after it.
fn parts(command: &[u8]) -> Option<(&[u8], &[u8])> {
    let command = command.strip_prefix(b"@")?;
    let end = command.iter().position(|byte| *byte == b' ').unwrap_or(command.len());
    Some(command.split_at(end))
}

impl Boot {
    /// If `coldplug.exec=` names a script, fetches it, and makes its path the command.
    ///
    /// # Errors
    /// There is no such script, it cannot be read, or Ctrl-Alt-Del is pressed.
    pub(super) fn fetch_script(&mut self) -> Result<(), BootError> {
        let command = self.params.boot.exec.as_deref();
        let Some((name, words)) = command.and_then(parts) else { return Ok(()) };
        let since = BootTime::now();
        let object = format!("script '{}'", escape::bytes(name));
        let fetched = fetch(name, &object);
        if fetched.is_err() {
            // What was read may fill half of the memory.
            let _ = fs::remove_file(Root::default().join(SCRIPT));
        }
        self.reporter.add_wait(object, since);
        fetched.map_err(|error| match signals::is_ctrl_alt_del_pressed() {
            true => BootError::Interrupted(Interruption::CtrlAltDel),
            false => BootError::Script(format!("coldplug.exec: {error}")),
        })?;
        self.params.boot.exec = Some([b"/", SCRIPT.as_bytes(), words].concat());
        Ok(())
    }
}

/// Has a child write the script `name`, which messages call `object`, to /run. Returns the error as
/// a text.
fn fetch(name: &[u8], object: &str) -> Result<(), String> {
    let _ = fs::remove_file(Root::default().join(SCRIPT));
    let child = ChildProcess::start(APPLET, &[sys::path(name).as_os_str()]);
    let child = child.map_err(|error| error.to_string())?;
    let (mut before, end) = (0, BootTime::now() + TOTAL_TIMEOUT);
    loop {
        if let Some(reply) = reply::wait(&child, TIMEOUT) {
            return reply.map_err(|error| format!("{object}: {error}"));
        }
        let size = fs::metadata(Root::default().join(SCRIPT)).map_or(0, |script| script.len());
        if BootTime::now() >= end {
            return Err(format!("{object}: incomplete after {}", seconds(TOTAL_TIMEOUT)));
        }
        if size <= before || signals::is_ctrl_alt_del_pressed() {
            return Err(format!("{object}: nothing was read for {}", seconds(TIMEOUT)));
        }
        before = size;
    }
}

/// Runs the child: writes the script `name` to /run, and replies. The script may fill half of the
/// memory that is available: the kernel panics if PID 1 gets none.
pub(crate) fn serve_script(root: &Root, name: &Path, socket: impl AsFd) {
    let available = procfs::available_memory(&Root::default()).unwrap_or(u64::MAX);
    let limit = usize::try_from(available / 2).unwrap_or(usize::MAX);
    reply::send(socket, copy(root, name, limit));
}

/// Copies the script `name`, of `limit` bytes at most, from the first place that has it, or says why
/// that cannot be done. Before its other end is connected, a port has nothing.
fn copy(root: &Root, name: &Path, limit: usize) -> Result<(), String> {
    let end = BootTime::now() + PLACE_TIMEOUT;
    let mut piece = vec![0; PIECE];
    while BootTime::now() < end {
        let in_image = root.join(IN_IMAGE).join(name);
        let in_fw_cfg = root.join(IN_FW_CFG).join(name).join("raw");
        let node = virtio_port::node(root, &byte_text::from_path(name));
        for path in [Some(in_image), Some(in_fw_cfg), node].into_iter().flatten() {
            let Ok(mut place) = File::open(&path) else { continue };
            let Ok(first @ 1..) = place.read(&mut piece) else { continue };
            let path = root.join(SCRIPT);
            return put(place, &mut piece, first, &path, limit).map_err(|e| e.to_string());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Err("not found in the image, in fw_cfg or at a virtio port".to_owned())
}

/// Writes a script of `limit` bytes at most to the executable file `path`: `count` bytes in `piece`,
/// and the rest of `place`.
fn put(
    mut place: File,
    piece: &mut [u8],
    mut count: usize,
    path: &Path,
    limit: usize,
) -> sys::Result<()> {
    let failed = |error: io::Error| Error::io("copy to", path, &error);
    write(path, b"")?;
    let mut script = File::options().append(true).open(path).map_err(failed)?;
    let mut left = limit;
    while count > 0 {
        left = left.checked_sub(count).ok_or_else(|| {
            let text = format!("{}, half of the available memory", Cause::TooLarge(limit));
            Error::new("copy to", escape::path(path), Cause::Other(text))
        })?;
        script.write_all(&piece[..count]).map_err(failed)?;
        count = place.read(piece).map_err(failed)?;
    }
    script.set_permissions(Permissions::from_mode(0o755)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_a_name_and_perhaps_words() {
        for (command, want) in [
            ("@a", Some(("a", ""))),
            ("@a/b.sh -x  y", Some(("a/b.sh", " -x  y"))),
            ("@", Some(("", ""))),
            ("echo @a", None),
            ("", None),
        ] {
            let want = want.map(|(name, words)| (name.as_bytes(), words.as_bytes()));
            assert_eq!(parts(command.as_bytes()), want, "{command}");
        }
    }

    #[test]
    fn the_first_place_that_has_the_script_is_used() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let put = |dir: &str, name: &str, text: &str| {
            let path = scratch.path().join(dir).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(IN_IMAGE, "both", "image");
        put(IN_FW_CFG, "both/raw", "fw_cfg");
        put(IN_FW_CFG, "org/x/raw", "deep");
        put("sys/class/virtio-ports/vport1p1", "name", "stream\n");
        put("dev", "vport1p1", "port");
        let long = "x".repeat(4 << 20);
        put(IN_IMAGE, "long", &long);
        put(IN_IMAGE, "longer", &format!("{long}x"));
        let too_long = "larger than the limit of 4 MiB, half of the available memory";
        let script = scratch.path().join(SCRIPT);
        for (name, want) in [
            ("both", Ok("image")),
            ("long", Ok(&*long)),
            ("org/x", Ok("deep")),
            ("stream", Ok("port")),
            ("longer", Err(too_long)),
            ("none", Err("not found in the image, ")),
        ] {
            let copied = copy(&root, Path::new(name), 4 << 20);
            match want {
                Ok(text) => {
                    assert_eq!(copied, Ok(()), "{name}");
                    assert!(fs::read(&script).unwrap() == text.as_bytes(), "{name}");
                }
                Err(words) => assert!(copied.unwrap_err().contains(words), "{name}"),
            }
        }
        serve_script(&root, Path::new("both"), File::open("/dev/null").unwrap());
        assert_eq!(fs::read(&script).unwrap(), b"image");
        assert_eq!(fs::metadata(script).unwrap().permissions().mode() & 0o777, 0o755);
    }
}
