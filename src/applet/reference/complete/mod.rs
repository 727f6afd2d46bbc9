//! The completions of shells. What completes a value or an operand follows from its word in the
//! usage of the command.

mod bash;
mod fish;
mod zsh;

use std::collections::BTreeMap;

use super::sources::{path, value};
use crate::applet::COMMANDS;
use crate::applet::usage::{HELP, Opt, Usage};

/// The tools of kmod, which the program is by links.
const TOOLS: [&str; 6] = ["modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod"];

/// Returns the content of each file.
pub(super) fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::from([
        ("coldplug.bash".to_owned(), bash::script()),
        ("_coldplug".to_owned(), zsh::script()),
        ("_coldplug-kmod".to_owned(), zsh::tools()),
        ("coldplug.fish".to_owned(), fish::script()),
    ]);
    files.extend(TOOLS.map(|tool| (format!("{tool}.fish"), fish::tool(tool))));
    files
}

const HEAD: &str = "Made by BLESS=1 cargo test --lib reference from the usages of the commands.";

/// Words that complete nothing: what they stand for is free text.
const FREE: [&str; 24] = [
    "ARGUMENT",
    "CHARACTER",
    "COMMAND",
    "COUNT",
    "GLOB",
    "HASH",
    "MIB",
    "MSEC",
    "N",
    "NAME",
    "PATTERN",
    "PLACE",
    "SECONDS",
    "SIZE",
    "SLOT",
    "TEXT",
    "TYPE",
    "ACTION",
    "OPTION",
    "EXTENSION",
    "PORT",
    "DURATION",
    "NUMBER",
    "WORDS",
];

/// What a word in capitals stands for: what the functions of the scripts call it, or the words.
const WORDS: [(&str, &str); 16] = [
    ("FILE", "FILE"),
    ("OUT", "FILE"),
    ("PATH", "FILE"),
    ("IMAGE", "FILE"),
    ("INPUT", "FILE"),
    ("SRC[:/DST]", "FILE"),
    ("DEVICE", "FILE"),
    ("DIR", "DIR"),
    ("DIRECTORY", "DIR"),
    ("RELEASE", "RELEASE"),
    ("MODULE", "MODULE"),
    ("PARAMETER=VALUE", "PARAMETER"),
    ("CODEC", "none zstd xz gzip lz4"),
    ("VENDOR", "auto amd intel all"),
    ("EXTRA", "rescue gpu wireless"),
    (
        "FIELD",
        "alias author depends description filename firmware intree license name parm \
               retpoline sig_hashalgo sig_id sig_key signer softdep srcversion vermagic version",
    ),
];

/// What completes a value or an operand: words, and in capitals what the functions of the scripts
/// find: FILE, DIR, RELEASE, MODULE, LOADED, PARAMETER. The word LIST is first if commas separate
/// several. Empty for free text.
fn kinds(usage: &Usage, value: &str) -> Vec<String> {
    // report has an option for one module, which its usage calls NAME.
    let value = if usage.name == "report" && value == "NAME" { "MODULE" } else { value };
    let list = value.strip_suffix(",…");
    let mut kinds: Vec<String> = list.iter().map(|_| "LIST".to_owned()).collect();
    // [:/DST] has no `|`.
    for word in list.unwrap_or(value).split('|') {
        if word.chars().any(|c| c.is_ascii_lowercase()) {
            kinds.push(word.to_owned());
        } else if !FREE.contains(&word) {
            let known = WORDS.iter().find(|(name, _)| *name == word);
            let (_, words) = known.unwrap_or_else(|| {
                panic!("{}: {word}: say in FREE or WORDS what completes it", usage.name)
            });
            kinds.extend(words.split_whitespace().map(str::to_owned));
        }
    }
    let is_of_loaded = usage.name == "rmmod" || usage.name.starts_with("settings ");
    for kind in kinds.iter_mut().filter(|kind| *kind == "MODULE" && is_of_loaded) {
        "LOADED".clone_into(kind);
    }
    if usage.name == "image build" && kinds.iter().any(|kind| kind == "MODULE") {
        kinds.extend(sets());
    }
    kinds.dedup();
    if kinds == ["LIST"] { Vec::new() } else { kinds }
}

/// Returns the names of the sets of modules.
fn sets() -> Vec<String> {
    let entries = std::fs::read_dir(path("initramfs/modules")).unwrap();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().ok()?;
            Some(format!("@{}", name.strip_suffix(".list")?))
        })
        .collect();
    names.sort();
    names
}

