//! What the person at a console asks of PID 1: a file that the rescue commands write.
//!
//! ```text
//! retry root=LABEL=x rw        what is asked; after `retry`, words for the kernel command line
//! ```

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::io::Errno;

use crate::sys::{Error, Result, Root, regular_file};

/// Path of the request.
const FILE: &str = "run/coldplug/request";
/// Longest request in bytes, twice a kernel command line.
const MAX_LENGTH: usize = 8192;

/// What the person at a console asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// To leave the shell: after a failed boot that restarts the machine, at `coldplug.break=` the
    /// boot continues.
    Exit,
    /// To restart the machine.
    Reboot,
    /// To power off.
    PowerOff,
    /// To search for the root again, with these words added to the kernel command line.
    Retry(String),
    /// To switch to the filesystem that is mounted at /sysroot, or to continue the boot.
    Continue,
}

impl Request {
    /// Parses the text of a request; `None` if it is none.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match (word, rest) {
            ("retry", words) => Some(Self::Retry(words.to_owned())),
            ("exit", "") => Some(Self::Exit),
            ("reboot", "") => Some(Self::Reboot),
            ("poweroff", "") => Some(Self::PowerOff),
            ("continue", "") => Some(Self::Continue),
            _ => None,
        }
    }

    /// Writes the request below `dir`, unless another one is there.
    ///
    /// # Errors
    /// The file cannot be written; EEXIST if PID 1 has not taken an earlier request yet.
    pub(crate) fn send(&self, dir: &Root) -> Result<()> {
        let path = dir.join(FILE);
        let own = path.with_extension(std::process::id().to_string());
        let failed = |e: std::io::Error| Error::io("write", &path, &e);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        // PID 1 must not read half a request, and the first one is the one that counts: link(2)
        // fails if the name is in use.
        let written = write_new(&own, &self.to_string()).and_then(|()| fs::hard_link(&own, &path));
        let _ = fs::remove_file(&own);
        written.map_err(failed)
    }

    /// Takes the request below `dir`, if there is one.
    pub(super) fn take(dir: &Root) -> Option<Self> {
        let path = dir.join(FILE);
        let text = match regular_file::read_text(&path, MAX_LENGTH) {
            Err(error) if error.cause == Errno::NOENT => return None,
            text => text,
        };
        let _ = fs::remove_file(&path);
        Self::parse(&text.ok()?)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit => f.write_str("exit"),
            Self::Reboot => f.write_str("reboot"),
            Self::PowerOff => f.write_str("poweroff"),
            Self::Retry(words) => write!(f, "retry {words}"),
            Self::Continue => f.write_str("continue"),
        }
    }
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_is_taken_once() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Root::at(scratch.path());
        assert_eq!(Request::take(&dir), None);
        for request in [
            Request::Exit,
            Request::Reboot,
            Request::PowerOff,
            Request::Continue,
            Request::Retry(String::new()),
            Request::Retry("root=\"LABEL=my root\" rw".into()),
        ] {
            request.send(&dir).unwrap();
            let error = Request::Exit.send(&dir).unwrap_err();
            assert_eq!(error.cause, Errno::EXIST);
            assert_eq!(Request::take(&dir), Some(request));
            assert_eq!(Request::take(&dir), None);
        }
        let left = fs::read_dir(scratch.path().join("run/coldplug")).unwrap().count();
        assert_eq!(left, 0, "files of requests are left");
    }

    #[test]
    fn other_texts_are_no_request() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Root::at(scratch.path());
        fs::create_dir_all(scratch.path().join("run/coldplug")).unwrap();
        for text in ["", "exit now", "halt", "retry\u{0}", "reboot\nexit"] {
            fs::write(scratch.path().join(FILE), text).unwrap();
            assert_eq!(Request::take(&dir), None, "{text:?}");
            assert_eq!(fs::read_dir(scratch.path().join("run/coldplug")).unwrap().count(), 0);
        }
        fs::write(scratch.path().join(FILE), b"\xff").unwrap();
        assert_eq!(Request::take(&dir), None);
    }
}
