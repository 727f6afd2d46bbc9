//! A hibernated system: handed to the kernel before anything is mounted, since its filesystems are in use.
//!
//! admin-guide/kernel-parameters `resume=`, power/swsusp: the image's place is written to /sys/power/resume; where
//! there is a system to go on with, that write does not come back.

use std::time::Duration;

use super::devices::{Candidate, Content};
use super::{Progress, RootStep, StepContext, StepError};
use crate::cmdline::root_name::RootName;
use crate::sys::{boottime_ns, sysfs};

/// Longest wait for the device: to go on without it leaves an image behind that must never be used again.
const DEVICE_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Resume {
    name: RootName,
    /// Where the image starts, in pages; 0 on a swap partition.
    offset: u64,
    /// When the wait is over, on CLOCK_BOOTTIME.
    until: Option<u64>,
}

impl Resume {
    pub(super) fn new(name: RootName, offset: u64) -> Self {
        Self { name, offset, until: None }
    }

    /// Whether the device is worth asking the kernel about: a swap partition without an image is not.
    fn may_hold_image(&self, candidate: &Candidate) -> bool {
        candidate.kind == Some("swsuspend") || self.offset > 0
    }
}

impl RootStep for Resume {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let now = boottime_ns();
        let longest = u64::try_from(DEVICE_TIMEOUT.as_nanos()).unwrap_or(u64::MAX);
        let until = *self.until.get_or_insert_with(|| now.saturating_add(longest));
        let Some(candidate) = cx.devices.find(&self.name, Content::Any) else {
            if now < until {
                return Ok(Progress::NeedsDevice(format!("resume={}", self.name)));
            }
            let text =
                format!("resume={} did not come in {} s", self.name, DEVICE_TIMEOUT.as_secs());
            cx.boot.warn(text + "; starting afresh");
            return Ok(Progress::Done);
        };
        if !self.may_hold_image(&candidate) {
            return Ok(Progress::Done);
        }
        // The kernel freezes all processes for it, and a load that is under way cannot be.
        if !cx.loader.is_idle() && now < until {
            return Ok(Progress::InProgress);
        }
        cx.boot.log.info(&format!("resuming from {}", candidate.node.display()));
        let result = sysfs::resume(&cx.boot.root, candidate.number, self.offset);
        let cause = result.map_or_else(|e| e.to_string(), |()| "the kernel found no image".into());
        cx.boot.warn(format!("resume={}: {cause}; starting afresh", self.name));
        Ok(Progress::Done)
    }
}
