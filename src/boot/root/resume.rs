//! A hibernated system. It is handed to the kernel before anything is mounted, because its
//! filesystems are in use.
//!
//! admin-guide/kernel-parameters `resume=`, power/swsusp: the position of the image is written to
//! /sys/power/resume. If the kernel resumes a system, that write does not return. The mount worker
//! writes it: the kernel then freezes PID 1 like any other process.
//!
//! No filesystem may be mounted while the kernel may still resume: the hibernated system would
//! write to it as it was before. So a write that does not even end when its process is killed ends
//! the boot.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::time::Duration;

use super::devices::{Candidate, Content};
use super::worker::{Request, WorkerError};
use super::{Awaited, Progress, RootStep, StepContext, StepError};
use crate::boot::seconds;
use crate::byte_text;
use crate::cmdline::root_name::RootName;
use crate::sys::{BootTime, Root};

/// Longest wait for the device. A boot without it leaves a hibernation image behind that must never
/// be used again.
const DEVICE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest further wait for an array or a volume group that starts without what is missing.
const ASSEMBLY_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest time until the kernel has read the header of the image. After that all processes are
/// frozen, this one too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that a killed worker has to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// The state of the step.
#[derive(Debug)]
enum State {
    /// The device has not been found yet. The wait ends at this time of the clock for waits.
    NeedsDevice(Option<BootTime>),
    /// The worker has been writing since this time.
    Writing(BootTime),
    /// The worker was killed at this time.
    Killed(BootTime),
}

#[derive(Debug)]
pub(super) struct Resume {
    name: RootName,
    /// Start of the image, in pages; 0 on a swap partition.
    offset: u64,
    state: State,
}

impl Resume {
    pub(super) fn new(name: RootName, offset: u64) -> Self {
        Self { name, offset, state: State::NeedsDevice(None) }
    }

    /// Returns whether the device may hold an image. A swap partition without the mark of an image
    /// does not.
    fn may_hold_image(&self, candidate: &Candidate) -> bool {
        candidate.kind == Some("swsuspend") || self.offset > 0
    }

    /// Returns why no wait helps to find the device; `None` if it may appear.
    fn refusal(&self, dir: &Root) -> Option<&'static str> {
        let is_other = |path: &str| {
            fs::metadata(dir.join(path)).is_ok_and(|node| !node.file_type().is_block_device())
        };
        match &self.name {
            name if !name.may_be_block_device() => Some("no block device has such a name"),
            RootName::Device(path) if is_other(path) => Some("not a block device"),
            _ => None,
        }
    }

    fn find_device(
        &mut self,
        deadline: Option<BootTime>,
        cx: &mut StepContext<'_>,
    ) -> Result<Progress, StepError> {
        if deadline.is_none()
            && let Some(cause) = self.refusal(cx.dir)
        {
            return Ok(self.give_up(cause, cx));
        }
        let now = cx.clock.now();
        let deadline = deadline.unwrap_or(now + DEVICE_TIMEOUT);
        self.state = State::NeedsDevice(Some(deadline));
        let awaited = Awaited::device(self.parameter(), Some(&self.name));
        let Some(candidate) = cx.devices.find(&self.name, Content::Any) else {
            // To boot without it while it appears late would leave an image that a later boot resumes
            // over filesystems that have changed.
            let is_coming = cx.is_assembly_pending || cx.devices.is_undecided();
            if now < deadline || (is_coming && now < deadline + ASSEMBLY_TIMEOUT) {
                return Ok(Progress::NeedsDevice(awaited));
            }
            let text = awaited.failure(&seconds(DEVICE_TIMEOUT));
            cx.reporter.warn(text + "; booting without resume");
            return Ok(Progress::Done);
        };
        if !self.may_hold_image(&candidate) {
            return Ok(Progress::Done);
        }
        // The kernel freezes all processes before it resumes; a load that is under way cannot be
        // frozen, nor can the read of a disk.
        if (!cx.loader.is_idle() || cx.devices.has_running_read()) && now < deadline {
            return Ok(Progress::Working("resume"));
        }
        cx.reporter.log().info(&format!("resuming from {}", byte_text::from_path(&candidate.node)));
        let request = Request::Resume { number: candidate.number, offset: self.offset };
        cx.worker.request(request, self.operation())?;
        self.state = State::Writing(BootTime::now());
        Ok(Progress::Working("resume"))
    }

    fn parameter(&self) -> String {
        format!("resume={}", self.name)
    }

    fn operation(&self) -> String {
        format!("{}: reading the image", self.parameter())
    }

    /// Ends the step after a resume that has failed.
    fn give_up(&self, cause: &str, cx: &mut StepContext<'_>) -> Progress {
        cx.reporter.warn(format!("{}: {cause}; booting without resume", self.parameter()));
        Progress::Done
    }
}

impl RootStep for Resume {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        match self.state {
            State::NeedsDevice(deadline) => self.find_device(deadline, cx),
            State::Writing(since) => match cx.worker.poll() {
                Some(Ok(_)) => Ok(self.give_up("no image found by the kernel", cx)),
                Some(Err(WorkerError::System(error))) => Ok(self.give_up(&error.to_string(), cx)),
                Some(Err(WorkerError::Died(_))) => Ok(self.give_up("the mount worker died", cx)),
                None => {
                    if since.elapsed() >= HEADER_TIMEOUT {
                        cx.worker.kill();
                        self.state = State::Killed(BootTime::now());
                    }
                    Ok(Progress::Working("resume"))
                }
            },
            State::Killed(at) => {
                let timeout = seconds(HEADER_TIMEOUT);
                if cx.worker.poll().is_some() {
                    return Ok(self.give_up(&format!("did not end within {timeout}"), cx));
                }
                if at.elapsed() < KILL_TIMEOUT {
                    return Ok(Progress::Working("resume"));
                }
                let waited = HEADER_TIMEOUT + KILL_TIMEOUT;
                Err(StepError::StuckResume { operation: self.operation(), waited })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_device_can_have_are_refused_at_once() {
        let scratch = tempfile::tempdir().unwrap();
        let dev = scratch.path().join("dev");
        fs::create_dir_all(dev.join("mapper")).unwrap();
        fs::write(dev.join("file"), "x").unwrap();
        std::os::unix::fs::symlink("/dev/null", dev.join("null")).unwrap();
        std::os::unix::fs::symlink("vda2", dev.join("swap")).unwrap();
        let dir = Root::at(scratch.path());
        let (name, node) = (Some("no block device has such a name"), Some("not a block device"));
        for (text, want) in [
            ("foo", name),
            ("sda2", name),
            ("none", name),
            ("/swapfile", name),
            ("UUID=", name),
            ("0:0", name),
            ("/dev/", name),
            ("/dev/null", node),
            ("/dev/mapper", node),
            ("/dev/file", node),
            ("/dev/vda2", None),
            ("/dev/swap", None),
            ("/dev/mapper/swap", None),
            ("UUID=1234", None),
            ("LABEL=none", None),
            ("8:2", None),
        ] {
            let resume = Resume::new(RootName::parse(text).unwrap(), 0);
            assert_eq!(resume.refusal(&dir), want, "{text}");
        }
    }
}
