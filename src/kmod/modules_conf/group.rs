//! What belongs to one module: what is loaded with it, and its commands; and the lines that these come to.

use super::shell::{MODPROBE, exports};
use super::statement::{Statement, When};
use super::table::Table;

/// What was defined.
type Defined = Table<Option<String>>;

/// What belongs to a module and goes into one line.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// The module, as it is written.
    module: String,
    /// The last item that says something of it.
    last: usize,
    above: Vec<String>,
    below: Vec<String>,
    commands: Vec<(When, String)>,
}

impl Group {
    /// Adds what item `at` says of `module`.
    pub(super) fn add(&mut self, at: usize, statement: &Statement, module: &str) {
        self.last = at;
        module.clone_into(&mut self.module);
        match statement {
            Statement::Pull { above, names, .. } => {
                let list = if *above { &mut self.above } else { &mut self.below };
                for name in names {
                    if !list.contains(name) {
                        list.push(name.clone());
                    }
                }
            }
            Statement::Command { when, command, .. } => {
                self.commands.push((*when, command.clone()))
            }
            _ => {}
        }
    }

    /// Whether its lines stand where item `at` does.
    pub(super) fn ends_at(&self, at: usize) -> bool {
        self.last == at
    }

    /// Its lines.
    pub(super) fn lines(&self, defined: &Defined) -> Vec<String> {
        let installs = self.commands.iter().any(|(when, _)| *when <= When::PostInstall);
        let removes = self.commands.iter().any(|(when, _)| *when > When::PostInstall);
        let mut lines = Vec::new();
        if installs {
            lines.push(["install ", &self.module, " ", &self.install(defined)].concat());
        } else if !self.above.is_empty() || !self.below.is_empty() {
            lines.push(self.softdep());
        }
        if removes || installs && !self.above.is_empty() {
            lines.push(["remove ", &self.module, " ", &self.remove(defined)].concat());
        }
        lines
    }

    /// modutils loaded each of a list before what stands left of it.
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

    fn install(&self, defined: &Defined) -> String {
        let own = [MODPROBE, "--ignore-install", &self.module, "$CMDLINE_OPTS"].join(" ");
        let whens = [When::PreInstall, When::Install, When::PostInstall];
        let main = self.chain(whens, &own, !self.above.is_empty() || !self.below.is_empty());
        let mut line = exports(&main, defined);
        calls(&mut line, "-q", self.below.iter().rev());
        line += &main;
        if !self.above.is_empty() {
            line += " && { ";
            calls(&mut line, "-q", self.above.iter().rev());
            line += ":; }";
        }
        line
    }

    fn remove(&self, defined: &Defined) -> String {
        let own = [MODPROBE, "-r", "--ignore-remove", &self.module].join(" ");
        let whens = [When::PreRemove, When::Remove, When::PostRemove];
        let main = self.chain(whens, &own, !self.above.is_empty());
        let mut line = exports(&main, defined);
        calls(&mut line, "-r -q", self.above.iter());
        line + &main
    }

    /// The commands of `whens` one after the other, up to the first that fails; `own` where there is none
    /// for the second. A single one is left as it is unless it goes `with` others.
    fn chain(&self, whens: [When; 3], own: &str, with: bool) -> String {
        let of = |when: When| self.commands.iter().filter(move |(w, _)| *w == when);
        let mut parts: Vec<String> = Vec::new();
        for when in whens {
            parts.extend(of(when).map(|(_, command)| ["( ", command, " )"].concat()));
            if when == whens[1] && of(when).next().is_none() {
                parts.push(own.to_owned());
            }
        }
        match (&parts[..], of(whens[1]).next()) {
            ([_], Some((_, command))) if !with => command.clone(),
            _ => parts.join(" && "),
        }
    }
}

/// Adds a call of modprobe for each name.
fn calls<'a>(line: &mut String, options: &str, names: impl Iterator<Item = &'a String>) {
    for name in names {
        *line += &[MODPROBE, options, name].join(" ");
        *line += "; ";
    }
}
