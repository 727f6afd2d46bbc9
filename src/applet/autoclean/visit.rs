//! One visit: each module that has a mark of its present load, users before what they use, as /proc/modules has them.
//!
//! ```text
//! in use               the mark forgets since when it was unused
//! unused, first seen   the mark notes the time
//! unused, seen before  out, if that is long enough ago
//! ```

use std::time::Duration;

use rustix::io::Errno;

use crate::applet::module_file::read_image;
use crate::applet::paths::module_dir;
use crate::applet::tool::{Fail, Tool};
use crate::applet::{Exit, settings};
use crate::kmod::alias::fnmatch;
use crate::kmod::autoclean::AutocleanMarker;
use crate::kmod::catalog::Catalog;
use crate::kmod::elf;
use crate::kmod::name::ModuleName;
use crate::kmod::proc_modules;
use crate::load;
use crate::sys::moddir::ModuleDir;
use crate::sys::{BootTime, autoclean_marker, errno, procfs, sysfs};

/// Modules that hold something the kernel does not count: memory disks and the policies of packet filters.
const HOLDERS: [&str; 6] = ["brd", "zram", "iptable_*", "ip6table_*", "arptable_*", "ebtable_*"];
/// Aliases of modules that make network interfaces, which the kernel does not count either.
const INTERFACES: [&str; 2] = ["rtnl-link-", "netdev-"];

/// What a visit is to do.
#[derive(Debug, Default)]
pub(in crate::applet) struct Plan {
    /// How many seconds a module must have been unused.
    pub(in crate::applet) idle: u64,
    /// Names and patterns of modules that stay.
    keep: Vec<String>,
    /// Nothing is done.
    pub(in crate::applet) dry_run: bool,
    /// What is done is printed.
    pub(in crate::applet) tells: bool,
}

impl Plan {
    /// Adds names and patterns, parted by commas.
    pub(in crate::applet) fn keep_all(&mut self, list: &str) {
        let names = list.split(',').filter(|name| !name.is_empty());
        self.keep.extend(names.map(|name| name.replace('-', "_")));
    }

    fn keeps(&self, module: &ModuleName) -> bool {
        let name = module.as_str().as_bytes();
        self.keep.iter().any(|pattern| fnmatch(pattern.as_bytes(), name))
    }
}

/// Makes one visit. Nothing is waited for, and a module that comes into use meanwhile stays.
pub(in crate::applet) fn visit(tool: &Tool, plan: &Plan) -> Exit {
    let text = match procfs::modules(&tool.root) {
        Ok(text) => text,
        Err(error) => {
            tool.error(&error.to_string());
            return Exit::Failure;
        }
    };
    let visit = Visit { tool, plan, dir: ModuleDir::at(module_dir(None, None)) };
    visit.forget_the_gone();
    let live = proc_modules::parse(&text).filter(|module| module.state == "Live");
    let failed = live.filter(|module| visit.module(&module.name.into()).is_err()).count();
    if failed == 0 { Exit::Success } else { Exit::Failure }
}

struct Visit<'a> {
    tool: &'a Tool,
    plan: &'a Plan,
    dir: ModuleDir,
}

impl Visit<'_> {
    /// Takes marks of earlier loads away: who loads a module by hand wants it to stay.
    fn forget_the_gone(&self) {
        let root = &self.tool.root;
        for module in autoclean_marker::modules(root) {
            let of = autoclean_marker::read(root, &module).map(|mark| mark.sysfs_inode);
            if (of.is_none() || of != autoclean_marker::sysfs_inode(root, &module))
                && !self.plan.dry_run
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
        if let Some(why) = self.in_use(module) {
            self.tell(&format!("{module} stays: {why}"));
            if mark.unused_since_secs.is_some() {
                self.note(module, &AutocleanMarker { unused_since_secs: None, ..mark });
            }
            return Ok(());
        }
        let now = BootTime::now().as_secs();
        match mark.unused_since_secs {
            None if self.holds(module) => {
                self.tell(&format!("{module} stays: what it holds is not counted"));
                if !self.plan.dry_run {
                    autoclean_marker::remove(root, module);
                }
                Ok(())
            }
            None => {
                self.tell(&format!("{module} is unused"));
                self.note(module, &AutocleanMarker { unused_since_secs: Some(now), ..mark });
                Ok(())
            }
            Some(since) if now.saturating_sub(since) < self.plan.idle => {
                self.tell(&format!("{module} stays: unused for {} s", now.saturating_sub(since)));
                Ok(())
            }
            Some(_) => self.remove(module, &mark),
        }
    }

    /// Why `module` is in use, or to be kept.
    fn in_use(&self, module: &ModuleName) -> Option<String> {
        let root = &self.tool.root;
        if self.plan.keeps(module) {
            return Some("--keep".to_owned());
        }
        let holders = sysfs::holders(root, module);
        if !holders.is_empty() {
            return Some(format!("used by {}", holders.join(" ")));
        }
        match sysfs::refcnt(root, module) {
            Some(0) => {}
            Some(users) => return Some(format!("in use (refcnt {users})")),
            None => return Some("it can't be unloaded".to_owned()),
        }
        sysfs::bound_device(root, module).map(|device| format!("it drives {device}"))
    }

    /// Whether `module` may hold something that no count tells.
    fn holds(&self, module: &ModuleName) -> bool {
        let name = module.as_str().as_bytes();
        HOLDERS.iter().any(|pattern| fnmatch(pattern.as_bytes(), name))
            || self.makes_interfaces(module)
    }

    fn makes_interfaces(&self, module: &ModuleName) -> bool {
        let catalog = Catalog::new(std::sync::Arc::new(self.dir.clone()));
        let image =
            catalog.dep(module).and_then(|line| read_image(&self.dir.path().join(line.path)).ok());
        let info = image.and_then(|image| elf::modinfo(&image).ok()).unwrap_or_default();
        let mut aliases = info.iter().filter(|(key, _)| key == "alias");
        aliases.any(|(_, alias)| INTERFACES.iter().any(|head| alias.starts_with(head)))
    }

    fn remove(&self, module: &ModuleName, mark: &AutocleanMarker) -> Result<(), Fail> {
        let root = &self.tool.root;
        self.tell(&format!("rmmod {module}"));
        if self.plan.dry_run {
            return Ok(());
        }
        for complaint in settings::save(root, module) {
            self.tool.error(&complaint);
        }
        // First the mark: whoever loads the module again from now on writes a new one.
        autoclean_marker::remove(root, module);
        match load::delete(&*self.tool.ops, module, false, Duration::ZERO) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(reason) => {
                self.note(module, &AutocleanMarker { unused_since_secs: None, ..mark.clone() });
                // It has come into use, or another is removing it.
                if matches!(reason, Errno::AGAIN | Errno::BUSY) {
                    return Ok(());
                }
                let reason = errno::text(reason);
                Err(self.tool.error(&format!("could not remove '{module}': {reason}")))
            }
        }
    }

    fn note(&self, module: &ModuleName, mark: &AutocleanMarker) {
        if self.plan.dry_run {
            return;
        }
        if let Err(error) = autoclean_marker::write(&self.tool.root, module, mark) {
            self.tool.error(&error.to_string());
        }
    }

    fn tell(&self, text: &str) {
        if self.plan.tells || self.plan.dry_run {
            self.tool.print(format!("{text}\n"));
        }
    }
}
