//! The conversion of each statement.

use super::parameters;
use crate::kmod::modules_conf::group::Group;
use crate::kmod::modules_conf::names::{List, Names, Target, is_nothing, key};
use crate::kmod::modules_conf::reader::{Item, Outcome};
use crate::kmod::modules_conf::statement::Statement;
use crate::kmod::modules_conf::table::Table;
use crate::kmod::modules_conf::words::Variables;

/// Remark on a name that no module can be found for.
const CYCLE: &str = "is an alias cycle, or a chain of more than 500 names";

/// The conversion of one item.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    /// The lines of modprobe.d.
    pub(super) lines: Vec<String>,
    /// Why the item has no line of its own.
    pub(super) remark: Option<String>,
    /// Whether the remark is about a fault of the line.
    pub(super) is_invalid: bool,
    /// Options that were moved here from earlier lines, each with the length of its alias chain.
    pub(super) moved: Vec<(usize, String)>,
}

impl Slot {
    /// Adds options that were moved here, sorted by the length of the alias chain.
    fn add_moved(&mut self, chain_length: usize, line: String) {
        let at = self.moved.partition_point(|(other, _)| *other <= chain_length);
        self.moved.insert(at, (chain_length, line));
    }
}

/// Converts the statements among `items`. Returns a slot for each item.
pub(super) fn slots(items: &[Item], variables: Variables) -> Vec<Slot> {
    let slots = vec![Slot::default(); items.len()];
    let mut converter = Converter { variables, slots, ..Converter::default() };
    for step in [Converter::register, Converter::group, Converter::convert] {
        for (at, item) in items.iter().enumerate() {
            if let (Outcome::Statement(statement), None) =
                (&item.outcome, &converter.slots[at].remark)
            {
                step(&mut converter, at, statement);
            }
        }
    }
    converter.slots
}

/// The state of a conversion. Items are identified by their index.
#[derive(Debug, Default)]
struct Converter {
    names: Names,
    variables: Variables,
    /// The effective items by [`setting`].
    effective: Table<Vec<usize>>,
    /// The groups by the key of their module.
    groups: Table<Group>,
    /// By the key of an alias in the middle of a chain: the names at the start of the chain.
    chained: Table<Vec<String>>,
    slots: Vec<Slot>,
}

/// Returns the key for what a line sets: its keyword and the name that it is about.
fn setting(keyword: &str, name: &str) -> String {
    [keyword, &key(name)].join(" ")
}

/// Returns the keyword and the name that identify what a statement sets, and whether it adds to
/// earlier statements instead of replacing them.
fn sets(statement: &Statement) -> Option<(&'static str, &str, bool)> {
    Some(match statement {
        Statement::Alias { name, .. } => ("alias", name, false),
        Statement::Options { name, add, .. } => ("options", name, *add),
        Statement::PullIn { above: true, name, add, .. } => ("above", name, *add),
        Statement::PullIn { above: false, name, add, .. } => ("below", name, *add),
        Statement::Probe { all: true, name, add, .. } => ("probeall", name, *add),
        Statement::Probe { all: false, name, add, .. } => ("probe", name, *add),
        Statement::Command { kind, name, .. } => (kind.as_str(), name, false),
        Statement::NoEquivalent(_) => return None,
    })
}

impl Converter {
    /// Registers a statement and marks the statements that it replaces.
    fn register(&mut self, at: usize, statement: &Statement) {
        let Some((keyword, name, add)) = sets(statement) else { return };
        let effective = self.effective.get_or_insert(&setting(keyword, name));
        if !effective.is_empty() && !add {
            // Of several commands the first is used, of all else the last.
            if matches!(statement, Statement::Command { .. }) {
                self.slots[at].remark = Some("ignored: only the first such line is used".into());
                return;
            }
            for old in effective.drain(..) {
                self.slots[old].remark = Some("replaced by a later line".into());
            }
        }
        effective.push(at);
        match statement {
            Statement::Alias { name, result } => {
                result.clone_into(self.names.aliases.get_or_insert(&key(name)));
            }
            Statement::Probe { all, name, words, add } => {
                let list = self.names.lists.get_or_insert(&key(name));
                // A list replaces a list of the other kind.
                if !add || list.all != *all {
                    *list = List { all: *all, words: Vec::new() };
                }
                list.words.extend_from_slice(words);
            }
            _ => {}
        }
    }

    /// Adds a statement to the group of its module, or an alias to the chains that it is part of.
    fn group(&mut self, at: usize, statement: &Statement) {
        match statement {
            Statement::PullIn { name, .. } | Statement::Command { name, .. } => {
                for module in self.modules(name) {
                    self.groups.get_or_insert(&key(&module)).add(at, statement, &module);
                }
            }
            Statement::Alias { name, .. } => {
                let chain = self.names.alias_chain(name);
                for middle in chain.iter().skip(1).take(chain.len().saturating_sub(2)) {
                    self.chained.get_or_insert(middle).push(name.clone());
                }
            }
            _ => {}
        }
    }

    /// Returns the modules to which lines about `name` apply.
    fn modules(&self, name: &str) -> Vec<String> {
        match self.names.target(name) {
            Target::Modules(modules) if !self.names.lists.contains(&key(name)) => modules,
            _ => Vec::new(),
        }
    }

