//! Without the feature `stacks` nothing is assembled.

use std::os::fd::BorrowedFd;

use super::{Awaited, StepContext};
use crate::boot::reporter::Reporter;
use crate::cmdline::KernelCommandLine;
use crate::cmdline::root_name::RootName;
use crate::disk::seen::SeenDevice;
use crate::load::Loader;
use crate::sys::{BootTime, Root};

/// Records nothing.
pub(super) fn record_layers(_: &[(u32, u32)], _: &mut StepContext<'_>) {}

/// Nothing.
#[derive(Debug)]
pub(super) struct Assembly;

impl Assembly {
    pub(super) fn new(_: &Root, _: &KernelCommandLine, _: &mut Reporter) -> Self {
        Self
    }

    pub(super) fn advance(&mut self, _: &mut StepContext<'_>, _: Option<&Awaited>) -> bool {
        false
    }

    pub(super) fn hints(&self, _: Option<&RootName>, _: &[SeenDevice]) -> Vec<String> {
        Vec::new()
    }

    pub(super) fn is_asking(&self) -> bool {
        false
    }

    pub(super) fn has_given_up(&self) -> bool {
        false
    }

    pub(super) fn is_busy(&self) -> bool {
        false
    }

    pub(super) fn is_advancing(&self, _: &Loader) -> bool {
        false
    }

    pub(super) fn is_making(&self) -> bool {
        false
    }

    pub(super) fn is_pending(&self) -> bool {
        false
    }

    pub(super) fn wake_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::empty()
    }

    pub(super) fn wakeup(&self) -> Option<BootTime> {
        None
    }
}
