//! `coldplug finish`: loads in the real system what `coldplug.settle=root` has left.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::coldplug::{Coldplug, Drained};
use super::loading::note_sizes;
use super::threaded_loader::threaded_loader;
use super::{EXTRA_JOBS, RECORD, REMAINING, write};
use crate::cmdline::root::RootParams;
use crate::kmod::catalog::Catalog;
use crate::load::{Loader, ModuleRecord, Outcome, Rank};
use crate::report::Record;
use crate::scan::RootHint;
use crate::sys::regular_file::{self, RECORD_LIMIT};
use crate::sys::sysfs::{self, InitState};
use crate::sys::uevent::Socket;
use crate::sys::{self, BootTime, Root};

/// Longest wait for all loads.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Interval between checks whether buses are quiet.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The result of [`finish`].
#[derive(Debug)]
pub(crate) struct Finished {
    /// What became of each module.
    pub(crate) modules: Vec<ModuleRecord>,
    /// Problems that did not stop the loads.
    pub(crate) warnings: Vec<String>,
}

/// Loads the modules that /run/coldplug/remaining lists, and the modules of devices that they bring
/// up. Adds them to the record of the boot, and removes the list.
///
/// # Errors
/// There is no list, or the loader cannot start.
pub(crate) fn finish(dir: &Root) -> sys::Result<Finished> {
    let list = dir.join(REMAINING);
    let text = regular_file::read_text(&list, RECORD_LIMIT)?;
    let mut warnings = Vec::new();
    // A kernel without it has its devices scanned for.
    let socket = Socket::open(None).ok();
    let loader = loader(dir, &mut warnings)?;
    let root_hint = RootHint::new(&RootParams::default(), None);
    let mut coldplug = Coldplug::new(dir, &loader, &root_hint, false);
    let mut modules = Vec::new();
    for name in text.lines().filter(|line| !line.is_empty()) {
        if sysfs::initstate(dir, &name.into()) == Some(InitState::Live) {
            modules.push(already_loaded(name));
        } else {
            warnings.extend(loader.want_listed(REMAINING, name.as_bytes(), Rank::Rest).err());
        }
    }
    settle(&loader, &mut coldplug, socket.as_ref())?;
    loader.close();
    warnings.extend(loader.take_warnings());
    modules.extend(loader.records());
    note_sizes(dir, &mut modules);
    if let Err(error) = update_record(dir, &mut modules) {
        warnings.push(error.to_string());
    }
    std::fs::remove_file(&list).map_err(|e| sys::Error::io("unlink", &list, &e))?;
    Ok(Finished { modules, warnings })
}

/// Returns the record of a module that is live already: the load of the boot has ended since, or
/// another program has loaded it.
fn already_loaded(name: &str) -> ModuleRecord {
    let now = BootTime::now();
    let record = ModuleRecord::new(name.into(), Outcome::Already, "asked".to_owned());
    ModuleRecord { start: now, end: now, ..record }
}

/// Starts a loader with the configuration of the real system.
fn loader(root: &Root, warnings: &mut Vec<String>) -> sys::Result<Loader> {
    let mut ignored = Vec::new();
    let threads = NonZeroUsize::MIN.saturating_add(sys::processors() - 1 + EXTRA_JOBS);
    let loader = threaded_loader(root, Catalog::checked, threads, &mut ignored);
    warnings.extend(ignored.iter().map(ToString::to_string));
    loader
}

/// Waits until nothing is left to load and a scan finds nothing new.
fn settle(
    loader: &Loader,
    coldplug: &mut Coldplug<'_>,
    socket: Option<&Socket>,
) -> sys::Result<()> {
    let end = BootTime::now() + TIMEOUT;
    coldplug.scan()?;
    while BootTime::now() < end {
        let idle = loader.is_idle();
        coldplug.tick();
        let drained = match socket {
            Some(socket) => coldplug.drain(socket)?,
            None => Drained::default(),
        };
        if drained.lost {
            coldplug.rescan()?;
        }
        let quiet = coldplug.is_quiet();
        if idle && quiet && !drained.fresh && !drained.lost && coldplug.scan()? == 0 {
            return Ok(());
        }
        loader.drive();
        let mut fds = vec![PollFd::from_borrowed_fd(loader.wake_fd(), PollFlags::IN)];
        fds.extend(socket.map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)));
        // Interrupted or not: the loop checks everything again.
        let _ = poll(&mut fds, Timespec::try_from(POLL_INTERVAL).ok().as_ref());
        loader.clear_wake();
    }
    Ok(())
}

/// Adds the results of `modules` to the record of the boot, which has the reasons that the list of
/// names lacks.
fn update_record(dir: &Root, modules: &mut [ModuleRecord]) -> sys::Result<()> {
    let path = dir.join(RECORD);
    let text = regular_file::read_text(&path, RECORD_LIMIT)?;
    Record::add_requests(&text, modules);
    match Record::updated(&text, modules) {
        Some(record) => write(&path, (record + "\n").as_bytes()),
        None => {
            let cause = sys::Cause::Other("not a boot record".to_owned());
            Err(sys::Error::new("parse", path.display(), cause))
        }
    }
}
