//! Transcripts: commands, and what is expected of each.
//!
//! ```text
//! # COMMENT
//! === SCENARIO                        a new scenario; the session starts afresh
//! oracle: none | kmod                 whether kmod can run the commands that follow (kmod)
//! why: REASON | none                  why kmod differs in the commands that follow
//! KEY: VALUE                          sets something up; the session defines the keys
//! $ COMMAND
//!   out: TEXT                         a line on standard output
//!   err: TEXT                         a line on standard error
//!   KEY: TEXT                         what else the session shows of the command
//!   exit: N                           the exit code, if it is not 0
//! + err: TEXT                         expected of coldplug alone
//! - err: TEXT                         expected of kmod alone
//! ```
//!
//! A NUL is written `\0`, a byte that is not UTF-8 `\xf6`. A last line without a newline is
//! followed by `\ no newline`. A difference from kmod needs a reason, and a reason a difference.
//!
//! With `COLDPLUG_ORACLE=kmod` kmod 34 of Debian 13 runs the commands instead of coldplug. With
//! `BLESS=1` the observed lines are written into the file.

use crate::note;
use std::fs;
use std::path::Path;

/// Whose line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Both,
    Coldplug,
    Kmod,
}

/// The marks at the start of an expected line.
const MARKS: [(By, &str); 3] = [(By::Both, "  "), (By::Coldplug, "+ "), (By::Kmod, "- ")];

/// An expected line.
type Expected = (By, String);

/// What runs the commands of a transcript.
pub trait Session {
    /// Starts a scenario.
    fn scenario(&mut self) {}

    /// Carries out the line `key: value`.
    ///
    /// # Panics
    ///
    /// If the session has no such key.
    fn set_up(&mut self, key: &str, value: &str) {
        panic!("unknown line '{key}: {value}'");
    }

    /// Runs `command` and returns the lines that it is expected to show.
    fn run(&mut self, command: &str) -> Vec<String>;
}

/// Returns whether kmod runs the commands.
pub fn is_kmod() -> bool {
    std::env::var_os("COLDPLUG_ORACLE").is_some_and(|oracle| oracle == "kmod")
}

/// How transcripts are run.
#[derive(Debug, Clone, Copy)]
struct Mode {
    /// Whether kmod runs the commands.
    is_kmod: bool,
    /// Whether what is observed is written into the file.
    blesses: bool,
}

impl Mode {
    fn of_environment() -> Self {
        let blesses = std::env::var_os("BLESS").is_some_and(|value| value == "1");
        Self { is_kmod: is_kmod(), blesses }
    }
}

/// Returns the lines of the two streams of a command.
pub fn streams(stdout: &[u8], stderr: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, bytes) in [("out", stdout), ("err", stderr)] {
        let text = shown(bytes);
        lines.extend(text.lines().map(|line| format!("{key}: {line}")));
        if !text.is_empty() && !text.ends_with('\n') {
            lines.push(format!("{key}: \\ no newline"));
        }
    }
    lines
}

/// Returns bytes as a transcript shows them.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text += &chunk.valid().replace('\0', "\\0");
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// Returns the line of an exit code that is not 0; -1 stands for a signal.
pub fn exit(code: Option<i32>) -> Option<String> {
    (code != Some(0)).then(|| format!("exit: {}", code.unwrap_or(-1)))
}

/// Returns a line of kmod's without the function that reports, and without the address of its
/// structure, which is another one in each run:
/// `libkmod: ERROR: some_function: text` → `libkmod: ERROR: text`, and
/// `modprobe: ERROR: ctx=0x… text` → `modprobe: ERROR: text`
pub fn without_source(line: &str) -> String {
    let Some((head, text)) = line.split_once(": ERROR: ") else { return line.to_owned() };
    let is_function = |word: &str| {
        word.contains('_') && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    };
    let text = match text.split_once(": ") {
        Some((word, text)) if head.ends_with("libkmod") && is_function(word) => text,
        _ => text,
    };
    let text = match text.strip_prefix("ctx=0x").and_then(|text| text.split_once(' ')) {
        Some((_, text)) => text,
        None => text,
    };
    format!("{head}: ERROR: {text}")
}

