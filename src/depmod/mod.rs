//! depmod(8) at work: finds the modules of a tree, reads them over all processors, and writes their index files so
//! that a power cut never leaves half of one. What the files hold is [`crate::kmod::depmod`].

mod output;
mod pool;
mod read;
mod scan;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

pub use output::Output;
pub use scan::{Found, is_newer, named, scan};

use crate::kmod::Warning;
use crate::kmod::depmod::conf::Config;
use crate::kmod::depmod::files::{self, File, Made};
use crate::kmod::depmod::graph::Cycles;
use crate::kmod::depmod::kernel::KernelSymbols;
use crate::kmod::depmod::resolve::{Note, Resolved, Symbols, Wanted};
use crate::kmod::depmod::{Module, Notice, Solved, order};
use crate::kmod::index::WriteError;
use crate::sys::{Cause, moddir};

/// How the files are made.
#[derive(Debug, Default)]
pub struct Settings {
    /// The symbols of the kernel, where they are known.
    pub kernel: Option<KernelSymbols>,
    /// What all symbols of the platform begin with.
    pub prefix: Option<u8>,
    /// What is told of symbols.
    pub wanted: Wanted,
    /// Entries that an index holds twice are told.
    pub twice: bool,
    /// The indexes of what is in the kernel are not wanted: its lists are not read, nor missed.
    pub no_builtin: bool,
}

/// Why no file is made.
#[derive(Debug)]
pub enum Failure {
    /// Modules that depend on themselves: the ways round, by name, and how many modules are on them.
    Cycles(Vec<String>, usize),
    /// An index has no room for something.
    Index(WriteError),
    /// Files cannot be written, in words.
    Output(String),
}

/// What is told while the work goes on.
pub trait Listener {
    /// Something is to be said.
    fn notice(&mut self, notice: Notice);
    /// A module gets a dependency on another for the sake of a symbol: paths of both.
    fn needs(&mut self, user: &Path, symbol: &[u8], provider: &Path);
    /// So many of so many modules are read; called from time to time, on any thread's behalf.
    fn progress(&mut self, done: usize, of: usize);
}

/// Makes the index files of the modules `found` in `dir`, and gives each to `keep`, which may be called by several
/// threads at once.
///
/// # Errors
/// Circular dependencies, and what `keep` or an index cannot take. What cannot be read is told and passed over.
pub fn index(
    dir: &Path,
    mut found: Vec<Found>,
    settings: &Settings,
    listener: &mut dyn Listener,
    keep: &(dyn Fn(File) -> Result<(), String> + Sync),
) -> Result<Remains, Failure> {
    sort(dir, &mut found, listener);
    let modules = read_all(&mut found, settings.wanted.versions, listener);
    let built = ["modules.builtin", "modules.builtin.modinfo"]
        .map(|name| (!settings.no_builtin).then(|| read_optional(dir, name, listener)).flatten());
    let sink = Sink { keep, twice: settings.twice };
    // What needs no dependencies is made while they are sought.
    let (alias, rest) = thread::scope(|scope| {
        let alias = scope.spawn(|| sink.take(files::alias(&modules, sink.twice)));
        let tree = solve(&found, &modules, settings, listener);
        let rest = tree.map(|tree| sink.take_rest(&tree, &modules, &built));
        (joined(alias), rest)
    });
    let [dep, rest @ ..] = rest?;
    for notices in [dep, alias].into_iter().chain(rest) {
        notices?.into_iter().for_each(|notice| listener.notice(notice));
    }
    Ok(Remains { _found: found, _modules: modules })
}

/// Who depends on whom.
fn solve<'a>(
    found: &[Found],
    modules: &'a [Module],
    settings: &'a Settings,
    listener: &mut dyn Listener,
) -> Result<Solved<'a>, Failure> {
    let facts = modules.iter().map(|m| &m.facts);
    let symbols = Symbols::new(facts, settings.kernel.as_ref(), settings.prefix);
    let resolve = |_: &mut (), module: &Module| symbols.resolve(&module.facts, settings.wanted);
    let resolved = pool::map(modules, || (), resolve, &mut |_| {});
    tell_notes(found, &resolved, listener);
    let needs = resolved.into_iter().map(|r| r.needs).collect();
    Solved::new(modules, symbols, needs).map_err(|cycles| in_words(&cycles, modules))
}

/// Where files go as soon as they are made.
struct Sink<'a> {
    keep: &'a (dyn Fn(File) -> Result<(), String> + Sync),
    /// Entries that an index holds twice are told.
    twice: bool,
}

type Kept = Result<Vec<Notice>, Failure>;

