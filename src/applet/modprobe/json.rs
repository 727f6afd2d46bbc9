//! `-c --json`: the configuration as one object. Each member is a list in the order of the files.

use serde_json::Value;

use crate::escape;
use crate::kmod::conf::{Config, Entry, Softdep};
use crate::kmod::mask::Mask;
use crate::report::json::{object, strings};

/// Returns the configuration, and the patterns and modules of the indexes, as one line.
pub(super) fn config(config: &Config, indexes: &[(Vec<u8>, Vec<u8>)]) -> String {
    let entries = |list: &[Entry], text: &str| -> Value {
        list.iter().map(|e| pair(("module", &e.name), (text, &escape::bytes(&e.text)))).collect()
    };
    let aliases = config.aliases.iter();
    let indexes = indexes.iter();
    object(vec![
        ("alias", aliases.map(|a| pair(("pattern", &a.pattern), ("module", &a.module))).collect()),
        ("blacklist", strings(&config.blacklist)),
        ("install", entries(&config.install, "command")),
        ("kernel_blacklist", strings(&config.kernel_blacklist)),
        ("mask", config.masks.iter().map(mask).collect()),
        ("options", entries(&config.options, "options")),
        ("remove", entries(&config.remove, "command")),
        ("rule", config.rules.names().collect()),
        ("softdep", config.softdeps.iter().map(softdep).collect()),
        ("weakdep", config.weakdeps.iter().map(weakdep).collect()),
        ("index_alias", indexes.map(index_alias).collect()),
    ])
    .to_string()
}

fn pair(first: (&str, &str), second: (&str, &str)) -> Value {
    object(vec![(first.0, first.1.into()), (second.0, second.1.into())])
}

fn index_alias((pattern, module): &(Vec<u8>, Vec<u8>)) -> Value {
    pair(("pattern", &escape::bytes(pattern)), ("module", &escape::bytes(module)))
}

fn mask(mask: &Mask) -> Value {
    pair(("module", &mask.pattern), ("place", &mask.origin.to_string()))
}

fn softdep(dep: &Softdep) -> Value {
    object(vec![
        ("module", dep.name.as_str().into()),
        ("pre", strings(&dep.pre)),
        ("post", strings(&dep.post)),
    ])
}

fn weakdep((module, names): &(String, Vec<String>)) -> Value {
    object(vec![("module", module.as_str().into()), ("names", strings(names))])
}
