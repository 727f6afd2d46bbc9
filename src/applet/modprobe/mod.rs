//! `modprobe`: loads and removes modules by name, alias or file, with their dependencies and the
//! configuration of modprobe.d(5). The kernel calls `modprobe -q -- NAME`.

mod demand;
mod insert;
#[cfg(feature = "host")]
mod json;
mod options;
#[cfg(feature = "host")]
mod parallel;
#[cfg(not(feature = "host"))]
#[path = "no_parallel.rs"]
mod parallel;
mod remove;
#[cfg(feature = "host")]
mod show;
#[cfg(not(feature = "host"))]
#[path = "no_show.rs"]
mod show;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use super::message::Error;
use super::paths::module_dir;
use super::tool::{Fail, Level, Tool};
use crate::escape;
use crate::kmod::catalog::Catalog;
use crate::kmod::conf::Config;
use crate::kmod::name::ModuleName;
use crate::sys::moddir::{self, ModuleDir};
use crate::sys::module::CMDLINE_OPTS;
use crate::sys::{self, helper, process, procfs};
use options::Options;
pub(super) use options::USAGE;

/// Environment variable with the modules whose install or remove command is an ancestor of this
/// process. These commands are not run again.
const RUNNING: &str = "COLDPLUG_RUNNING";
/// Environment variable with the request of the kernel for which an ancestor runs an install
/// command.
const REQUEST: &str = "COLDPLUG_REQUEST";

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let tool = Tool::kmod(args, Level::Warning);
    let request = process::environment(REQUEST).and_then(|value| value.into_string().ok());
    let called = helper::called_by_kernel();
    if called || request.is_some() {
        // The system log needs a socket, and opening a socket may need a module.
        tool.use_kmsg();
    } else if process::stderr_was_closed() {
        tool.use_syslog();
    }
    let inherited = process::environment("MODPROBE_OPTIONS").unwrap_or_default();
    let mut options = Options::parse(&tool, args, &inherited)?;
    // An install command of PID 1 or of the kernel's helper has the variable.
    options.is_automatic = called || process::environment(CMDLINE_OPTS).is_some();
    if called || request.is_some() || options.autoclean {
        options.demand = Some(request.unwrap_or_else(|| options.requested()));
    }
    let running = process::environment(RUNNING).unwrap_or_default();
    Ok(Modprobe::new(&tool, options, running.as_bytes()).run()?)
}

/// One run of modprobe.
struct Modprobe<'a> {
    tool: &'a Tool,
    options: Options,
    dir: ModuleDir,
    catalog: Catalog,
    config: Config,
    /// Value of [`RUNNING`].
    running: Vec<ModuleName>,
}

impl<'a> Modprobe<'a> {
    fn new(tool: &'a Tool, options: Options, running: &[u8]) -> Self {
        let dir = ModuleDir::at(module_dir(options.dirname.as_ref(), options.release.as_ref()));
        let catalog = Catalog::new(Arc::new(dir.clone().mapped()));
        let running = running.split(|byte| *byte == b' ').filter(|name| !name.is_empty());
        let running = running.map(ModuleName::new).collect();
        let mut warnings = Vec::new();
        let mut config = match &options.config[..] {
            [] => moddir::config(&tool.root, &dir, &mut warnings),
            paths => {
                let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
                moddir::config_at(&paths, &dir, &mut warnings)
            }
        };
        let params = procfs::kernel_command_line(&tool.root).modules;
        params.add_to(&mut config);
        warnings.extend(params.warnings);
        for warning in warnings {
            tool.error(&warning.to_string());
        }
        Self { tool, options, dir, catalog, config, running }
    }

    fn run(&self) -> Result<(), Fail> {
        if self.options.operands.is_empty() && !self.options.show_config {
            return Err(self.tool.error("missing parameters. See -h."));
        }
        let result = self.dispatch();
        for warning in self.catalog.take_warnings() {
            self.tool.message(Level::Warning, &warning.to_string());
        }
        result
    }

