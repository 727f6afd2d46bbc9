//! fsck.TYPE: checks a filesystem before the mount, if the image contains the program for its type.
//!
//! Exit status as in fsck(8): 1 errors corrected, 2 reboot needed, 4 errors left uncorrected,
//! 8 and above: the check itself failed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::StepError;
use super::devices::Candidate;
use crate::boot::reporter::Reporter;
use crate::cmdline::root::FsckMode;
use crate::sys::{Error, Root};

const SEARCH_DIRS: [&str; 4] = ["sbin", "usr/sbin", "bin", "usr/bin"];
/// Exit status for errors left uncorrected.
const UNCORRECTED: i32 = 4;

/// A check that is running.
#[derive(Debug)]
pub(super) struct Fsck {
    child: Child,
    /// `fsck.ext4 /dev/vda1`
    command: String,
}

impl Fsck {
    /// Starts the check of the filesystem on `device`. Returns `None` if no check is needed or the
    /// image contains no program for it.
    pub(super) fn start(
        device: &Candidate,
        mode: FsckMode,
        dir: &Root,
    ) -> Option<Result<Self, StepError>> {
        let kind = device.fstype.as_ref().filter(|_| mode != FsckMode::No)?;
        let name = format!("fsck.{kind}");
        let program = SEARCH_DIRS.iter().map(|d| dir.join(d).join(&name)).find(|p| p.exists())?;
        let mut command = Command::new(&program);
        command.arg("-a").stdin(Stdio::null());
        if mode == FsckMode::Force {
            command.arg("-f");
        }
        let child = command.arg(&device.node).spawn();
        let command = format!("{name} {}", device.node.display());
        Some(child.map(|child| Self { child, command }).map_err(|e| cannot_run(&program, &e)))
    }

    /// Returns whether the check has ended; warns about errors that it corrected.
    ///
    /// # Errors
    /// Errors remain, or the check failed.
    pub(super) fn poll(&mut self, reporter: &mut Reporter) -> Result<bool, StepError> {
        let path = PathBuf::from(&self.command);
        let Some(status) = self.child.try_wait().map_err(|e| cannot_run(&path, &e))? else {
            return Ok(false);
        };
        match status.code() {
            Some(0) => {}
            Some(code) if code < UNCORRECTED => {
                let command = &self.command;
                reporter.warn(format!("{command}: errors corrected (exit status {code})"));
            }
            _ => return Err(StepError::Fsck { command: self.command.clone(), status }),
        }
        Ok(true)
    }
}

fn cannot_run(program: &Path, error: &std::io::Error) -> StepError {
    Error::io("exec", program, error).into()
}
