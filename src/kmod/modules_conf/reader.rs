//! A file, and those that it includes, line by line: what counts, what does not, and why.

use std::rc::Rc;

use super::condition;
use super::lines::{Line, lines};
use super::statement::{Sentence, Statement, statement};
use super::words::{Variables, first};
use super::{Outside, Trouble};

/// How deep files may include each other, as in modutils.
const DEPTH: usize = 20;

/// How many files may be included in all; more are a mistake.
const FILES: usize = 200;

/// A line and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The file it stands in.
    pub(super) file: Rc<str>,
    /// Where in it.
    pub(super) line: Line,
    /// What became of it.
    pub(super) fate: Fate,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It says nothing.
    Empty,
    /// It counts.
    Counts(Statement),
    /// It is done with, for this reason.
    Done(String),
    /// It is not known whether it counts; the reason, where it is this line's own.
    Unsure(Option<String>),
    /// It is not of the language.
    Wrong(String),
}

/// Whether the lines of a branch count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Branch {
    Live,
    Dead,
    Unsure,
}

impl Branch {
    fn of(holds: bool) -> Self {
        if holds { Self::Live } else { Self::Dead }
    }
}

/// An `if` that is open.
struct If {
    line: usize,
    /// What the lines around it are.
    around: Branch,
    /// What the lines now are.
    now: Branch,
    /// Whether a branch of it was taken.
    taken: Branch,
}

impl If {
    fn new(line: usize, around: Branch) -> Self {
        Self { line, around, now: Branch::Dead, taken: Branch::Dead }
    }

    /// Whether the next condition matters.
    fn asks(&self) -> bool {
        self.around != Branch::Dead && self.taken != Branch::Live
    }

    /// Goes to the branch whose condition is `holds`.
    fn enter(&mut self, holds: Branch) {
        use Branch::{Dead, Live, Unsure};
        self.now = match (self.around, self.taken, holds) {
            (Dead, ..) | (_, Live, _) | (.., Dead) => Dead,
            (Live, Dead, Live) => Live,
            _ => Unsure,
        };
        self.taken = match (self.taken, holds) {
            (Live, _) | (_, Live) => Live,
            (Dead, Dead) => Dead,
            _ => Unsure,
        };
    }
}

/// Reads `text`, which is what `file` holds.
pub(super) fn read(file: &str, text: &[u8], outside: &dyn Outside) -> (Vec<Item>, Variables) {
    let variables = Variables { release: outside.release().to_owned(), ..Variables::default() };
    let mut reader =
        Reader { outside, variables, items: Vec::new(), open: Vec::new(), included: 0 };
    reader.file(file.into(), text);
    (reader.items, reader.variables)
}

struct Reader<'a> {
    outside: &'a dyn Outside,
    variables: Variables,
    items: Vec<Item>,
    /// The files that are being read, the innermost last.
    open: Vec<Rc<str>>,
    included: usize,
}

