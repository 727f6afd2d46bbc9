//! The choice of modules for an image: the requested modules and all that they may need.

use std::collections::{BTreeMap, BTreeSet};

use super::list::ModuleLine;
use super::reasons::{Reason, Reasons};
use super::tree::Tree;
use super::{Error, Modules, list, sets};
use crate::kmod::alias::{fnmatch, is_wildcard, normalize};
use crate::kmod::name::ModuleName;

/// Positions in [`Tree::lines`].
pub(super) type Selection = BTreeSet<usize>;

/// Returns the requested modules with their closure: dependencies, softdeps (pre and post) and
/// weakdeps. Returns the reasons too, unless all modules were requested.
///
/// # Errors
///
/// Requested names that match nothing in the tree or the kernel; unknown sets; a dependency without
/// a line in modules.dep.
pub(super) fn select(tree: &Tree, modules: &Modules) -> Result<(Selection, Reasons), Error> {
    let Modules::Named(words) = modules else {
        return Ok(((0..tree.lines.len()).collect(), Reasons::default()));
    };
    let chosen = closure(tree, requested(tree, words)?)?;
    let name = |at: usize| ModuleName::new(&tree.lines[at].path);
    let reasons = chosen.iter().map(|(at, cause)| {
        let word = words[cause.word].clone();
        (name(*at), Reason { word, needed_by: cause.needed_by.map(name) })
    });
    let reasons = Reasons::new(reasons);
    Ok((chosen.into_keys().collect(), reasons))
}

/// Why a module is chosen.
#[derive(Debug, Clone, Copy)]
struct Cause {
    /// Position of the word that names the module, or the first one of those that need it.
    word: usize,
    /// Position of the module that needs it.
    needed_by: Option<usize>,
}

/// Modules, each with the first cause that was found.
type Chosen = BTreeMap<usize, Cause>;

/// Returns the modules that the words of the command line name: `@set`, a glob, or a name. A module
/// that is built in stands for its softdeps.
fn requested(tree: &Tree, words: &[String]) -> Result<Chosen, Error> {
    let mut chosen = Chosen::new();
    let mut unknown = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let mut add = |modules: &mut dyn Iterator<Item = usize>| {
            let cause = Cause { word: at, needed_by: None };
            modules.for_each(|module| _ = chosen.entry(module).or_insert(cause));
        };
        if let Some(set) = word.strip_prefix('@') {
            let text = sets::get(set).ok_or_else(|| Error::UnknownSet(set.to_owned()))?;
            add(&mut list::parse_modules(text).flat_map(|line| find_line(tree, &line)));
            continue;
        }
        let found = find_with_builtin(tree, word.as_bytes());
        if found.is_empty() && !tree.builtin.contains(&ModuleName::new(word)) {
            unknown.push(word.clone());
        }
        add(&mut found.into_iter());
    }
    if unknown.is_empty() { Ok(chosen) } else { Err(Error::UnknownModules(unknown)) }
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
fn find_with_builtin(tree: &Tree, word: &[u8]) -> Vec<usize> {
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

/// Returns the modules that a word names. A glob with a slash matches paths, any other glob matches
/// names; a word that is not a glob is a module name, or else an alias.
fn find(tree: &Tree, word: &[u8]) -> Vec<usize> {
    if word.iter().copied().any(is_wildcard) {
        return find_glob(tree, word);
    }
    match tree.by_name.get(&ModuleName::new(word)) {
        Some(at) => vec![*at],
        None => find_alias(tree, word),
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

fn find_alias(tree: &Tree, name: &[u8]) -> Vec<usize> {
    let Ok(name) = normalize(name) else { return Vec::new() };
    let aliases = tree.config.aliases.iter();
    aliases
        .filter(|alias| fnmatch(&alias.pattern, &name))
        .filter_map(|alias| tree.by_name.get(&*alias.module).copied())
        .collect()
}

/// Adds everything that the modules need, directly and indirectly.
fn closure(tree: &Tree, mut chosen: Chosen) -> Result<Chosen, Error> {
    let mut pending: Vec<(usize, usize)> =
        chosen.iter().map(|(at, cause)| (*at, cause.word)).collect();
    while let Some((at, word)) = pending.pop() {
        let mut needs = dependencies(tree, at)?;
        let name = ModuleName::new(&tree.lines[at].path);
        let soft = soft_dependencies(tree, &name);
        needs.extend(soft.flat_map(|need| find_with_builtin(tree, need)));
        for need in needs {
            chosen.entry(need).or_insert_with(|| {
                pending.push((need, word));
                Cause { word, needed_by: Some(at) }
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
