//! `-c --json`: the configuration as one object. Each member is a list in the order of the files.

use serde_json::{Value, json};

use crate::kmod::conf::{Config, Entry};

/// Returns the configuration, and the patterns and modules of the indexes, as one line.
pub(super) fn config(config: &Config, indexes: &[(String, String)]) -> String {
    let entries = |list: &[Entry], name: &str, text: &str| -> Value {
        list.iter().map(|e| json!({name: e.name, text: e.text})).collect()
    };
    let masks = config.masks.iter();
    let softdeps = config.softdeps.iter();
    let weakdeps = config.weakdeps.iter();
    let indexes = indexes.iter();
    json!({
        "alias": entries(&config.aliases, "pattern", "module"),
        "blacklist": config.blacklist,
        "install": entries(&config.install, "module", "command"),
        "kernel_blacklist": config.kernel_blacklist,
        "mask": masks
            .map(|m| json!({"module": m.pattern, "place": m.origin.to_string()}))
            .collect::<Value>(),
        "options": entries(&config.options, "module", "options"),
        "remove": entries(&config.remove, "module", "command"),
        "rule": config.rules.names().collect::<Vec<_>>(),
        "softdep": softdeps
            .map(|s| json!({"module": s.name, "pre": s.pre, "post": s.post}))
            .collect::<Value>(),
        "weakdep": weakdeps
            .map(|(module, names)| json!({"module": module, "names": names}))
            .collect::<Value>(),
        "index_alias": indexes
            .map(|(pattern, module)| json!({"pattern": pattern, "module": module}))
            .collect::<Value>(),
    })
    .to_string()
}