    /// Fills the slot of a statement.
    fn convert(&mut self, at: usize, statement: &Statement) {
        let mut slot = std::mem::take(&mut self.slots[at]);
        match statement {
            Statement::Alias { name, result } => self.alias(&mut slot, name, result),
            Statement::Probe { name, all, .. } => self.list(&mut slot, at, name, *all),
            Statement::Options { name, words, .. } => self.options(&mut slot, at, name, words),
            Statement::PullIn { name, .. } | Statement::Command { name, .. } => {
                self.group_line(&mut slot, at, name);
            }
            Statement::NoEquivalent(reason) => slot.remark = Some((*reason).into()),
        }
        self.slots[at] = slot;
    }

    fn alias(&self, slot: &mut Slot, name: &str, result: &str) {
        if self.names.lists.contains(&key(name)) {
            slot.remark = Some("ignored: the list of this name has priority".into());
            return;
        }
        self.target_lines(slot, name);
        let is_indirect = self.names.alias_chain(name).len() > 2
            || self.names.lists.contains(&key(result)) && !is_nothing(result);
        if is_indirect && !slot.is_invalid {
            let text = ["# alias", name, result, " # resolved to modules"].join(" ");
            slot.lines.insert(0, text);
        }
    }

    /// Converts a list. Its lines replace the last line that adds to it.
    fn list(&self, slot: &mut Slot, at: usize, name: &str, all: bool) {
        let list = self.names.lists.get(&key(name));
        let keyword = if all { "probeall" } else { "probe" };
        let effective = self.effective.get(&setting(keyword, name));
        if list.is_some_and(|list| list.all != all) {
            slot.remark = Some("ignored: the other list of this name is used".into());
        } else if effective.and_then(|items| items.last()) != Some(&at) {
            slot.remark = Some("merged into a later line".into());
        } else {
            self.target_lines(slot, name);
        }
    }

    /// Adds the lines that define `name`.
    fn target_lines(&self, slot: &mut Slot, name: &str) {
        match self.names.target(name) {
            Target::Modules(modules) => {
                slot.lines.extend(modules.iter().map(|module| ["alias", name, module].join(" ")));
            }
            Target::Nothing => slot.lines.push(["install", name, "/bin/true"].join(" ")),
            Target::Command(command) => slot.lines.push(["install", name, &command].join(" ")),
            Target::Cycle => {
                slot.is_invalid = true;
                slot.remark = Some([name, CYCLE].join(" "));
            }
        }
    }

    fn options(&mut self, slot: &mut Slot, at: usize, name: &str, words: &[String]) {
        let (parameters, rest) = parameters::split(words);
        if let Some(reason) = self.unused(name) {
            slot.remark = Some(["no options: ", &reason].concat());
            return;
        }
        if parameters.is_empty() {
            slot.remark = Some("no parameters".into());
            return;
        }
        if let Some(rest) = rest {
            let remark = " # not parameters of the module";
            slot.lines.push(["# options", name, &rest, remark].join(" "));
        }
        let chain = self.names.alias_chain(name);
        let below =
            chain.iter().skip(1).filter_map(|next| self.effective.get(&setting("options", next)));
        let last = below.flatten().copied().max().filter(|last| *last > at);
        let mut names = vec![name];
        names.extend(self.chained.get(&key(name)).into_iter().flatten().map(String::as_str));
        for name in names {
            let line = ["options", name, &parameters].join(" ");
            match last {
                None => slot.lines.push(line),
                // Of two values of a parameter the kernel uses the last.
                Some(last) => {
                    self.slots[last].add_moved(chain.len(), line);
                    slot.remark = Some("moved after the options that it overrides".into());
                }
            }
        }
    }

    /// Converts a line about the module that `name` stands for. The lines of the module's group
    /// replace the last line of the group.
    fn group_line(&self, slot: &mut Slot, at: usize, name: &str) {
        if let Some(reason) = self.unused(name) {
            slot.remark = Some(["never used: ", &reason].concat());
            return;
        }
        for module in self.modules(name) {
            let group = self.groups.get(&key(&module)).filter(|group| group.ends_at(at));
            slot.lines.extend(group.into_iter().flat_map(|g| g.lines(&self.variables.defined)));
        }
        if slot.lines.is_empty() {
            slot.remark = Some("merged into a later line".into());
        } else if key(name) != key(&name_of(&slot.lines)) {
            let remark = ": applies whenever the module is loaded or removed";
            slot.lines.insert(0, ["# from ", name, remark].concat());
        }
    }

    /// Returns the reason if modutils never used lines about `name`.
    fn unused(&self, name: &str) -> Option<String> {
        if self.names.lists.contains(&key(name)) {
            return Some([name, "is a list"].join(" "));
        }
        let reason = match self.names.target(name) {
            Target::Modules(_) => return None,
            Target::Nothing => "is off",
            Target::Command(_) => "is an alias of a list",
            Target::Cycle => CYCLE,
        };
        Some([name, reason].join(" "))
    }
}

/// Returns the name that the first line is about.
fn name_of(lines: &[String]) -> String {
    let name = lines.first().and_then(|line| line.split(' ').nth(1));
    name.unwrap_or_default().to_owned()
}
