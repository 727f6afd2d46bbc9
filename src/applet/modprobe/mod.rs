//! `modprobe`: modules into the kernel and out of it, by name, alias or file, with what they need and as
//! modprobe.d(5) has it. `modprobe -q -- NAME` is what the kernel itself calls.

mod demand;
mod insert;
mod json;
mod options;
mod remove;
mod show;
mod together;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::Exit;
use super::paths::module_dir;
use super::tool::{Fail, Level, Tool};
use crate::kmod::catalog::Catalog;
use crate::kmod::conf::Config;
use crate::kmod::name::ModuleName;
use crate::sys::moddir::{self, ModuleDir};
use crate::sys::{Error, helper, process, procfs};
use options::Options;

const HELP: &str = "[options] [-i] [-b] modulename
\tmodprobe [options] -a [-i] [-b] modulename [modulename...]
\tmodprobe [options] -r [-i] modulename
\tmodprobe [options] -r -a [-i] modulename [modulename...]
\tmodprobe [options] -c
Management:
\t-a, --all                 every operand is a module
\t-r, --remove              remove modules
\t    --remove-holders      also remove what uses them
\t    --orphans             also remove all that is then unused, however deep
\t-w, --wait <MSEC>         with -r: how long to wait for one in use
\t    --first-time          fail if it is there (or gone) already
\t-i, --ignore-install, --ignore-remove
\t                          no commands and no softdeps of the module
\t-j, --jobs=N              with -a: load up to N modules at once
\t-b, --use-blacklist       the blacklist applies to names too
\t-k, --autoclean           mark what is loaded: it goes when it is unused (coldplug autoclean)
\t-f, --force               --force-modversion --force-vermagic
\t    --force-modversion    ignore symbol versions
\t    --force-vermagic      ignore the version magic
Query:
\t-D, --show-depends        print what would be loaded
\t-c, --show-config         print the configuration
\t    --json                print it as one JSON object
\t-R, --show-alias          print the modules that a name stands for
\t    --show-modversions    print the symbol versions of a module
\t    --show-exports        print the symbols that a module exports
General:
\t-n, --dry-run             print what would be done
\t-C, --config=FILE         use FILE or folder instead of modprobe.d
\t-d, --dirname=DIR         look below DIR/lib/modules
\t-S, --set-version=VERSION use VERSION instead of that of the running kernel
\t-s, --syslog              messages go to the system log
\t-q, --quiet               no messages
\t-v, --verbose             more messages
\t-V, --version             show version
\t-h, --help                show this help
";

/// Modules whose install or remove command is running above us: theirs are not run again.
const RUNNING: &str = "COLDPLUG_RUNNING";
/// What the kernel has asked for, where an install command that is running above us was run for it.
const REQUEST: &str = "COLDPLUG_REQUEST";

pub(super) fn run(args: &[OsString]) -> Exit {
    let tool = Tool::new(args, Level::Warning);
    let environment = |name| std::env::var(name).unwrap_or_default();
    let (request, called) = (std::env::var(REQUEST).ok(), helper::called_by_kernel());
    if called || request.is_some() {
        // The system log takes a socket, and a socket may take a module.
        tool.use_kmsg();
    } else if process::stderr_was_closed() {
        tool.use_syslog();
    }
    let mut options = match Options::read(&tool, args, &environment("MODPROBE_OPTIONS")) {
        Ok(options) => options,
        Err(exit) => return exit,
    };
    if called || request.is_some() || options.autoclean {
        options.demand = Some(request.unwrap_or_else(|| options.names()));
    }
    Modprobe::new(&tool, options, &environment(RUNNING)).run()
}

/// One call of modprobe.
struct Modprobe<'a> {
    tool: &'a Tool,
    options: Options,
    dir: ModuleDir,
    catalog: Catalog,
    config: Config,
    /// From [`RUNNING`].
    running: Vec<ModuleName>,
}

impl<'a> Modprobe<'a> {
    fn new(tool: &'a Tool, options: Options, running: &str) -> Self {
        let dir = ModuleDir::at(module_dir(options.dirname.as_ref(), options.release.as_ref()));
        let catalog = Catalog::new(Arc::new(dir.clone()));
        let running = running.split(' ').filter(|n| !n.is_empty()).map(ModuleName::new).collect();
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

    fn run(&self) -> Exit {
        if self.options.operands.is_empty() && !self.options.show_config {
            self.tool.error("missing parameters. See -h.");
            return Exit::Failure;
        }
        let done = self.dispatch();
        for warning in self.catalog.take_warnings() {
            self.tool.say(Level::Warning, &warning.to_string());
        }
        if done.is_ok() { Exit::Success } else { Exit::Failure }
    }

    fn dispatch(&self) -> Result<(), Fail> {
        let options = &self.options;
        match (&options.operands[..], options.show_config) {
            (_, true) => self.show_config(),
            (_, false) if options.json => {
                return Err(self.tool.error("--json is for --show-config."));
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

    /// Whether what is done is printed.
    fn tells(&self) -> bool {
        self.options.dry_run || self.tool.is_verbose()
    }

    /// The priority of messages about operands: with `-a` the others are still tried.
    fn grave(&self) -> Level {
        if self.options.all { Level::Warning } else { Level::Fatal }
    }

    /// Says that there is no such module, and where none at all are.
    fn not_found(&self, text: &str) -> Fail {
        let fail = self.tool.fail(self.grave(), text);
        if !self.dir.path().is_dir() {
            let dir = self.dir.path().display();
            self.tool.error(&format!(
                "{dir} does not exist: the modules of this kernel are not installed, or an upgrade has removed them"
            ));
        }
        fail
    }

    /// Runs the command that the configuration has for `module`; gives whether it succeeded. One that a
    /// signal has ended counts as success, as in kmod.
    fn command(&self, command: &str, module: &ModuleName) -> Result<i32, Error> {
        self.tool.flush();
        let mut running: Vec<&str> = self.running.iter().map(ModuleName::as_str).collect();
        running.push(module.as_str());
        let running = running.join(" ");
        let mut environment = vec![
            ("MODPROBE_MODULE", module.as_str()),
            ("MODPROBE_OPTIONS", &self.options.inherited),
            (RUNNING, &running),
        ];
        environment.extend(self.options.demand.as_deref().map(|request| (REQUEST, request)));
        let status = process::run_shell_command(command, &environment)?;
        Ok(status.code().unwrap_or(0))
    }

    /// Why a command could not be started at all.
    fn no_shell(&self, error: &Error) {
        self.tool.error(&format!("could not run a shell: {}", error.cause));
    }
}

/// Tries all operands; a failure does not keep the next from its turn, unless it stops everything.
fn each(
    operands: &[OsString],
    mut act: impl FnMut(&OsString) -> Result<(), Fail>,
) -> Result<(), Fail> {
    let mut result = Ok(());
    for operand in operands {
        match act(operand) {
            Ok(()) => {}
            Err(Fail::Stop) => return Err(Fail::Stop),
            Err(Fail::GoOn) => result = Err(Fail::GoOn),
        }
    }
    result
}

#[cfg(test)]
mod tests;
