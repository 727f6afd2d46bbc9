//! kmod's probe list: the modules that modprobe loads for one module, sequentially, in kmod's
//! order.
//!
//! [`super::plan`] builds the same order as a graph for loading in parallel, with each module once.
//! This list is what `modprobe -D` prints: it includes builtin modules, and may contain a module
//! twice, because kmod appends plain dependencies without checking whether a softdep has already
//! added them.

use std::collections::HashSet;

use super::alias;
use super::catalog::{Catalog, Match};
use super::conf::Config;
use super::name::ModuleName;
use super::plan::Action;
use crate::escape;

/// A module and the alias it was found through; kmod identifies a module by both.
type Key = (ModuleName, Option<Vec<u8>>);

/// An item of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProbeItem {
    /// Name of the module.
    pub(crate) module: ModuleName,
    /// Action to carry out. Never a mask: modprobe checks masks before each item.
    pub(crate) action: Action,
    /// Module parameters from the configuration.
    pub(crate) options: Vec<u8>,
    /// Whether this is the requested module.
    pub(crate) requested: bool,
    /// Whether its failure stops modprobe: the requested module and its dependencies.
    pub(crate) required: bool,
    /// Whether the module is part of the kernel image.
    pub(crate) builtin: bool,
}

/// Options of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ProbeRequest<'a> {
    /// File to load instead of the one in the index.
    pub(crate) path: Option<&'a [u8]>,
    /// Whether to ignore the install command and the softdeps of the requested module.
    pub(crate) ignore_commands: bool,
    /// Modules whose install command is running: they are loaded, and the command does not run
    /// again.
    pub(crate) running: &'a [ModuleName],
}

/// A module to add to the list.
struct Candidate {
    key: Key,
    path: Option<Vec<u8>>,
    builtin: bool,
    requested: bool,
}

impl Candidate {
    fn found(found: &Match) -> Self {
        let key = (found.module.clone(), found.alias.clone());
        Self { key, path: None, builtin: found.is_builtin(), requested: false }
    }

    fn file(path: &[u8]) -> Option<Self> {
        let key = (ModuleName::from_path(path)?, None);
        Some(Self { key, path: Some(path.to_owned()), builtin: false, requested: false })
    }
}

/// Work that is left. The builder keeps it in a list of its own: a recursion would be as deep as the
/// files say.
enum Work {
    /// Add a module with all its dependencies and softdeps, once; the flag says whether to ignore
    /// its install command and softdeps.
    Expand(Candidate, bool),
    /// Add a module between its softdeps.
    Add(Candidate),
    /// Append the item of a module; the flag says whether to ignore its install command.
    Push(Candidate, bool),
}

struct Builder<'a> {
    catalog: &'a Catalog,
    config: &'a Config,
    running: &'a [ModuleName],
    visited: HashSet<Key>,
    required: HashSet<Key>,
    /// Work that is left, the next item last.
    work: Vec<Work>,
    items: Vec<ProbeItem>,
    invalid: Vec<String>,
}

/// Returns the list for `found`, and the words of softdeps that are invalid as names.
pub(crate) fn probe_list(
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
        work: Vec::new(),
        items: Vec::new(),
        invalid: Vec::new(),
    };
    let path = request.path.map(<[u8]>::to_vec);
    // A module loaded from a given file is never builtin, whatever its name.
    let builtin = path.is_none() && found.is_builtin();
    builder.require(found);
    let requested = Candidate { path, builtin, requested: true, ..Candidate::found(found) };
    builder.run(Work::Expand(requested, request.ignore_commands));
    (builder.items, builder.invalid)
}

