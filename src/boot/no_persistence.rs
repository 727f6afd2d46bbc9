//! Without the feature `full` no boot is stored: [`crate::cmdline`] warns about `coldplug.persist=`.

use std::os::fd::BorrowedFd;

use super::root::RootSearch;
use super::{Boot, BootError};
use crate::cmdline::store_name::StoreName;
use crate::sys::BootTime;

/// Nothing.
#[derive(Debug)]
pub(super) struct Persistence;

impl Persistence {
    pub(super) fn new(_: Option<StoreName>, _: bool) -> Self {
        Self
    }

    pub(super) fn wake_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    pub(super) fn deadline(&self) -> Option<BootTime> {
        None
    }
}

impl Boot {
    pub(super) fn tend_persistence(&mut self, _: bool, _: &RootSearch) {}

    pub(super) fn finish_persistence(&mut self) {}

    pub(super) fn mark_stored(&mut self) {}

    pub(super) fn store_boot(&mut self, _: &BootError) {}
}
