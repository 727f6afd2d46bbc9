//! Why each module is loaded: device, alias, module, and the modules that this one needs.

use std::collections::{BTreeMap, HashSet};

use super::units::{in_one_line, millis, put};
use crate::report::saved::{Edges, SavedModule, SavedRecord};

/// Most levels of dependencies; a kernel has about ten.
const MAX_DEPTH: usize = 40;

/// Returns the modules of a record below what they were loaded for. With `only`, only the branches
/// that lead to the module of this name; `None` if the record does not have it.
pub(crate) fn tree(record: &SavedRecord, only: Option<&str>) -> Option<String> {
    let edges = Edges::new(record);
    let wanted = match only {
        None => None,
        Some(name) => Some(users_of(record, &edges, edges.find(name)?)),
    };
    let mut tree = Tree {
        record,
        edges,
        wanted,
        shown: HashSet::new(),
        above: HashSet::new(),
        text: String::new(),
    };
    tree.devices();
    tree.names();
    tree.rest();
    Some(tree.text)
}

/// Returns the places of a module and of all that need it, directly or not.
fn users_of(record: &SavedRecord, edges: &Edges<'_>, at: usize) -> HashSet<usize> {
    let mut users: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for user in 0..record.modules.len() {
        for need in edges.needs(user) {
            users.entry(*need).or_default().push(user);
        }
    }
    let mut found = HashSet::from([at]);
    let mut open = vec![at];
    while let Some(at) = open.pop() {
        for user in users.get(&at).into_iter().flatten() {
            if found.insert(*user) {
                open.push(*user);
            }
        }
    }
    found
}

/// Most characters of a modalias or a pattern.
const MAX_ALIAS: usize = 64;

struct Tree<'a> {
    record: &'a SavedRecord,
    edges: Edges<'a>,
    /// Places of the modules that are to be shown; `None` for all.
    wanted: Option<HashSet<usize>>,
    /// Places of the modules whose branch has been shown.
    shown: HashSet<usize>,
    /// Places of the modules above the one that is being shown.
    above: HashSet<usize>,
    text: String,
}

impl Tree<'_> {
    fn is_wanted(&self, at: usize) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&at))
    }

    /// Returns the places of the modules for which `is_shown` holds.
    fn places(&self, is_shown: impl Fn(&SavedModule) -> bool) -> Vec<usize> {
        let modules = self.record.modules.iter().enumerate();
        let shown = modules.filter(|(at, module)| self.is_wanted(*at) && is_shown(module));
        shown.map(|(at, _)| at).collect()
    }

    /// Shows the devices, in the order of their paths, with their aliases and modules.
    fn devices(&mut self) {
        let mut devices: BTreeMap<String, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
        for at in self.places(|module| module.device.is_some()) {
            let Some(module) = self.record.modules.get(at) else { continue };
            let aliases = devices.entry(module.device.clone().unwrap_or_default()).or_default();
            aliases.entry(alias_line(module)).or_default().push(at);
        }
        for (device, aliases) in devices {
            put(&mut self.text, &device);
            let last = aliases.len().saturating_sub(1);
            for (at, (alias, modules)) in aliases.into_iter().enumerate() {
                let (branch, indent) = branch(at == last);
                put(&mut self.text, &format!("{branch}{alias}"));
                self.modules(&modules, indent, 0);
            }
        }
    }

    /// Shows the modules that somebody asked for by name.
    fn names(&mut self) {
        let asked = self.places(|module| module.device.is_none() && module.requester.is_none());
        if !asked.is_empty() {
            put(&mut self.text, "requested by name");
            self.modules(&asked, "", 0);
        }
    }

    /// Shows the modules whose user is not in the record, or that need each other.
    fn rest(&mut self) {
        let shown = self.shown.clone();
        let mut rest = self.places(|module| module.device.is_none() && module.requester.is_some());
        rest.retain(|at| !shown.contains(at));
        for at in rest {
            if self.shown.contains(&at) {
                continue;
            }
            let why = self.record.modules.get(at).map(|module| module.why.clone());
            put(&mut self.text, &in_one_line(&why.unwrap_or_default()));
            self.modules(&[at], "", 0);
        }
    }

    /// Shows modules, each with those that it needs below it.
    fn modules(&mut self, places: &[usize], indent: &str, depth: usize) {
        for (number, at) in places.iter().enumerate() {
            let Some(module) = self.record.modules.get(*at) else { continue };
            let (branch, below) = branch(number + 1 == places.len());
            let is_new = self.shown.insert(*at);
            let is_open = |need: &&usize| self.is_wanted(**need) && !self.above.contains(*need);
            let mut needs = self.edges.needs(*at).iter().filter(is_open).copied();
            let has_more = (!is_new || depth >= MAX_DEPTH) && needs.next().is_some();
            let needs: Vec<_> = if has_more { Vec::new() } else { needs.collect() };
            let mark = if has_more { " (see its dependencies above)" } else { "" };
            put(&mut self.text, &format!("{indent}{branch}{}{mark}", module_line(module)));
            if !needs.is_empty() {
                self.above.insert(*at);
                self.modules(&needs, &format!("{indent}{below}"), depth + 1);
                self.above.remove(at);
            }
        }
    }
}

