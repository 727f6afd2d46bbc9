//! fsck.TYPE: checks a filesystem before the mount, if the image contains the program for its type.
//!
//! Exit status as in fsck(8): 1 errors corrected, 2 reboot needed, 4 errors left uncorrected,
//! 8 and above: the check itself failed.
//!
//! The check and its children are a process group. At its deadline the group gets SIGTERM, on which
//! e2fsck leaves the filesystem as consistent as it can, and SIGKILL after that.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::StepError;
use super::devices::Candidate;
use crate::boot::reporter::Reporter;
use crate::boot::seconds;
use crate::cmdline::root::{FsckMode, RootParams};
use crate::sys::{BootTime, Error, Root, child, process};

const SEARCH_DIRS: [&str; 4] = ["sbin", "usr/sbin", "bin", "usr/bin"];
/// Exit status for errors left uncorrected, and the lowest one of a check that failed.
const UNCORRECTED: i32 = 4;
const FAILED: i32 = 8;
/// Interval between messages about a check that is running.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
/// Time between SIGTERM and SIGKILL.
const KILL_DELAY: Duration = Duration::from_secs(5);

/// A check that is running.
#[derive(Debug)]
pub(super) struct Fsck {
    /// Process ID of the check, and number of its process group.
    pid: u32,
    /// `fsck.ext4 /dev/vda1`
    command: String,
    began: BootTime,
    timeout: Duration,
    /// Time of the next message, from the start of the check.
    next_progress: Duration,
    /// Whether the group has had SIGTERM.
    terminated: bool,
    /// File that the end of the check creates: systemd then does not check the filesystem again.
    marker: Option<PathBuf>,
}

/// Next action for a check that runs.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Terminate,
    Kill,
}

/// Returns what is due for a check that has run for `age`.
fn due(age: Duration, timeout: Duration, terminated: bool) -> Due {
    if age < timeout {
        return Due::Nothing;
    }
    match terminated {
        false => Due::Terminate,
        true if age < timeout + KILL_DELAY => Due::Nothing,
        true => Due::Kill,
    }
}

/// Returns whether a check that ended like this has found errors that it did not correct.
pub(super) fn left_errors(status: ExitStatus) -> bool {
    status.code().is_some_and(|code| (UNCORRECTED..FAILED).contains(&code))
}

impl Fsck {
    /// Starts the check of the filesystem on `device`, whose name for systemd is `name`, such as
    /// `root`. Returns `None` if no check is needed or the image contains no program for it.
    pub(super) fn start(
        device: &Candidate,
        name: Option<&str>,
        params: &RootParams,
        dir: &Root,
    ) -> Option<Result<Self, StepError>> {
        let kind = device.fstype.as_ref().filter(|_| params.fsck != FsckMode::No)?;
        let program_name = format!("fsck.{kind}");
        let program =
            SEARCH_DIRS.iter().map(|d| dir.join(d).join(&program_name)).find(|p| p.exists())?;
        let mut command = Command::new(&program);
        command.arg(params.fsck_repair).stdin(Stdio::null()).process_group(0);
        if params.fsck == FsckMode::Force {
            command.arg("-f");
        }
        command.arg(&device.node);
        let started = child::spawn(|| command.spawn().map(|child| child.id()));
        let command = format!("{program_name} {}", device.node.display());
        let marker = name.map(|name| dir.join("run/initramfs").join(format!("fsck-{name}")));
        let check = |pid| Self {
            pid,
            command,
            began: BootTime::now(),
            timeout: params.fsck_timeout,
            next_progress: PROGRESS_INTERVAL,
            terminated: false,
            marker,
        };
        Some(started.map(check).map_err(|e| cannot_run(&program, &e)))
    }

    /// Returns whether the check has ended; warns about errors that it corrected.
    ///
    /// # Errors
    /// Errors remain, the check failed, or it did not end in time.
    pub(super) fn poll(&mut self, reporter: &mut Reporter) -> Result<bool, StepError> {
        let Some(status) = child::exit_status(self.pid) else {
            return self.watch(reporter).map(|()| false);
        };
        if self.terminated {
            return Err(self.timeout_error());
        }
        match status.code() {
            Some(0) => self.mark(),
            Some(code) if code < UNCORRECTED => {
                self.mark();
                let command = &self.command;
                reporter.warn(format!("{command}: errors corrected (exit status {code})"));
            }
            _ => return Err(StepError::Fsck { command: self.command.clone(), status }),
        }
        Ok(true)
    }

    /// Creates the marker. Without it the filesystem is only checked twice.
    fn mark(&self) {
        let Some((marker, dir)) = self.marker.as_ref().and_then(|m| Some((m, m.parent()?))) else {
            return;
        };
        let _ = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(marker, ""));
    }

    /// Logs that the check still runs, and ends it at its deadline.
    ///
    /// # Errors
    /// The check did not even end after SIGTERM.
    fn watch(&mut self, reporter: &mut Reporter) -> Result<(), StepError> {
        let age = self.began.elapsed();
        match due(age, self.timeout, self.terminated) {
            Due::Nothing => {}
            Due::Terminate => {
                self.terminated = true;
                process::kill_group(self.pid, Signal::TERM);
            }
            // It is killed when it is dropped.
            Due::Kill => return Err(self.timeout_error()),
        }
        if age >= self.next_progress {
            self.next_progress = age + PROGRESS_INTERVAL;
            let (command, age) = (&self.command, seconds(Duration::from_secs(age.as_secs())));
            reporter.log().info(&format!("{command}: still running after {age}"));
        }
        Ok(())
    }

    fn timeout_error(&self) -> StepError {
        StepError::FsckTimeout { command: self.command.clone(), timeout: self.timeout }
    }
}

impl Drop for Fsck {
    /// Kills what is left of the group: a check at its deadline, or children that it has left.
    fn drop(&mut self) {
        process::kill_group(self.pid, Signal::KILL);
        child::forget(self.pid);
    }
}

fn cannot_run(program: &Path, error: &std::io::Error) -> StepError {
    Error::io("exec", program, error).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn a_check_is_terminated_and_then_killed() {
        let s = Duration::from_secs;
        for (age, terminated, want) in [
            (0, false, Due::Nothing),
            (2, false, Due::Nothing),
            (3, false, Due::Terminate),
            (99, false, Due::Terminate),
            (3, true, Due::Nothing),
            (7, true, Due::Nothing),
            (8, true, Due::Kill),
        ] {
            assert_eq!(due(s(age), s(3), terminated), want, "{age} s, {terminated}");
        }
        assert_eq!(due(s(0), s(0), false), Due::Terminate);
    }

    #[test]
    fn errors_remain_only_after_a_check_that_worked() {
        for (wait_status, want) in
            [(4 << 8, true), (7 << 8, true), (8 << 8, false), (127 << 8, false), (9, false)]
        {
            assert_eq!(left_errors(ExitStatus::from_raw(wait_status)), want, "{wait_status}");
        }
    }
}
