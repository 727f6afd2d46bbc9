//! depmod(8): finds the modules of a tree, reads them on all processors, and writes their index
//! files so that a power failure never leaves an incomplete file. [`crate::kmod::depmod`] makes the
//! content of the files.

mod error;
mod output;
pub(crate) mod pool;
mod read;
mod scan;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

pub(crate) use error::Error;
pub(crate) use output::Output;
pub(crate) use scan::{Found, is_newer, named, scan};

use crate::escape;
use crate::kmod::Warning;
use crate::kmod::depmod::conf::Config;
use crate::kmod::depmod::facts::Facts;
use crate::kmod::depmod::files::{self, File, Generated};
use crate::kmod::depmod::graph::Cycles;
use crate::kmod::depmod::kernel::KernelSymbols;
use crate::kmod::depmod::resolve::{Note, NoteFilter, Resolved, Symbols};
use crate::kmod::depmod::{Module, ModuleTree, Notice, order};
use crate::kmod::elf::MODINFO_LIMIT;
use crate::kmod::index::WriteError;
use crate::sys::regular_file::{self, CONFIG_LIMIT};
use crate::sys::{self, moddir};

/// Options that apply to all index files.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The symbols of the kernel, if they are known.
    pub(crate) kernel: Option<KernelSymbols>,
    /// The character that all symbols of the platform start with.
    pub(crate) prefix: Option<u8>,
    /// The notes about symbols that are reported.
    pub(crate) notes: NoteFilter,
    /// Whether to warn about entries that occur twice in an index.
    pub(crate) warn_duplicates: bool,
    /// Whether to leave out the indexes of builtin modules. Their lists are not read then, and may
    /// be missing.
    pub(crate) no_builtin: bool,
}

/// Receiver of messages and progress.
pub(crate) trait Listener {
    /// Receives a message for the user.
    fn notice(&mut self, notice: Notice);
    /// Receives a dependency of the file `user` on the file `provider`, and the symbol that causes
    /// it.
    fn needs(&mut self, user: &Path, symbol: &[u8], provider: &Path);
    /// Receives the number of modules read so far, and the number of all modules.
    fn progress(&mut self, done: usize, total: usize);
}

/// Function that stores an index file. Several threads call it at the same time.
pub(crate) type Store<'a> = dyn Fn(File) -> sys::Result<()> + Sync + 'a;

/// Generates the index files of the modules `found` in `dir`, and passes each to `store`.
///
/// # Errors
/// Dependency cycles, an entry that an index has no room for, and errors of `store`. Files that
/// cannot be read are reported and skipped.
pub(crate) fn index(
    dir: &Path,
    mut found: Vec<Found>,
    settings: &Settings,
    listener: &mut dyn Listener,
    store: &Store<'_>,
) -> Result<Memory, Error> {
    sort(dir, &mut found, listener);
    let modules = read_all(&mut found, settings.notes.versions, listener);
    let builtin = ["modules.builtin", "modules.builtin.modinfo"]
        .map(|name| (!settings.no_builtin).then(|| read_optional(dir, name, listener)).flatten());
    let sink = Sink { store, warn_duplicates: settings.warn_duplicates };
    // The aliases do not depend on the dependencies, so both are computed in parallel.
    let (alias, rest) = thread::scope(|scope| {
        let alias = scope.spawn(|| sink.put(files::alias(&modules, sink.warn_duplicates)));
        let tree = resolve(&found, &modules, settings, listener);
        let rest = tree.map(|tree| sink.put_rest(&tree, &modules, &builtin));
        (join(alias), rest)
    });
    let [dep, rest @ ..] = rest?;
    for notices in [dep, alias].into_iter().chain(rest) {
        notices?.into_iter().for_each(|notice| listener.notice(notice));
    }
    Ok(Memory { _found: found, _modules: modules })
}

/// Determines the dependencies of all modules.
fn resolve<'a>(
    found: &[Found],
    modules: &'a [Module],
    settings: &'a Settings,
    listener: &mut dyn Listener,
) -> Result<ModuleTree<'a>, Error> {
    let facts = modules.iter().map(|m| &m.facts);
    let symbols = Symbols::new(facts, settings.kernel.as_ref(), settings.prefix);
    let resolve = |_: &mut (), module: &Module| symbols.resolve(&module.facts, settings.notes);
    let resolved = pool::map(modules, || (), resolve, &mut |_| {});
    report_notes(found, &resolved, listener);
    let needs = resolved.into_iter().map(|r| r.needs).collect();
    ModuleTree::new(modules, symbols, needs).map_err(|cycles| cycle_error(&cycles, modules))
}

/// Receives files as soon as they are generated.
struct Sink<'a> {
    store: &'a Store<'a>,
    /// Whether to warn about entries that occur twice in an index.
    warn_duplicates: bool,
}

/// The messages about files that were stored.
type Stored = Result<Vec<Notice>, Error>;

