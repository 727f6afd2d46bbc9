//! The choice of modules for an image: the requested modules and all that they may need.

use std::collections::{BTreeMap, BTreeSet};

use super::list::ModuleLine;
use super::reasons::{Reason, Reasons};
use super::tree::Tree;
use super::{Error, Extra, Modules, list, sets};
use crate::escape;
use crate::kmod::alias::{fnmatch, is_wildcard, normalize, normalize_modalias};
use crate::kmod::name::ModuleName;

/// Most letters in which a name that is suggested differs from an unknown one.
const MAX_DISTANCE: usize = 2;

/// Positions in [`Tree::lines`].
pub(super) type Selection = BTreeSet<usize>;

/// Modules that are requested for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// What requests them: a word of `--modules`, or another option.
    pub(super) word: String,
    /// Their positions in [`Tree::lines`].
    pub(super) modules: Vec<usize>,
    /// Whether the request is for these very modules, and not for a kind of them.
    pub(super) is_specific: bool,
}

/// The modules of an image.
#[derive(Debug, Default)]
pub(super) struct Selected {
    /// All modules.
    pub(super) modules: Selection,
    /// Those of specific requests, with all that they need.
    pub(super) specific: Selection,
    /// Why they are there; nothing if all modules were requested.
    pub(super) reasons: Reasons,
}

/// Returns the requested modules, and those of `more`, with their closure: dependencies, softdeps
/// (pre and post) and weakdeps. Words for what is built in are noted in `notices`.
///
/// # Errors
///
/// Requested names that match nothing in the tree or the kernel; unknown sets; a dependency without
/// a line in modules.dep.
pub(super) fn select(
    tree: &Tree,
    modules: &Modules,
    more: Vec<Group>,
    notices: &mut Vec<String>,
) -> Result<Selected, Error> {
    let mut groups = match modules {
        Modules::Named(words) => requested(tree, words, notices)?,
        Modules::All => Vec::new(),
    };
    groups.extend(more);
    let specific: Vec<Group> = groups.iter().filter(|group| group.is_specific).cloned().collect();
    let specific = closure(tree, &specific)?.into_keys().collect();
    if *modules == Modules::All {
        let all = (0..tree.lines.len()).collect();
        return Ok(Selected { modules: all, specific, reasons: Reasons::default() });
    }
    let chosen = closure(tree, &groups)?;
    let name = |at: usize| ModuleName::new(&tree.lines[at].path);
    let reasons = chosen.iter().map(|(at, cause)| {
        let word = groups[cause.group].word.clone();
        (name(*at), Reason { word, needed_by: cause.needed_by.map(name) })
    });
    let reasons = Reasons::new(reasons);
    Ok(Selected { modules: chosen.into_keys().collect(), specific, reasons })
}

/// Why a module is chosen.
#[derive(Debug, Clone, Copy)]
struct Cause {
    /// Position of the group that has the module, or the first one of those that need it.
    group: usize,
    /// Position of the module that needs it.
    needed_by: Option<usize>,
}

/// Modules, each with the first cause that was found.
type Chosen = BTreeMap<usize, Cause>;

/// Returns the modules that the words of the command line name: `@set`, a glob, a name or an alias.
/// A module that is built in stands for its softdeps; a word for nothing else is noted in
/// `notices`.
fn requested(
    tree: &Tree,
    words: &[String],
    notices: &mut Vec<String>,
) -> Result<Vec<Group>, Error> {
    let mut groups = Vec::new();
    let mut unknown = Vec::new();
    for word in words {
        let (modules, is_specific) = match word.strip_prefix('@') {
            Some(set) => {
                let is_specific = Extra::parse(set).is_some_and(Extra::is_for_firmware);
                (find_set(tree, set)?, is_specific)
            }
            None => {
                let found = find_word(tree, word, notices);
                let is_specific = !word.bytes().any(is_wildcard);
                unknown.extend(found.is_none().then(|| word.clone()));
                (found.unwrap_or_default(), is_specific)
            }
        };
        groups.push(Group { word: word.clone(), modules, is_specific });
    }
    match unknown.first() {
        None => Ok(groups),
        Some(first) => {
            let near = near_miss(tree, first);
            Err(Error::UnknownModules { words: unknown, near })
        }
    }
}

