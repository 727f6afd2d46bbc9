//! `depmod [OPTIONS] [VERSION] [FILE...]`: index files for the modules of a kernel, as kmod's depmod(8) writes them.

mod options;
mod progress;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use options::Options;

use super::Exit;
use super::tool::{Level, Tool};
use crate::depmod::{self, Failure, Found, Listener, Output, Settings};
use crate::kmod::Warning;
use crate::kmod::depmod::Notice;
use crate::kmod::depmod::conf::Config;
use crate::kmod::depmod::files::File;
use crate::kmod::depmod::kernel::KernelSymbols;
use crate::kmod::depmod::resolve::Wanted;
use crate::sys::{Cause, moddir};

/// The text files, in the order in which they are shown.
const SHOWN: [&str; 6] = [
    "modules.dep",
    "modules.alias",
    "modules.softdep",
    "modules.weakdep",
    "modules.symbols",
    "modules.devname",
];

pub(super) fn run(args: &[OsString]) -> Exit {
    let tool = Tool::new(args, Level::Warning);
    let options = match Options::read(&tool, args) {
        Ok(options) => options,
        Err(exit) => return exit,
    };
    let depmod = Depmod { tool: &tool, options };
    match depmod.run() {
        Ok(()) => Exit::Success,
        Err(Said) => Exit::Failure,
    }
}

/// The work ends here, and why has been said.
struct Said;

struct Depmod<'a> {
    tool: &'a Tool,
    options: Options,
}

impl Depmod<'_> {
    fn run(&self) -> Result<(), Said> {
        let options = &self.options;
        let dir = options.dir(&options.base);
        // kmod shows nothing where it may have nothing to do.
        if options.quick && (options.show || !self.is_stale(&dir)) {
            return Ok(());
        }
        let settings = self.settings()?;
        let found = self.found(&dir)?;
        if options.show {
            return self.show(&dir, found, &settings);
        }
        let out = options.dir(options.out.as_deref().unwrap_or(&options.base));
        let output = if options.out.is_some() || out.exists() {
            Output::new(out)
        } else {
            Err(format!("no directory {}", out.display()))
        };
        let output = output.map_err(|text| self.fatal(&text))?;
        self.index(&dir, found, &settings, &|file| output.keep(file))?;
        output.commit().map_err(|text| self.fatal(&text))
    }

    /// Whether a module is newer than the index.
    fn is_stale(&self, dir: &Path) -> bool {
        match fs::metadata(dir.join("modules.dep")).and_then(|m| m.modified()) {
            Ok(time) => depmod::is_newer(dir, time),
            Err(error) => {
                let reason = Cause::from(&error);
                let dir = dir.display();
                self.tool.error(&format!("could not fstatat({dir}, modules.dep): {reason}"));
                true
            }
        }
    }

    fn settings(&self) -> Result<Settings, Said> {
        let Options { symvers, system_map, prefix, errors, verbose, twice, show, .. } =
            &self.options;
        let mut kernel = None;
        if let Some(path) = symvers {
            kernel = Some(KernelSymbols::from_symvers(&self.read(path)?, *prefix));
        } else if let Some(path) = system_map {
            let (symbols, warnings) =
                KernelSymbols::from_system_map(&path.to_string_lossy(), &self.read(path)?, *prefix);
            self.complain(warnings);
            kernel = Some(symbols);
        }
        let wanted =
            Wanted { errors: *errors, versions: *errors && symvers.is_some(), found: *verbose };
        Ok(Settings { kernel, prefix: *prefix, wanted, twice: *twice, no_builtin: *show })
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, Said> {
        fs::read(path).map_err(|error| {
            let reason = Cause::from(&error);
            self.fatal(&format!("could not load {}: {reason}", path.display()))
        })
    }

    /// The modules to be indexed.
    fn found(&self, dir: &Path) -> Result<Vec<Found>, Said> {
        let options = &self.options;
        if !options.all && !options.quick && !options.files.is_empty() {
            return depmod::named(dir, &options.files).map_err(|text| self.fatal(&text));
        }
        let mut notices = Vec::new();
        let found = depmod::scan(dir, &self.config(), &mut notices);
        notices.into_iter().for_each(|notice| self.say(notice));
        found.map_err(|error| {
            let reason = error.cause;
            self.tool.error(&format!("could not open directory {}: {reason}", dir.display()));
            self.fatal(&format!("could not search modules: {reason}"))
        })
    }

    /// What depmod.d, or what stands in its place, says.
    fn config(&self) -> Config {
        let paths: Vec<PathBuf> = match &self.options.config[..] {
            [] => moddir::config_dirs(&self.tool.root, "depmod.d"),
            given => given.to_vec(),
        };
        let (config, warnings) = depmod::config(&paths, &self.options.release);
        self.complain(warnings);
        config
    }

    fn index(
        &self,
        dir: &Path,
        found: Vec<Found>,
        settings: &Settings,
        keep: &(dyn Fn(File) -> Result<(), String> + Sync),
    ) -> Result<(), Said> {
        let mut listener = Terminal::new(self);
        let indexed = depmod::index(dir, found, settings, &mut listener, keep);
        indexed.map(std::mem::forget).map_err(|failure| match failure {
            Failure::Cycles(ways, count) => {
                for way in ways {
                    self.tool.error(&format!("Cycle detected: {way}"));
                }
                self.tool.error(&format!("Found {count} modules in dependency cycles!"));
                Said
            }
            Failure::Index(error) => self.fatal(&error.to_string()),
            Failure::Output(text) => self.fatal(&text),
        })
    }

    /// The text files on standard output.
    fn show(&self, dir: &Path, found: Vec<Found>, settings: &Settings) -> Result<(), Said> {
        let files = Mutex::new(Vec::new());
        let keep = |file| files.lock().map(|mut all| all.push(file)).map_err(|e| e.to_string());
        self.index(dir, found, settings, &keep)?;
        let files: Vec<File> = files.into_inner().unwrap_or_default();
        for name in SHOWN {
            for file in files.iter().filter(|file| file.name == name) {
                self.tool.print(&file.bytes);
            }
        }
        Ok(())
    }

    /// Lines of input that were passed over.
    fn complain(&self, warnings: Vec<Warning>) {
        for Warning { file, line, text } in warnings {
            self.tool.error(&format!("{file}:{line}: {text}"));
        }
    }

    fn say(&self, notice: Notice) {
        match notice {
            Notice::Error(text) => self.tool.say(Level::Error, &text),
            Notice::Warning(text) => self.tool.say(Level::Warning, &text),
        }
    }

    fn fatal(&self, text: &str) -> Said {
        self.tool.say(Level::Fatal, text);
        Said
    }
}

/// Tells the user what goes on.
struct Terminal<'a, 'b> {
    depmod: &'a Depmod<'b>,
    progress: progress::Progress,
}

impl<'a, 'b> Terminal<'a, 'b> {
    fn new(depmod: &'a Depmod<'b>) -> Self {
        Self { depmod, progress: progress::Progress::default() }
    }
}

impl Listener for Terminal<'_, '_> {
    fn notice(&mut self, notice: Notice) {
        self.depmod.say(notice);
    }

    fn needs(&mut self, user: &Path, symbol: &[u8], provider: &Path) {
        let mut line = user.as_os_str().as_bytes().to_vec();
        let _ = write!(line, " needs \"{}\": ", String::from_utf8_lossy(symbol));
        line.extend_from_slice(provider.as_os_str().as_bytes());
        line.push(b'\n');
        self.depmod.tool.print(line);
    }

    fn progress(&mut self, done: usize, of: usize) {
        self.progress.tell(done, of);
    }
}
