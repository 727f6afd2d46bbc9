//! The insert plan: the modules to load for a set of matches, in kmod's order, and what each step
//! waits for.
//!
//! A module expands to its dependencies, deepest first, its `pre:` softdeps, the module itself and
//! its `post:` softdeps. Each dependency and softdep expands in the same way, and every module
//! once. If a dependency fails, its users fail too; a softdep only orders. A masked module expands
//! to itself alone. A module that depends on a masked one expands to the masked one and itself, so
//! that it fails with that reason.

use std::collections::HashSet;

use super::catalog::{Catalog, Match};
use super::conf::Config;
use super::dep::DepLine;
use super::name::ModuleName;

/// Action of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Load the file at this path, relative to the module directory.
    Insert(Vec<u8>),
    /// Run this install command.
    Command(Vec<u8>),
    /// None: the module has no known file.
    NoFile,
    /// None: the module is masked; the text is the origin of the mask.
    Masked(String),
}

/// Reason for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The module was requested.
    Requested,
    /// A dependency of this module.
    DependencyOf(ModuleName),
    /// A `pre:` softdep of this module.
    SoftdepPreOf(ModuleName),
    /// A `post:` softdep of this module.
    SoftdepPostOf(ModuleName),
}

/// A module to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Name of the module.
    pub(crate) module: ModuleName,
    /// Action to carry out.
    pub(crate) action: Action,
    /// Module parameters from the configuration.
    pub(crate) options: Vec<u8>,
    /// Modules that must be live before this one starts; if one of them fails, so does this module.
    pub(crate) needs: Vec<ModuleName>,
    /// Modules whose load must have ended, successfully or not, before this one starts.
    pub(crate) after: Vec<ModuleName>,
    /// Reason for the step.
    pub(crate) reason: Reason,
}

/// Maximum length of a chain of dependencies and `pre:` softdeps, so that damaged or hostile files
/// take a bounded amount of memory. Real chains have about a dozen.
const MAX_DEPTH: usize = 50_000;

/// Maximum number of cycles that one plan reports: files may hold any number of them.
const MAX_CYCLES: usize = 16;
/// Number of modules at either end of a reported cycle; the others are left out.
const CYCLE_ENDS: usize = 4;

/// Work that is left. The planner keeps it in a list of its own: a recursion would be as deep as the
/// files say.
#[derive(Debug)]
enum Work {
    /// Add the steps for a module, unless it has one or is being expanded.
    Expand(Visit),
    /// Add the step of a module whose dependencies and `pre:` softdeps have their steps.
    Finish(Box<Finish>),
}

/// A module to expand.
#[derive(Debug)]
struct Visit {
    module: ModuleName,
    /// The alias that it was found through.
    alias: Option<Vec<u8>>,
    reason: Reason,
}

/// The end of an expansion.
#[derive(Debug)]
struct Finish {
    step: Step,
    /// Whether the module is in the chain.
    in_chain: bool,
    /// Matches of its `post:` softdeps.
    post: Vec<Match>,
}

/// Expands modules into steps. `known` returns whether a module needs no step, because it has one
/// already or is in the kernel; `live` returns whether a module is in the kernel, which a mask does
/// not affect.
pub(crate) struct Planner<'a> {
    catalog: &'a Catalog,
    config: &'a Config,
    known: &'a dyn Fn(&ModuleName) -> bool,
    live: &'a dyn Fn(&ModuleName) -> bool,
    /// Modules that have a step or are being expanded.
    seen: HashSet<ModuleName>,
    /// Chain of the modules being expanded, outermost first.
    chain: Vec<ModuleName>,
    /// The same modules.
    in_chain: HashSet<ModuleName>,
    /// Work that is left, the next item last.
    work: Vec<Work>,
    steps: Vec<Step>,
    cycles: Vec<String>,
}

impl std::fmt::Debug for Planner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planner").field("steps", &self.steps).finish_non_exhaustive()
    }
}

/// A plan: steps, each after all the steps that it waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InsertPlan {
    /// The steps.
    pub(crate) steps: Vec<Step>,
    /// Dependency cycles, softdeps included, as `a -> b -> a`; the last edge was ignored.
    pub(crate) cycles: Vec<String>,
}