impl Sink<'_> {
    fn put(&self, generated: Result<Generated, WriteError>) -> Stored {
        let generated = generated?;
        generated.files.into_iter().try_for_each(self.store)?;
        Ok(generated.notices)
    }

    /// Generates and stores all files but the aliases. The results are in the order in which their
    /// messages are reported.
    fn put_rest(
        &self,
        tree: &ModuleTree<'_>,
        modules: &[Module],
        [list, modinfo]: &[Option<Vec<u8>>; 2],
    ) -> [Stored; 5] {
        thread::scope(|scope| {
            let symbols = scope.spawn(|| self.put(files::symbols(tree, self.warn_duplicates)));
            let small = scope.spawn(|| {
                let soft = self.put(Ok(files::softdep(modules)));
                let builtin = self.put(files::builtin(list.as_deref(), modinfo.as_deref()));
                [soft, builtin, self.put(Ok(files::devname(modules)))]
            });
            let dep = self.put(files::dep(tree, self.warn_duplicates));
            let panicked = |_| [(); 3].map(|()| Err(Error::Panicked));
            let [soft, builtin, devname] = small.join().unwrap_or_else(panicked);
            [dep, soft, join(symbols), builtin, devname]
        })
    }
}

fn join(handle: thread::ScopedJoinHandle<'_, Stored>) -> Stored {
    handle.join().unwrap_or(Err(Error::Panicked))
}

/// The memory of a run: many small allocations. To free them takes as long as to read a hundred
/// modules, so a program that is about to exit can leak them.
#[derive(Debug)]
pub(crate) struct Memory {
    _found: Vec<Found>,
    _modules: Vec<Module>,
}

/// Sorts the modules; their order determines the content of every file.
fn sort(dir: &Path, found: &mut [Found], listener: &mut dyn Listener) {
    let text = read_optional(dir, "modules.order", listener);
    let file = dir.join("modules.order");
    if let Err(warning) = order::sort(found, &escape::path(&file), text.as_deref()) {
        let Warning { file, line, text } = warning;
        listener.notice(Notice::Error(format!("{file}:{line} {text}")));
    }
}

/// Longest list of the kernel's build, in bytes: a hundred times that of a full kernel.
const LIST_LIMIT: usize = 64 << 20;

/// Reads a file of the kernel's build. If it cannot be read, reports a warning.
fn read_optional(dir: &Path, name: &str, listener: &mut dyn Listener) -> Option<Vec<u8>> {
    match regular_file::read_or_null(&dir.join(name), LIST_LIMIT) {
        Ok(text) => Some(text),
        Err(error) => {
            listener.notice(Notice::Warning(format!(
                "could not open {name} at {}: {}",
                escape::path(&dir),
                error.cause
            )));
            None
        }
    }
}

/// Reads the facts of all modules. A module that cannot be read is kept, with empty facts.
fn read_all(found: &mut [Found], whole: bool, listener: &mut dyn Listener) -> Vec<Module> {
    let files: Vec<&Path> = found.iter().map(|f| f.file.as_path()).collect();
    let facts = read::all(&files, whole, listener);
    let modules = found.iter().zip(facts).map(|(found, facts)| {
        let facts: Facts = facts.unwrap_or_else(|error| {
            listener.notice(Notice::Error(format!(
                "failed to load symbols from {}: {error}",
                escape::path(&found.file)
            )));
            Default::default()
        });
        if facts.has_long_modinfo {
            listener.notice(Notice::Warning(format!(
                "{}: .modinfo has more than {MODINFO_LIMIT} bytes: its aliases, softdeps and \
                 weakdeps are ignored",
                escape::path(&found.file)
            )));
        }
        Module { name: found.name.clone(), path: found.path.clone(), facts }
    });
    modules.collect()
}

fn report_notes(found: &[Found], resolved: &[Resolved], listener: &mut dyn Listener) {
    for (user, resolved) in found.iter().zip(resolved) {
        for note in &resolved.notes {
            let file = escape::path(&user.file);
            let name = escape::bytes;
            let text = match note {
                Note::Unknown(symbol) => format!("{file} needs unknown symbol {}", name(symbol)),
                Note::Version(symbol) => {
                    format!("{file} disagrees about version of symbol {}", name(symbol))
                }
                Note::Found(symbol, provider) => {
                    listener.needs(&user.file, symbol, &found[*provider as usize].file);
                    continue;
                }
            };
            listener.notice(Notice::Warning(text));
        }
    }
}

/// Returns the error that names the modules on `cycles`.
fn cycle_error(cycles: &Cycles, modules: &[Module]) -> Error {
    let name = |position: &u32| modules[*position as usize].name.text();
    let path = |path: &Vec<u32>| path.iter().map(name).collect::<Vec<_>>().join(" -> ");
    Error::Cycles { paths: cycles.paths.iter().map(path).collect(), modules: cycles.modules }
}

/// Reads the configuration for kernel `release` from depmod.d(5) files or from directories of such
/// files. Returns it with a warning for each line that was skipped.
pub(crate) fn config(paths: &[PathBuf], release: &str) -> (Config, Vec<Warning>) {
    let (mut config, mut warnings) = (Config::default(), Vec::new());
    for path in moddir::conf_files(paths, &mut warnings) {
        let name = escape::path(&path);
        // A pipe has sense only if it is named, as in `depmod -C <(...)`.
        let text = match paths.contains(&path) {
            true => Ok(fs::read(&path).ok()),
            false => regular_file::read_if_opened(&path, CONFIG_LIMIT),
        };
        match text {
            Ok(Some(text)) => config.add_file(&name, &text, release, &mut warnings),
            // As with kmod, a file that cannot be opened is ignored.
            Ok(None) => {}
            Err(error) => {
                warnings.push(Warning::new(&name, 0, format!("ignored: {}", error.cause)));
            }
        }
    }
    (config, warnings)
}
