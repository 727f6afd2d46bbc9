//! Modules out of the kernel, with what they have brought along.

use std::ffi::OsStr;
use std::time::Duration;

use rustix::io::Errno;

use super::Modprobe;
use crate::applet::settings;
use crate::applet::tool::Fail;
use crate::kmod::name::ModuleName;
use crate::load;
use crate::sys::{autoclean_marker, errno, sysfs};

/// How a module is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    /// It was asked for.
    Asked,
    /// A list led to it: one that is built in is passed over.
    Listed,
}

impl Modprobe<'_> {
    /// Removes what `operand`, always a name, stands for; the first that can't be removed ends it.
    pub(super) fn remove(&self, operand: &OsStr) -> Result<(), Fail> {
        let name = operand.to_string_lossy();
        let mut open = Vec::new();
        let found = self.catalog.lookup_all(&self.config, &name);
        if found.is_empty() {
            // One that is loaded can go though its file has gone before, by an upgrade for example.
            let module = ModuleName::new(&name);
            return match sysfs::initstate(&self.tool.root, &module) {
                Some(_) => self.remove_module(&module, false, As::Asked, &mut open),
                None => Err(self.fatal(&format!("Module {name} not found."))),
            };
        }
        for found in found {
            let builtin = found.is_builtin() || self.catalog.is_builtin(&found.module);
            self.remove_module(&found.module, builtin, As::Asked, &mut open)?;
        }
        Ok(())
    }

    /// Removes one module; `open` are those whose removal has led to it, so that softdeps that go in a
    /// circle end.
    fn remove_module(
        &self,
        module: &ModuleName,
        builtin: bool,
        how: As,
        open: &mut Vec<ModuleName>,
    ) -> Result<(), Fail> {
        if open.contains(module) {
            return Ok(());
        }
        open.push(module.clone());
        let result = self.remove_new(module, builtin, how, open);
        open.pop();
        result
    }

    fn remove_new(
        &self,
        module: &ModuleName,
        builtin: bool,
        how: As,
        open: &mut Vec<ModuleName>,
    ) -> Result<(), Fail> {
        let options = &self.options;
        let command = self
            .config
            .remove_of(module)
            .filter(|_| !options.ignore_commands && !self.running.contains(module));
        let must_check = command.is_none() && !options.show_depends;
        if must_check && builtin {
            return match how {
                As::Asked => Err(self.fatal(&format!("Module {module} is builtin."))),
                As::Listed => Ok(()),
            };
        }
        if must_check && !sysfs::has_module(&self.tool.root, module) {
            return match options.first_time {
                true => Err(self.fatal(&format!("Module {module} is not in kernel."))),
                false => Ok(()),
            };
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

    /// Removes the softdeps of `module` on one side, last to first. Their failures do not count.
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
            let result = self.remove_module(&found.module, builtin, As::Listed, open);
            if result == Err(Fail::Stop) {
                return result;
            }
        }
        Ok(())
    }

    /// Removes what uses `module`, and what uses that; kmod stops after the first and then fails.
    fn remove_holders(&self, module: &ModuleName, open: &mut Vec<ModuleName>) -> Result<(), Fail> {
        let holders = sysfs::holders(&self.tool.root, module);
        holders.iter().rev().try_for_each(|holder| {
            let holder = ModuleName::new(holder);
            self.remove_module(&holder, false, As::Listed, open)
        })
    }

    /// Removes the dependencies of `module` that nobody uses, deepest first, in one pass.
    fn remove_unused(&self, module: &ModuleName) -> Result<(), Fail> {
        let line = self.catalog.dep(module);
        let needs = line.iter().flat_map(|l| &l.needs).filter_map(|p| ModuleName::from_path(p));
        for module in needs {
            if sysfs::refcnt(&self.tool.root, &module) == Some(0) {
                self.delete(&module)?;
            }
        }
        Ok(())
    }

    /// Removes the dependencies of `module` that nobody uses any more, and theirs: modules.dep has users before
    /// what they use.
    fn remove_orphans(&self, module: &ModuleName) -> Result<(), Fail> {
        let mut gone = vec![module.clone()];
        let line = self.catalog.dep(module);
        let needs = line.iter().flat_map(|l| &l.needs).rev();
        for need in needs.filter_map(|path| ModuleName::from_path(path)) {
            // With --dry-run those that would be gone are there still, and hold what they use.
            let holders = sysfs::holders(&self.tool.root, &need);
            let holders = holders.iter().filter(|h| gone.contains(&ModuleName::new(h))).count();
            let users = sysfs::refcnt(&self.tool.root, &need);
            if users.is_some_and(|n| usize::try_from(n).is_ok_and(|n| n <= holders)) {
                self.delete(&need)?;
                gone.push(need);
            }
        }
        Ok(())
    }

    fn remove_command(&self, command: &str, module: &ModuleName) -> Result<(), Fail> {
        let command = command.replace("$CMDLINE_OPTS", "");
        if self.tells() {
            self.tool.print(format!("remove {command}\n"));
        }
        if self.options.dry_run {
            return Ok(());
        }
        match self.command(&command, module) {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.fatal(&format!("Error running remove command for {module}"))),
            Err(error) => {
                self.no_shell(&error);
                Err(self.fatal(&format!("Error running remove command for {module}")))
            }
        }
    }

    fn delete(&self, module: &ModuleName) -> Result<(), Fail> {
        if self.tells() {
            self.tool.print(format!("rmmod {module}\n"));
            self.tool.flush();
        }
        if self.options.dry_run {
            return Ok(());
        }
        for complaint in settings::save(&self.tool.root, module) {
            self.complain(&complaint);
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
        self.tool.fail(self.grave(), text)
    }
}
