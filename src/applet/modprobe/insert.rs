//! Loading: the probe list of a module, item by item.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Modprobe, with_options};
use crate::applet::explain;
use crate::applet::module_file::{errno_of, parameters};
use crate::applet::paths::absolute;
use crate::applet::tool::Fail;
use crate::escape;
use crate::kmod::catalog::{Match, Source};
use crate::kmod::elf;
use crate::kmod::name::ModuleName;
use crate::kmod::plan::Action;
use crate::kmod::probe_list::{ProbeItem, ProbeRequest, probe_list};
use crate::load::InsertError;
use crate::sys::modfile::{ImageError, ModuleFile};
use crate::sys::module_errno::modprobe_text;
use crate::sys::sysfs::{self, InitState};
use crate::sys::{self, Cause};

/// Reason why an item of the probe list was not loaded, as far as no message has been printed.
struct LoadError {
    errno: Errno,
    /// The file and its error, for the explanation.
    file: Option<(PathBuf, InsertError)>,
}

impl From<Errno> for LoadError {
    fn from(errno: Errno) -> Self {
        Self { errno, file: None }
    }
}

impl Modprobe<'_> {
    /// Loads the modules that `operand` names. The parameters are `None` with -a.
    pub(super) fn insert(&self, operand: &OsStr, words: Option<&[OsString]>) -> Result<(), Fail> {
        let parameters = words.map(parameters);
        let parameters = parameters.as_deref();
        if is_file(operand) {
            return self.insert_file(Path::new(operand), parameters);
        }
        let found = self.catalog.lookup_all(&self.config, operand.as_bytes());
        if found.is_empty() {
            return Err(self.not_found(operand.as_bytes()));
        }
        // The result is that of the last module, as in kmod.
        let mut result = Ok(());
        for found in &found {
            result = self.insert_found(found, None, parameters);
            if result == Err(Fail::Stop) {
                break;
            }
        }
        result
    }

    fn insert_file(&self, path: &Path, parameters: Option<&[u8]>) -> Result<(), Fail> {
        match name_of_file(path) {
            Ok(module) => {
                let found = Match { module, source: Source::Name, alias: None, pattern: None };
                let path = absolute(path).into_os_string();
                self.insert_found(&found, Some(path.as_bytes()), parameters)
            }
            Err(reason) => {
                let name = escape::path(path);
                let text = format!("Failed to get module from path {name}: {reason}");
                Err(self.tool.fail(self.operand_level(), &text))
            }
        }
    }

    fn insert_found(
        &self,
        found: &Match,
        path: Option<&[u8]>,
        parameters: Option<&[u8]>,
    ) -> Result<(), Fail> {
        let options = &self.options;
        if options.show_alias {
            self.tool.print([found.module.as_bytes(), b"\n"].concat());
            return Ok(());
        }
        let builtin =
            path.is_none() && (found.is_builtin() || self.catalog.is_builtin(&found.module));
        if !options.show_depends && (builtin || self.is_live(&found.module)) {
            self.unmark(&found.module);
            return if options.first_time {
                Err(self.report_failure(found, Errno::EXIST))
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

    /// Returns why `module` must not be loaded: it is masked, or a module that it needs. A loaded
    /// module is exempt.
    fn masked(&self, module: &ModuleName) -> Option<String> {
        if self.config.masks.is_empty() {
            return None;
        }
        let applies = |m: &ModuleName| self.options.show_depends || !self.is_live(m);
        if let Some(place) = self.config.masks.origin(module).filter(|_| applies(module)) {
            return Some(format!("masked by {place}"));
        }
        let line = self.catalog.dep(module)?;
        let (need, place) = self.config.masked_dependencies(&line).find(|(m, _)| applies(m))?;
        Some(format!("needs {need}, which is masked by {place}"))
    }

    fn walk(
        &self,
        found: &Match,
        items: &[ProbeItem],
        parameters: Option<&[u8]>,
    ) -> Result<(), Fail> {
        for item in items {
            // Masks of required modules were checked before the walk. A masked softdep is skipped.
            if !item.required && self.masked(&item.module).is_some() {
                continue;
            }
            let log = explain::log_mark(self.tool);
            let Err(error) = self.load_item(item, parameters.filter(|_| item.requested)) else {
                continue;
            };
            let counts = match error.errno {
                Errno::EXIST => item.requested && self.options.first_time,
                _ => item.required,
            };
            if !counts {
                continue;
            }
            let fail = self.report_failure(found, error.errno);
            if let Some((path, error)) = &error.file {
                explain::load_failure(self.tool, path, error, log.as_ref());
            }
            return Err(fail);
        }
        Ok(())
    }

    /// Prints the action of an item, and carries it out.
    fn load_item(&self, item: &ProbeItem, parameters: Option<&[u8]>) -> Result<(), LoadError> {
        if !self.options.show_depends && (item.builtin || self.is_live(&item.module)) {
            return Ok(());
        }
        let parameters = parameters.unwrap_or_default();
        let args = match &*item.options {
            [] => parameters.to_owned(),
            // kmod prints the space even if nothing follows.
            configured => [configured, b" ", parameters].concat(),
        };
        let path = match &item.action {
            Action::Insert(path) => self.dir.path().join(sys::path(path)),
            _ => PathBuf::new(),
        };
        if self.prints_actions() {
            self.print_action(item, &path, &args);
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

    fn print_action(&self, item: &ProbeItem, path: &Path, args: &[u8]) {
        let print = |kind: &[u8], object, args| {
            self.tool.print([kind, b" ", object, b" ", args, b"\n"].concat());
        };
        match &item.action {
            Action::Command(command) => print(b"install", command, args),
            Action::Insert(_) => print(b"insmod", path.as_os_str().as_bytes(), args),
            Action::NoFile if item.builtin => {
                self.tool.print([b"builtin ", item.module.as_bytes(), b"\n"].concat());
            }
            Action::NoFile | Action::Masked(_) => {}
        }
        // The action is written before it starts.
        self.tool.flush();
    }

    fn load(
        &self,
        module: &ModuleName,
        path: PathBuf,
        args: &[u8],
        parameters: &[u8],
    ) -> Result<(), LoadError> {
        if self.wait_for_other_load(module)? {
            return Ok(());
        }
        let result = self.tool.load(&path, args, self.options.flags);
        result.map_err(|error| LoadError { errno: errno_of(&error), file: Some((path, error)) })?;
        self.after_load(module, parameters);
        Ok(())
    }

    fn install(&self, command: &[u8], module: &ModuleName, args: &[u8]) -> Result<(), LoadError> {
        let as_data = self.options.is_automatic;
        let command = match as_data {
            true => command.to_owned(),
            false => with_options(command, args),
        };
        let _slot = self.acquire_command_slot(module)?;
        match self.command(&command, module, as_data.then_some(args)) {
            Ok(0) => {
                // The command may have loaded it by other means than modprobe.
                self.mark(module);
                return Ok(());
            }
            Ok(status) => {
                self.tool.error(&format!(
                    "Error running install command '{}' for module {module}: retcode {status}",
                    escape::bytes(&command)
                ));
            }
            Err(error) => self.report_no_shell(&error),
        }
        Err(Errno::INVAL.into())
    }

    /// Prints why a module was not loaded, always with the name that was found.
    fn report_failure(&self, found: &Match, errno: Errno) -> Fail {
        let text = modprobe_text(errno);
        self.tool.error(&format!("could not insert '{}': {text}", found.module))
    }

    fn is_live(&self, module: &ModuleName) -> bool {
        sysfs::initstate(&self.tool.root, module) == Some(InitState::Live)
    }
}

/// Returns whether an operand names a file, as for kmod.
pub(super) fn is_file(operand: &OsStr) -> bool {
    operand.as_bytes().starts_with(b"/") || operand.as_bytes().starts_with(b"./")
}

/// Returns the name of the module in an existing file. If the file does not have the suffix of a
/// module, its content decides.
fn name_of_file(path: &Path) -> Result<ModuleName, Cause> {
    let name = path.as_os_str().as_bytes();
    std::fs::metadata(path).map_err(|error| Cause::from(&error))?;
    if let Some(module) = ModuleName::from_path(name) {
        return Ok(module);
    }
    let image = ModuleFile::open(path).map_err(sys::Error::into_cause)?.contents();
    let image = image.map_err(|error| match error {
        ImageError::Read(error) => error.into_cause(),
        ImageError::Decode(error) => Cause::Other(error.to_string()),
    })?;
    let strings = elf::modinfo(&image).map_err(|error| Cause::Other(error.to_string()))?;
    // Modules of old kernels do not say their name.
    let own = strings.iter().find(|(key, _)| key == "name");
    let own = own.map_or(name, |(_, value)| value.as_bytes());
    Ok(ModuleName::new(own))
}