/// Returns the modules that a word names; `None` if it names nothing. What is built in is noted.
fn find_word(tree: &Tree, word: &str, notices: &mut Vec<String>) -> Option<Vec<usize>> {
    let modules = find(tree, word.as_bytes());
    if !modules.is_empty() {
        return Some(modules);
    }
    let builtin = find_builtin(tree, word.as_bytes());
    let names: Vec<String> = builtin.iter().map(ToString::to_string).collect();
    let shown = escape::line(word);
    notices.push(match &names[..] {
        [] => return None,
        [name] if ModuleName::new(word) == ModuleName::new(name) => {
            format!("{shown} is built into the kernel")
        }
        [name] => format!("{shown} is {name}, which is built into the kernel"),
        names => format!("{shown} is {}, which are built into the kernel", names.join(", ")),
    });
    Some(builtin.iter().flat_map(|name| find_with_builtin(tree, name.as_bytes())).collect())
}

/// Returns the builtin modules that a word names, as [`find`] does with others, sorted.
fn find_builtin(tree: &Tree, word: &[u8]) -> BTreeSet<ModuleName> {
    let names = normalize(word).unwrap_or_default();
    let by_name = tree.builtin.iter().filter(|name| fnmatch(&names, name.as_bytes()));
    let mut found: BTreeSet<ModuleName> = by_name.cloned().collect();
    if found.is_empty() {
        let aliases = find_aliases(tree, word).map(ModuleName::new);
        found.extend(aliases.filter(|name| tree.builtin.contains(name)));
    }
    found
}

/// Returns the name of a module, or of a builtin one, that differs little from `word`.
fn near_miss(tree: &Tree, word: &str) -> Option<String> {
    let word = ModuleName::new(word).to_string();
    let names = tree.by_name.keys().chain(&tree.builtin).map(ToString::to_string);
    let distances = names.map(|name| (strsim::osa_distance(&word, &name), name));
    let (distance, name) = distances.min()?;
    (distance <= MAX_DISTANCE && distance < word.len() / 2).then_some(name)
}

/// Returns the modules of the set `name`, which has no `@`.
///
/// # Errors
/// There is no such set.
pub(super) fn find_set(tree: &Tree, name: &str) -> Result<Vec<usize>, Error> {
    let text = sets::get(name).ok_or_else(|| Error::UnknownSet(name.to_owned()))?;
    Ok(list::parse_modules(text).flat_map(|line| find_line(tree, &line)).collect())
}

/// Returns the modules of a line of a module list.
fn find_line(tree: &Tree, line: &ModuleLine<'_>) -> Vec<usize> {
    let found = line.names.iter().flat_map(|name| find_with_builtin(tree, name.as_bytes()));
    if line.buses.is_empty() {
        return found.collect();
    }
    let fitting = with_alias(tree, &line.buses);
    found.filter(|at| fitting.contains(at)).collect()
}

/// Returns the modules that have an alias for a device on one of the buses.
fn with_alias(tree: &Tree, buses: &[&str]) -> Selection {
    let fits = |pattern: &[u8]| buses.iter().any(|bus| pattern.starts_with(bus.as_bytes()));
    let aliases = tree.config.aliases.iter().filter(|alias| fits(&alias.pattern));
    aliases.filter_map(|alias| tree.by_name.get(&*alias.module).copied()).collect()
}

/// Returns the modules that a word names, or the softdeps of the builtin module of this name, and
/// of those of its softdeps that are built in.
pub(super) fn find_with_builtin(tree: &Tree, word: &[u8]) -> Vec<usize> {
    let (mut pending, mut seen) = (vec![word.to_vec()], BTreeSet::new());
    let mut found = Vec::new();
    while let Some(word) = pending.pop() {
        let modules = find(tree, &word);
        let name = ModuleName::new(&word);
        let is_new = || tree.builtin.contains(&name) && seen.insert(word);
        if modules.is_empty() && is_new() {
            pending.extend(soft_dependencies(tree, &name).map(<[u8]>::to_vec));
        }
        found.extend(modules);
    }
    found
}

/// Returns the modules of [`find_with_builtin`]; `None` if the kernel has neither a module nor
/// anything built in of this name.
pub(super) fn find_known(tree: &Tree, word: &[u8]) -> Option<Vec<usize>> {
    let modules = find_with_builtin(tree, word);
    (!modules.is_empty() || !find_builtin(tree, word).is_empty()).then_some(modules)
}

