//! Reads a file and its includes line by line, and determines which lines have an effect.

use std::rc::Rc;

use super::Environment;
use super::condition;
use super::error::{Invalid, LineError, Undecided, invalid, undecided};
use super::lines::{Line, lines};
use super::statement::{SplitLine, Statement, statement};
use super::words::{Variables, split_word};

/// Deepest nesting of included files, as in modutils.
const MAX_DEPTH: usize = 20;

/// Largest number of included files.
const MAX_FILES: usize = 200;

/// A line with its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The file of the line.
    pub(super) file: Rc<str>,
    /// The line.
    pub(super) line: Line,
    /// The outcome of the line.
    pub(super) outcome: Outcome,
}

/// The outcome of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The line is empty.
    Empty,
    /// The line configures modprobe.
    Statement(Statement),
    /// The line is complete here, with a remark about its result.
    Done(String),
    /// A condition that cannot be evaluated, so that no branch has an effect.
    UndecidedCondition(Undecided),
    /// A line in a branch whose condition is undecided.
    UndecidedBranch,
    /// A line whose effect is undecided.
    Undecided(Undecided),
    /// The line is not valid.
    Invalid(Invalid),
}

/// Whether the lines of a branch have an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Branch {
    Active,
    Inactive,
    Undecided,
}

impl From<bool> for Branch {
    fn from(holds: bool) -> Self {
        if holds { Self::Active } else { Self::Inactive }
    }
}

/// An `if` whose `endif` was not read yet.
struct If {
    /// Line number of the `if`.
    line: usize,
    /// The state of the lines around it.
    around: Branch,
    /// The state of its current branch.
    current: Branch,
    /// Whether one of its branches so far was active.
    decided: Branch,
}

impl If {
    fn new(line: usize, around: Branch) -> Self {
        Self { line, around, current: Branch::Inactive, decided: Branch::Inactive }
    }

    /// Returns whether the next condition has to be evaluated.
    fn needs_condition(&self) -> bool {
        self.around != Branch::Inactive && self.decided != Branch::Active
    }

    /// Enters the next branch; `condition` is the value of its condition.
    fn enter(&mut self, condition: Branch) {
        use Branch::{Active, Inactive, Undecided};
        self.current = match (self.around, self.decided, condition) {
            (Inactive, ..) | (_, Active, _) | (.., Inactive) => Inactive,
            (Active, Inactive, Active) => Active,
            _ => Undecided,
        };
        self.decided = match (self.decided, condition) {
            (Active, _) | (_, Active) => Active,
            (Inactive, Inactive) => Inactive,
            _ => Undecided,
        };
    }
}

/// Reads the file `file` with the content `text`. Returns its lines and the defined variables.
pub(super) fn read(
    file: &str,
    text: &[u8],
    environment: &dyn Environment,
) -> (Vec<Item>, Variables) {
    let variables = Variables { release: environment.release().to_owned(), ..Variables::default() };
    let mut reader =
        Reader { environment, variables, items: Vec::new(), open: Vec::new(), included: 0 };
    reader.file(file.into(), text);
    (reader.items, reader.variables)
}

struct Reader<'a> {
    environment: &'a dyn Environment,
    variables: Variables,
    items: Vec<Item>,
    /// The files that are being read, the innermost last.
    open: Vec<Rc<str>>,
    /// Number of files included so far.
    included: usize,
}