impl<'a> Planner<'a> {
    /// Creates a planner; [`Planner`] explains `known` and `live`.
    pub(crate) fn new(
        catalog: &'a Catalog,
        config: &'a Config,
        known: &'a dyn Fn(&ModuleName) -> bool,
        live: &'a dyn Fn(&ModuleName) -> bool,
    ) -> Self {
        Self {
            catalog,
            config,
            known,
            live,
            seen: HashSet::new(),
            chain: Vec::new(),
            in_chain: HashSet::new(),
            work: Vec::new(),
            steps: Vec::new(),
            cycles: Vec::new(),
        }
    }

    /// Adds the steps for a match.
    pub(crate) fn add(&mut self, found: &Match) {
        if found.is_builtin() {
            return;
        }
        self.work.push(Work::Expand(Visit::new(found, Reason::Requested)));
        while let Some(work) = self.work.pop() {
            match work {
                Work::Expand(visit) => self.expand(visit),
                Work::Finish(finish) => self.finish_step(*finish),
            }
        }
    }

    /// Returns the plan.
    pub(crate) fn finish(self) -> InsertPlan {
        InsertPlan { steps: self.steps, cycles: self.cycles }
    }

    fn expand(&mut self, visit: Visit) {
        let module = &visit.module;
        if self.seen.contains(module) || (self.known)(module) {
            return;
        }
        if self.chain.len() == MAX_DEPTH {
            self.cycles
                .push(format!("... -> {module} (more than {MAX_DEPTH} modules in one chain)"));
            return;
        }
        self.seen.insert(module.clone());
        let line = self.catalog.dep(module);
        match self.masked_action(module, line.as_ref()) {
            Some((action, needs)) => self.expand_masked(visit, action, needs),
            None => self.expand_unmasked(visit, line),
        }
    }

    /// Expands a module that is masked or depends on the masked modules `needs`.
    fn expand_masked(&mut self, visit: Visit, action: Action, needs: Vec<ModuleName>) {
        let dependencies: Vec<Visit> = needs.iter().map(|m| visit.dependency(m.clone())).collect();
        let step = visit.step(action, Vec::new(), needs, Vec::new());
        self.work.push(Work::Finish(Box::new(Finish { step, in_chain: false, post: Vec::new() })));
        self.work.extend(dependencies.into_iter().rev().map(Work::Expand));
    }

    /// Expands a module that no mask affects.
    fn expand_unmasked(&mut self, visit: Visit, line: Option<DepLine>) {
        let module = visit.module.clone();
        self.chain.push(module.clone());
        self.in_chain.insert(module.clone());
        let needs = self.needs(line.as_ref().map_or(&[], |l| &l.needs));
        let (pre, post) = self.softdep(&module);
        let action = self.action(&module, line, !pre.is_empty() || !post.is_empty());
        let pre: Vec<Match> = pre.into_iter().filter(|f| self.may_follow(f)).collect();
        let before = needs.iter().map(|name| visit.dependency(name.clone()));
        let reason = || Reason::SoftdepPreOf(module.clone());
        let before = before.chain(pre.iter().map(|found| Visit::new(found, reason())));
        let before: Vec<Work> = before.map(Work::Expand).collect();
        let options = self.config.options_of(&module, visit.alias.as_deref());
        let after = pre.into_iter().map(|found| found.module).collect();
        let step = visit.step(action, options, needs, after);
        self.work.push(Work::Finish(Box::new(Finish { step, in_chain: true, post })));
        self.work.extend(before.into_iter().rev());
    }

    /// Adds the step of a module, and has its `post:` softdeps expanded next.
    fn finish_step(&mut self, finish: Finish) {
        let Finish { step, in_chain, post } = finish;
        if in_chain {
            self.chain.pop();
            self.in_chain.remove(&step.module);
        }
        let post = post.iter().filter(|found| !found.is_builtin());
        let visit = |found| Visit::new(found, Reason::SoftdepPostOf(step.module.clone()));
        self.work.extend(post.rev().map(visit).map(Work::Expand));
        self.steps.push(step);
    }