/// Returns the lines before an element of a list and before what is below it.
fn branch(is_last: bool) -> (&'static str, &'static str) {
    if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") }
}

/// Returns the modalias of a device, and the pattern that matched.
fn alias_line(module: &SavedModule) -> String {
    let modalias = cut(module.modalias.as_deref().unwrap_or("-"));
    match &module.alias {
        Some(alias) => in_one_line(&format!("{modalias} matches {}", cut(alias))),
        None => in_one_line(&modalias),
    }
}

/// Returns the start of a modalias, which can be a kilobyte long.
fn cut(modalias: &str) -> String {
    match modalias.char_indices().nth(MAX_ALIAS) {
        Some((end, _)) => format!("{}…", modalias.get(..end).unwrap_or_default()),
        None => modalias.to_owned(),
    }
}

/// Returns a module with its outcome and time, and its name if it was asked for.
fn module_line(module: &SavedModule) -> String {
    let mut line = format!("{}  {}", module.name, module.outcome);
    if let Some(took_us) = module.took_us() {
        line += &format!("  {} ms", millis(took_us));
    }
    if let (None, Some(request)) = (&module.device, &module.modalias) {
        line += &format!("  as {request}");
    }
    if module.why.starts_with("softdep of ") {
        line += "  (softdep)";
    }
    if let Some(consumer) = &module.supplier_of {
        line += &format!("  supplier of {consumer}");
    }
    if let Some(error) = &module.error {
        line += &format!(": {error}");
    }
    in_one_line(&line)
}

#[cfg(test)]
mod tests {
    use super::super::super::saved::tests::record;
    use super::*;

    const MODULES: &str = r#""modules": [
        {"name": "ring", "outcome": "loaded", "why": "dependency of virtio", "needs": []},
        {"name": "virtio", "outcome": "loaded", "why": "dependency of pci", "needs": ["ring"]},
        {"name": "pci", "outcome": "loaded", "start_us": 1000, "end_us": 3500, "device": "pci0/3",
         "modalias": "pci:v1", "alias": "pci:v*", "needs": ["virtio", "ring"]},
        {"name": "blk", "outcome": "failed", "error": "no\nway", "device": "pci0/3/virtio0",
         "modalias": "virtio:d2", "alias": "virtio:d*", "needs": ["virtio"]},
        {"name": "ext4", "outcome": "loaded", "modalias": "fs-ext4", "why": "asked"},
        {"name": "left", "outcome": "waiting", "why": "dependency of nobody"}]"#;

    #[test]
    fn devices_lead_to_modules() {
        let want = "\
pci0/3
└─ pci:v1 matches pci:v*
   └─ pci  loaded  2.5 ms
      ├─ virtio  loaded
      │  └─ ring  loaded
      └─ ring  loaded
pci0/3/virtio0
└─ virtio:d2 matches virtio:d*
   └─ blk  failed: no; way
      └─ virtio  loaded (see its dependencies above)
requested by name
└─ ext4  loaded  as fs-ext4
dependency of nobody
└─ left  waiting
";
        assert_eq!(tree(&record(MODULES), None).unwrap(), want);
    }

    #[test]
    fn a_module_is_shown_below_all_that_want_it() {
        let record = record(MODULES);
        let names = |only| tree(&record, Some(only));
        assert_eq!(names("none"), None);
        let want = "pci0/3\n└─ pci:v1 matches pci:v*\n   └─ pci  loaded  2.5 ms\n";
        assert_eq!(names("pci").unwrap(), want);
        let ring = names("ring").unwrap();
        assert!(ring.contains("pci0/3/virtio0") && !ring.contains("ext4"), "{ring}");
    }

    #[test]
    fn dependency_cycles_end() {
        let record = record(
            r#""modules": [{"name": "a", "why": "dependency of b", "needs": ["b", "a"]},
            {"name": "b", "why": "dependency of a", "needs": ["a"]}]"#,
        );
        let tree = tree(&record, None).unwrap();
        assert_eq!(tree.lines().count(), 3, "{tree}");
        let many: Vec<_> =
            (0..5000).map(|n| format!(r#"{{"name": "m{n}", "needs": ["m{}"]}}"#, n + 1)).collect();
        let record = super::super::super::saved::tests::record(&format!(
            r#""modules": [{}]"#,
            many.join(", ")
        ));
        assert!(super::tree(&record, None).unwrap().contains("m4999"));
    }
}
