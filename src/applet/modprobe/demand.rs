//! Loading on demand: marks for autoclean, and waits with a limit. The kernel runs at most fifty
//! helpers at a time; a helper that waited for another without limit would block its request, and
//! fifty of them all requests.
//!
//! Restoring settings after any load is here too.

use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::Modprobe;
use crate::applet::settings;
use crate::kmod::autoclean::AutocleanMarker;
use crate::kmod::name::ModuleName;
use crate::sys::kmsg::Kmsg;
use crate::sys::sysfs::{self, InitState};
use crate::sys::{autoclean_marker, semaphore};

/// Longest wait for a module that another process is loading: the kernel waits as long for its
/// symbols.
const MAX_INIT_WAIT: Duration = Duration::from_secs(30);
/// Number of install commands of the same module that may run in parallel.
const MAX_COMMANDS: usize = 4;
/// Longest wait until one of them has ended.
const MAX_COMMAND_WAIT: Duration = Duration::from_secs(2);
/// Interval between two checks.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

impl Modprobe<'_> {
    /// Restores the settings of a module that has just been loaded with `parameters` of the command
    /// line, and marks it.
    pub(super) fn after_load(&self, module: &ModuleName, parameters: &[u8]) {
        for problem in settings::restore(&self.tool.root, module, parameters) {
            self.report_problem(&problem);
        }
        self.mark(module);
    }

    /// Marks `module` for autoclean, if it was loaded on demand.
    pub(super) fn mark(&self, module: &ModuleName) {
        let root = &self.tool.root;
        let Some(request) = &self.options.demand else { return };
        let Some(sysfs_inode) = autoclean_marker::sysfs_inode(root, module) else { return };
        let mark =
            AutocleanMarker { sysfs_inode, unused_since_secs: None, request: request.clone() };
        // Without /run, autoclean removes nothing.
        let _ = autoclean_marker::write(root, module, &mark);
    }

    /// Removes the mark of a loaded module that the user asks for: autoclean keeps it from now on.
    pub(super) fn unmark(&self, module: &ModuleName) {
        let options = &self.options;
        if options.demand.is_none() && !options.dry_run && !options.show_depends {
            autoclean_marker::remove(&self.tool.root, module);
        }
    }

    /// When loading on demand, waits while another process loads `module`. That process may wait
    /// for this one, if the init of the module requested an alias that leads to the module itself.
    /// In the kernel that wait would have no limit.
    ///
    /// Returns whether the other process has loaded it.
    ///
    /// # Errors
    /// EBUSY after the longest wait; the message has been printed.
    pub(super) fn wait_for_other_load(&self, module: &ModuleName) -> Result<bool, Errno> {
        let state = || sysfs::initstate(&self.tool.root, module);
        let Some(request) = &self.options.demand else { return Ok(false) };
        let ended = || Some(state()).filter(|state| *state != Some(InitState::Coming));
        if let Some(state) = poll_until(MAX_INIT_WAIT, ended) {
            return Ok(state == Some(InitState::Live));
        }
        self.report_problem(&format!(
            "{module}: gave up after {} s: still initializing, possibly waiting for '{request}', \
             which needs it",
            MAX_INIT_WAIT.as_secs()
        ));
        Err(Errno::BUSY)
    }

    /// When loading on demand, acquires a slot for the install command of `module`. The slot is
    /// held until the file is dropped. A command that makes the kernel request the same module
    /// would otherwise start itself without end. `None` if no slot is needed.
    ///
    /// # Errors
    /// EBUSY if no slot becomes free; the message has been printed.
    pub(super) fn acquire_command_slot(&self, module: &ModuleName) -> Result<Option<File>, Errno> {
        let root = &self.tool.root;
        let Some(request) = &self.options.demand else { return Ok(None) };
        let taken = poll_until(MAX_COMMAND_WAIT, || {
            match semaphore::try_acquire(root, &module.text(), MAX_COMMANDS) {
                // Without /run commands cannot be counted; the limit of the kernel remains.
                Err(_) => Some(None),
                Ok(slot) => slot.map(Some),
            }
        });
        taken.ok_or_else(|| {
            self.report_problem(&format!(
                "{module}: install command not started: it already runs {MAX_COMMANDS} times, \
                 and may itself request '{request}'"
            ));
            Errno::BUSY
        })
    }

    /// Prints a problem that is no reason to fail. Requests of the kernel are quiet (`-q`), so the
    /// message goes to the kernel log then.
    pub(super) fn report_problem(&self, text: &str) {
        self.tool.error(text);
        if self.options.demand.is_some()
            && !self.tool.shows(crate::applet::tool::Level::Error)
            && let Ok(kmsg) = Kmsg::open(&self.tool.root)
        {
            kmsg.write_as(4, "modprobe", text);
        }
    }
}

/// Polls `check` until it returns a value, which is returned, or until `limit` is over.
fn poll_until<T>(limit: Duration, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        let value = check();
        if value.is_some() || Instant::now() >= end {
            return value;
        }
        thread::sleep(POLL_INTERVAL);
    }
}
