//! modprobe's work list: what one module takes with it, one after the other, in kmod's order.
//!
//! [`super::plan`] gives the same order as a graph for loading in parallel, each module once. This list is
//! what `modprobe -D` prints: built-in modules stand in it, and a module may stand in it twice, since kmod
//! appends plain dependencies without asking whether a softdep has brought them before.

use std::collections::HashSet;

use super::alias;
use super::catalog::{Catalog, Match};
use super::conf::Config;
use super::name::ModuleName;
use super::plan::Action;

/// A module, and the alias through which it came; kmod takes the two together for one module.
type Key = (ModuleName, Option<String>);

/// One member of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeItem {
    /// The module.
    pub module: ModuleName,
    /// What to do for it. A mask is no matter of this list: modprobe looks at it before each member.
    pub action: Action,
    /// Its parameters from the configuration.
    pub options: String,
    /// Whether it is the module that was asked for.
    pub requested: bool,
    /// Whether its failure ends the walk: it was asked for, or is a dependency of what was.
    pub required: bool,
    /// Whether the kernel image holds it.
    pub builtin: bool,
}

/// What a module is asked for with.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProbeRequest<'a> {
    /// The file to take in place of the indexed one.
    pub path: Option<&'a str>,
    /// Neither its install command nor its softdeps.
    pub ignore_commands: bool,
    /// Modules whose install command is running: they are loaded and the command is not run again.
    pub running: &'a [ModuleName],
}

/// A module on its way into the list.
struct Member {
    key: Key,
    path: Option<String>,
    builtin: bool,
    requested: bool,
}

impl Member {
    fn found(found: &Match) -> Self {
        let key = (found.module.clone(), found.alias.clone());
        Self { key, path: None, builtin: found.is_builtin(), requested: false }
    }

    fn file(path: &str) -> Option<Self> {
        let key = (ModuleName::from_path(path)?, None);
        Some(Self { key, path: Some(path.to_owned()), builtin: false, requested: false })
    }
}

struct Builder<'a> {
    catalog: &'a Catalog,
    config: &'a Config,
    running: &'a [ModuleName],
    visited: HashSet<Key>,
    required: HashSet<Key>,
    items: Vec<ProbeItem>,
    bad: Vec<String>,
}

/// The list for `found`, and the softdep words that cannot be names.
pub fn probe_list(
    catalog: &Catalog,
    config: &Config,
    found: &Match,
    request: ProbeRequest<'_>,
) -> (Vec<ProbeItem>, Vec<String>) {
    let mut builder = Builder {
        catalog,
        config,
        running: request.running,
        visited: HashSet::new(),
        required: HashSet::new(),
        items: Vec::new(),
        bad: Vec::new(),
    };
    let path = request.path.map(str::to_owned);
    // A file is never built in, whatever its name.
    let builtin = path.is_none() && found.is_builtin();
    builder.require(found);
    builder.expand(
        Member { path, builtin, requested: true, ..Member::found(found) },
        request.ignore_commands,
    );
    (builder.items, builder.bad)
}

