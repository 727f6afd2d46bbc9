//! A module that the kernel requests from its helper, loaded in a program built without the feature
//! `full`, which has no modprobe(8).

use std::num::NonZeroUsize;
use std::time::Duration;

use super::threaded_loader::threaded_loader;
use crate::kmod::catalog::Catalog;
use crate::load::{Outcome, Rank};
use crate::sys::{self, Root};

/// Longest wait for the module and its dependencies.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Loads the modules that `name` or an alias of that name stands for. Returns whether all are live
/// or built in.
///
/// # Errors
/// The loader cannot start.
pub(crate) fn load_requested(root: &Root, name: &[u8]) -> sys::Result<bool> {
    let loader = threaded_loader(root, Catalog::new, NonZeroUsize::MIN, &mut Vec::new())?;
    let Some(modules) = loader.want_name(name, Rank::Root) else { return Ok(false) };
    let is_done = loader.wait_for(&modules, TIMEOUT);
    // As for modprobe(8), a module that is blacklisted is no failure of an alias.
    let is_good = |outcome: &Outcome| outcome.is_live() || *outcome == Outcome::Blacklisted;
    let records = loader.records();
    let mut own = records.iter().filter(|record| modules.contains(&record.name));
    Ok(is_done && own.all(|record| is_good(&record.outcome)))
}