/// Returns the modules that a word names. A glob with a colon matches the patterns of aliases, one
/// with a slash paths, any other glob names; a word that is not a glob is a module name, or else an
/// alias.
fn find(tree: &Tree, word: &[u8]) -> Vec<usize> {
    let is_glob = word.iter().copied().any(is_wildcard);
    if is_glob && !word.contains(&b':') {
        return find_glob(tree, word);
    }
    match tree.by_name.get(&ModuleName::new(word)) {
        Some(at) if !is_glob => vec![*at],
        _ => {
            let names = find_aliases(tree, word);
            names.filter_map(|module| tree.by_name.get(module).copied()).collect()
        }
    }
}

fn find_glob(tree: &Tree, glob: &[u8]) -> Vec<usize> {
    let over_paths = glob.contains(&b'/');
    let names = normalize(glob).unwrap_or_default();
    let matches = |path: &[u8]| match over_paths {
        true => fnmatch(glob, path),
        false => fnmatch(&names, ModuleName::new(path).as_bytes()),
    };
    let lines = tree.lines.iter().enumerate();
    lines.filter(|(_, line)| matches(&line.path)).map(|(at, _)| at).collect()
}

/// Returns the names of the modules, builtin ones too, with an alias for `word`, or with an alias
/// whose pattern matches `word`, if that is a glob.
fn find_aliases<'t>(tree: &'t Tree, word: &[u8]) -> impl Iterator<Item = &'t [u8]> {
    let word = normalize_modalias(word);
    let is_glob = word.iter().copied().any(is_wildcard);
    let fits = move |pattern: &[u8]| match is_glob {
        true => pattern == word || fnmatch(&word, pattern),
        false => fnmatch(pattern, &word),
    };
    let aliases = tree.config.aliases.iter().filter(move |alias| fits(&alias.pattern));
    aliases.map(|alias| &*alias.module)
}

/// Returns the modules of the groups and everything that they need, directly and indirectly.
fn closure(tree: &Tree, groups: &[Group]) -> Result<Chosen, Error> {
    let mut chosen = Chosen::new();
    for (at, group) in groups.iter().enumerate() {
        let cause = Cause { group: at, needed_by: None };
        group.modules.iter().for_each(|module| _ = chosen.entry(*module).or_insert(cause));
    }
    let mut pending: Vec<(usize, usize)> =
        chosen.iter().map(|(at, cause)| (*at, cause.group)).collect();
    while let Some((at, group)) = pending.pop() {
        let mut needs = dependencies(tree, at)?;
        let name = ModuleName::new(&tree.lines[at].path);
        let soft = soft_dependencies(tree, &name);
        needs.extend(soft.flat_map(|need| find_with_builtin(tree, need)));
        for need in needs {
            chosen.entry(need).or_insert_with(|| {
                pending.push((need, group));
                Cause { group, needed_by: Some(at) }
            });
        }
    }
    Ok(chosen)
}

fn dependencies(tree: &Tree, at: usize) -> Result<Vec<usize>, Error> {
    let line = &tree.lines[at];
    let position = |needs: &Vec<u8>| {
        let position = tree.by_name.get(&ModuleName::new(needs)).copied();
        position.ok_or_else(|| Error::NoDepLine { path: line.path.clone(), needs: needs.clone() })
    };
    line.needs.iter().map(position).collect()
}

/// Returns the names in the softdeps and weakdeps of every line for the module. modprobe uses only
/// the first line, but the configuration of the real root may change which line that is.
fn soft_dependencies<'t>(tree: &'t Tree, module: &'t ModuleName) -> impl Iterator<Item = &'t [u8]> {
    let applies = |pattern: &[u8]| fnmatch(pattern, module.as_bytes());
    let soft = tree.config.softdeps.iter().filter(move |dep| applies(&dep.name));
    let soft = soft.flat_map(|dep| dep.pre.iter().chain(&dep.post));
    let weak = tree.config.weakdeps.iter().filter(move |(pattern, _)| applies(pattern));
    let weak = weak.flat_map(|(_, names)| names);
    soft.chain(weak).map(Vec::as_slice)
}
