//! Modules into the kernel: the work list, walked one by one.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use rustix::io::Errno;

use super::Modprobe;
use crate::applet::explain;
use crate::applet::module_file::{errno_of, parameters};
use crate::applet::paths::absolute;
use crate::applet::tool::Fail;
use crate::kmod::catalog::{Match, Source};
use crate::kmod::name::ModuleName;
use crate::kmod::plan::Action;
use crate::kmod::probe_list::{ProbeItem, ProbeRequest, probe_list};
use crate::load::InsertError;
use crate::sys::Cause;
use crate::sys::module_errno::modprobe_text;
use crate::sys::sysfs::{self, InitState};

/// Why a member of the work list did not get in, as far as it has not been said.
struct Refused {
    errno: Errno,
    /// The file and its error, to be explained.
    file: Option<(String, InsertError)>,
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self { errno, file: None }
    }
}

impl Modprobe<'_> {
    /// Inserts what `operand` stands for; the parameters are `None` with -a.
    pub(super) fn insert(&self, operand: &OsStr, words: Option<&[OsString]>) -> Result<(), Fail> {
        let name = operand.to_string_lossy();
        let parameters = words.map(parameters);
        let parameters = parameters.as_deref();
        if name.starts_with('/') || name.starts_with("./") {
            return self.insert_file(&name, parameters);
        }
        let found = self.catalog.lookup_all(&self.config, &name);
        if found.is_empty() {
            let dir = self.dir.path().display();
            return Err(self.not_found(&format!("Module {name} not found in directory {dir}")));
        }
        // With several, the last one decides, as in kmod.
        let mut result = Ok(());
        for found in &found {
            result = self.insert_found(found, None, parameters);
            if result == Err(Fail::Stop) {
                break;
            }
        }
        result
    }

    fn insert_file(&self, name: &str, parameters: Option<&str>) -> Result<(), Fail> {
        let path = Path::new(name);
        let reason = match (std::fs::metadata(path), ModuleName::from_path(name)) {
            (Ok(_), Some(module)) => {
                let found = Match { module, source: Source::Name, alias: None, pattern: None };
                return self.insert_found(
                    &found,
                    Some(&absolute(path).to_string_lossy()),
                    parameters,
                );
            }
            (Ok(_), None) => Errno::NOENT.into(),
            (Err(error), _) => Cause::from(&error),
        };
        let text = format!("Failed to get module from path {name}: {reason}");
        Err(self.tool.fail(self.grave(), &text))
    }

    fn insert_found(
        &self,
        found: &Match,
        path: Option<&str>,
        parameters: Option<&str>,
    ) -> Result<(), Fail> {
        let options = &self.options;
        if options.show_alias {
            self.tool.print(format!("{}\n", found.module));
            return Ok(());
        }
        let builtin =
            path.is_none() && (found.is_builtin() || self.catalog.is_builtin(&found.module));
        if !options.show_depends && (builtin || self.is_live(&found.module)) {
            self.unmark(&found.module);
            return if options.first_time {
                Err(self.refused(found, Errno::EXIST))
            } else {
                Ok(())
            };
        }
        let listed = found.source.is_alias() || options.use_blacklist;
        if listed && self.config.is_blacklisted(&found.module) {
            return Ok(());
        }
        if let Some(text) = self.masked(&found.module).filter(|_| !builtin) {
            return Err(self.tool.error(&format!("could not insert '{}': {text}", found.module)));
        }
        let request =
            ProbeRequest { path, ignore_commands: options.ignore_commands, running: &self.running };
        let (items, bad) = probe_list(&self.catalog, &self.config, found, request);
        for word in bad {
            self.tool.error(&format!("failed to lookup dependency '{word}', continuing anyway."));
        }
        self.walk(found, &items, parameters)
    }

    /// Why a module that is not loaded is not to be: it is masked, or one that it needs.
    fn masked(&self, module: &ModuleName) -> Option<String> {
        if self.config.masks.is_empty() {
            return None;
        }
        let open = |m: &ModuleName| self.options.show_depends || !self.is_live(m);
        if let Some(place) = self.config.masks.origin(module).filter(|_| open(module)) {
            return Some(format!("masked by {place}"));
        }
        let line = self.catalog.dep(module)?;
        let (need, place) = self.config.masked_dependencies(&line).find(|(m, _)| open(m))?;
        Some(format!("needs {need}, which is masked by {place}"))
    }

    fn walk(
        &self,
        found: &Match,
        items: &[ProbeItem],
        parameters: Option<&str>,
    ) -> Result<(), Fail> {
        for item in items {
            // What is required has been looked at before the walk; a softdep is passed over.
            if !item.required && self.masked(&item.module).is_some() {
                continue;
            }
            let log = explain::log_mark(self.tool);
            let Err(refused) = self.member(item, parameters.filter(|_| item.requested)) else {
                continue;
            };
            let counts = match refused.errno {
                Errno::EXIST => item.requested && self.options.first_time,
                _ => item.required,
            };
            if !counts {
                continue;
            }
            let fail = self.refused(found, refused.errno);
            if let Some((path, error)) = &refused.file {
                explain::load_failure(self.tool, Path::new(path), error, log.as_ref());
            }
            return Err(fail);
        }
        Ok(())
    }

    /// Does what a member of the list is there for, and tells it before.
    fn member(&self, item: &ProbeItem, parameters: Option<&str>) -> Result<(), Refused> {
        if !self.options.show_depends && (item.builtin || self.is_live(&item.module)) {
            return Ok(());
        }
        let parameters = parameters.unwrap_or_default();
        let args = match item.options.as_str() {
            "" => parameters.to_owned(),
            // kmod's blank stands there even if nothing follows.
            configured => format!("{configured} {parameters}"),
        };
        let path = match &item.action {
            Action::Insert(path) => self.dir.path().join(path).to_string_lossy().into_owned(),
            _ => String::new(),
        };
        if self.tells() {
            self.tell(item, &path, &args);
        }
        if self.options.dry_run {
            return Ok(());
        }
        match &item.action {
            Action::Command(command) => self.install(command, &item.module, &args),
            Action::Insert(_) => self.load(&item.module, path, &args, parameters),
            Action::NoFile | Action::Masked(_) => {
                self.tool.error(&format!("could not find module by name='{}'", item.module));
                Err(Errno::NOENT.into())
            }
        }
    }

    fn tell(&self, item: &ProbeItem, path: &str, args: &str) {
        match &item.action {
            Action::Command(command) => self.tool.print(format!("install {command} {args}\n")),
            Action::Insert(_) => self.tool.print(format!("insmod {path} {args}\n")),
            Action::NoFile if item.builtin => self.tool.print(format!("builtin {}\n", item.module)),
            Action::NoFile | Action::Masked(_) => {}
        }
        // What is told stands there before it is done.
        self.tool.flush();
    }

    fn load(
        &self,
        module: &ModuleName,
        path: String,
        args: &str,
        parameters: &str,
    ) -> Result<(), Refused> {
        if self.await_other(module)? {
            return Ok(());
        }
        let result = self.tool.load(Path::new(&path), args, self.options.flags);
        result.map_err(|error| Refused { errno: errno_of(&error), file: Some((path, error)) })?;
        self.has_come(module, parameters);
        Ok(())
    }

    fn install(&self, command: &str, module: &ModuleName, args: &str) -> Result<(), Refused> {
        let command = command.replace("$CMDLINE_OPTS", args);
        let _place = self.place(module)?;
        match self.command(&command, module) {
            Ok(0) => {
                // A command may load it by other means than modprobe.
                self.mark(module);
                return Ok(());
            }
            Ok(status) => {
                self.tool.error(&format!(
                    "Error running install command '{command}' for module {module}: retcode {status}"
                ));
            }
            Err(error) => self.no_shell(&error),
        }
        Err(Errno::INVAL.into())
    }

    /// The last word about a module that did not get in, always with the name that was found.
    fn refused(&self, found: &Match, errno: Errno) -> Fail {
        let words = modprobe_text(errno);
        self.tool.error(&format!("could not insert '{}': {words}", found.module))
    }

    fn is_live(&self, module: &ModuleName) -> bool {
        sysfs::initstate(&self.tool.root, module) == Some(InitState::Live)
    }
}
