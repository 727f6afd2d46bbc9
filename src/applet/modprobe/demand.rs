//! On demand, for the kernel: the marks by which autoclean knows what may go, and waits that end. A helper that waited for
//! ever for another one would hold up what the kernel wants, and fifty of them all that it wants.
//!
//! And, for everybody: the settings that a module gets back.

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

/// The longest wait for a module that another is loading: as long as the kernel itself waits for a symbol of one.
const INIT: Duration = Duration::from_secs(30);
/// How many install commands of one module may run at once, and how long the next one waits for a place.
const PLACES: usize = 4;
const PLACE: Duration = Duration::from_secs(2);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(20);

impl Modprobe<'_> {
    /// What there is to do for a module that has just been loaded with `parameters` of the command line.
    pub(super) fn has_come(&self, module: &ModuleName, parameters: &str) {
        for complaint in settings::restore(&self.tool.root, module, parameters) {
            self.complain(&complaint);
        }
        self.mark(module);
    }

    /// Marks `module` for autoclean, if this is on demand.
    pub(super) fn mark(&self, module: &ModuleName) {
        let root = &self.tool.root;
        let Some(request) = &self.options.demand else { return };
        let Some(sysfs_inode) = autoclean_marker::sysfs_inode(root, module) else { return };
        let mark =
            AutocleanMarker { sysfs_inode, unused_since_secs: None, request: request.clone() };
        // Where there is no /run nothing is ever cleaned.
        let _ = autoclean_marker::write(root, module, &mark);
    }

    /// A person wants `module`, which is loaded: it no longer goes by itself.
    pub(super) fn unmark(&self, module: &ModuleName) {
        let options = &self.options;
        if options.demand.is_none() && !options.dry_run && !options.show_depends {
            autoclean_marker::remove(&self.tool.root, module);
        }
    }

    /// On demand, waits while another is loading `module`, which may be waiting for us: where the module's init has asked
    /// for what leads to itself. In the kernel that wait would have no end.
    ///
    /// Gives whether the other has got it in.
    ///
    /// # Errors
    /// EBUSY, when that takes too long; it has been said.
    pub(super) fn await_other(&self, module: &ModuleName) -> Result<bool, Errno> {
        let state = || sysfs::initstate(&self.tool.root, module);
        let Some(request) = &self.options.demand else { return Ok(false) };
        let ended = || Some(state()).filter(|state| *state != Some(InitState::Coming));
        if let Some(state) = until(INIT, ended) {
            return Ok(state == Some(InitState::Live));
        }
        self.complain(&format!(
            "{module} has been starting for {} s, and may be waiting for '{request}', which needs it: given up",
            INIT.as_secs()
        ));
        Err(Errno::BUSY)
    }

    /// On demand, takes a place for the install command of `module`, which is held until the file is dropped: a command that
    /// has the kernel ask for the same module would start itself without end. `None` where no place is needed.
    ///
    /// # Errors
    /// EBUSY, where none becomes free; it has been said.
    pub(super) fn place(&self, module: &ModuleName) -> Result<Option<File>, Errno> {
        let root = &self.tool.root;
        let Some(request) = &self.options.demand else { return Ok(None) };
        let taken = until(PLACE, || match semaphore::try_acquire(root, module.as_str(), PLACES) {
            // Without /run nobody can be counted, and the kernel's own bound has to do.
            Err(_) => Some(None),
            Ok(place) => place.map(Some),
        });
        taken.ok_or_else(|| {
            self.complain(&format!(
                "the install command of {module} is running {PLACES} times; it may lead to '{request}' itself: stopped"
            ));
            Errno::BUSY
        })
    }

    /// An error that is no reason to fail. The kernel's own requests are silent, so there it goes to the kernel's log.
    pub(super) fn complain(&self, text: &str) {
        self.tool.error(text);
        if self.options.demand.is_some()
            && !self.tool.shows(crate::applet::tool::Level::Error)
            && let Ok(kmsg) = Kmsg::open(&self.tool.root)
        {
            kmsg.write_as(4, "modprobe", text);
        }
    }
}

/// What `look` gives, as soon as it gives something; `None` where that takes longer than `longest`.
fn until<T>(longest: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + longest;
    loop {
        let seen = look();
        if seen.is_some() || Instant::now() >= end {
            return seen;
        }
        thread::sleep(LOOK);
    }
}
