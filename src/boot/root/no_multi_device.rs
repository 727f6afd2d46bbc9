//! Without the feature `full` a filesystem is on one device: the kernel is not told about others.

use std::path::PathBuf;

use super::StepContext;
use super::devices::Candidate;
pub(super) use super::member_device::{DEGRADED, MemberDevice, is_degraded};
use super::named_devices::NamedDevices;
use crate::boot::reporter::Reporter;

/// The devices of one filesystem: never more than one.
#[derive(Debug)]
pub(super) enum MultiDevice {}

impl MultiDevice {
    /// Warns if the filesystem on `candidate` has further devices. Returns `None`.
    pub(super) fn find(
        candidate: &Candidate,
        _: &NamedDevices,
        cx: &mut StepContext<'_>,
    ) -> Option<Self> {
        let total = candidate.member.map_or(1, |member| member.total);
        if total > 1 {
            let (node, kind) = (candidate.node.display(), candidate.kind.unwrap_or_default());
            cx.reporter.warn_once(format!(
                "{node} is one of {total} {kind} devices: this coldplug tells the kernel of no others"
            ));
        }
        None
    }

    pub(super) fn warn_copies(&self, _: &str, _: &mut Reporter) {
        match *self {}
    }

    pub(super) fn is_plural(&self) -> bool {
        match *self {}
    }

    pub(super) fn is_short(&self) -> bool {
        match *self {}
    }

    pub(super) fn may_be_outdated(&self) -> bool {
        match *self {}
    }

    pub(super) fn is_btrfs(&self) -> bool {
        match *self {}
    }

    pub(super) fn all(&self) -> &[PathBuf] {
        match *self {}
    }

    pub(super) fn numbers(&self) -> Vec<(u32, u32)> {
        match *self {}
    }

    pub(super) fn summary(&self) -> String {
        match *self {}
    }

    pub(super) fn source(&self, _: PathBuf, _: &str) -> (PathBuf, String) {
        match *self {}
    }
}
