//! `-c --json`: the configuration as one object. Each member is a list in the order of the files.

use serde_json::Value;

use crate::escape;
use crate::kmod::conf::{Config, Entry, Softdep};
use crate::kmod::mask::Mask;
use crate::report::json::object;

/// Returns the configuration, and the patterns and modules of the indexes, as one line.
pub(super) fn config(config: &Config, indexes: &[(Vec<u8>, Vec<u8>)]) -> String {
    let entries = |list: &[Entry], text: &str| -> Value {
        list.iter().map(|e| pair(("module", &e.name), (text, &e.text))).collect()
    };
    let aliases = config.aliases.iter();
    let indexes = indexes.iter();
    object(vec![
        ("alias", aliases.map(|a| pair(("pattern", &a.pattern), ("module", &a.module))).collect()),
        ("blacklist", names(&config.blacklist)),
        ("install", entries(&config.install, "command")),
        ("kernel_blacklist", names(&config.kernel_blacklist)),
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

fn pair(first: (&str, &[u8]), second: (&str, &[u8])) -> Value {
    object([first, second].map(|(key, value)| (key, escape::bytes(value).into())).into())
}

fn names(list: &[Vec<u8>]) -> Value {
    list.iter().map(|name| escape::bytes(name)).collect()
}

fn index_alias((pattern, module): &(Vec<u8>, Vec<u8>)) -> Value {
    pair(("pattern", pattern), ("module", module))
}

fn mask(mask: &Mask) -> Value {
    pair(("module", &mask.pattern), ("place", mask.origin.to_string().as_bytes()))
}

fn softdep(dep: &Softdep) -> Value {
    object(vec![
        ("module", escape::bytes(&dep.name).into()),
        ("pre", names(&dep.pre)),
        ("post", names(&dep.post)),
    ])
}

fn weakdep((module, list): &(Vec<u8>, Vec<Vec<u8>>)) -> Value {
    object(vec![("module", escape::bytes(module).into()), ("names", names(list))])
}
