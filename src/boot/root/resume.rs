//! A hibernated system. It is handed to the kernel before anything is mounted, because its
//! filesystems are in use.
//!
//! admin-guide/kernel-parameters `resume=`, power/swsusp: the position of the image is written to
//! /sys/power/resume. If the kernel resumes a system, that write does not return.

use std::time::Duration;

use super::devices::{Candidate, Content};
use super::{Awaited, Progress, RootStep, StepContext, StepError};
use crate::boot::seconds;
use crate::cmdline::root_name::RootName;
use crate::sys::{BootTime, sysfs};

/// Longest wait for the device. A boot without it leaves a hibernation image behind that must never
/// be used again.
const DEVICE_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Resume {
    name: RootName,
    /// Start of the image, in pages; 0 on a swap partition.
    offset: u64,
    /// Time at which the wait ends.
    deadline: Option<BootTime>,
}

impl Resume {
    pub(super) fn new(name: RootName, offset: u64) -> Self {
        Self { name, offset, deadline: None }
    }

    /// Returns whether the device may hold an image. A swap partition without the mark of an image
    /// does not.
    fn may_hold_image(&self, candidate: &Candidate) -> bool {
        candidate.kind == Some("swsuspend") || self.offset > 0
    }

    /// Resumes from the device. Returns only if that fails.
    fn resume(&self, candidate: &Candidate, cx: &mut StepContext<'_>) {
        cx.reporter.log().info(&format!("resuming from {}", candidate.node.display()));
        let result = sysfs::resume_hibernation(cx.dir, candidate.number, self.offset);
        let cause =
            result.map_or_else(|e| e.to_string(), |()| "no image found by the kernel".into());
        cx.reporter.warn(format!("resume={}: {cause}; booting without resume", self.name));
    }
}

impl RootStep for Resume {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let now = BootTime::now();
        let deadline = *self.deadline.get_or_insert_with(|| now + DEVICE_TIMEOUT);
        let awaited = Awaited::device(format!("resume={}", self.name), Some(&self.name));
        let Some(candidate) = cx.devices.find(&self.name, Content::Any) else {
            if now < deadline {
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
        // frozen.
        if !cx.loader.is_idle() && now < deadline {
            return Ok(Progress::Working);
        }
        self.resume(&candidate, cx);
        Ok(Progress::Done)
    }
}
