//! What a line says.

use super::words::{Variables, first};
use super::{Trouble, shell};
use crate::kmod::alias;

/// A line, split but not yet looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sentence<'a> {
    /// Whether `add` stands before it.
    pub(super) add: bool,
    /// The first word.
    pub(super) word: &'a str,
    /// Whether a `=` ends that.
    pub(super) assigns: bool,
    /// The rest.
    pub(super) rest: &'a str,
}

impl<'a> Sentence<'a> {
    /// Splits a line.
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.trim_ascii_start();
        let added = text.strip_prefix("add").filter(|rest| rest.trim_ascii_start() != *rest);
        let text = added.map_or(text, str::trim_ascii_start);
        let end = text.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        let assigned = rest.strip_prefix('=');
        let rest = assigned.unwrap_or(rest).trim_ascii_start();
        Self { add: added.is_some(), word, assigns: assigned.is_some(), rest }
    }
}

/// Which of a module's commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    PreInstall,
    Install,
    PostInstall,
    PreRemove,
    Remove,
    PostRemove,
}

/// What counts for modprobe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// `alias NAME RESULT`.
    Alias { name: String, result: String },
    /// `options MODULE WORD…`.
    Options { name: String, words: Vec<String>, add: bool },
    /// `above` and `below`.
    Pull { above: bool, name: String, names: Vec<String>, add: bool },
    /// `probe` and `probeall`; the words are names, and options behind them.
    Probe { all: bool, name: String, words: Vec<String>, add: bool },
    /// A command, for the shell.
    Command { when: When, name: String, command: String },
    /// It has no equivalent, and why.
    Nothing(&'static str),
}

const INDEXES: &str = "the index files have fixed names in /lib/modules/RELEASE";

/// Lines that say nothing to modprobe: first word, whether it takes a `=`, why.
const NOTHING: [(&str, bool, &str); 12] = [
    ("keep", false, "it goes with 'path'"),
    ("prune", false, "depmod indexes modules only; depmod.d has 'exclude'"),
    ("insmod_opt", true, "modprobe calls no insmod"),
    ("persistdir", true, "modules have kept no data since Linux 2.6"),
    ("depfile", true, INDEXES),
    ("generic_stringfile", true, INDEXES),
    ("pcimapfile", true, INDEXES),
    ("isapnpmapfile", true, INDEXES),
    ("usbmapfile", true, INDEXES),
    ("parportmapfile", true, INDEXES),
    ("ieee1394mapfile", true, INDEXES),
    ("pnpbiosmapfile", true, INDEXES),
];

const PATH: &str =
    "modules lie below /lib/modules/RELEASE; for an order among them depmod.d has 'search'";

/// Why `sentence` has no equivalent, if it is of those.
pub(super) fn nothing(sentence: &Sentence<'_>) -> Option<&'static str> {
    let Sentence { word, assigns, .. } = *sentence;
    if assigns && (word == "path" || word.starts_with("path[") && word.ends_with(']')) {
        return Some(PATH);
    }
    let known = |(name, equals, _): &&(&str, bool, _)| *name == word && *equals == assigns;
    match NOTHING.iter().find(known) {
        // The manual has it without a `=`, modutils with one.
        None if word == "persistdir" => Some(NOTHING[3].2),
        found => found.map(|(_, _, why)| *why),
    }
}

/// The command that `word` announces.
pub(super) fn when(word: &str) -> Option<When> {
    Some(match word {
        "pre-install" => When::PreInstall,
        "install" => When::Install,
        "post-install" => When::PostInstall,
        "pre-remove" => When::PreRemove,
        "remove" => When::Remove,
        "post-remove" => When::PostRemove,
        _ => return None,
    })
}

/// What a line says that is neither of `if`, `define` nor `include`.
pub(super) fn statement(
    sentence: &Sentence<'_>,
    variables: &Variables,
) -> Result<Statement, Trouble> {
    let Sentence { add, word, assigns, rest } = *sentence;
    if let Some(why) = nothing(sentence) {
        return Ok(Statement::Nothing(why));
    }
    if assigns {
        return Trouble::wrong(format!("nothing is called '{word}='"));
    }
    if let Some(when) = when(word) {
        return command(when, word, rest);
    }
    Ok(match word {
        "alias" => {
            let (name, rest) = named(word, rest, is_pattern)?;
            let result = variables.expand_first(rest)?;
            let result = checked(word, result, is_name)?;
            Statement::Alias { name, result }
        }
        "options" => {
            // Whether the module may go by itself; today none does.
            let (flag, after) = first(rest);
            let (name, rest) = named(word, if flag == "-k" { after } else { rest }, is_pattern)?;
            Statement::Options { name, words: variables.expand(rest)?, add }
        }
        "above" | "below" => {
            let (name, rest) = named(word, rest, is_name)?;
            let names = variables.expand(rest)?;
            for pulled in &names {
                checked(word, pulled.clone(), is_name)?;
            }
            Statement::Pull { above: word == "above", name, names, add }
        }
        "probe" | "probeall" => {
            let (name, rest) = named(word, rest, is_pattern)?;
            let words = variables.expand(rest)?;
            // What comes first is a name.
            checked(word, words.first().cloned().unwrap_or_default(), is_name)?;
            for probed in words.iter().filter(|w| !is_parameter(w)) {
                checked(word, probed.clone(), is_name)?;
            }
            Statement::Probe { all: word == "probeall", name, words, add }
        }
        _ if is_of_modprobe_d(word) => {
            return Trouble::wrong(format!("'{word}' is a word of modprobe.d"));
        }
        _ => return Trouble::wrong(format!("nothing is called '{word}'")),
    })
}

/// Whether only modprobe.d(5) knows the word.
pub(super) fn is_of_modprobe_d(word: &str) -> bool {
    matches!(word, "blacklist" | "softdep" | "weakdep" | "mask" | "rule" | "config")
}

fn command(when: When, word: &str, rest: &str) -> Result<Statement, Trouble> {
    let (name, command) = named(word, rest, is_name)?;
    if command.is_empty() {
        return Trouble::wrong(format!("'{word} {name}' has no command"));
    }
    Ok(Statement::Command { when, name, command: shell::today(command) })
}

/// The name that `rest` starts with, and what follows it.
fn named<'a>(
    word: &str,
    rest: &'a str,
    fits: fn(char) -> bool,
) -> Result<(String, &'a str), Trouble> {
    let (name, rest) = first(rest);
    Ok((checked(word, name.to_owned(), fits)?, rest))
}

