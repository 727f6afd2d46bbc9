//! Which modules go into an image: what was asked for, and all that these may need.

use std::collections::BTreeSet;

use super::tree::Tree;
use super::{Error, Modules, list, sets};
use crate::kmod::alias::{fnmatch, is_wildcard, normalize};
use crate::kmod::name::ModuleName;

/// Places in [`Tree::lines`].
pub(super) type Selection = BTreeSet<usize>;

/// The modules asked for with their closure: hard dependencies, softdeps on both sides, weakdeps.
///
/// # Errors
///
/// Names that a user gave and that nothing in the tree or the kernel answers to; unknown sets; a
/// dependency without a line in modules.dep.
pub(super) fn select(tree: &Tree, modules: &Modules) -> Result<Selection, Error> {
    match modules {
        Modules::All => Ok((0..tree.lines.len()).collect()),
        Modules::Named(words) => close(tree, wanted(tree, words)?),
    }
}

/// What the words of the command line stand for: `@set`, a glob, or a name.
fn wanted(tree: &Tree, words: &[String]) -> Result<Selection, Error> {
    let mut selection = Selection::new();
    let mut unknown = Vec::new();
    for word in words {
        if let Some(set) = word.strip_prefix('@') {
            let text = sets::get(set).ok_or_else(|| Error::UnknownSet(set.to_owned()))?;
            selection.extend(list::parse_modules(text).flat_map(|entry| find(tree, entry)));
            continue;
        }
        let found = find(tree, word);
        if found.is_empty() && !tree.builtin.contains(&ModuleName::new(word)) {
            unknown.push(word.clone());
        }
        selection.extend(found);
    }
    if unknown.is_empty() { Ok(selection) } else { Err(Error::UnknownModules(unknown)) }
}

/// The modules that a word stands for: a glob over paths (with a slash) or over names, a module's
/// name, or else an alias.
fn find(tree: &Tree, word: &str) -> Vec<usize> {
    if word.bytes().any(is_wildcard) {
        return find_glob(tree, word);
    }
    match tree.by_name.get(&ModuleName::new(word)) {
        Some(at) => vec![*at],
        None => find_alias(tree, word),
    }
}

fn find_glob(tree: &Tree, glob: &str) -> Vec<usize> {
    let over_paths = glob.contains('/');
    let names = normalize(glob.as_bytes()).unwrap_or_default();
    let matches = |path: &str| match over_paths {
        true => fnmatch(glob.as_bytes(), path.as_bytes()),
        false => fnmatch(&names, ModuleName::new(path).as_str().as_bytes()),
    };
    let lines = tree.lines.iter().enumerate();
    lines.filter(|(_, line)| matches(&line.path)).map(|(at, _)| at).collect()
}

fn find_alias(tree: &Tree, name: &str) -> Vec<usize> {
    let Ok(name) = normalize(name.as_bytes()) else { return Vec::new() };
    let aliases = tree.config.aliases.iter();
    aliases
        .filter(|alias| fnmatch(alias.name.as_bytes(), &name))
        .filter_map(|alias| tree.by_name.get(alias.text.as_str()).copied())
        .collect()
}

/// Adds what the modules need until nothing new comes.
fn close(tree: &Tree, wanted: Selection) -> Result<Selection, Error> {
    let mut pending: Vec<usize> = wanted.iter().copied().collect();
    let mut selection = wanted;
    while let Some(at) = pending.pop() {
        let mut needs = hard_needs(tree, at)?;
        needs.extend(soft_needs(tree, at));
        pending.extend(needs.into_iter().filter(|need| selection.insert(*need)));
    }
    Ok(selection)
}

fn hard_needs(tree: &Tree, at: usize) -> Result<Vec<usize>, Error> {
    let line = &tree.lines[at];
    let place = |needs: &String| {
        let place = tree.by_name.get(&ModuleName::new(needs)).copied();
        place.ok_or_else(|| Error::NoDepLine { path: line.path.clone(), needs: needs.clone() })
    };
    line.needs.iter().map(place).collect()
}

/// Softdeps and weakdeps of every line that speaks of the module; modprobe heeds the first alone,
/// but which one that is may change with the configuration of the root.
fn soft_needs(tree: &Tree, at: usize) -> Vec<usize> {
    let name = ModuleName::new(&tree.lines[at].path);
    let applies = |pattern: &str| fnmatch(pattern.as_bytes(), name.as_str().as_bytes());
    let soft = tree.config.softdeps.iter().filter(|dep| applies(&dep.name));
    let soft = soft.flat_map(|dep| dep.pre.iter().chain(&dep.post));
    let weak = tree.config.weakdeps.iter().filter(|(pattern, _)| applies(pattern));
    let weak = weak.flat_map(|(_, names)| names);
    soft.chain(weak).flat_map(|need| find(tree, need)).collect()
}