impl Reader<'_> {
    fn file(&mut self, file: Rc<str>, text: &[u8]) {
        self.open.push(Rc::clone(&file));
        let mut ifs: Vec<If> = Vec::new();
        for line in lines(text) {
            let at = self.items.len();
            let number = line.number;
            let item = Item { file: Rc::clone(&file), line, fate: Fate::Empty };
            self.items.push(item);
            let text = self.items[at].line.text.clone();
            let sentence = Sentence::new(&text);
            self.items[at].fate = match self.control(&sentence, number, &mut ifs) {
                Some(fate) => fate,
                None => match ifs.last().map_or(Branch::Live, |level| level.now) {
                    _ if sentence.word.is_empty() && !sentence.assigns => Fate::Empty,
                    Branch::Live => self.live(&sentence),
                    Branch::Dead => Fate::Done("not so here".into()),
                    Branch::Unsure => self.unsure(&sentence),
                },
            };
        }
        self.open.pop();
        for level in ifs {
            let find = |item: &&mut Item| item.file == file && item.line.number == level.line;
            // The file may be included twice: the last is this one.
            if let Some(item) = self.items.iter_mut().rev().find(find) {
                item.fate = Fate::Wrong("its 'endif' is missing".into());
            }
        }
    }

    /// `if` and what goes with it.
    fn control(&mut self, sentence: &Sentence<'_>, line: usize, ifs: &mut Vec<If>) -> Option<Fate> {
        if sentence.assigns {
            return None;
        }
        match sentence.word {
            "if" => {
                let around = ifs.last().map_or(Branch::Live, |level| level.now);
                ifs.push(If::new(line, around));
            }
            "elseif" | "else" => {}
            "endif" => {
                return Some(match ifs.pop() {
                    Some(_) => Fate::Done(String::new()),
                    None => Fate::Wrong("there is no 'if' for this 'endif'".into()),
                });
            }
            _ => return None,
        }
        let Some(level) = ifs.last_mut() else {
            return Some(Fate::Wrong(format!("there is no 'if' for this '{}'", sentence.word)));
        };
        Some(self.branch(sentence, level))
    }

    /// Goes to the branch that `sentence` opens.
    fn branch(&self, sentence: &Sentence<'_>, level: &mut If) -> Fate {
        if sentence.word == "else" || !level.asks() {
            level.enter(Branch::Live);
            return Fate::Done(String::new());
        }
        match condition::holds(sentence.rest, &self.variables, self.outside) {
            Ok(holds) => {
                level.enter(Branch::of(holds));
                Fate::Done(if holds { "so it is" } else { "not so here" }.into())
            }
            Err(trouble) => {
                level.enter(Branch::Unsure);
                match trouble {
                    Trouble::Wrong(why) => Fate::Wrong(why),
                    Trouble::Unsure(why) => {
                        Fate::Unsure(Some(format!("{why}: none of its branches counts")))
                    }
                }
            }
        }
    }

    /// A line that counts.
    fn live(&mut self, sentence: &Sentence<'_>) -> Fate {
        let done = match (sentence.word, sentence.assigns) {
            ("define", false) => self.define(sentence.rest),
            ("include", false) => self.include(sentence.rest),
            _ => statement(sentence, &self.variables).map(Fate::Counts),
        };
        match done {
            Ok(fate) => fate,
            Err(Trouble::Wrong(why)) => Fate::Wrong(why),
            Err(Trouble::Unsure(why)) => {
                Fate::Unsure(Some(format!("{why}: the line does not count")))
            }
        }
    }

    /// A line in a branch that may count: what it would define is not known from here on.
    fn unsure(&mut self, sentence: &Sentence<'_>) -> Fate {
        if sentence.word == "define" && !sentence.assigns {
            let (name, _) = first(sentence.rest);
            *self.variables.defined.of(name) = None;
        }
        Fate::Unsure(None)
    }

    fn define(&mut self, rest: &str) -> Result<Fate, Trouble> {
        let (name, value) = first(rest);
        let starts = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
        if !starts || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
            return Trouble::wrong(format!("'{name}' is no name of a variable"));
        }
        let value = self.variables.expand_first(value);
        let known = value.as_ref().ok().cloned();
        *self.variables.defined.of(name) = known;
        value.map(|value| Fate::Done(format!("${name} is '{value}' from here on")))
    }

    fn include(&mut self, rest: &str) -> Result<Fate, Trouble> {
        let file = self.variables.expand_first(rest)?;
        if file.is_empty() {
            return Trouble::wrong("'include' lacks a file");
        }
        if file.contains(['*', '?', '[']) {
            return Trouble::unsure(format!("'{file}' is a pattern of files"));
        }
        if let Some(at) = self.open.iter().position(|open| **open == *file) {
            let circle = [&self.open[at..], &[file.into()]].concat().join(" includes ");
            return Trouble::wrong(format!("files go in a circle: {circle}"));
        }
        if self.open.len() > DEPTH || self.included >= FILES {
            return Trouble::wrong(format!("'{file}' is included too deep, or the {FILES}th file"));
        }
        self.included += 1;
        let text = self.outside.read(&file);
        let text = text.map_err(|why| Trouble::Wrong(format!("cannot read {file}: {why}")))?;
        self.file(file.into(), &text);
        Ok(Fate::Done("its lines:".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Machine;
    use super::*;

    fn fates(text: &str, files: &[(&'static str, &'static str)]) -> Vec<String> {
        let machine = Machine(files.iter().copied().collect());
        let (items, _) = read("m", text.as_bytes(), &machine);
        let show = |item: &Item| {
            let fate = match &item.fate {
                Fate::Empty => return None,
                Fate::Counts(_) => "counts".to_owned(),
                Fate::Done(why) => why.clone(),
                Fate::Unsure(why) => format!("? {}", why.as_deref().unwrap_or_default()),
                Fate::Wrong(why) => format!("wrong: {why}"),
            };
            Some(format!("{}:{} {fate}", item.file, item.line.number).trim().to_owned())
        };
        items.iter().filter_map(show).collect()
    }

    #[test]
    fn branches_count_or_not() {
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
            let marks = items.iter().filter(alias).map(|item| match item.fate {
                Fate::Counts(_) => '+',
                Fate::Done(_) => '-',
                Fate::Unsure(None) => '?',
                _ => '!',
            });
            assert_eq!(marks.collect::<String>(), want, "{text}");
        }
    }

    #[test]
    fn a_variable_of_a_doubtful_branch_is_doubtful() {
        let text = "define A 1\nif $A\ndefine A 0\nendif\nif $A\nfrob\nendif\n\
                    if -k\ndefine A x\nendif\nif $A\nendif";
        assert_eq!(
            fates(text, &[]),
            [
                "m:1 $A is '1' from here on",
                "m:2 so it is",
                "m:3 $A is '0' from here on",
                "m:4",
                "m:5 not so here",
                "m:6 not so here",
                "m:7",
                "m:8 ? '-k' hangs on who calls: none of its branches counts",
                "m:9 ?",
                "m:10",
                "m:11 ? what $A is is not known: none of its branches counts",
                "m:12",
            ]
        );
    }

    #[test]
    fn files_are_included_and_circles_named() {
        let files = [("/a", "alias a b\ninclude /b\n"), ("/b", "include /a\nfrob\n")];
        assert_eq!(
            fates("define D /\ninclude ${D}a\ninclude /c\ninclude /x*\ninclude\n", &files),
            [
                "m:1 $D is '/' from here on",
                "m:2 its lines:",
                "/a:1 counts",
                "/a:2 its lines:",
                "/b:1 wrong: files go in a circle: /a includes /b includes /a",
                "/b:2 wrong: nothing is called 'frob'",
                "m:3 wrong: cannot read /c: No such file or directory",
                "m:4 ? '/x*' is a pattern of files: the line does not count",
                "m:5 wrong: 'include' lacks a file",
            ]
        );
    }

    #[test]
    fn every_if_has_its_end_in_its_file() {
        let files = [("/a", "endif\nif 1\nalias a b\n")];
        assert_eq!(
            fates("if 1\ninclude /a\nelse\nendif\nelse\nelseif 1\nif=1\ndefine 1x y\n", &files),
            [
                "m:1 so it is",
                "m:2 its lines:",
                "/a:1 wrong: there is no 'if' for this 'endif'",
                "/a:2 wrong: its 'endif' is missing",
                "/a:3 counts",
                "m:3",
                "m:4",
                "m:5 wrong: there is no 'if' for this 'else'",
                "m:6 wrong: there is no 'if' for this 'elseif'",
                "m:7 wrong: nothing is called 'if='",
                "m:8 wrong: '1x' is no name of a variable",
            ]
        );
    }

    #[test]
    fn too_many_files_are_an_end() {
        struct Endless;
        impl Outside for Endless {
            fn release(&self) -> &str {
                "1"
            }
            fn exists(&self, _: &str) -> bool {
                true
            }
            fn read(&self, path: &str) -> Result<Vec<u8>, String> {
                Ok(format!("include {path}x\ninclude {path}y\n").into_bytes())
            }
        }
        let (items, _) = read("/", b"include /x", &Endless);
        assert_eq!(items.iter().filter(|i| matches!(i.fate, Fate::Done(_))).count(), FILES);
        let deepest = items.iter().map(|i| i.file.len()).max();
        assert_eq!(deepest, Some(DEPTH + 1));
    }
}
