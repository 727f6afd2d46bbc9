//! The modules behind a name. modutils followed names from alias to alias and through lists; an alias of
//! modprobe.d names a module.

use super::shell::{MODPROBE, quoted};
use super::statement::is_parameter;
use super::table::Table;

/// The longest way from a name to its modules; longer ones are a mistake.
const LIMIT: usize = 500;

/// A `probe` or `probeall` list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct List {
    /// Whether all of it is loaded, and not the first that can be.
    pub(super) all: bool,
    /// Names, and options behind them.
    pub(super) words: Vec<String>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// These modules, in this order.
    Modules(Vec<String>),
    /// Nothing, on purpose: `off`, `null`.
    Nothing,
    /// What this command loads.
    Command(String),
    /// It never ends.
    Circle,
}

/// All names that stand for others, by their [`key`].
#[derive(Debug, Default)]
pub(super) struct Names {
    /// What aliases stand for.
    pub(super) aliases: Table<String>,
    /// Lists; they come before an alias of the same name.
    pub(super) lists: Table<List>,
}

/// A name as names are compared: dashes are underscores, as modprobe.d has them.
pub(super) fn key(name: &str) -> String {
    let bytes = crate::kmod::alias::normalize(name.as_bytes());
    bytes.map_or_else(|_| name.to_owned(), |b| String::from_utf8_lossy(&b).into_owned())
}

impl Names {
    /// What `name` stands for, itself where it is no name of others.
    pub(super) fn target(&self, name: &str) -> Target {
        self.follow(name, &mut Vec::new())
    }

    fn follow(&self, name: &str, seen: &mut Vec<String>) -> Target {
        let mut name = name;
        loop {
            let own = key(name);
            if seen.len() > LIMIT || seen.contains(&own) {
                return Target::Circle;
            }
            seen.push(own.clone());
            if let Some(list) = self.lists.get(&own) {
                return self.list(list, &own, seen);
            }
            match self.aliases.get(&own) {
                Some(off) if is_nothing(off) => return Target::Nothing,
                Some(result) if key(result) != own => name = result,
                _ => return Target::Modules(vec![name.to_owned()]),
            }
        }
    }

    /// What the list called `own` stands for.
    fn list(&self, list: &List, own: &str, seen: &mut Vec<String>) -> Target {
        let mut modules: Vec<String> = Vec::new();
        let mut off = false;
        let names = list.words.iter().filter(|word| !is_parameter(word));
        let one_by_one = !list.all && names.clone().count() > 1;
        if one_by_one || list.words.iter().any(|word| is_parameter(word)) {
            return Target::Command(list.command());
        }
        for name in names {
            // What was seen in this list already is no circle.
            let target = match key(name) {
                same if same == own => Target::Modules(vec![name.clone()]),
                _ => self.follow(name, seen),
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
                Target::Circle => {}
                Target::Command(_) => return Target::Command(list.command()),
            }
        }
        match modules.is_empty() {
            true if off => Target::Nothing,
            true => Target::Circle,
            false => Target::Modules(modules),
        }
    }

    /// The names on the way from `name` to the last alias, both included.
    pub(super) fn way(&self, name: &str) -> Vec<String> {
        let mut way = vec![key(name)];
        while let Some(result) = way.last().and_then(|last| self.aliases.get(last)) {
            let next = key(result);
            if way.len() > LIMIT || way.contains(&next) {
                break;
            }
            way.push(next);
        }
        way
    }
}

/// Whether an alias with this result stands for nothing.
pub(super) fn is_nothing(result: &str) -> bool {
    matches!(result, "off" | "null")
}

impl List {
    /// The command that loads what is listed.
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
            // One that could be loaded is enough.
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
                "alias" => *names.aliases.of(&name) = words.concat(),
                all => *names.lists.of(&name) = List { all: all == "probeall", words },
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
            ("alias a b; alias b a", "a", "circle"),
            ("alias a a", "a", "[a]"),
            ("probeall a b c; alias c d", "a", "[b d]"),
            ("probeall a b c b; probeall c e b", "a", "[b e]"),
            ("probeall a b; alias b off", "a", "nothing"),
            ("probeall a a b", "a", "[a b]"),
            ("probeall a b; probeall b a", "a", "circle"),
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
                Target::Circle => "circle".into(),
            };
            assert_eq!(got, want, "{text}: {name}");
        }
    }

    #[test]
    fn long_ways_end() {
        let mut names = Names::default();
        for n in 0..10_000 {
            *names.aliases.of(&format!("a{n}")) = format!("a{}", n + 1);
            let words = vec![format!("l{}", n + 1), format!("l{}", n + 2)];
            *names.lists.of(&format!("l{n}")) = List { all: true, words };
        }
        assert_eq!(names.target("a0"), Target::Circle);
        assert_eq!(names.target("l0"), Target::Circle);
        assert_eq!(names.way("a0").len(), LIMIT + 1);
    }
}
