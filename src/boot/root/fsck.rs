//! fsck.TYPE: a filesystem is checked before it is mounted, by the program that the image carries for its type.
//!
//! Exit status as fsck(8) has it: 1 errors were mended, 2 the machine should be started again, 4 errors are left,
//! 8 and more: the check itself went wrong.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::devices::Candidate;
use super::{Boot, StepError};
use crate::cmdline::root::FsckMode;
use crate::report::Verdict;
use crate::sys::{Error, Root};

const SEARCH_DIRS: [&str; 4] = ["sbin", "usr/sbin", "bin", "usr/bin"];
/// Errors are left.
const UNCORRECTED: i32 = 4;

/// A check under way.
#[derive(Debug)]
pub(super) struct Fsck {
    child: Child,
    /// `fsck.ext4 /dev/vda1`
    what: String,
}

impl Fsck {
    /// Starts the check of what `device` holds; `None` where there is none to make.
    pub(super) fn start(
        device: &Candidate,
        mode: FsckMode,
        root: &Root,
    ) -> Option<Result<Self, StepError>> {
        let kind = device.fstype.as_ref().filter(|_| mode != FsckMode::No)?;
        let name = format!("fsck.{kind}");
        let program = SEARCH_DIRS.iter().map(|f| root.join(f).join(&name)).find(|p| p.exists())?;
        let mut command = Command::new(&program);
        command.arg("-a").stdin(Stdio::null());
        if mode == FsckMode::Force {
            command.arg("-f");
        }
        let what = format!("{name} {}", device.node.display());
        let child = command.arg(&device.node).spawn();
        Some(child.map(|child| Self { child, what }).map_err(|e| cannot_run(&program, &e)))
    }

    /// Whether the check has ended; says what it has mended.
    ///
    /// # Errors
    /// It left errors, or could not be made.
    pub(super) fn poll(&mut self, boot: &mut Boot) -> Result<bool, StepError> {
        let path = PathBuf::from(&self.what);
        let Some(status) = self.child.try_wait().map_err(|e| cannot_run(&path, &e))? else {
            return Ok(false);
        };
        match status.code() {
            Some(0) => {}
            Some(code) if code < UNCORRECTED => {
                boot.warn(format!("{} mended errors (exit status {code})", self.what));
            }
            _ => {
                return Err(StepError {
                    text: format!("{} left errors ({status})", self.what),
                    verdict: Verdict::MountFailed,
                    is_final: true,
                });
            }
        }
        Ok(true)
    }
}

fn cannot_run(program: &std::path::Path, error: &std::io::Error) -> StepError {
    Error::io("exec", program, error).into()
}
