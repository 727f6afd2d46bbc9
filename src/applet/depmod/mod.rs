//! `depmod [OPTIONS] [VERSION] [FILE...]`: writes the index files for the modules of a kernel, with
//! the options and messages of kmod's depmod(8).

mod options;

use std::ffi::OsString;
use std::fs;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use options::Options;
pub(super) use options::USAGE;

use super::message;
use super::progress::Progress;
use super::tool::{Level, Tool};
use crate::depmod::{self, Error, Found, Listener, Output, Settings, Store};
use crate::escape;
use crate::kmod::Warning;
use crate::kmod::depmod::Notice;
use crate::kmod::depmod::conf::Config;
use crate::kmod::depmod::files::File;
use crate::kmod::depmod::kernel::KernelSymbols;
use crate::kmod::depmod::resolve::NoteFilter;
use crate::sys::{self, Cause, moddir, regular_file};

/// Limit for a System.map that was not named; that of a kernel with all drivers has 8 MiB.
const SYSTEM_MAP_LIMIT: usize = 256 << 20;

/// The text files, in the order in which `--show` prints them.
const SHOWN: [&str; 6] = [
    "modules.dep",
    "modules.alias",
    "modules.softdep",
    "modules.weakdep",
    "modules.symbols",
    "modules.devname",
];

pub(super) fn run(args: &[OsString]) -> Result<(), message::Error> {
    let tool = Tool::kmod(args, Level::Warning);
    let options = Options::read(&tool, args)?;
    Ok(Depmod { tool: &tool, options }.run()?)
}

/// An error that was printed and ends the command.
struct Reported;

impl From<Reported> for message::Error {
    fn from(_: Reported) -> Self {
        Self::Reported
    }
}

struct Depmod<'a> {
    tool: &'a Tool,
    options: Options,
}