    /// Returns the action of an unmasked module.
    fn action(&self, module: &ModuleName, line: Option<DepLine>, has_softdeps: bool) -> Action {
        let command = self.config.install_of(module);
        match (command.filter(|_| !self.config.softdeps_replace_install(has_softdeps)), line) {
            (Some(command), _) => Action::Command(command.to_owned()),
            (None, Some(line)) => Action::Insert(line.path),
            (None, None) => Action::NoFile,
        }
    }

    /// Returns the action of a module that is masked or depends on masked modules, and those
    /// modules.
    fn masked_action(
        &self,
        module: &ModuleName,
        line: Option<&DepLine>,
    ) -> Option<(Action, Vec<ModuleName>)> {
        if let Some(origin) = self.config.masks.origin(module) {
            return Some((Action::Masked(origin.to_string()), Vec::new()));
        }
        let line = line?;
        let masked = self.config.masked_dependencies(line).filter(|(m, _)| !(self.live)(m));
        let masked: Vec<ModuleName> = masked.map(|(module, _)| module).collect();
        (!masked.is_empty()).then(|| (Action::Insert(line.path.clone()), masked))
    }

    /// Returns the modules in the files `paths`, without those that the chain contains.
    fn needs(&mut self, paths: &[Vec<u8>]) -> Vec<ModuleName> {
        let names = paths.iter().filter_map(ModuleName::from_path);
        names.filter(|name| !self.closes_cycle(name)).collect()
    }

    /// Looks up the `pre:` and `post:` softdeps of `module`.
    fn softdep(&self, module: &ModuleName) -> (Vec<Match>, Vec<Match>) {
        let Some(dep) = self.config.softdep_of(module) else { return Default::default() };
        let lookup = |names: &[Vec<u8>]| -> Vec<Match> {
            let found = names.iter().flat_map(|name| self.catalog.lookup(self.config, name));
            found.collect()
        };
        (lookup(&dep.pre), lookup(&dep.post))
    }

    /// Returns whether the match of a `pre:` softdep is to be waited for.
    fn may_follow(&mut self, found: &Match) -> bool {
        !found.is_builtin() && !self.closes_cycle(&found.module)
    }

    /// Returns whether the chain contains `module`, and then records the cycle.
    fn closes_cycle(&mut self, module: &ModuleName) -> bool {
        let closes = self.in_chain.contains(module);
        if closes && self.cycles.len() < MAX_CYCLES {
            let start = self.chain.iter().position(|m| m == module).unwrap_or(0);
            self.cycles.push(cycle_text(self.chain.get(start..).unwrap_or_default(), module));
        }
        closes
    }
}

/// Returns the modules of a cycle that ends with `last`, without those in the middle of a long one.
fn cycle_text(chain: &[ModuleName], last: &ModuleName) -> String {
    let left_out = chain.len().saturating_sub(2 * CYCLE_ENDS);
    let (head, tail) = chain.split_at(CYCLE_ENDS.min(chain.len()));
    let tail = tail.get(left_out..).unwrap_or_default();
    let mut names: Vec<String> = head.iter().map(ToString::to_string).collect();
    if left_out > 0 {
        names.push(format!("({left_out} more)"));
    }
    names.extend(tail.iter().chain([last]).map(ToString::to_string));
    names.join(" -> ")
}

impl Visit {
    fn new(found: &Match, reason: Reason) -> Self {
        Self { module: found.module.clone(), alias: found.alias.clone(), reason }
    }

    /// Returns the visit of a module that this one depends on.
    fn dependency(&self, module: ModuleName) -> Self {
        Self { module, alias: None, reason: Reason::DependencyOf(self.module.clone()) }
    }

