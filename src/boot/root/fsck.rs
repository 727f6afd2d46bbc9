//! fsck.TYPE: checks a filesystem before the mount, if the image contains the program for its type.
//!
//! ```text
//! exit status, fsck(8)                                                     then
//!   1 errors corrected   2 reboot wanted                                   mount, with a warning
//!   4 errors left uncorrected                                              the root fails
//!   8 operational error  16 usage  32 cancelled  128 library missing       mount, with a warning
//! ```
//!
//! The status is the sum of these. 64 is none of them: 126, 127 and 255 are those of shells and of
//! programs that could not do anything. A check that a signal ended may have changed a part of the
//! filesystem, so the root fails.
//!
//! Nothing is mounted yet, so no kernel has read what a check has changed: a reboot that the
//! check wants is only reported. A device that cannot be written is not checked, because nothing
//! could be corrected on it, and e2fsck and others refuse to open it.
//!
//! The check and its children are a process group. At its deadline the group gets SIGTERM, on which
//! e2fsck leaves the filesystem as consistent as it can, and SIGKILL after that.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::devices::Candidate;
use super::{StepContext, StepError};
use crate::boot::reporter::Reporter;
use crate::boot::seconds;
use crate::byte_text;
use crate::cmdline::root::FsckMode;
use crate::sys::{BootTime, Error, block, child, process};

const SEARCH_DIRS: [&str; 4] = ["sbin", "usr/sbin", "bin", "usr/bin"];
/// Bits of the exit status.
const CORRECTED: i32 = 1;
const UNCORRECTED: i32 = 4;
/// The lowest exit status of a check that was not made, or not to its end.
const FAILED: i32 = 8;
/// The lowest exit status that is none of fsck(8), except for a missing library.
const NOT_OF_FSCK: i32 = 64;
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
    status.code().is_some_and(|code| code < NOT_OF_FSCK && code & UNCORRECTED != 0)
}

/// Returns the warning about a check with this exit status, which is not 0 and left no errors.
fn warning(code: i32) -> &'static str {
    match code {
        FAILED.. => "filesystem not checked, mounting it all the same",
        CORRECTED => "errors corrected",
        2 => "reboot wanted, not needed before the mount",
        _ => "errors corrected; reboot wanted, not needed before the mount",
    }
}

impl Fsck {
    /// Starts the check of the filesystem on `device`, whose name for systemd is `name`, such as
    /// `root`. Returns `None` if no check is needed, the image contains no program for it, or the
    /// program cannot be executed.
    pub(super) fn start(
        device: &Candidate,
        name: Option<&str>,
        cx: &mut StepContext<'_>,
    ) -> Option<Self> {
        let params = &cx.params.root;
        let kind = device.fstype.as_ref().filter(|_| params.fsck != FsckMode::No)?;
        let program_name = format!("fsck.{kind}");
        let mut paths = SEARCH_DIRS.iter().map(|dir| cx.dir.join(dir).join(&program_name));
        let program = paths.find(|path| path.exists())?;
        let text = format!("{program_name} {}", byte_text::from_path(&device.node));
        if block::is_read_only(cx.dir, device.number) {
            cx.reporter.log().info(&format!("{text}: skipped, the device is read-only"));
            return None;
        }
        let mut command = Command::new(&program);
        command.arg(params.fsck_repair).stdin(Stdio::null()).process_group(0);
        if params.fsck == FsckMode::Force {
            command.arg("-f");
        }
        command.arg(&device.node);
        let marker = name.map(|name| cx.dir.join("run/initramfs").join(format!("fsck-{name}")));
        match child::spawn(|| command.spawn().map(|child| child.id())) {
            Ok(pid) => Some(Self {
                pid,
                command: text,
                began: BootTime::now(),
                timeout: params.fsck_timeout,
                next_progress: PROGRESS_INTERVAL,
                terminated: false,
                marker,
            }),
            Err(error) => {
                let error = Error::io("exec", &program, &error);
                cx.reporter.warn_once(format!("{text}: {}: {error}", warning(FAILED)));
                None
            }
        }
    }

    /// Returns whether the check has ended; warns if it corrected errors or was not made.
    ///
    /// # Errors
    /// Errors remain, the check was killed, or it did not end in time.
    pub(super) fn poll(&mut self, reporter: &mut Reporter) -> Result<bool, StepError> {
        let Some(status) = child::exit_status(self.pid) else {
            return self.watch(reporter).map(|()| false);
        };
        if self.terminated {
            return Err(self.timeout_error());
        }
        match status.code() {
            Some(0) => self.mark(),
            Some(code) if !left_errors(status) => {
                if code < FAILED {
                    self.mark();
                }
                let (command, text) = (&self.command, warning(code));
                reporter.warn(format!("{command}: {text} (exit status {code})"));
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
        const NOT_CHECKED: &str = "filesystem not checked, mounting it all the same";
        for (code, remain, text) in [
            (1, false, "errors corrected"),
            (2, false, "reboot wanted, not needed before the mount"),
            (3, false, "errors corrected; reboot wanted, not needed before the mount"),
            (4, true, ""),
            (5, true, ""),
            (6, true, ""),
            (7, true, ""),
            (8, false, NOT_CHECKED),
            (9, false, NOT_CHECKED),
            // Some errors remain, and something else went wrong.
            (12, true, ""),
            (16, false, NOT_CHECKED),
            (32, false, NOT_CHECKED),
            (36, true, ""),
            // A shell found no program, or cannot execute it.
            (126, false, NOT_CHECKED),
            (127, false, NOT_CHECKED),
            (128, false, NOT_CHECKED),
            // A program whose shell reports its signal, and one that returns -1.
            (134, false, NOT_CHECKED),
            (139, false, NOT_CHECKED),
            (255, false, NOT_CHECKED),
        ] {
            assert_eq!(left_errors(ExitStatus::from_raw(code << 8)), remain, "{code}");
            if !remain {
                assert_eq!(warning(code), text, "{code}");
            }
        }
        assert!(!left_errors(ExitStatus::from_raw(9)), "a signal");
    }
}
