//! Removal of modules and of the dependencies that are then unused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use rustix::io::Errno;

use super::{Modprobe, with_options};
use crate::applet::settings;
use crate::applet::tool::Fail;
use crate::escape;
use crate::kmod::name::ModuleName;
use crate::load;
use crate::sys::{autoclean_marker, errno, sysfs};

/// Maximum length of a chain of softdeps and holders, which the files and the kernel set: the
/// removal of each link waits on the stack for that of the next one.
const MAX_CHAIN: usize = 1000;

/// Reason why a module is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// It is an operand.
    Requested,
    /// It is a softdep or a holder of an operand. A built-in module is skipped.
    Related,
}

impl Modprobe<'_> {
    /// Removes the modules that `operand`, always a name, stands for. Stops at the first that
    /// cannot be removed.
    pub(super) fn remove(&self, operand: &OsStr) -> Result<(), Fail> {
        let mut open = Vec::new();
        let found = self.catalog.lookup_all(&self.config, operand.as_bytes());
        if found.is_empty() {
            // A loaded module can be removed even if its file is gone, after an upgrade for
            // example.
            let module = ModuleName::new(operand.as_bytes());
            return match sysfs::initstate(&self.tool.root, &module) {
                Some(_) => self.remove_module(&module, false, Reason::Requested, &mut open),
                None => {
                    let name = escape::path(operand);
                    let fail = self.fatal(&format!("Module {name} not found."));
                    self.tool.hint_at_depmod(&self.dir);
                    Err(fail)
                }
            };
        }
        for found in found {
            let builtin = found.is_builtin() || self.catalog.is_builtin(&found.module);
            self.remove_module(&found.module, builtin, Reason::Requested, &mut open)?;
        }
        Ok(())
    }

    /// Removes one module. `open` holds the modules whose removal led to it, so that cycles of
    /// softdeps end.
    fn remove_module(
        &self,
        module: &ModuleName,
        builtin: bool,
        reason: Reason,
        open: &mut Vec<ModuleName>,
    ) -> Result<(), Fail> {
        if open.contains(module) {
            return Ok(());
        }
        if open.len() == MAX_CHAIN {
            let text = format!("{module}: more than {MAX_CHAIN} modules in one chain of softdeps");
            return Err(self.fatal(&text));
        }
        open.push(module.clone());
        let result = self.remove_once(module, builtin, reason, open);
        open.pop();
        result
    }

    fn remove_once(
        &self,
        module: &ModuleName,
        builtin: bool,
        reason: Reason,
        open: &mut Vec<ModuleName>,
    ) -> Result<(), Fail> {
        let options = &self.options;
        let command = self
            .config
            .remove_of(module)
            .filter(|_| !options.ignore_commands && !self.running.contains(module));
        let must_check = command.is_none() && !options.show_depends;
        if must_check && !self.is_loaded(module, builtin, reason)? {
            return Ok(());
        }
        self.remove_softdeps(module, true, open)?;
        if options.remove_holders {
            self.remove_holders(module, open)?;
        }
        let users = sysfs::refcnt(&self.tool.root, module);
        if must_check && options.wait.is_none() && users.is_some_and(|n| n > 0) {
            return Err(self.fatal(&format!("Module {module} is in use.")));
        }
        match command {
            Some(command) => self.remove_command(command, module)?,
            None if users.is_some() => self.delete(module)?,
            None => {}
        }
        if command.is_none() {
            match self.options.orphans {
                true => self.remove_orphans(module)?,
                false => self.remove_unused(module)?,
            }
        }
        self.remove_softdeps(module, false, open)
    }

    /// Returns whether there is a module to remove.
    ///
    /// # Errors
    /// The requested module is built in, or not loaded with `--first-time`.
    fn is_loaded(&self, module: &ModuleName, builtin: bool, reason: Reason) -> Result<bool, Fail> {
        if builtin {
            return match reason {
                Reason::Requested => Err(self.fatal(&format!("Module {module} is builtin."))),
                Reason::Related => Ok(false),
            };
        }
        match sysfs::has_module(&self.tool.root, module) {
            false if self.options.first_time => {
                Err(self.fatal(&format!("Module {module} is not in kernel.")))
            }
            loaded => Ok(loaded),
        }
    }

    /// Removes the softdeps before or after `module`, last to first. Their failures are ignored.
    fn remove_softdeps(
        &self,
        module: &ModuleName,
        post: bool,
        open: &mut Vec<ModuleName>,
    ) -> Result<(), Fail> {
        let softdep = self.config.softdep_of(module).filter(|_| !self.options.ignore_commands);
        let words = softdep.as_ref().map_or(&[][..], |s| if post { &s.post } else { &s.pre });
        let found = words.iter().flat_map(|word| self.catalog.lookup_all(&self.config, word));
        let found: Vec<_> = found.collect();
        for found in found.iter().rev() {
            let builtin = found.is_builtin() || self.catalog.is_builtin(&found.module);
            let result = self.remove_module(&found.module, builtin, Reason::Related, open);
            if result == Err(Fail::Stop) {
                return result;
            }
        }
        Ok(())
    }

    /// Removes the users of `module` and their users; kmod stops after the first and then fails.
    fn remove_holders(&self, module: &ModuleName, open: &mut Vec<ModuleName>) -> Result<(), Fail> {
        let holders = sysfs::holders(&self.tool.root, module).unwrap_or_default();
        holders.iter().rev().try_for_each(|holder| {
            let holder = ModuleName::new(holder);
            self.remove_module(&holder, false, Reason::Related, open)
        })
    }

    /// Removes the unused dependencies of `module`, deepest first, in one pass.
    fn remove_unused(&self, module: &ModuleName) -> Result<(), Fail> {
        let line = self.catalog.dep(module);
        let needs = line.iter().flat_map(|l| &l.needs).filter_map(ModuleName::from_path);
        for module in needs {
            if sysfs::refcnt(&self.tool.root, &module) == Some(0) {
                self.delete(&module)?;
            }
        }
        Ok(())
    }

    /// Removes the dependencies of `module` that are now unused, and theirs. modules.dep lists
    /// users before the modules they use.
    fn remove_orphans(&self, module: &ModuleName) -> Result<(), Fail> {
        let mut removed = vec![module.clone()];
        let line = self.catalog.dep(module);
        let needs = line.iter().flat_map(|l| &l.needs).rev();
        for need in needs.filter_map(ModuleName::from_path) {
            // With --dry-run the removed modules still exist, and hold their dependencies.
            let holders = sysfs::holders(&self.tool.root, &need).unwrap_or_default();
            let holders = holders.iter().filter(|h| removed.contains(&ModuleName::new(h))).count();
            let users = sysfs::refcnt(&self.tool.root, &need);
            if users.is_some_and(|n| usize::try_from(n).is_ok_and(|n| n <= holders)) {
                self.delete(&need)?;
                removed.push(need);
            }
        }
        Ok(())
    }

    fn remove_command(&self, command: &[u8], module: &ModuleName) -> Result<(), Fail> {
        let command = with_options(command, b"");
        if self.prints_actions() {
            self.tool.print([b"remove ", &*command, b"\n"].concat());
        }
        if self.options.dry_run {
            return Ok(());
        }
        match self.command(&command, module, None) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.fatal(&format!("Error running remove command for {module}"))),
            Err(error) => {
                self.report_no_shell(&error);
                Err(self.fatal(&format!("Error running remove command for {module}")))
            }
        }
    }

    fn delete(&self, module: &ModuleName) -> Result<(), Fail> {
        if self.prints_actions() {
            self.tool.print([b"rmmod ", module.as_bytes(), b"\n"].concat());
            self.tool.flush();
        }
        if self.options.dry_run {
            return Ok(());
        }
        for problem in settings::save(&self.tool.root, module) {
            self.report_problem(&problem);
        }
        let wait = self.options.wait.unwrap_or(Duration::ZERO);
        match load::delete(&*self.tool.ops, module, self.options.force, wait) {
            Ok(()) => {
                autoclean_marker::remove(&self.tool.root, module);
                Ok(())
            }
            Err(Errno::EXIST) if self.options.first_time => {
                Err(self.fatal(&format!("Module {module} is not in kernel.")))
            }
            Err(Errno::EXIST) => Ok(()),
            Err(reason) => {
                let reason = errno::text(reason);
                Err(self.tool.error(&format!("could not remove '{module}': {reason}")))
            }
        }
    }

    fn fatal(&self, text: &str) -> Fail {
        self.tool.fail(self.operand_level(), text)
    }
}
