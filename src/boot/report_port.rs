//! The port or file of `coldplug.report=`, and that of `coldplug.capture=`.
//!
//! A child (`coldplug report-writer`) writes it: a file may be on a disk or a server that does not
//! answer, and the close of a terminal waits until it has sent everything. The child inherits the
//! record as a file in memory, because a record may be longer than a message. It makes the capture
//! by itself.
//!
//! On a console, where other messages appear, the text is written in the lines of
//! machine/serial_lines.rs.
//!
//! After the switch the child's program is the one of the initramfs, which /proc/self/exe names
//! even when its file is deleted. In a root without /proc there is no report.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

use super::seconds;
use crate::byte_text;
use crate::machine::serial_lines::{self, Kind};
use crate::sys::child::{self, ChildProcess, Received};
use crate::sys::console::{self, QuietKernel};
use crate::sys::regular_file::{self, RECORD_LIMIT};
use crate::sys::{self, BootTime, Root, machine, port, process, signals};

/// Name of the command that the child runs.
const APPLET: &str = "report-writer";
/// Longest wait for the child. A serial port that is read accepts a record of 50 KB within half a
/// minute at 19200 baud.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The same if a person waits for the restart.
const SHORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for which a port may accept nothing.
const STALL_TIMEOUT: Duration = Duration::from_secs(2);
/// What the child is passed for the record, if it is to write a capture.
const CAPTURE: &str = "capture";
/// The reply of a child that has written everything. Any other one is the error.
const WRITTEN: &[u8] = b"written";

/// What writes to the port.
#[derive(Debug, Default)]
pub(super) struct ReportPort {
    /// Whether the port did not answer once. Then a second verdict of this boot does not wait for
    /// it again.
    is_given_up: bool,
}

impl ReportPort {
    /// Has a child write `record`, or a capture, to `path`, and waits for it, not as long if the boot
    /// has been interrupted.
    ///
    /// # Errors
    /// The text says why it is not written.
    pub(super) fn write(
        &mut self,
        path: &str,
        record: Option<&str>,
        is_interrupted: bool,
    ) -> Result<(), String> {
        if self.is_given_up {
            return Ok(());
        }
        let text = |error: sys::Error| error.to_string();
        let memory = record.map(|record| process::memfd("record", record.as_bytes()));
        let memory = memory.transpose().map_err(text)?;
        let file = memory.as_ref().map(|memory| format!("/proc/self/fd/{}", memory.as_raw_fd()));
        let file = file.unwrap_or_else(|| CAPTURE.to_owned());
        let child = ChildProcess::start(APPLET, &[&file, path].map(str::as_ref)).map_err(text)?;
        let timeout = if is_interrupted { SHORT_TIMEOUT } else { TIMEOUT };
        match signals::receive_from(&child, BootTime::now() + timeout) {
            Received::Message(reply) if reply == WRITTEN => Ok(()),
            Received::Message(reply) => Err(String::from_utf8_lossy(&reply).into_owned()),
            Received::Ended => {
                Err(format!("write {path}: the child process ended without a reply"))
            }
            Received::Pending => {
                self.is_given_up = true;
                Err(match is_interrupted || !signals::is_ctrl_alt_del_pressed() {
                    true => format!("write {path}: given up after {}", seconds(timeout)),
                    false => format!("write {path}: given up: Ctrl-Alt-Del was pressed"),
                })
            }
        }
    }
}

/// Runs the child: writes the file `record`, or a capture, to `path`, and replies. A file is created,
/// unless its place is /dev: there it is a port that does not exist.
pub(crate) fn serve_report(root: &Root, record: &str, path: &str, socket: impl AsFd) {
    let is_device = Path::new(path.trim_start_matches('/')).starts_with("dev");
    let path = root.join(byte_text::to_path(path));
    let (kind, bytes) = match record {
        CAPTURE => {
            let capture = machine::capture(root).map(|capture| capture.to_text().into_bytes());
            (Kind::Capture, capture)
        }
        record => (Kind::Record, regular_file::read(Path::new(record), RECORD_LIMIT)),
    };
    let mut quiet = None;
    let written = bytes.and_then(|bytes| {
        let framed = |port: &File| match console::is_console(root, port) {
            true => {
                quiet = Some(QuietKernel::new(root));
                serial_lines::encode(kind, &bytes).into_bytes()
            }
            false => bytes,
        };
        port::write(&path, framed, !is_device, STALL_TIMEOUT)
    });
    drop(quiet);
    let reply = written.map_or_else(|error| error.to_string().into_bytes(), |()| WRITTEN.to_vec());
    child::send_to_parent(socket, &reply);
}