/// An option as shells complete it.
struct Completed {
    letter: Option<char>,
    long: &'static str,
    meaning: &'static str,
    /// The word for the value, if it takes one.
    value: Option<&'static str>,
    is_optional: bool,
    kinds: Vec<String>,
}

/// Returns the options that help shows, with all of their names.
fn options(usage: &Usage) -> Vec<Completed> {
    let own = own_options(usage);
    let meaning = |opt: &Opt| {
        let same = own.iter().filter(|other| other.0 == opt.0 && opt.0 != '\0');
        let mut meanings = [opt].into_iter().chain(same).map(|other| other.parts().1);
        meanings.find(|meaning| !meaning.is_empty()).unwrap_or_default()
    };
    let completed = |opt: &Opt| Completed {
        letter: (!opt.0.is_control()).then_some(opt.0),
        long: opt.long(),
        meaning: meaning(opt),
        value: opt.takes_value().then(|| value(opt)),
        is_optional: opt.is_optional(),
        kinds: if opt.takes_value() { kinds(usage, value(opt)) } else { Vec::new() },
    };
    let all = own.iter().chain([&HELP]).filter(|opt| !opt.long().is_empty());
    all.map(completed).filter(|opt| !opt.meaning.is_empty()).collect()
}

/// Returns the operands of the longest form: the word, and whether it may be repeated.
fn operands(usage: &Usage) -> Vec<(&'static str, bool)> {
    let forms = usage.parts().0.lines();
    let mut longest = Vec::new();
    for found in forms.map(|form| operands_of(usage, form)) {
        if found.len() > longest.len() {
            longest = found;
        }
    }
    longest
}

fn operands_of(usage: &Usage, form: &'static str) -> Vec<(&'static str, bool)> {
    let mut operands = Vec::new();
    let mut words = form.split(' ');
    while let Some(word) = words.next() {
        let bare = word.trim_matches(['[', ']']);
        if bare.starts_with('-') {
            let name = bare.trim_start_matches('-');
            let is_it = |opt: &Opt| opt.long() == name || opt.0.to_string() == name;
            if usage.options.iter().any(|opt| opt.takes_value() && is_it(opt)) {
                words.next();
            }
        } else if !bare.starts_with("option") {
            operands.push((bare.trim_end_matches('…'), bare.ends_with('…')));
        }
    }
    operands
}

/// Returns whether the operands are a command and its arguments, where options of `usage` end.
fn runs_command(usage: &Usage) -> bool {
    usage.actions.is_empty() && operands(usage).first().is_some_and(|(word, _)| *word == "COMMAND")
}

/// Returns the commands, and after each its actions.
fn usages() -> impl Iterator<Item = &'static Usage> {
    let commands = COMMANDS.iter().map(|applet| applet.0);
    commands.flat_map(|usage| [usage].into_iter().chain(usage.actions.iter().copied()))
}

/// Returns the options of a command or an action. Those of a command belong to all of its actions
/// that have none of their own.
fn own_options(usage: &Usage) -> &'static [Opt] {
    let command = usage.name.split(' ').next().unwrap_or_default();
    let of_command = || usages().find(|other| other.name == command);
    match usage.options {
        [] => of_command().map_or(&[][..], |command| command.options),
        own => own,
    }
}

/// Returns the name of an action, or of a command.
fn last_name(usage: &Usage) -> &'static str {
    usage.name.rsplit(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_alone_runs_a_command() {
        let names: Vec<_> = usages().filter(|usage| runs_command(usage)).map(|u| u.name).collect();
        assert_eq!(names, ["run"]);
    }

    #[test]
    fn operands_follow_from_the_forms() {
        for (name, want) in [
            ("modprobe", "MODULE PARAMETER=VALUE+"),
            ("depmod", "RELEASE FILE+"),
            ("modinfo", "MODULE|FILE+"),
            ("report", "INPUT INPUT"),
            ("run", "COMMAND ARGUMENT+"),
            ("rmmod", "MODULE+"),
            ("scan", ""),
            ("image check", "IMAGE"),
            ("image list", "IMAGE PATTERN+"),
            ("image remove", ""),
            ("image diff", "IMAGE IMAGE"),
            ("slot activate", "SLOT"),
        ] {
            let usage = usages().find(|usage| usage.name == name).unwrap();
            let words: Vec<String> = operands(usage)
                .iter()
                .map(|(word, many)| format!("{word}{}", if *many { "+" } else { "" }))
                .collect();
            assert_eq!(words.join(" "), want, "{name}");
        }
    }
}