impl Sink<'_> {
    fn take(&self, made: Result<Made, WriteError>) -> Kept {
        let made = made.map_err(Failure::Index)?;
        made.files.into_iter().try_for_each(self.keep).map_err(Failure::Output)?;
        Ok(made.notices)
    }

    /// All but the aliases, in the order in which they are told of.
    fn take_rest(
        &self,
        tree: &Solved<'_>,
        modules: &[Module],
        [list, modinfo]: &[Option<Vec<u8>>; 2],
    ) -> [Kept; 5] {
        thread::scope(|scope| {
            let symbols = scope.spawn(|| self.take(files::symbols(tree, self.twice)));
            let small = scope.spawn(|| {
                let soft = self.take(Ok(files::softdep(modules)));
                let built = self.take(files::builtin(list.as_deref(), modinfo.as_deref()));
                [soft, built, self.take(Ok(files::devname(modules)))]
            });
            let dep = self.take(files::dep(tree, self.twice));
            let [soft, built, devname] = small.join().unwrap_or_else(|_| [lost(), lost(), lost()]);
            [dep, soft, joined(symbols), built, devname]
        })
    }
}

/// The end of a thread that has panicked.
fn lost() -> Kept {
    Err(Failure::Output("internal error".to_owned()))
}

fn joined(handle: thread::ScopedJoinHandle<'_, Kept>) -> Kept {
    handle.join().unwrap_or_else(|_| lost())
}

/// What a run leaves: many small pieces of memory. Giving them back takes as long as reading a hundred modules, so a
/// program that ends can forget them.
#[derive(Debug)]
pub struct Remains {
    _found: Vec<Found>,
    _modules: Vec<Module>,
}

/// Puts modules into the order that decides every file.
fn sort(dir: &Path, found: &mut [Found], listener: &mut dyn Listener) {
    let text = read_optional(dir, "modules.order", listener);
    let file = dir.join("modules.order");
    if let Err(warning) = order::sort(found, &file.to_string_lossy(), text.as_deref()) {
        let Warning { file, line, text } = warning;
        listener.notice(Notice::Error(format!("{file}:{line} {text}")));
    }
}

/// One of the files of the kernel's build, which should be there.
fn read_optional(dir: &Path, name: &str, listener: &mut dyn Listener) -> Option<Vec<u8>> {
    match fs::read(dir.join(name)) {
        Ok(text) => Some(text),
        Err(error) => {
            listener.notice(Notice::Warning(format!(
                "could not open {name} at {}: {}",
                dir.display(),
                Cause::from(&error)
            )));
            None
        }
    }
}

/// The facts of all modules; a module that cannot be read stays, without any.
fn read_all(found: &mut [Found], whole: bool, listener: &mut dyn Listener) -> Vec<Module> {
    let files: Vec<&Path> = found.iter().map(|f| f.file.as_path()).collect();
    let facts = read::all(&files, whole, listener);
    let modules = found.iter().zip(facts).map(|(found, facts)| {
        let facts = facts.unwrap_or_else(|reason| {
            listener.notice(Notice::Error(format!(
                "failed to load symbols from {}: {reason}",
                found.file.display()
            )));
            Default::default()
        });
        Module { name: found.name.clone(), path: found.path.clone(), facts }
    });
    modules.collect()
}

fn tell_notes(found: &[Found], resolved: &[Resolved], listener: &mut dyn Listener) {
    for (user, resolved) in found.iter().zip(resolved) {
        for note in &resolved.notes {
            let file = user.file.display();
            let text = |symbol: &[u8]| String::from_utf8_lossy(symbol).into_owned();
            let words = match note {
                Note::Unknown(symbol) => format!("{file} needs unknown symbol {}", text(symbol)),
                Note::Version(symbol) => {
                    format!("{file} disagrees about version of symbol {}", text(symbol))
                }
                Note::Found(symbol, provider) => {
                    listener.needs(&user.file, symbol, &found[*provider as usize].file);
                    continue;
                }
            };
            listener.notice(Notice::Warning(words));
        }
    }
}

fn in_words(cycles: &Cycles, modules: &[Module]) -> Failure {
    let name = |place: &u32| modules[*place as usize].name.as_str();
    let way = |path: &Vec<u32>| path.iter().map(name).collect::<Vec<_>>().join(" -> ");
    Failure::Cycles(cycles.paths.iter().map(way).collect(), cycles.modules)
}

/// What depmod.d(5) files, or folders of such files, say to kernel `release`; with what was passed over.
pub fn config(paths: &[PathBuf], release: &str) -> (Config, Vec<Warning>) {
    let (mut config, mut warnings) = (Config::default(), Vec::new());
    for path in moddir::conf_files_of(paths, &mut warnings).into_values() {
        // A file that cannot be opened says nothing, as with kmod.
        if let Ok(text) = fs::read(&path) {
            config.add_file(&path.to_string_lossy(), &text, release, &mut warnings);
        }
    }
    (config, warnings)
}
