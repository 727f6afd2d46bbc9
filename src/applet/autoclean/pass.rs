//! One pass over the modules with a mark of their present load. In the order of /proc/modules,
//! users come before the modules they use.
//!
//! ```text
//! in use                      the time in the mark is cleared
//! unused for the first time   the time is written to the mark
//! unused again                removed, if it has been unused for long enough
//! ```

use std::time::Duration;

use rustix::io::Errno;

use crate::applet::message::Error;
use crate::applet::module_file::read_image;
use crate::applet::paths::module_dir;
use crate::applet::settings;
use crate::applet::tool::{Fail, Tool};
use crate::kmod::alias::fnmatch;
use crate::kmod::autoclean::AutocleanMarker;
use crate::kmod::catalog::Catalog;
use crate::kmod::elf;
use crate::kmod::name::ModuleName;
use crate::kmod::proc_modules;
use crate::load;
use crate::sys::moddir::ModuleDir;
use crate::sys::{self, BootTime, autoclean_marker, errno, procfs, sysfs};

/// Modules with state that no reference count shows: RAM disks and the policies of packet filters.
const STATEFUL: [&str; 6] = ["brd", "zram", "iptable_*", "ip6table_*", "arptable_*", "ebtable_*"];
/// Aliases of modules that create network interfaces, which no reference count shows either.
const INTERFACES: [&str; 2] = ["rtnl-link-", "netdev-"];

/// Rules for the modules that a pass removes.
#[derive(Debug, Default)]
pub(in crate::applet) struct Policy {
    /// Minimum time that a module has been unused, in seconds.
    pub(in crate::applet) idle_s: u64,
    /// Names and patterns of modules that are kept.
    keep: Vec<String>,
    /// Print what would be done, and do nothing.
    pub(in crate::applet) dry_run: bool,
    /// Print what is done.
    pub(in crate::applet) verbose: bool,
}

impl Policy {
    /// Adds names and patterns, separated by commas, of modules to keep.
    pub(in crate::applet) fn keep_all(&mut self, list: &str) {
        let names = list.split(',').filter(|name| !name.is_empty());
        self.keep.extend(names.map(|name| name.replace('-', "_")));
    }

    fn keeps(&self, module: &ModuleName) -> bool {
        let name = module.as_bytes();
        self.keep.iter().any(|pattern| fnmatch(pattern.as_bytes(), name))
    }
}

/// Runs one pass. It waits for nothing; a module that comes into use meanwhile is kept.
pub(in crate::applet) fn run_pass(tool: &Tool, policy: &Policy) -> Result<(), Error> {
    let text = procfs::modules(&tool.root).map_err(|error| tool.error(&error.to_string()))?;
    let pass = Pass { tool, policy, dir: ModuleDir::at(module_dir(None, None)) };
    pass.remove_stale_marks();
    let live = proc_modules::parse(&text).filter(|module| module.state == "Live");
    let failed = live.filter(|module| pass.module(&module.name.into()).is_err()).count();
    Error::unless(failed == 0)
}

struct Pass<'a> {
    tool: &'a Tool,
    policy: &'a Policy,
    dir: ModuleDir,
}