/// Returns the commands of the transcript in `file`.
pub fn commands(file: &Path) -> Vec<String> {
    let text = read(file);
    text.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Runs the transcript in `file`.
///
/// # Panics
///
/// If a command shows something else than is expected; the message has all such commands.
#[track_caller]
pub fn check(file: &Path, session: &mut dyn Session) {
    check_in(Mode::of_environment(), file, session);
}

#[track_caller]
fn check_in(mode: Mode, file: &Path, session: &mut dyn Session) {
    let text = read(file);
    let mut run = Run::new(mode, session);
    let mut lines = text.lines().map(Line::parse).peekable();
    while let Some(line) = lines.next() {
        match line {
            Line::Other(text) => run.other(text),
            Line::Expected(_, text) => {
                panic!("{}: {text}: this line follows no command", file.display())
            }
            Line::Command(command) => {
                let mut expected = Vec::new();
                while let Some(Line::Expected(by, text)) = lines.peek() {
                    expected.push((*by, (*text).to_owned()));
                    lines.next();
                }
                run.command(command, &expected);
            }
        }
    }
    run.give_reason("");
    if mode.blesses {
        fs::write(file, &run.text).unwrap();
    }
    note!("{}: {} commands", file.display(), run.commands);
    assert!(run.wrong.is_empty(), "{}:\n{}", file.display(), run.wrong);
}

/// One line of a transcript.
enum Line<'a> {
    /// A scenario, something to set up, a comment or an empty line.
    Other(&'a str),
    Command(&'a str),
    Expected(By, &'a str),
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Self {
        if let Some(command) = text.strip_prefix("$ ") {
            return Self::Command(command);
        }
        let marked = MARKS.iter().find_map(|(by, mark)| Some((*by, text.strip_prefix(mark)?)));
        marked.map_or(Self::Other(text), |(by, text)| Self::Expected(by, text))
    }
}

/// A transcript that is being run.
struct Run<'s> {
    mode: Mode,
    session: &'s mut dyn Session,
    /// Whether kmod can run the commands.
    has_oracle: bool,
    /// Why kmod differs; empty if it does not.
    reason: String,
    /// Whether something has differed for that reason.
    is_needed: bool,
    commands: usize,
    /// The transcript as it should be.
    text: String,
    /// The difference from what was expected.
    wrong: String,
}

impl<'s> Run<'s> {
    fn new(mode: Mode, session: &'s mut dyn Session) -> Self {
        Self {
            mode,
            session,
            has_oracle: true,
            reason: String::new(),
            is_needed: false,
            commands: 0,
            text: String::new(),
            wrong: String::new(),
        }
    }

    fn other(&mut self, text: &str) {
        self.text += &format!("{text}\n");
        if text.is_empty() || text.starts_with('#') {
            return;
        }
        if text.starts_with("=== ") {
            self.give_reason("");
            self.has_oracle = true;
            return self.session.scenario();
        }
        match text.split_once(": ").unwrap_or((text, "")) {
            ("why", "none") => self.give_reason(""),
            ("why", reason) => self.give_reason(reason),
            ("oracle", oracle) => self.has_oracle = oracle != "none",
            (key, value) => self.session.set_up(key, value),
        }
    }

    /// Sets the reason from here on. The previous one must have been needed.
    fn give_reason(&mut self, reason: &str) {
        if !self.reason.is_empty() && !self.is_needed {
            self.wrong += &format!("kmod does not differ: why: {}\n", self.reason);
        }
        (self.reason, self.is_needed) = (reason.to_owned(), false);
    }

    fn command(&mut self, command: &str, expected: &[Expected]) {
        self.text += &format!("$ {command}\n");
        self.commands += 1;
        if self.mode.is_kmod && !self.has_oracle {
            self.write(expected);
            return;
        }
        let got = self.session.run(command);
        let [ours, theirs] = [By::Coldplug, By::Kmod].map(|by| lines_of(expected, by));
        let merged = match (self.has_oracle, self.mode.is_kmod) {
            (false, _) => got.iter().map(|line| (By::Both, line.clone())).collect(),
            (true, true) => merge(&ours, &got),
            (true, false) => merge(&got, &theirs),
        };
        self.write(&merged);
        let want = if self.mode.is_kmod { theirs } else { ours };
        let differs = merged.iter().any(|(by, _)| *by != By::Both);
        self.is_needed |= differs;
        if got != want && !self.mode.blesses {
            self.wrong +=
                &format!("$ {command}\nis\n{}\nnot\n{}\n", got.join("\n"), want.join("\n"));
        } else if differs && self.reason.is_empty() {
            self.wrong += &format!("$ {command}\nthe transcript does not say why kmod differs\n");
        }
    }

    fn write(&mut self, expected: &[Expected]) {
        for (by, text) in expected {
            let mark = MARKS.iter().find(|(other, _)| other == by).map_or("", |(_, mark)| mark);
            self.text += &format!("{mark}{text}\n");
        }
    }
}

/// Returns the lines that are expected of `by`, which is not [`By::Both`].
fn lines_of(expected: &[Expected], by: By) -> Vec<String> {
    let lines = expected.iter().filter(|(of, _)| *of == By::Both || *of == by);
    lines.map(|(_, text)| text.clone()).collect()
}

/// Merges two short lists; lines that both have appear once.
fn merge(ours: &[String], kmods: &[String]) -> Vec<Expected> {
    match (ours, kmods) {
        ([], rest) => rest.iter().map(|line| (By::Kmod, line.clone())).collect(),
        (rest, []) => rest.iter().map(|line| (By::Coldplug, line.clone())).collect(),
        ([a, ours @ ..], [b, kmods @ ..]) if a == b => {
            [vec![(By::Both, a.clone())], merge(ours, kmods)].concat()
        }
        ([a, rest @ ..], _) if !kmods.contains(a) => {
            [vec![(By::Coldplug, a.clone())], merge(rest, kmods)].concat()
        }
        (_, [b, rest @ ..]) => [vec![(By::Kmod, b.clone())], merge(ours, rest)].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Mode = Mode { is_kmod: false, blesses: false };

    #[test]
    fn differences_are_marked() {
        let list = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        for (ours, kmods, want) in [
            ("abc", "abc", "  a  b  c"),
            ("axbc", "abc", "  a+ x  b  c"),
            ("abc", "axbyc", "  a- x  b- y  c"),
            ("ab", "ba", "- b  a+ b"),
            ("", "a", "- a"),
        ] {
            let mut session = Echo;
            let mut run = Run::new(PLAIN, &mut session);
            let merged = merge(&list(ours), &list(kmods));
            run.write(&merged);
            assert_eq!(run.text.replace('\n', ""), want);
            assert_eq!(lines_of(&merged, By::Coldplug), list(ours));
            assert_eq!(lines_of(&merged, By::Kmod), list(kmods));
        }
    }

    /// Prints the command.
    struct Echo;

    impl Session for Echo {
        fn run(&mut self, command: &str) -> Vec<String> {
            streams(format!("{command}\n").as_bytes(), b"")
        }
    }

    fn wrong(text: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let done = std::panic::catch_unwind(|| check_in(PLAIN, file.path(), &mut Echo));
        done.err().map_or(String::new(), |e| *e.downcast::<String>().unwrap())
    }

    #[test]
    fn a_transcript_holds_or_names_what_does_not() {
        for (text, want) in [
            ("# c\n$ a\n  out: a\noracle: none\n$ b\n  out: b\n", ""),
            ("$ a\n  out: b\n", "$ a\nis\nout: a\nnot\nout: b\n"),
            ("why: x\n$ a\n  out: a\n", "kmod does not differ: why: x\n"),
            ("$ a\n  out: a\n- out: b\n", "the transcript does not say why kmod differs\n"),
            ("why: x\n$ a\n  out: a\n- out: b\n", ""),
            ("  out: a\n", "this line follows no command"),
        ] {
            let got = wrong(text);
            assert!(got.ends_with(want) && got.is_empty() == want.is_empty(), "{text}: {got}");
        }
    }

    #[test]
    fn streams_are_lines() {
        assert_eq!(streams(b"a\nb\n", b""), ["out: a", "out: b"]);
        assert_eq!(streams(b"a\0b", b"c\n"), ["out: a\\0b", "out: \\ no newline", "err: c"]);
        assert_eq!(
            streams(b"\xf6\xc3\xb6\xc3", b""),
            ["out: \\xf6\u{f6}\\xc3", "out: \\ no newline"]
        );
        assert_eq!((exit(Some(0)), exit(None)), (None, Some("exit: -1".to_owned())));
    }
}
