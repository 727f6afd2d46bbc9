//! The meaning of a line.

use super::error::{Invalid, LineError, invalid};
use super::shell;
use super::words::{Variables, split_word};
use crate::kmod::alias;

/// A line, split into keyword and arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SplitLine<'a> {
    /// Whether `add` stands before the keyword.
    pub(super) add: bool,
    /// The first word.
    pub(super) keyword: &'a str,
    /// Whether a `=` follows the keyword.
    pub(super) assigns: bool,
    /// The arguments.
    pub(super) rest: &'a str,
}

impl<'a> SplitLine<'a> {
    /// Splits a line.
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.trim_ascii_start();
        let added = text.strip_prefix("add").filter(|rest| rest.trim_ascii_start() != *rest);
        let text = added.map_or(text, str::trim_ascii_start);
        let end = text.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(text.len());
        let (keyword, rest) = text.split_at(end);
        let assigned = rest.strip_prefix('=');
        let rest = assigned.unwrap_or(rest).trim_ascii_start();
        Self { add: added.is_some(), keyword, assigns: assigned.is_some(), rest }
    }
}

/// When a command of a module runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CommandKind {
    /// Before the load.
    PreInstall,
    /// Instead of the load.
    Install,
    /// After the load.
    PostInstall,
    /// Before the removal.
    PreRemove,
    /// Instead of the removal.
    Remove,
    /// After the removal.
    PostRemove,
}

/// A line that configures modprobe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// `alias NAME RESULT`.
    Alias { name: String, result: String },
    /// `options MODULE WORD…`.
    Options { name: String, words: Vec<String>, add: bool },
    /// `above` and `below`: modules that are loaded together with another.
    PullIn { above: bool, name: String, names: Vec<String>, add: bool },
    /// `probe` and `probeall`; the words are names, each followed by its options.
    Probe { all: bool, name: String, words: Vec<String>, add: bool },
    /// A shell command.
    Command { kind: CommandKind, name: String, command: String },
    /// A line without an equivalent, with the reason.
    NoEquivalent(&'static str),
}

const INDEXES: &str = "the index files have fixed names in /lib/modules/RELEASE";
const PERSISTDIR: &str = "modules store no persistent data since Linux 2.6";

/// Lines without an equivalent: keyword, whether a `=` follows it, reason.
const NO_EQUIVALENT: [(&str, bool, &str); 12] = [
    ("keep", false, "it applies to 'path' only"),
    ("prune", false, "depmod indexes modules only; depmod.d has 'exclude'"),
    ("insmod_opt", true, "modprobe does not run insmod"),
    ("persistdir", true, PERSISTDIR),
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
    "modules are below /lib/modules/RELEASE; depmod.d has 'search' for an order among them";

/// Returns the reason if `line` has no equivalent.
pub(super) fn no_equivalent(line: &SplitLine<'_>) -> Option<&'static str> {
    let SplitLine { keyword, assigns, .. } = *line;
    if assigns && (keyword == "path" || keyword.starts_with("path[") && keyword.ends_with(']')) {
        return Some(PATH);
    }
    let known = |(name, equals, _): &&(&str, bool, _)| *name == keyword && *equals == assigns;
    match NO_EQUIVALENT.iter().find(known) {
        // The manual page has it without `=`, modutils with.
        None if keyword == "persistdir" => Some(PERSISTDIR),
        found => found.map(|(_, _, reason)| *reason),
    }
}

impl CommandKind {
    /// Returns the kind of command that follows `keyword`.
    fn parse(keyword: &str) -> Option<Self> {
        Some(match keyword {
            "pre-install" => Self::PreInstall,
            "install" => Self::Install,
            "post-install" => Self::PostInstall,
            "pre-remove" => Self::PreRemove,
            "remove" => Self::Remove,
            "post-remove" => Self::PostRemove,
            _ => return None,
        })
    }

    /// Returns the keyword.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::PreInstall => "pre-install",
            Self::Install => "install",
            Self::PostInstall => "post-install",
            Self::PreRemove => "pre-remove",
            Self::Remove => "remove",
            Self::PostRemove => "post-remove",
        }
    }
}