    fn dispatch(&self) -> Result<(), Fail> {
        let options = &self.options;
        match (&options.operands[..], options.show_config) {
            (_, true) => return self.show_config(),
            (_, false) if options.json => {
                return Err(self.tool.error("--json requires --show-config"));
            }
            ([first, ..], _) if options.show_modversions => return self.show_modversions(first),
            ([first, ..], _) if options.show_exports => return self.show_exports(first),
            (all, _) if options.remove => return each(all, |name| self.remove(name)),
            (all, _) if options.all => return self.insert_all(all),
            ([first, words @ ..], _) => return self.insert(first, Some(words)),
            ([], _) => {}
        }
        Ok(())
    }

    /// Returns whether actions are printed.
    fn prints_actions(&self) -> bool {
        self.options.dry_run || self.tool.is_verbose()
    }

    /// Returns the level of errors about operands. With `-a` the other operands are still tried.
    fn operand_level(&self) -> Level {
        if self.options.all { Level::Warning } else { Level::Fatal }
    }

    /// Prints that `name` was not found, and whether the kernel has no modules or indexes at all.
    fn not_found(&self, name: &[u8]) -> Fail {
        let (name, dir) = (escape::bytes(name), escape::path(self.dir.path()));
        let text = format!("Module {name} not found in directory {dir}");
        let fail = self.tool.fail(self.operand_level(), &text);
        if !self.dir.path().is_dir() {
            let text = format!("{dir}: No such file or directory: this kernel has no modules");
            self.tool.error(&text);
            self.tool
                .hint("install them; if an upgrade has removed them, reboot into the new kernel");
        }
        self.tool.hint_at_depmod(&self.dir);
        fail
    }

    /// Runs a command of the configuration for `module`, with `options` in the environment if there
    /// are any. Returns its exit status, which is 0 if a signal ended it, as in kmod.
    fn command(
        &self,
        command: &[u8],
        module: &ModuleName,
        options: Option<&[u8]>,
    ) -> sys::Result<i32> {
        self.tool.flush();
        let mut running: Vec<&[u8]> = self.running.iter().map(ModuleName::as_bytes).collect();
        running.push(module.as_bytes());
        let running = running.join(&b' ');
        let mut environment = vec![
            ("MODPROBE_MODULE", module.as_bytes()),
            ("MODPROBE_OPTIONS", self.options.inherited.as_bytes()),
            (RUNNING, &running),
        ];
        environment.extend(options.map(|options| (CMDLINE_OPTS, options)));
        let request = self.options.demand.as_deref();
        environment.extend(request.map(|request| (REQUEST, request.as_bytes())));
        let status = process::run_shell_command(command, &environment, Stdio::inherit())?;
        Ok(status.code().unwrap_or(0))
    }

    /// Prints why a command could not be started.
    fn report_no_shell(&self, error: &sys::Error) {
        self.tool.error(&format!("could not run /bin/sh: {}", error.cause));
    }
}

/// Returns `command` with `options` in the place of each `$CMDLINE_OPTS`, as kmod passes it to the
/// shell.
fn with_options(command: &[u8], options: &[u8]) -> Vec<u8> {
    const VARIABLE: &[u8] = b"$CMDLINE_OPTS";
    let (mut rest, mut out) = (command, Vec::new());
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(VARIABLE) {
            out.extend_from_slice(options);
            rest = after;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

/// Runs `act` for all operands, unless one stops the tool.
fn each(
    operands: &[OsString],
    mut act: impl FnMut(&OsString) -> Result<(), Fail>,
) -> Result<(), Fail> {
    let mut result = Ok(());
    for operand in operands {
        match act(operand) {
            Ok(()) => {}
            Err(Fail::Stop) => return Err(Fail::Stop),
            Err(Fail::Continue) => result = Err(Fail::Continue),
        }
    }
    result
}

#[cfg(test)]
mod tests;