impl Builder<'_> {
    /// Records which modules are required before softdeps can add the same modules.
    fn require(&mut self, found: &Match) {
        self.required.insert((found.module.clone(), found.alias.clone()));
        let line = self.catalog.dep(&found.module);
        for path in line.iter().flat_map(|l| &l.needs) {
            self.required.extend(ModuleName::from_path(path).map(|m| (m, None)));
        }
    }

    /// Carries out `first` and all that follows from it.
    fn run(&mut self, first: Work) {
        self.work.push(first);
        while let Some(work) = self.work.pop() {
            match work {
                Work::Expand(candidate, ignore_commands) => self.expand(candidate, ignore_commands),
                Work::Add(candidate) => self.add(candidate),
                Work::Push(candidate, ignore_command) => self.push(candidate, ignore_command),
            }
        }
    }

    /// Has `candidate` added after its dependencies, unless that was done before.
    fn expand(&mut self, candidate: Candidate, ignore_commands: bool) {
        if !self.visited.insert(candidate.key.clone()) {
            return;
        }
        let line = self.catalog.dep(&candidate.key.0);
        self.work.push(match ignore_commands {
            true => Work::Push(candidate, true),
            false => Work::Add(candidate),
        });
        let needs = line.iter().flat_map(|l| &l.needs).rev();
        self.work.extend(needs.filter_map(|path| Candidate::file(path)).map(Work::Add));
    }

    /// Has `candidate` added between its softdeps.
    fn add(&mut self, candidate: Candidate) {
        let softdep = self.config.softdep_of(&candidate.key.0);
        let pre = self.lookup_softdeps(softdep.as_ref().map_or(&[], |s| &s.pre));
        let post = self.lookup_softdeps(softdep.as_ref().map_or(&[], |s| &s.post));
        let ignore_command =
            self.config.softdeps_replace_install(!pre.is_empty() || !post.is_empty());
        let expand = |found| Work::Expand(Candidate::found(found), false);
        self.work.extend(post.iter().rev().map(expand));
        self.work.push(Work::Push(candidate, ignore_command));
        self.work.extend(pre.iter().rev().map(expand));
    }

    /// Looks up the names of a softdep.
    fn lookup_softdeps(&mut self, words: &[Vec<u8>]) -> Vec<Match> {
        let mut found = Vec::new();
        for word in words {
            match alias::normalize(word) {
                Ok(_) => found.append(&mut self.catalog.lookup_all(self.config, word)),
                Err(_) => self.invalid.push(escape::bytes(word).into_owned()),
            }
        }
        found
    }

    /// Appends the item of `candidate`.
    fn push(&mut self, candidate: Candidate, ignore_command: bool) {
        let required = self.required.contains(&candidate.key);
        let (module, alias) = candidate.key;
        let command = self
            .config
            .install_of(&module)
            .filter(|_| !ignore_command && !self.running.contains(&module));
        let path = || candidate.path.or_else(|| Some(self.catalog.dep(&module)?.path));
        let action = match command {
            Some(command) => Action::Command(command.to_owned()),
            None => path().map_or(Action::NoFile, Action::Insert),
        };
        let options = self.config.options_of(&module, alias.as_deref());
        let builtin = candidate.builtin
            || !matches!(action, Action::Insert(_)) && self.catalog.is_builtin(&module);
        self.items.push(ProbeItem {
            module,
            action,
            options,
            requested: candidate.requested,
            required,
            builtin,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape;
    use crate::kmod::catalog::IndexFiles;
    use crate::kmod::index::Bytes;
    use std::error::Error;
    use std::sync::Arc;

    struct Tree;

    impl IndexFiles for Tree {
        fn open(&self, name: &str) -> Result<Option<Bytes>, Box<dyn Error>> {
            let text = match name {
                "modules.dep" => "a.ko: b.ko c.ko\nb.ko: c.ko\nc.ko:\nd.ko: c.ko\ne.ko:\n",
                "modules.builtin" => "kernel/inside.ko\n",
                _ => return Ok(None),
            };
            Ok(Some(Box::new(text.as_bytes())))
        }
    }

    fn list(conf: &str, name: &str, request: ProbeRequest<'_>) -> String {
        let catalog = Catalog::new(Arc::new(Tree));
        let mut config = Config::default();
        config.add_file("c", conf.as_bytes(), &mut Vec::new());
        let found = catalog.lookup_all(&config, name.as_bytes());
        let (items, bad) = probe_list(&catalog, &config, &found[0], request);
        let mut words: Vec<String> = items
            .iter()
            .map(|i| {
                let kind = match &i.action {
                    Action::Insert(path) => escape::bytes(path).trim_end_matches(".ko").to_owned(),
                    Action::Command(command) => format!("[{}]", escape::bytes(command)),
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
    fn the_order_is_as_in_kmod() {
        let ignore_commands = ProbeRequest { ignore_commands: true, ..ProbeRequest::default() };
        let path = ProbeRequest { path: Some(b"/tmp/a.ko"), ..ProbeRequest::default() };
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