/// A name that modprobe.d can have too.
fn checked(word: &str, name: String, fits: fn(char) -> bool) -> Result<String, Trouble> {
    if name.is_empty() {
        return Trouble::wrong(format!("'{word}' lacks a name"));
    }
    let is_flag = name.starts_with('-');
    if is_flag || !name.chars().all(fits) || alias::normalize(name.as_bytes()).is_err() {
        return Trouble::wrong(format!("'{name}' is no name of a module"));
    }
    Ok(name)
}

/// Whether a word gives a module's parameter a value.
pub(super) fn is_parameter(word: &str) -> bool {
    let key = word.split_once('=').map(|(key, _)| key);
    key.is_some_and(|key| !key.is_empty() && !key.contains(|c: char| c.is_ascii_whitespace()))
}

/// What may stand in a name; a shell takes none of it for anything else.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+' | ',' | ':' | '@' | '%')
}

/// What may stand in a name that is asked for; names of device files are patterns.
fn is_pattern(c: char) -> bool {
    is_name(c) || matches!(c, '*' | '?' | '[' | ']' | '!' | '^')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &str) -> String {
        let variables = Variables { release: "2.4.18".into(), ..Variables::default() };
        match statement(&Sentence::new(text), &variables) {
            Ok(said) => format!("{said:?}").replace("Statement::", ""),
            Err(Trouble::Wrong(why)) => format!("wrong: {why}"),
            Err(Trouble::Unsure(why)) => format!("unsure: {why}"),
        }
    }

    #[test]
    fn a_line_is_split() {
        for (text, want) in [
            ("add options a b", (true, "options", false, "a b")),
            ("  path[net] =x", (false, "path[net]", false, "=x")),
            ("path[net]= /x y", (false, "path[net]", true, "/x y")),
            ("added x", (false, "added", false, "x")),
            ("add", (false, "add", false, "")),
            ("keep", (false, "keep", false, "")),
        ] {
            let Sentence { add, word, assigns, rest } = Sentence::new(text);
            assert_eq!((add, word, assigns, rest), want, "{text}");
        }
    }

    #[test]
    fn lines_say_what_they_say() {
        for (text, want) in [
            ("alias eth0 3c59x more", r#"Alias { name: "eth0", result: "3c59x" }"#),
            ("alias /dev/sg* sg", r#"Alias { name: "/dev/sg*", result: "sg" }"#),
            (
                "options -k sb io=0x220 'irq=5'",
                r#"Options { name: "sb", words: ["io=0x220", "irq=5"], add: false }"#,
            ),
            (
                "add above a b `kernelversion`",
                r#"Pull { above: true, name: "a", names: ["b", "2.4"], add: true }"#,
            ),
            (
                "probe eth0 ne io=0x300 3c59x",
                r#"Probe { all: false, name: "eth0", words: ["ne", "io=0x300", "3c59x"], add: false }"#,
            ),
            (
                "post-install a  echo `x` \"y\"",
                r#"Command { when: PostInstall, name: "a", command: "echo `x` \"y\"" }"#,
            ),
        ] {
            assert_eq!(say(text), want, "{text}");
        }
        for text in ["keep", "prune x", "path=/x", "path[a]=x", "usbmapfile=x", "persistdir /x"] {
            assert!(say(text).starts_with("Nothing("), "{text}: {}", say(text));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, want) in [
            ("alias", "wrong: 'alias' lacks a name"),
            ("alias a", "wrong: 'alias' lacks a name"),
            ("alias a[ b", "wrong: 'a[' is no name of a module"),
            ("options -k -k x=1", "wrong: '-k' is no name of a module"),
            ("alias a b*", "wrong: 'b*' is no name of a module"),
            ("alias a `cat x`", "unsure: the command `cat x` is not run"),
            ("above a* b", "wrong: 'a*' is no name of a module"),
            ("probe a", "wrong: 'probe' lacks a name"),
            ("probe a 3c*", "wrong: '3c*' is no name of a module"),
            ("install a", "wrong: 'install a' has no command"),
            ("install=x", "wrong: nothing is called 'install='"),
            ("keep=x", "wrong: nothing is called 'keep='"),
            ("depfile x", "wrong: nothing is called 'depfile'"),
            ("frob x", "wrong: nothing is called 'frob'"),
            ("blacklist x", "wrong: 'blacklist' is a word of modprobe.d"),
        ] {
            assert_eq!(say(text), want, "{text}");
        }
    }
}