    /// Returns the step of this module. The module whose `post:` softdep it is, if so, is one of
    /// those that it comes after.
    fn step(
        self,
        action: Action,
        options: Vec<u8>,
        needs: Vec<ModuleName>,
        mut after: Vec<ModuleName>,
    ) -> Step {
        let Self { module, reason, .. } = self;
        if let Reason::SoftdepPostOf(user) = &reason {
            after.push(user.clone());
        }
        Step { module, action, options, needs, after, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::catalog::IndexFiles;
    use crate::kmod::index::Bytes;
    use std::error::Error;
    use std::sync::Arc;

    struct Dep(&'static str);

    impl IndexFiles for Dep {
        fn open(&self, name: &str) -> Result<Option<Bytes>, Box<dyn Error>> {
            let text = match name {
                "modules.dep" => self.0,
                "modules.builtin" => "kernel/inside.ko\n",
                _ => return Ok(None),
            };
            Ok(Some(Box::new(text.as_bytes())))
        }
    }

    fn plan(dep: &'static str, conf: &str, names: &[&str]) -> InsertPlan {
        let catalog = Catalog::new(Arc::new(Dep(dep)));
        let mut config = Config::default();
        let mut warnings = Vec::new();
        config.add_file("c", conf.as_bytes(), &mut warnings);
        assert!(warnings.is_empty(), "{warnings:?}");
        let mut planner =
            Planner::new(&catalog, &config, &|m| m.text() == "here", &|m| m.text() == "here");
        for name in names {
            for found in catalog.lookup(&config, name) {
                planner.add(&found);
            }
        }
        planner.finish()
    }

    fn order(plan: &InsertPlan) -> String {
        let names: Vec<_> = plan.steps.iter().map(|s| s.module.text()).collect();
        names.join(" ")
    }

    const TREE: &str =
        "a.ko: b.ko c.ko\nb.ko: c.ko\nc.ko:\nd.ko:\ne.ko:\nhere.ko:\nu.ko: here.ko\n";

    #[test]
    fn dependencies_precede_softdeps_and_the_module() {
        for (conf, names, want) in [
            ("", vec!["a"], "c b a"),
            ("", vec!["a", "b", "d"], "c b a d"),
            ("softdep c pre: d post: e", vec!["a"], "d c e b a"),
            ("softdep a pre: inside d post: here e", vec!["a"], "c b d a e"),
            ("softdep d pre: nowhere", vec!["d"], "d"),
            ("", vec!["here", "u", "inside", "nowhere"], "u"),
        ] {
            assert_eq!(order(&plan(TREE, conf, &names)), want, "{conf} {names:?}");
        }
    }

    #[test]
    fn steps_wait_for_dependencies_and_softdeps() {
        let plan = plan(TREE, "softdep a pre: d post: e", &["a"]);
        let step = |name: &str| plan.steps.iter().find(|s| s.module.text() == name).unwrap();
        assert_eq!(step("a").needs, ["c".into(), "b".into()]);
        assert_eq!(step("a").after, ["d".into()]);
        assert_eq!(step("e").after, ["a".into()]);
        assert_eq!(step("b").reason, Reason::DependencyOf("a".into()));
        assert_eq!(step("e").reason, Reason::SoftdepPostOf("a".into()));
        assert_eq!(step("a").reason, Reason::Requested);
    }

    #[test]
    fn cycles_are_reported_and_broken() {
        let p = plan("a.ko: b.ko\nb.ko: a.ko\n", "", &["a"]);
        assert_eq!((order(&p), p.cycles.clone()), ("b a".into(), vec!["a -> b -> a".to_owned()]));
        assert!(p.steps[0].needs.is_empty());
        let p = plan(TREE, "softdep d pre: e\nsoftdep e pre: d\n", &["d"]);
        assert_eq!((order(&p), p.cycles), ("e d".into(), vec!["d -> e -> d".to_owned()]));
        let p = plan(TREE, "softdep d post: e\nsoftdep e post: d\n", &["d"]);
        assert_eq!(order(&p), "d e");
    }

    /// Returns modules.dep and a configuration with a chain of `length` modules.
    fn chain(length: usize, kind: &str) -> (String, String) {
        let (mut dep, mut conf) = (String::new(), String::new());
        for n in 0..length {
            let next = n + 1;
            match kind {
                "dep" => dep.push_str(&format!("m{n}.ko: m{next}.ko\n")),
                _ => {
                    dep.push_str(&format!("m{n}.ko:\n"));
                    conf.push_str(&format!("softdep m{n} {kind} m{next}\n"));
                }
            }
        }
        (dep + &format!("m{length}.ko:\n"), conf)
    }

    #[test]
    fn long_chains_take_no_stack_and_no_longer_than_their_length() {
        for (kind, length, cut) in [
            ("dep", 20_000, false),
            ("pre:", 20_000, false),
            ("post:", 20_000, false),
            ("post:", 60_000, false),
            ("pre:", 60_000, true),
            ("dep", 60_000, true),
        ] {
            let (dep, conf) = chain(length, kind);
            let plan = move || plan(dep.leak(), &conf, &["m0"]);
            // As little as the second thread of PID 1 has.
            let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(plan).unwrap();
            let plan = thread.join().unwrap();
            let steps = if cut { MAX_DEPTH } else { length + 1 };
            assert_eq!((plan.steps.len(), plan.cycles.len()), (steps, usize::from(cut)), "{kind}");
            let limit = "(more than 50000 modules in one chain)";
            assert!(plan.cycles.iter().all(|text| text.ends_with(limit)), "{:?}", plan.cycles);
        }
    }

    #[test]
    fn cycles_of_a_long_chain_take_little_memory() {
        let (dep, _) = chain(20_000, "dep");
        // Each module also depends on the first one.
        let dep = dep.replace("\n", " m0.ko\n");
        let plan = plan(dep.leak(), "", &["m0"]);
        assert_eq!((plan.steps.len(), plan.cycles.len()), (20_001, MAX_CYCLES));
        let texts: usize = plan.cycles.iter().map(String::len).sum();
        assert!(texts < 2000, "{texts}");
        let names: Vec<ModuleName> = (0..10).map(|n| ModuleName::new(format!("m{n}"))).collect();
        assert_eq!(
            cycle_text(&names, &names[0]),
            "m0 -> m1 -> m2 -> m3 -> (2 more) -> m6 -> m7 -> m8 -> m9 -> m0"
        );
    }

    #[test]
    fn a_mask_fails_users_and_suppresses_softdeps() {
        for (conf, names, want) in [
            ("mask c", vec!["a", "d"], "c masked by c line 1, a needs [\"c\"], d"),
            ("mask b", vec!["a"], "b masked by c line 1, a needs [\"b\"]"),
            ("mask d\nsoftdep d pre: e", vec!["d"], "d masked by c line 1"),
            ("mask d\nsoftdep c pre: d", vec!["c"], "d masked by c line 1, c"),
            ("mask [a-b]\ninstall a x", vec!["a", "c"], "a masked by c line 1, c"),
            ("mask here", vec!["u"], "u needs [\"here\"]"),
        ] {
            let plan = plan(TREE, conf, &names);
            let word = |step: &Step| match &step.action {
                Action::Masked(origin) => format!("{} masked by {origin}", step.module),
                _ if step.needs.is_empty() => step.module.to_string(),
                _ => format!("{} needs {:?}", step.module, step.needs),
            };
            let words: Vec<String> = plan.steps.iter().map(word).collect();
            assert_eq!(words.join(", "), want, "{conf}");
        }
    }

    #[test]
    fn a_rule_keeps_install_commands_despite_softdeps() {
        let conf = "rule install-first\ninstall e /bin/true\nsoftdep e pre: d\n";
        let p = plan(TREE, conf, &["e"]);
        assert_eq!(order(&p), "d e");
        assert_eq!(p.steps[1].action, Action::Command("/bin/true".into()));
    }

    #[test]
    fn softdeps_replace_install_commands() {
        let conf = "install d /bin/false\ninstall e /bin/true\nsoftdep e pre: c\noptions d x=1\n";
        let p = plan(TREE, conf, &["d", "e"]);
        assert_eq!(p.steps[0].action, Action::Command("/bin/false".into()));
        assert_eq!(p.steps[0].options, b"x=1");
        assert_eq!(p.steps[2].action, Action::Insert(b"e.ko".into()));
    }
}