impl Pass<'_> {
    /// Removes marks of earlier loads: a module that was since loaded by hand is to be kept.
    fn remove_stale_marks(&self) {
        let root = &self.tool.root;
        for module in autoclean_marker::modules(root) {
            let marked = autoclean_marker::read(root, &module).map(|mark| mark.sysfs_inode);
            if (marked.is_none() || marked != autoclean_marker::sysfs_inode(root, &module))
                && !self.policy.dry_run
            {
                autoclean_marker::remove(root, &module);
            }
        }
    }

    fn module(&self, module: &ModuleName) -> Result<(), Fail> {
        let root = &self.tool.root;
        let Some(mark) = autoclean_marker::read(root, module) else { return Ok(()) };
        if autoclean_marker::sysfs_inode(root, module) != Some(mark.sysfs_inode) {
            return Ok(());
        }
        if let Some(why) = self.reason_to_keep(module) {
            self.print(&format!("{module} stays: {why}"));
            if mark.unused_since_secs.is_some() {
                self.write_mark(module, &AutocleanMarker { unused_since_secs: None, ..mark });
            }
            return Ok(());
        }
        self.unused(module, mark)
    }

    /// Removes a module that is not in use, or marks it for the next pass.
    fn unused(&self, module: &ModuleName, mark: AutocleanMarker) -> Result<(), Fail> {
        let now = BootTime::now().as_secs();
        match mark.unused_since_secs {
            None if self.may_hold_state(module) => {
                let why = "it may hold state that no reference count shows";
                self.print(&format!("{module} stays: {why}"));
                if !self.policy.dry_run {
                    autoclean_marker::remove(&self.tool.root, module);
                }
            }
            None => {
                self.print(&format!("{module} is unused"));
                self.write_mark(module, &AutocleanMarker { unused_since_secs: Some(now), ..mark });
            }
            Some(since) if now.saturating_sub(since) < self.policy.idle_s => {
                self.print(&format!("{module} stays: unused for {} s", now.saturating_sub(since)));
            }
            Some(_) => return self.remove(module, &mark),
        }
        Ok(())
    }

    /// Returns why `module` is in use or to be kept.
    fn reason_to_keep(&self, module: &ModuleName) -> Option<String> {
        let root = &self.tool.root;
        if self.policy.keeps(module) {
            return Some("--keep".to_owned());
        }
        let holders = sysfs::holders(root, module).unwrap_or_default();
        if !holders.is_empty() {
            return Some(format!("used by {}", holders.join(" ")));
        }
        match sysfs::refcnt(root, module) {
            Some(0) => {}
            Some(users) => return Some(format!("in use (refcnt {users})")),
            None => return Some("it cannot be unloaded".to_owned()),
        }
        sysfs::bound_device(root, module).map(|device| format!("it is bound to {device}"))
    }

    /// Returns whether `module` may hold state that no reference count shows.
    fn may_hold_state(&self, module: &ModuleName) -> bool {
        let name = module.as_bytes();
        STATEFUL.iter().any(|pattern| fnmatch(pattern.as_bytes(), name))
            || self.creates_interfaces(module)
    }

    fn creates_interfaces(&self, module: &ModuleName) -> bool {
        let catalog = Catalog::new(std::sync::Arc::new(self.dir.clone()));
        let image = catalog.dep(module);
        let path = image.map(|line| self.dir.path().join(sys::path(&line.path)));
        let image = path.and_then(|path| read_image(&path).ok());
        let info = image.and_then(|image| elf::modinfo(&image).ok()).unwrap_or_default();
        let mut aliases = info.iter().filter(|(key, _)| key == "alias");
        aliases.any(|(_, alias)| INTERFACES.iter().any(|prefix| alias.starts_with(prefix)))
    }

    fn remove(&self, module: &ModuleName, mark: &AutocleanMarker) -> Result<(), Fail> {
        let root = &self.tool.root;
        self.print(&format!("rmmod {module}"));
        if self.policy.dry_run {
            return Ok(());
        }
        for problem in settings::save(root, module) {
            self.tool.error(&problem);
        }
        // The mark goes first: a load of the module from now on writes a new one.
        autoclean_marker::remove(root, module);
        match load::delete(&*self.tool.ops, module, false, Duration::ZERO) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(reason) => {
                self.write_mark(
                    module,
                    &AutocleanMarker { unused_since_secs: None, ..mark.clone() },
                );
                // The module has come into use, or another process is removing it.
                if matches!(reason, Errno::AGAIN | Errno::BUSY) {
                    return Ok(());
                }
                let reason = errno::text(reason);
                Err(self.tool.error(&format!("{module}: could not remove: {reason}")))
            }
        }
    }

    fn write_mark(&self, module: &ModuleName, mark: &AutocleanMarker) {
        if self.policy.dry_run {
            return;
        }
        if let Err(error) = autoclean_marker::write(&self.tool.root, module, mark) {
            self.tool.error(&error.to_string());
        }
    }

    fn print(&self, text: &str) {
        if self.policy.verbose || self.policy.dry_run {
            self.tool.print(format!("{text}\n"));
        }
    }
}