/// Parses a line other than `if`, `define` and `include`.
pub(super) fn statement(
    line: &SplitLine<'_>,
    variables: &Variables,
) -> Result<Statement, LineError> {
    let SplitLine { add, keyword, assigns, rest } = *line;
    if let Some(reason) = no_equivalent(line) {
        return Ok(Statement::NoEquivalent(reason));
    }
    if assigns {
        return invalid(Invalid::UnknownKeyword([keyword, "="].concat()));
    }
    if let Some(kind) = CommandKind::parse(keyword) {
        return command(kind, rest);
    }
    match keyword {
        "alias" => {
            let (name, rest) = split_name(keyword, rest, is_pattern)?;
            let result = check_name(keyword, variables.expand_first(rest)?, is_name)?;
            Ok(Statement::Alias { name, result })
        }
        "options" => {
            // `-k` marked the module as autoclean; today no module is.
            let (flag, after) = split_word(rest);
            let rest = if flag == "-k" { after } else { rest };
            let (name, rest) = split_name(keyword, rest, is_pattern)?;
            Ok(Statement::Options { name, words: variables.expand(rest)?, add })
        }
        "above" | "below" => {
            let (name, rest) = split_name(keyword, rest, is_name)?;
            let names = variables.expand(rest)?;
            for pulled_in in &names {
                check_name(keyword, pulled_in.clone(), is_name)?;
            }
            Ok(Statement::PullIn { above: keyword == "above", name, names, add })
        }
        "probe" | "probeall" => probe(keyword, rest, add, variables),
        _ if is_of_modprobe_d(keyword) => invalid(Invalid::ModprobeKeyword(keyword.to_owned())),
        _ => invalid(Invalid::UnknownKeyword(keyword.to_owned())),
    }
}

/// Returns whether only modprobe.d(5) has the keyword.
pub(super) fn is_of_modprobe_d(keyword: &str) -> bool {
    matches!(keyword, "blacklist" | "softdep" | "weakdep" | "mask" | "rule" | "config")
}

fn probe(
    keyword: &str,
    rest: &str,
    add: bool,
    variables: &Variables,
) -> Result<Statement, LineError> {
    let (name, rest) = split_name(keyword, rest, is_pattern)?;
    let words = variables.expand(rest)?;
    // The first word must be a name.
    check_name(keyword, words.first().cloned().unwrap_or_default(), is_name)?;
    for probed in words.iter().filter(|w| !is_parameter(w)) {
        check_name(keyword, probed.clone(), is_name)?;
    }
    Ok(Statement::Probe { all: keyword == "probeall", name, words, add })
}

fn command(kind: CommandKind, rest: &str) -> Result<Statement, LineError> {
    let (name, command) = split_name(kind.as_str(), rest, is_name)?;
    if command.is_empty() {
        return invalid(Invalid::MissingCommand([kind.as_str(), &name].join(" ")));
    }
    Ok(Statement::Command { kind, name, command: shell::modernize(command) })
}

/// Splits off the name at the start of `rest`.
fn split_name<'a>(
    keyword: &str,
    rest: &'a str,
    is_valid: fn(char) -> bool,
) -> Result<(String, &'a str), LineError> {
    let (name, rest) = split_word(rest);
    Ok((check_name(keyword, name.to_owned(), is_valid)?, rest))
}

/// Checks that the name is valid in modprobe.d.
fn check_name(
    keyword: &str,
    name: String,
    is_valid: fn(char) -> bool,
) -> Result<String, LineError> {
    if name.is_empty() {
        return invalid(Invalid::MissingName(keyword.to_owned()));
    }
    let is_flag = name.starts_with('-');
    if is_flag || !name.chars().all(is_valid) || alias::normalize(name.as_bytes()).is_err() {
        return invalid(Invalid::BadName(name));
    }
    Ok(name)
}

