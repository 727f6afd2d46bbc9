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
    Insert(String),
    /// Run this install command.
    Command(String),
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
    pub(crate) options: String,
    /// Modules that must be live before this one starts; if one of them fails, so does this module.
    pub(crate) needs: Vec<ModuleName>,
    /// Modules whose load must have ended, successfully or not, before this one starts.
    pub(crate) after: Vec<ModuleName>,
    /// Reason for the step.
    pub(crate) reason: Reason,
}

/// Maximum length of a chain of dependencies and softdeps; real chains have about a dozen.
const MAX_DEPTH: usize = 500;

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
            steps: Vec::new(),
            cycles: Vec::new(),
        }
    }

    /// Adds the steps for a match.
    pub(crate) fn add(&mut self, found: &Match) {
        if !found.is_builtin() {
            self.expand(&found.module, found.alias.as_deref(), Reason::Requested);
        }
    }

    /// Returns the plan.
    pub(crate) fn finish(self) -> InsertPlan {
        InsertPlan { steps: self.steps, cycles: self.cycles }
    }

    /// Adds the steps for `module`, unless it has one or is being expanded.
    fn expand(&mut self, module: &ModuleName, alias: Option<&str>, reason: Reason) {
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
            Some((action, needs)) => self.expand_masked(module, reason, action, needs),
            None => self.expand_unmasked(module, alias, reason, line),
        }
    }

    /// Adds the step of a module that is masked or depends on the masked modules `needs`.
    fn expand_masked(
        &mut self,
        module: &ModuleName,
        reason: Reason,
        action: Action,
        needs: Vec<ModuleName>,
    ) {
        for masked in &needs {
            self.expand(masked, None, Reason::DependencyOf(module.clone()));
        }
        let (options, after) = (String::new(), Vec::new());
        self.steps.push(Step { module: module.clone(), action, options, needs, after, reason });
    }

    /// Adds the steps of a module that no mask affects.
    fn expand_unmasked(
        &mut self,
        module: &ModuleName,
        alias: Option<&str>,
        reason: Reason,
        line: Option<DepLine>,
    ) {
        self.chain.push(module.clone());
        let needs = self.expand_needs(module, line.as_ref().map_or(&[], |l| &l.needs));
        let (pre, post) = self.softdep(module);
        let after = self.expand_pre(&pre, &Reason::SoftdepPreOf(module.clone()));
        let action = self.action(module, line, !pre.is_empty() || !post.is_empty());
        let options = self.config.options_of(module, alias);
        self.steps.push(Step { module: module.clone(), action, options, needs, after, reason });
        self.chain.pop();
        for found in post {
            self.expand_post(module, &found);
        }
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

    /// Expands the modules in the files `paths` and returns those that `module` waits for.
    fn expand_needs(&mut self, module: &ModuleName, paths: &[String]) -> Vec<ModuleName> {
        let mut needs = Vec::with_capacity(paths.len());
        for name in paths.iter().filter_map(|p| ModuleName::from_path(p)) {
            if self.is_in_chain(&name) {
                self.add_cycle(&name);
                continue;
            }
            self.expand(&name, None, Reason::DependencyOf(module.clone()));
            needs.push(name);
        }
        needs
    }

    /// Looks up the `pre:` and `post:` softdeps of `module`.
    fn softdep(&self, module: &ModuleName) -> (Vec<Match>, Vec<Match>) {
        let Some(dep) = self.config.softdep_of(module) else { return Default::default() };
        let lookup = |names: &[String]| -> Vec<Match> {
            let found = names.iter().flat_map(|name| self.catalog.lookup(self.config, name));
            found.collect()
        };
        (lookup(&dep.pre), lookup(&dep.post))
    }

    /// Expands the matches of a `pre:` softdep and returns the modules to wait for.
    fn expand_pre(&mut self, found: &[Match], reason: &Reason) -> Vec<ModuleName> {
        let mut after = Vec::with_capacity(found.len());
        for found in found.iter().filter(|f| !f.is_builtin()) {
            if self.is_in_chain(&found.module) {
                self.add_cycle(&found.module);
                continue;
            }
            self.expand(&found.module, found.alias.as_deref(), reason.clone());
            after.push(found.module.clone());
        }
        after
    }

    /// Expands a match of a `post:` softdep. If its step is new, it waits for `module`.
    fn expand_post(&mut self, module: &ModuleName, found: &Match) {
        let start = self.steps.len();
        if !found.is_builtin() {
            self.expand(
                &found.module,
                found.alias.as_deref(),
                Reason::SoftdepPostOf(module.clone()),
            );
        }
        for step in self.steps.iter_mut().skip(start).filter(|s| s.module == found.module) {
            step.after.push(module.clone());
        }
    }

    fn is_in_chain(&self, module: &ModuleName) -> bool {
        self.chain.contains(module)
    }

    /// Records the cycle that an edge to `module`, which is being expanded, would close.
    fn add_cycle(&mut self, module: &ModuleName) {
        let chain = self.chain.iter().skip_while(|m| *m != module).chain([module]);
        let names: Vec<&str> = chain.map(ModuleName::as_str).collect();
        self.cycles.push(names.join(" -> "));
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
            Planner::new(&catalog, &config, &|m| m.as_str() == "here", &|m| m.as_str() == "here");
        for name in names {
            for found in catalog.lookup(&config, name) {
                planner.add(&found);
            }
        }
        planner.finish()
    }

    fn order(plan: &InsertPlan) -> String {
        let names: Vec<&str> = plan.steps.iter().map(|s| s.module.as_str()).collect();
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
        let step = |name: &str| plan.steps.iter().find(|s| s.module.as_str() == name).unwrap();
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

    #[test]
    fn a_very_long_chain_is_cut() {
        let mut conf = String::new();
        let mut dep = String::new();
        for n in 0..5000 {
            conf.push_str(&format!("softdep m{n} pre: m{}\n", n + 1));
            dep.push_str(&format!("m{n}.ko:\n"));
        }
        let p = plan(dep.leak(), &conf, &["m0"]);
        assert_eq!((p.steps.len(), p.cycles.len()), (MAX_DEPTH, 1));
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
        assert_eq!(p.steps[0].options, "x=1");
        assert_eq!(p.steps[2].action, Action::Insert("e.ko".into()));
    }
}
