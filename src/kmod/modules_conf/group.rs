//! Everything that belongs to one module: the modules loaded with it, its commands, and the lines
//! of modprobe.d for them.

use super::shell::{MODPROBE, exports};
use super::statement::{CommandKind, Statement};
use super::table::Table;

/// The variables by name; `None` if the value is unknown.
type Variables = Table<Option<String>>;

/// Everything that goes into the line of one module.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// The name of the module, as written in the file.
    module: String,
    /// The index of the last item about the module.
    last: usize,
    above: Vec<String>,
    below: Vec<String>,
    commands: Vec<(CommandKind, String)>,
}

impl Group {
    /// Adds the statement of item `at` about `module`.
    pub(super) fn add(&mut self, at: usize, statement: &Statement, module: &str) {
        self.last = at;
        module.clone_into(&mut self.module);
        match statement {
            Statement::PullIn { above, names, .. } => {
                let list = if *above { &mut self.above } else { &mut self.below };
                for name in names {
                    if !list.contains(name) {
                        list.push(name.clone());
                    }
                }
            }
            Statement::Command { kind, command, .. } => {
                self.commands.push((*kind, command.clone()));
            }
            _ => {}
        }
    }

    /// Returns whether item `at` is the last of the group, so that the lines replace it.
    pub(super) fn ends_at(&self, at: usize) -> bool {
        self.last == at
    }

    /// Returns the lines of modprobe.d.
    pub(super) fn lines(&self, variables: &Variables) -> Vec<String> {
        let installs = self.commands.iter().any(|(kind, _)| *kind <= CommandKind::PostInstall);
        let removes = self.commands.iter().any(|(kind, _)| *kind > CommandKind::PostInstall);
        let mut lines = Vec::new();
        if installs {
            lines.push(["install ", &self.module, " ", &self.install(variables)].concat());
        } else if !self.above.is_empty() || !self.below.is_empty() {
            lines.push(self.softdep());
        }
        if removes || installs && !self.above.is_empty() {
            lines.push(["remove ", &self.module, " ", &self.remove(variables)].concat());
        }
        lines
    }

    /// Returns the softdep line. The lists are reversed: modutils loaded them from right to left.
    fn softdep(&self) -> String {
        let mut words = vec!["softdep", &self.module];
        for (word, names) in [("pre:", &self.below), ("post:", &self.above)] {
            if !names.is_empty() {
                words.push(word);
                words.extend(names.iter().rev().map(String::as_str));
            }
        }
        words.join(" ")
    }

    fn install(&self, variables: &Variables) -> String {
        let load = [MODPROBE, "--ignore-install", &self.module, "$CMDLINE_OPTS"].join(" ");
        let kinds = [CommandKind::PreInstall, CommandKind::Install, CommandKind::PostInstall];
        let has_others = !self.above.is_empty() || !self.below.is_empty();
        let main = self.chain(kinds, &load, has_others);
        let mut line = exports(&main, variables);
        add_calls(&mut line, "-q", self.below.iter().rev());
        line += &main;
        if !self.above.is_empty() {
            line += " && { ";
            add_calls(&mut line, "-q", self.above.iter().rev());
            line += ":; }";
        }
        line
    }

    fn remove(&self, variables: &Variables) -> String {
        let remove = [MODPROBE, "-r", "--ignore-remove", &self.module].join(" ");
        let kinds = [CommandKind::PreRemove, CommandKind::Remove, CommandKind::PostRemove];
        let main = self.chain(kinds, &remove, !self.above.is_empty());
        let mut line = exports(&main, variables);
        add_calls(&mut line, "-r -q", self.above.iter());
        line + &main
    }

    /// Joins the commands of `kinds` so that they run up to the first one that fails. If there is
    /// none of the second kind, `default` stands in its place. A single command is unchanged unless
    /// the line `has_others`.
    fn chain(&self, kinds: [CommandKind; 3], default: &str, has_others: bool) -> String {
        let of = |kind: CommandKind| self.commands.iter().filter(move |(k, _)| *k == kind);
        let mut parts: Vec<String> = Vec::new();
        for kind in kinds {
            parts.extend(of(kind).map(|(_, command)| ["( ", command, " )"].concat()));
            if kind == kinds[1] && of(kind).next().is_none() {
                parts.push(default.to_owned());
            }
        }
        match (&parts[..], of(kinds[1]).next()) {
            ([_], Some((_, command))) if !has_others => command.clone(),
            _ => parts.join(" && "),
        }
    }
}

/// Adds a call of modprobe for each name.
fn add_calls<'a>(line: &mut String, options: &str, names: impl Iterator<Item = &'a String>) {
    for name in names {
        *line += &[MODPROBE, options, name].join(" ");
        *line += "; ";
    }
}