impl Depmod<'_> {
    fn run(&self) -> Result<(), Reported> {
        let options = &self.options;
        let dir = options.dir(&options.base);
        // Like kmod, `--quick --show` prints nothing.
        if options.quick && (options.show || !self.is_stale(&dir)) {
            return Ok(());
        }
        let settings = self.settings()?;
        let found = self.found(&dir)?;
        if options.show {
            return self.show(&dir, found, &settings);
        }
        let out = options.dir(options.out.as_deref().unwrap_or(&options.base));
        if options.out.is_none() && !out.exists() {
            return Err(self.fatal(&format!("no directory {}", escape::path(&out))));
        }
        let output = Output::new(out).map_err(|error| self.fatal(&error.to_string()))?;
        self.index(&dir, found, &settings, &|file| output.store(file))?;
        output.commit().map_err(|error| self.fatal(&error.to_string()))
    }

    /// Returns whether a module is newer than the index.
    fn is_stale(&self, dir: &Path) -> bool {
        match fs::metadata(dir.join("modules.dep")).and_then(|m| m.modified()) {
            Ok(time) => depmod::is_newer(dir, time),
            Err(error) => {
                let reason = Cause::from(&error);
                let dir = escape::path(&dir);
                self.tool.error(&format!("could not fstatat({dir}, modules.dep): {reason}"));
                true
            }
        }
    }

    fn settings(&self) -> Result<Settings, Reported> {
        let Options { symvers, system_map, prefix, errors, verbose, warn_duplicates, show, .. } =
            &self.options;
        let kernel = if let Some(path) = symvers {
            Some(KernelSymbols::from_symvers(&self.read(path)?, *prefix))
        } else if let Some(path) = system_map {
            let (symbols, warnings) =
                KernelSymbols::from_system_map(&escape::path(path), &self.read(path)?, *prefix);
            self.print_warnings(warnings);
            Some(symbols)
        } else {
            errors.then(|| self.usual_system_map()).flatten()
        };
        Ok(Settings {
            prefix: *prefix,
            notes: NoteFilter {
                errors: *errors && kernel.is_some(),
                versions: *errors && symvers.is_some(),
                found: *verbose,
            },
            kernel,
            warn_duplicates: *warn_duplicates,
            no_builtin: *show,
        })
    }

    /// Returns the symbols in the System.map of the kernel, for `-e` without a file, and prints
    /// which one it is. One without exported symbols stands in for another file, as Debian's in
    /// /boot.
    fn usual_system_map(&self) -> Option<KernelSymbols> {
        let Options { prefix, base, .. } = &self.options;
        let warn = |text: &str| self.tool.message(Level::Warning, text);
        for path in self.options.system_maps().iter().filter(|path| path.exists()) {
            let text = match regular_file::read(path, SYSTEM_MAP_LIMIT) {
                Ok(text) => text,
                Err(error) => {
                    warn(&error.to_string());
                    continue;
                }
            };
            let name = escape::path(path);
            let (symbols, warnings) = KernelSymbols::from_system_map(&name, &text, *prefix);
            if symbols.is_empty() {
                warn(&format!("{name} has no exported symbols"));
                continue;
            }
            self.print_warnings(warnings);
            warn(&format!("-e: symbols are checked against {name}"));
            return Some(symbols);
        }
        warn("-e needs -E or -F");
        self.tool.hint(&format!(
            "no System.map of {} with symbols in boot, lib/modules and usr/lib/debug{}",
            self.options.shown_release(),
            match escape::path(base).as_ref() {
                "" => String::new(),
                base => format!(" below {base}"),
            }
        ));
        None
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, Reported> {
        fs::read(path).map_err(|error| {
            let reason = Cause::from(&error);
            self.fatal(&format!("could not load {}: {reason}", escape::path(&path)))
        })
    }

    /// Returns the modules to be indexed.
    fn found(&self, dir: &Path) -> Result<Vec<Found>, Reported> {
        let options = &self.options;
        if !options.all && !options.quick && !options.files.is_empty() {
            return depmod::named(dir, &options.files)
                .map_err(|error| self.fatal(&error.to_string()));
        }
        let mut notices = Vec::new();
        let found = depmod::scan(dir, &self.config(), &mut notices);
        notices.into_iter().for_each(|notice| self.print(notice));
        found.map_err(|error| {
            self.tool.error(&error.to_string());
            self.fatal(&format!("could not search modules: {}", error.cause))
        })
    }

    /// Reads the configuration: the files of `--config`, or else of depmod.d.
    fn config(&self) -> Config {
        let paths: Vec<PathBuf> = match &self.options.config[..] {
            [] => moddir::config_dirs(&self.tool.root, "depmod.d"),
            given => given.to_vec(),
        };
        let (config, warnings) = depmod::config(&paths, &self.options.shown_release());
        self.print_warnings(warnings);
        config
    }

    fn index(
        &self,
        dir: &Path,
        found: Vec<Found>,
        settings: &Settings,
        store: &Store<'_>,
    ) -> Result<(), Reported> {
        let mut listener = Terminal::new(self);
        let indexed = depmod::index(dir, found, settings, &mut listener, store);
        // The process is about to exit: freeing the memory would only take time.
        indexed.map(std::mem::forget).map_err(|error| match error {
            Error::Cycles { paths, modules } => {
                for path in paths {
                    self.tool.error(&format!("Cycle detected: {path}"));
                }
                self.tool.error(&format!("Found {modules} modules in dependency cycles!"));
                Reported
            }
            error => self.fatal(&error.to_string()),
        })
    }

    /// Prints the text files on standard output.
    fn show(&self, dir: &Path, found: Vec<Found>, settings: &Settings) -> Result<(), Reported> {
        let files = Mutex::new(Vec::new());
        let store = |file| -> sys::Result<()> {
            files.lock().unwrap_or_else(PoisonError::into_inner).push(file);
            Ok(())
        };
        self.index(dir, found, settings, &store)?;
        let files: Vec<File> = files.into_inner().unwrap_or_else(PoisonError::into_inner);
        for name in SHOWN {
            for file in files.iter().filter(|file| file.name == name) {
                self.tool.print(&file.bytes);
            }
        }
        Ok(())
    }

    /// Prints the warnings about lines that were skipped.
    fn print_warnings(&self, warnings: Vec<Warning>) {
        for Warning { file, line, text } in warnings {
            self.tool.error(&format!("{file}:{line}: {text}"));
        }
    }

    fn print(&self, notice: Notice) {
        match notice {
            Notice::Error(text) => self.tool.message(Level::Error, &text),
            Notice::Warning(text) => self.tool.message(Level::Warning, &text),
        }
    }

    fn fatal(&self, text: &str) -> Reported {
        self.tool.message(Level::Fatal, text);
        Reported
    }
}

/// Prints messages and progress.
struct Terminal<'a, 'b> {
    depmod: &'a Depmod<'b>,
    progress: Progress,
}

impl<'a, 'b> Terminal<'a, 'b> {
    fn new(depmod: &'a Depmod<'b>) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        Self { depmod, progress: Progress::new(is_terminal) }
    }
}

impl Listener for Terminal<'_, '_> {
    fn notice(&mut self, notice: Notice) {
        self.depmod.print(notice);
    }

    fn needs(&mut self, user: &Path, symbol: &[u8], provider: &Path) {
        let mut line = user.as_os_str().as_bytes().to_vec();
        line.extend_from_slice(&[b" needs \"", symbol, b"\": "].concat());
        line.extend_from_slice(provider.as_os_str().as_bytes());
        line.push(b'\n');
        self.depmod.tool.print(line);
    }

    fn progress(&mut self, done: usize, total: usize) {
        self.progress.update("reading modules", done, total);
    }
}
