//! The modules that a name stands for. modutils resolved names through several aliases and lists;
//! an alias of modprobe.d names a module.

use super::shell::{MODPROBE, quoted};
use super::statement::is_parameter;
use super::table::Table;

/// Most names that are resolved for one name; a longer chain is an error.
const MAX_CHAIN: usize = 500;

/// A `probe` or `probeall` list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct List {
    /// Whether all names are loaded (`probeall`), or the first one that can be loaded.
    pub(super) all: bool,
    /// Names, each followed by its options.
    pub(super) words: Vec<String>,
}

/// The meaning of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// These modules, in this order.
    Modules(Vec<String>),
    /// Nothing, by `off` or `null`.
    Nothing,
    /// The modules that this command loads.
    Command(String),
    /// No module: the aliases form a cycle, or a chain that is too long.
    Cycle,
}

/// All aliases and lists, by the [`key`] of their name.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The results of aliases.
    pub(super) aliases: Table<String>,
    /// The lists; a list has priority over an alias of the same name.
    pub(super) lists: Table<List>,
}

/// Returns a name in the form for comparisons: with underscores for dashes, as in modprobe.d.
pub(super) fn key(name: &str) -> String {
    let bytes = crate::kmod::alias::normalize(name.as_bytes());
    bytes.map_or_else(|_| name.to_owned(), |b| String::from_utf8_lossy(&b).into_owned())
}

impl Names {
    /// Returns the meaning of `name`: the module of this name if it is neither an alias nor a list.
    pub(super) fn target(&self, name: &str) -> Target {
        self.resolve(name, &mut Vec::new())
    }

    fn resolve(&self, name: &str, seen: &mut Vec<String>) -> Target {
        let mut name = name;
        loop {
            let own = key(name);
            if seen.len() > MAX_CHAIN || seen.contains(&own) {
                return Target::Cycle;
            }
            seen.push(own.clone());
            if let Some(list) = self.lists.get(&own) {
                return self.resolve_list(list, &own, seen);
            }
            match self.aliases.get(&own) {
                Some(off) if is_nothing(off) => return Target::Nothing,
                Some(result) if key(result) != own => name = result,
                _ => return Target::Modules(vec![name.to_owned()]),
            }
        }
    }

    /// Returns the meaning of the list whose key is `own`.
    fn resolve_list(&self, list: &List, own: &str, seen: &mut Vec<String>) -> Target {
        let mut modules: Vec<String> = Vec::new();
        let mut off = false;
        let names = list.words.iter().filter(|word| !is_parameter(word));
        let one_of_many = !list.all && names.clone().count() > 1;
        if one_of_many || list.words.iter().any(|word| is_parameter(word)) {
            return Target::Command(list.command());
        }
        for name in names {
            // The list's own name stands for the module of this name and is not a cycle.
            let target = match key(name) {
                same if same == own => Target::Modules(vec![name.clone()]),
                _ => self.resolve(name, seen),
            };
            match target {
                Target::Modules(more) => {
                    for module in more {
                        if !modules.contains(&module) {
                            modules.push(module);
                        }
                    }
                }
                Target::Nothing => off = true,
                // A name that occurs twice in the list is not an error.
                Target::Cycle => {}
                Target::Command(_) => return Target::Command(list.command()),
            }
        }
        match modules.is_empty() {
            true if off => Target::Nothing,
            true => Target::Cycle,
            false => Target::Modules(modules),
        }
    }

    /// Returns the keys of `name` and of the aliases that it resolves through, with the last
    /// result.
    pub(super) fn alias_chain(&self, name: &str) -> Vec<String> {
        let mut chain = vec![key(name)];
        while let Some(result) = chain.last().and_then(|last| self.aliases.get(last)) {
            let next = key(result);
            if chain.len() > MAX_CHAIN || chain.contains(&next) {
                break;
            }
            chain.push(next);
        }
        chain
    }
}

/// Returns whether an alias with this result stands for nothing.
pub(super) fn is_nothing(result: &str) -> bool {
    matches!(result, "off" | "null")
}

impl List {
    /// Returns the shell command that loads the modules of the list.
    fn command(&self) -> String {
        let mut calls: Vec<String> = Vec::new();
        for word in &self.words {
            match calls.last_mut() {
                Some(call) if is_parameter(word) => *call += &[" ", &quoted(word)].concat(),
                _ => calls.push([MODPROBE, word].join(" ")),
            }
        }
        match self.all {
            false => calls.join(" || "),
            true if calls.len() == 1 => calls.concat(),
            // The list succeeds if one module could be loaded.
            true => ["ok=1; ", &calls.join(" && ok=0; "), " && ok=0; exit $ok"].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Names {
        let mut names = Names::default();
        for line in text.split("; ") {
            let mut words = line.split(' ').map(str::to_owned);
            let (kind, name) = (words.next().unwrap(), key(&words.next().unwrap()));
            let words: Vec<String> = words.collect();
            match kind.as_str() {
                "alias" => *names.aliases.get_or_insert(&name) = words.concat(),
                all => *names.lists.get_or_insert(&name) = List { all: all == "probeall", words },
            }
        }
        names
    }

    #[test]
    fn names_are_followed_to_modules() {
        for (text, name, want) in [
            ("alias a b", "a", "[b]"),
            ("alias a b", "x", "[x]"),
            ("alias a b; alias b c-d", "a", "[c-d]"),
            ("alias a-x b", "a_x", "[b]"),
            ("alias a b; alias b off", "a", "nothing"),
            ("alias a null", "a", "nothing"),
            ("alias a b; alias b a", "a", "cycle"),
            ("alias a a", "a", "[a]"),
            ("probeall a b c; alias c d", "a", "[b d]"),
            ("probeall a b c b; probeall c e b", "a", "[b e]"),
            ("probeall a b; alias b off", "a", "nothing"),
            ("probeall a a b", "a", "[a b]"),
            ("probeall a b; probeall b a", "a", "cycle"),
            ("probe a b", "a", "[b]"),
            ("probe a b c", "a", "/sbin/modprobe b || /sbin/modprobe c"),
            ("alias x a; probe a b c", "x", "/sbin/modprobe b || /sbin/modprobe c"),
            ("alias a x; probe a b c", "a", "/sbin/modprobe b || /sbin/modprobe c"),
            (
                "probeall a b c; probe c d e",
                "a",
                "ok=1; /sbin/modprobe b && ok=0; /sbin/modprobe c && ok=0; exit $ok",
            ),
            ("probe a b x=1 y=$z", "a", "/sbin/modprobe b x=1 'y=$z'"),
        ] {
            let got = match names(text).target(name) {
                Target::Modules(modules) => format!("[{}]", modules.join(" ")),
                Target::Nothing => "nothing".into(),
                Target::Command(command) => command,
                Target::Cycle => "cycle".into(),
            };
            assert_eq!(got, want, "{text}: {name}");
        }
    }

    #[test]
    fn long_chains_are_rejected() {
        let mut names = Names::default();
        for n in 0..10_000 {
            *names.aliases.get_or_insert(&format!("a{n}")) = format!("a{}", n + 1);
            let words = vec![format!("l{}", n + 1), format!("l{}", n + 2)];
            *names.lists.get_or_insert(&format!("l{n}")) = List { all: true, words };
        }
        assert_eq!(names.target("a0"), Target::Cycle);
        assert_eq!(names.target("l0"), Target::Cycle);
        assert_eq!(names.alias_chain("a0").len(), MAX_CHAIN + 1);
    }
}