impl Builder<'_> {
    /// Notes whose failure counts before softdeps may bring the same modules.
    fn require(&mut self, found: &Match) {
        self.required.insert((found.module.clone(), found.alias.clone()));
        let line = self.catalog.dep(&found.module);
        for path in line.iter().flat_map(|l| &l.needs) {
            self.required.extend(ModuleName::from_path(path).map(|m| (m, None)));
        }
    }

    /// Adds `member` with all its dependencies and softdeps, once.
    fn expand(&mut self, member: Member, ignore_commands: bool) {
        if !self.visited.insert(member.key.clone()) {
            return;
        }
        let line = self.catalog.dep(&member.key.0);
        for path in line.iter().flat_map(|l| &l.needs) {
            if let Some(dependency) = Member::file(path) {
                self.add(dependency);
            }
        }
        if ignore_commands { self.push(member, true) } else { self.add(member) }
    }

    /// Adds `member` between its softdeps.
    fn add(&mut self, member: Member) {
        let softdep = self.config.softdep_of(&member.key.0);
        let pre = self.look_up(softdep.as_ref().map_or(&[], |s| &s.pre));
        let post = self.look_up(softdep.as_ref().map_or(&[], |s| &s.post));
        // kmod's documented precedence: a softdep cancels the install command.
        let cancel = self.config.softdeps_replace_install(!pre.is_empty() || !post.is_empty());
        for found in &pre {
            self.expand(Member::found(found), false);
        }
        self.push(member, cancel);
        for found in &post {
            self.expand(Member::found(found), false);
        }
    }

    fn look_up(&mut self, words: &[String]) -> Vec<Match> {
        let mut found = Vec::new();
        for word in words {
            match alias::normalize(word.as_bytes()) {
                Ok(_) => found.append(&mut self.catalog.lookup_all(self.config, word)),
                Err(_) => self.bad.push(word.clone()),
            }
        }
        found
    }

    fn push(&mut self, member: Member, no_command: bool) {
        let required = self.required.contains(&member.key);
        let (module, alias) = member.key;
        let command = self
            .config
            .install_of(&module)
            .filter(|_| !no_command && !self.running.contains(&module));
        let path = || member.path.or_else(|| Some(self.catalog.dep(&module)?.path));
        let action = match command {
            Some(command) => Action::Command(command.to_owned()),
            None => path().map_or(Action::NoFile, Action::Insert),
        };
        let options = self.config.options_of(&module, alias.as_deref());
        let builtin = member.builtin
            || !matches!(action, Action::Insert(_)) && self.catalog.is_builtin(&module);
        self.items.push(ProbeItem {
            module,
            action,
            options,
            requested: member.requested,
            required,
            builtin,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::catalog::IndexFiles;
    use crate::kmod::index::Bytes;
    use std::sync::Arc;

    struct Tree;

    impl IndexFiles for Tree {
        fn open(&self, name: &str) -> Option<Bytes> {
            let text = match name {
                "modules.dep" => "a.ko: b.ko c.ko\nb.ko: c.ko\nc.ko:\nd.ko: c.ko\ne.ko:\n",
                "modules.builtin" => "kernel/inside.ko\n",
                _ => return None,
            };
            Some(Box::new(text.as_bytes()))
        }
    }

    fn list(conf: &str, name: &str, request: ProbeRequest<'_>) -> String {
        let catalog = Catalog::new(Arc::new(Tree));
        let mut config = Config::default();
        config.add_file("c", conf.as_bytes(), &mut Vec::new());
        let found = catalog.lookup_all(&config, name);
        let (items, bad) = probe_list(&catalog, &config, &found[0], request);
        let mut words: Vec<String> = items
            .iter()
            .map(|i| {
                let kind = match &i.action {
                    Action::Insert(path) => path.trim_end_matches(".ko").to_owned(),
                    Action::Command(command) => format!("[{command}]"),
                    Action::NoFile if i.builtin => format!("({})", i.module),
                    Action::NoFile | Action::Masked(_) => format!("-{}", i.module),
                };
                kind + if i.requested { "!" } else { "" } + if i.required { "" } else { "?" }
            })
            .collect();
        words.extend(bad.iter().map(|b| format!("bad {b}")));
        words.join(" ")
    }

    #[test]
    fn the_order_is_kmods() {
        let ignore_commands = ProbeRequest { ignore_commands: true, ..ProbeRequest::default() };
        let path = ProbeRequest { path: Some("/tmp/a.ko"), ..ProbeRequest::default() };
        let a = [ModuleName::new("a")];
        let running = ProbeRequest { running: &a, ..ProbeRequest::default() };
        for (conf, name, request, want) in [
            ("", "a", ProbeRequest::default(), "c b a!"),
            ("softdep a pre: d post: e", "a", ProbeRequest::default(), "c b c d? a! e?"),
            ("softdep c pre: e", "a", ProbeRequest::default(), "e? c b a!"),
            (
                "softdep a pre: inside nowhere b[",
                "a",
                ProbeRequest::default(),
                "c b (inside)? a! bad b[",
            ),
            ("softdep e pre: d\nsoftdep d pre: e", "e", ProbeRequest::default(), "c? d? e!"),
            ("install b no\ninstall a never\nsoftdep a pre: e", "a", ignore_commands, "c [no] a!"),
            ("install a go", "a", ProbeRequest::default(), "c b [go]!"),
            ("install a go\nsoftdep a post: e", "a", ProbeRequest::default(), "c b a! e?"),
            (
                "install a go\nsoftdep a post: e\nrule install-first",
                "a",
                ProbeRequest::default(),
                "c b [go]! e?",
            ),
            (
                "softdep a pre: d\nsoftdep a pre: e post: d\nrule merge-softdeps",
                "a",
                ProbeRequest::default(),
                "c b c d? e? a!",
            ),
            ("install new go", "new", ProbeRequest::default(), "[go]!"),
            ("alias x gone", "x", ProbeRequest::default(), "-gone!"),
            ("", "a", path, "c b /tmp/a!"),
            ("", "inside", ProbeRequest::default(), "(inside)!"),
            ("install a go\ninstall c go", "a", running, "[go] b a!"),
        ] {
            assert_eq!(list(conf, name, request), want, "{conf} {name}");
        }
    }
}