impl Reader<'_> {
    fn file(&mut self, file: Rc<str>, text: &[u8]) {
        self.open.push(Rc::clone(&file));
        let mut ifs: Vec<If> = Vec::new();
        for line in lines(text) {
            let (at, number, text) = (self.items.len(), line.number, line.text.clone());
            // The item comes before those of the files that it includes.
            self.items.push(Item { file: Rc::clone(&file), line, outcome: Outcome::Empty });
            self.items[at].outcome = self.outcome(&SplitLine::new(&text), number, &mut ifs);
        }
        self.open.pop();
        for level in ifs {
            let find = |item: &&mut Item| item.file == file && item.line.number == level.line;
            // If the file was included before, its last occurrence is the one that was just read.
            if let Some(item) = self.items.iter_mut().rev().find(find) {
                item.outcome = Outcome::Invalid(Invalid::MissingEndif);
            }
        }
    }

    fn outcome(&mut self, line: &SplitLine<'_>, number: usize, ifs: &mut Vec<If>) -> Outcome {
        if let Some(outcome) = self.control(line, number, ifs) {
            return outcome;
        }
        if line.keyword.is_empty() && !line.assigns {
            return Outcome::Empty;
        }
        match ifs.last().map_or(Branch::Active, |level| level.current) {
            Branch::Active => self.active(line),
            Branch::Inactive => Outcome::Done("the condition is false".into()),
            Branch::Undecided => self.in_undecided_branch(line),
        }
    }

    /// Handles `if`, `elseif`, `else` and `endif`. Returns `None` for other lines.
    fn control(
        &mut self,
        line: &SplitLine<'_>,
        number: usize,
        ifs: &mut Vec<If>,
    ) -> Option<Outcome> {
        if line.assigns {
            return None;
        }
        let missing_if = || Outcome::Invalid(Invalid::MissingIf(line.keyword.to_owned()));
        match line.keyword {
            "if" => {
                let around = ifs.last().map_or(Branch::Active, |level| level.current);
                ifs.push(If::new(number, around));
            }
            "elseif" | "else" => {}
            "endif" => {
                let ended = ifs.pop().map(|_| Outcome::Done(String::new()));
                return Some(ended.unwrap_or_else(missing_if));
            }
            _ => return None,
        }
        Some(match ifs.last_mut() {
            Some(level) => self.branch(line, level),
            None => missing_if(),
        })
    }

    /// Enters the branch that `line` opens.
    fn branch(&self, line: &SplitLine<'_>, level: &mut If) -> Outcome {
        if line.keyword == "else" || !level.needs_condition() {
            level.enter(Branch::Active);
            return Outcome::Done(String::new());
        }
        match condition::holds(line.rest, &self.variables, self.environment) {
            Ok(holds) => {
                level.enter(holds.into());
                let text = if holds { "the condition is true" } else { "the condition is false" };
                Outcome::Done(text.into())
            }
            Err(error) => {
                level.enter(Branch::Undecided);
                match error {
                    LineError::Invalid(error) => Outcome::Invalid(error),
                    LineError::Undecided(reason) => Outcome::UndecidedCondition(reason),
                }
            }
        }
    }

    /// Handles a line that has an effect.
    fn active(&mut self, line: &SplitLine<'_>) -> Outcome {
        let outcome = match (line.keyword, line.assigns) {
            ("define", false) => self.define(line.rest),
            ("include", false) => self.include(line.rest),
            _ => statement(line, &self.variables).map(Outcome::Statement),
        };
        match outcome {
            Ok(outcome) => outcome,
            Err(LineError::Invalid(error)) => Outcome::Invalid(error),
            Err(LineError::Undecided(reason)) => Outcome::Undecided(reason),
        }
    }

    /// Handles a line in an undecided branch: the variables that it defines are unknown from here
    /// on.
    fn in_undecided_branch(&mut self, line: &SplitLine<'_>) -> Outcome {
        if line.keyword == "define" && !line.assigns {
            let (name, _) = split_word(line.rest);
            *self.variables.defined.get_or_insert(name) = None;
        }
        Outcome::UndecidedBranch
    }

    fn define(&mut self, rest: &str) -> Result<Outcome, LineError> {
        let (name, value) = split_word(rest);
        let starts = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
        if !starts || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
            return invalid(Invalid::BadVariable(name.to_owned()));
        }
        let value = self.variables.expand_first(value);
        let known = value.as_ref().ok().cloned();
        *self.variables.defined.get_or_insert(name) = known;
        value.map(|value| Outcome::Done(format!("sets ${name} to '{value}'")))
    }

    fn include(&mut self, rest: &str) -> Result<Outcome, LineError> {
        let file = self.variables.expand_first(rest)?;
        if file.is_empty() {
            return invalid(Invalid::MissingFile("include".to_owned()));
        }
        if file.contains(['*', '?', '[']) {
            return undecided(Undecided::Pattern(file));
        }
        if let Some(at) = self.open.iter().position(|open| **open == *file) {
            let chain = [&self.open[at..], &[file.into()]].concat().join(" includes ");
            return invalid(Invalid::IncludeCycle(chain));
        }
        if self.open.len() > MAX_DEPTH || self.included >= MAX_FILES {
            return invalid(Invalid::TooManyIncludes(file));
        }
        self.included += 1;
        let text = self
            .environment
            .read(&file)
            .map_err(|error| LineError::Invalid(Invalid::Unreadable(error.to_string())))?;
        self.file(file.into(), &text);
        Ok(Outcome::Done("included lines follow".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Machine;
    use super::*;

    fn outcomes(text: &str, files: &[(&'static str, &'static str)]) -> Vec<String> {
        let machine = Machine(files.iter().copied().collect());
        let (items, _) = read("m", text.as_bytes(), &machine);
        let show = |item: &Item| {
            let outcome = match &item.outcome {
                Outcome::Empty => return None,
                Outcome::Statement(_) => "statement".to_owned(),
                Outcome::Done(remark) => remark.clone(),
                Outcome::UndecidedBranch => "undecided branch".to_owned(),
                Outcome::UndecidedCondition(reason) => format!("undecided condition: {reason}"),
                Outcome::Undecided(reason) => format!("undecided: {reason}"),
                Outcome::Invalid(error) => format!("invalid: {error}"),
            };
            Some(format!("{}:{} {outcome}", item.file, item.line.number).trim().to_owned())
        };
        items.iter().filter_map(show).collect()
    }

    #[test]
    fn the_branch_whose_condition_is_true_is_active() {
        let x = "alias x y\n";
        for (text, want) in [
            (format!("if 1\n{x}else\n{x}endif\n{x}"), "+-+"),
            (format!("if 0\n{x}elseif 1\n{x}elseif 1\n{x}else\n{x}endif"), "-+--"),
            (format!("if 0\n{x}elseif 0\n{x}else\n{x}endif"), "--+"),
            (format!("if 0\nif 1\n{x}else\n{x}endif\n{x}else\n{x}endif"), "---+"),
            (format!("if -k\n{x}elseif 0\n{x}elseif 1\n{x}else\n{x}endif\n{x}"), "?-?-+"),
            (format!("if -k\n{x}else\n{x}endif"), "??"),
            (format!("if -k\nif 0\n{x}else\n{x}endif\nendif"), "-?"),
            (format!("if 1\n{x}elseif -k\n{x}else\n{x}endif"), "+--"),
            (format!("if a ~ b\n{x}endif"), "?"),
        ] {
            let machine = Machine::default();
            let (items, _) = read("m", text.as_bytes(), &machine);
            let alias = |item: &&Item| item.line.text.starts_with("alias");
            let marks = items.iter().filter(alias).map(|item| match item.outcome {
                Outcome::Statement(_) => '+',
                Outcome::Done(_) => '-',
                Outcome::UndecidedBranch => '?',
                _ => '!',
            });
            assert_eq!(marks.collect::<String>(), want, "{text}");
        }
    }

    #[test]
    fn a_variable_of_an_undecided_branch_is_unknown() {
        let text = "define A 1\nif $A\ndefine A 0\nendif\nif $A\nfrob\nendif\n\
                    if -k\ndefine A x\nendif\nif $A\nendif";
        assert_eq!(
            outcomes(text, &[]),
            [
                "m:1 sets $A to '1'",
                "m:2 the condition is true",
                "m:3 sets $A to '0'",
                "m:4",
                "m:5 the condition is false",
                "m:6 the condition is false",
                "m:7",
                "m:8 undecided condition: '-k' depends on the caller of modprobe",
                "m:9 undecided branch",
                "m:10",
                "m:11 undecided condition: the value of $A is unknown",
                "m:12",
            ]
        );
    }

    #[test]
    fn files_are_included_and_cycles_reported() {
        let files = [("/a", "alias a b\ninclude /b\n"), ("/b", "include /a\nfrob\n")];
        assert_eq!(
            outcomes("define D /\ninclude ${D}a\ninclude /c\ninclude /x*\ninclude\n", &files),
            [
                "m:1 sets $D to '/'",
                "m:2 included lines follow",
                "/a:1 statement",
                "/a:2 included lines follow",
                "/b:1 invalid: include cycle: /a includes /b includes /a",
                "/b:2 invalid: unknown keyword 'frob'",
                "m:3 invalid: read /c: No such file",
                "m:4 undecided: '/x*' is a pattern of files",
                "m:5 invalid: 'include' needs a file",
            ]
        );
    }

    #[test]
    fn every_if_ends_in_its_file() {
        let files = [("/a", "endif\nif 1\nalias a b\n")];
        assert_eq!(
            outcomes("if 1\ninclude /a\nelse\nendif\nelse\nelseif 1\nif=1\ndefine 1x y\n", &files),
            [
                "m:1 the condition is true",
                "m:2 included lines follow",
                "/a:1 invalid: 'endif' without 'if'",
                "/a:2 invalid: 'if' without 'endif'",
                "/a:3 statement",
                "m:3",
                "m:4",
                "m:5 invalid: 'else' without 'if'",
                "m:6 invalid: 'elseif' without 'if'",
                "m:7 invalid: unknown keyword 'if='",
                "m:8 invalid: '1x' is not a variable name",
            ]
        );
    }

    #[test]
    fn the_number_of_included_files_is_limited() {
        struct Endless;
        impl Environment for Endless {
            fn release(&self) -> &str {
                "1"
            }
            fn exists(&self, _: &str) -> bool {
                true
            }
            fn read(&self, path: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
                Ok(format!("include {path}x\ninclude {path}y\n").into_bytes())
            }
        }
        let (items, _) = read("/", b"include /x", &Endless);
        assert_eq!(
            items.iter().filter(|i| matches!(i.outcome, Outcome::Done(_))).count(),
            MAX_FILES
        );
        let deepest = items.iter().map(|i| i.file.len()).max();
        assert_eq!(deepest, Some(MAX_DEPTH + 1));
    }
}