/// Returns whether a word has the form `PARAMETER=VALUE`.
pub(super) fn is_parameter(word: &str) -> bool {
    let key = word.split_once('=').map(|(key, _)| key);
    key.is_some_and(|key| !key.is_empty() && !key.contains(|c: char| c.is_ascii_whitespace()))
}

/// Returns whether a module name may have the character. None of them is special to a shell.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+' | ',' | ':' | '@' | '%')
}

/// Returns whether an alias may have the character. Names of device files are patterns.
fn is_pattern(c: char) -> bool {
    is_name(c) || matches!(c, '*' | '?' | '[' | ']' | '!' | '^')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> String {
        let variables = Variables { release: "2.4.18".into(), ..Variables::default() };
        match statement(&SplitLine::new(text), &variables) {
            Ok(statement) => format!("{statement:?}").replace("Statement::", ""),
            Err(LineError::Invalid(error)) => format!("invalid: {error}"),
            Err(LineError::Undecided(reason)) => format!("undecided: {reason}"),
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
            let SplitLine { add, keyword, assigns, rest } = SplitLine::new(text);
            assert_eq!((add, keyword, assigns, rest), want, "{text}");
        }
    }

    #[test]
    fn statements_are_parsed() {
        for (text, want) in [
            ("alias eth0 3c59x more", r#"Alias { name: "eth0", result: "3c59x" }"#),
            ("alias /dev/sg* sg", r#"Alias { name: "/dev/sg*", result: "sg" }"#),
            (
                "options -k sb io=0x220 'irq=5'",
                r#"Options { name: "sb", words: ["io=0x220", "irq=5"], add: false }"#,
            ),
            (
                "add above a b `kernelversion`",
                r#"PullIn { above: true, name: "a", names: ["b", "2.4"], add: true }"#,
            ),
            (
                "probe eth0 ne io=1 3c59x",
                r#"Probe { all: false, name: "eth0", words: ["ne", "io=1", "3c59x"], add: false }"#,
            ),
            (
                "post-install a  echo `x` \"y\"",
                r#"Command { kind: PostInstall, name: "a", command: "echo `x` \"y\"" }"#,
            ),
        ] {
            assert_eq!(parse(text), want, "{text}");
        }
        for text in ["keep", "prune x", "path=/x", "path[a]=x", "usbmapfile=x", "persistdir /x"] {
            assert!(parse(text).starts_with("NoEquivalent("), "{text}: {}", parse(text));
        }
    }

    #[test]
    fn invalid_lines_are_reported() {
        for (text, want) in [
            ("alias", "invalid: 'alias' needs a module name"),
            ("alias a", "invalid: 'alias' needs a module name"),
            ("alias a[ b", "invalid: 'a[' is not a module name"),
            ("options -k -k x=1", "invalid: '-k' is not a module name"),
            ("alias a b*", "invalid: 'b*' is not a module name"),
            ("alias a `cat x`", "undecided: command `cat x` is not run"),
            ("above a* b", "invalid: 'a*' is not a module name"),
            ("probe a", "invalid: 'probe' needs a module name"),
            ("probe a 3c*", "invalid: '3c*' is not a module name"),
            ("install a", "invalid: 'install a' needs a command"),
            ("install=x", "invalid: unknown keyword 'install='"),
            ("keep=x", "invalid: unknown keyword 'keep='"),
            ("depfile x", "invalid: unknown keyword 'depfile'"),
            ("frob x", "invalid: unknown keyword 'frob'"),
            ("blacklist x", "invalid: 'blacklist' is a keyword of modprobe.d"),
        ] {
            assert_eq!(parse(text), want, "{text}");
        }
    }
}
