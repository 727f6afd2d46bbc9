//! Requests for modules: lookup, plan, steps for the graph.

use std::sync::atomic::Ordering;

use super::graph::Graph;
use super::loader::Loader;
use super::lock;
use super::outcome::Outcome;
use super::policy::Rank;
use super::record::Origin;
use crate::escape;
use crate::kmod::catalog::Match;
use crate::kmod::name::ModuleName;
use crate::kmod::plan::{Planner, Reason};
use crate::kmod::uevent::Modalias;
use crate::sys::BootTime;

impl Loader {
    /// Requests all modules that drive a device. Returns the number of modules that match, builtin
    /// ones included.
    ///
    /// `parents` are the modules whose drivers are bound to the devices above it. A parent that is
    /// still being loaded is waited for: it may be adding the device's siblings, and drivers number
    /// devices in the order in which they find them. `consumer` is the device that it is requested
    /// early for, because it is a supplier.
    pub(crate) fn want_device(
        &self,
        device: &str,
        modalias: &Modalias,
        parents: &[ModuleName],
        rank: Rank,
        consumer: Option<&str>,
    ) -> usize {
        let start = BootTime::now();
        let found = self.catalog.lookup_modalias(&self.config, &modalias.normalized());
        let origin = |f: &Match| Origin {
            device: Some(device.to_owned()),
            request: modalias.text().into_owned(),
            pattern: f.pattern.clone(),
            supplier_of: consumer.map(str::to_owned),
        };
        self.want(&found, parents, rank, origin, start);
        found.len()
    }

    /// Requests a module by name or alias, as modprobe(8) would. Returns the modules of that name
    /// that are not builtin; `None` if the name is unknown.
    pub(crate) fn want_name(&self, name: impl AsRef<[u8]>, rank: Rank) -> Option<Vec<ModuleName>> {
        self.want_bytes(name.as_ref(), rank)
    }

    /// Requests a module that a list or a parameter names, as [`Self::want_name`] does. `place` is
    /// where the name stands.
    ///
    /// # Errors
    /// The name is unknown; in words for a warning.
    pub(crate) fn want_listed(
        &self,
        place: &str,
        name: &[u8],
        rank: Rank,
    ) -> Result<Vec<ModuleName>, String> {
        let unknown = || format!("{place}: no module or alias '{}'", escape::bytes(name));
        self.want_bytes(name, rank).ok_or_else(unknown)
    }

    fn want_bytes(&self, name: &[u8], rank: Rank) -> Option<Vec<ModuleName>> {
        let start = BootTime::now();
        let mut found = self.catalog.lookup(&self.config, name);
        if found.is_empty() && self.catalog.check() {
            found = self.catalog.lookup(&self.config, name);
        }
        let origin = |f: &Match| Origin {
            device: None,
            request: escape::bytes(name).into_owned(),
            pattern: f.pattern.clone(),
            supplier_of: None,
        };
        self.want(&found, &[], rank, origin, start);
        let modules = found.iter().filter(|f| !f.is_builtin()).map(|f| f.module.clone());
        (!found.is_empty()).then(|| modules.collect())
    }

    fn want(
        &self,
        found: &[Match],
        parents: &[ModuleName],
        rank: Rank,
        origin: impl Fn(&Match) -> Origin,
        start: BootTime,
    ) {
        let mut graph = self.dispatcher.graph();
        let live = |module: &ModuleName| self.dispatcher.worker().is_live(module);
        let known = |module: &ModuleName| graph.knows(module) || live(module);
        let mut planner = Planner::new(&self.catalog, &self.config, &known, &live);
        let mut excluded = Vec::new();
        for found in found.iter().filter(|f| !f.is_builtin()) {
            match self.exclusion(found) {
                Some(outcome) if !known(&found.module) => excluded.push((found, outcome)),
                Some(_) => {}
                None => planner.add(found),
            }
        }
        let plan = planner.finish();
        for (found, outcome) in excluded {
            graph.exclude(found.module.clone(), outcome, origin(found));
        }
        for step in plan.steps {
            let requested =
                found.iter().find(|f| step.reason == Reason::Requested && f.module == step.module);
            let others = match requested {
                Some(requested) => others(&graph, parents, found, requested),
                None => Vec::new(),
            };
            graph.add(step, &others, requested.map(&origin), rank, start);
        }
        for found in found {
            graph.want(&found.module, rank);
        }
        drop(graph);
        for cycle in plan.cycles {
            lock(&self.warnings).push(format!("dependency cycle: {cycle}"));
        }
        let spent = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.lookup_ns.fetch_add(spent, Ordering::Relaxed);
        self.dispatcher.dispatch();
    }

    /// Returns the outcome of a module that the configuration excludes.
    fn exclusion(&self, found: &Match) -> Option<Outcome> {
        let (config, module) = (&self.config, &found.module);
        if let Some(origin) = config.masks.origin(module) {
            return Some(Outcome::Masked(origin.to_string()));
        }
        let listed = found.source.is_alias() && config.is_blacklisted(module);
        (listed || config.is_refused_by_kernel(module)).then_some(Outcome::Blacklisted)
    }
}

/// Returns the modules that `requested` comes after without needing them.
fn others(
    graph: &Graph,
    parents: &[ModuleName],
    found: &[Match],
    requested: &Match,
) -> Vec<ModuleName> {
    let mut others = Vec::new();
    others.extend(parents.iter().filter(|parent| graph.is_loading(parent)).cloned());
    others.extend(rivals(found, requested).cloned());
    others
}

/// Returns the modules that come before `requested` among those `found` for a device. If several
/// have a driver for the device, the first one gets it, whatever the order of all other loads.
/// Modules for features of the processor do not compete.
fn rivals<'a>(found: &'a [Match], requested: &'a Match) -> impl Iterator<Item = &'a ModuleName> {
    let compete = requested.alias.as_ref().is_some_and(|alias| !alias.starts_with(b"cpu:"));
    let before = found.iter().take_while(|f| f.module != requested.module);
    before.filter(move |f| compete && !f.is_builtin()).map(|f| &f.module)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::catalog::Source;

    #[test]
    fn drivers_of_one_device_compete() {
        for (alias, source, want) in [
            (Some("pci:v1"), Source::Alias, vec!["a", "b"]),
            (Some("cpu:type:x86"), Source::Alias, vec![]),
            (Some("pci:v1"), Source::BuiltinAlias, vec![]),
            (None, Source::Name, vec![]),
        ] {
            let found = |name: &str, source| Match {
                module: name.into(),
                source,
                alias: alias.map(Into::into),
                pattern: None,
            };
            let all = [found("a", source), found("b", source), found("c", Source::Alias)];
            let names: Vec<_> = rivals(&all, &all[2]).map(ModuleName::text).collect();
            assert_eq!(names, want, "{alias:?}");
            assert_eq!(rivals(&all, &all[0]).count(), 0);
        }
    }
}
