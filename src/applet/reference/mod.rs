//! The manual pages in `initramfs/man` and the completions in `initramfs/completions`, made from the
//! usages of the commands, the table of kernel parameters and the texts in `initramfs/man/text`.
//!
//! Tests compare the files with what they should be. `BLESS=1 cargo test --lib reference` writes
//! them.

mod complete;
mod markdown;
mod page;
mod roff;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use crate::cmdline::reference::parameter_names;
use sources::path;

/// Compares the files of a directory with what they should be, or writes them with `BLESS=1`.
fn check(directory: &str, files: &BTreeMap<String, String>) {
    let is_blessed = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    for (name, text) in files {
        let name = format!("{directory}/{name}");
        if is_blessed {
            std::fs::write(path(&name), text).unwrap();
        }
        let found = std::fs::read_to_string(path(&name)).unwrap_or_default();
        assert!(found == *text, "{name} is out of date: run BLESS=1 cargo test --lib reference");
    }
    let entries = std::fs::read_dir(path(directory)).unwrap();
    for entry in entries.map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        let name = entry.file_name().into_string().unwrap();
        assert!(files.contains_key(&name), "{directory}/{name} is made from nothing");
    }
}

#[test]
fn manual_pages_are_made_from_the_tables() {
    let files: BTreeMap<_, _> = page::all().iter().map(|page| (page.file(), page.text())).collect();
    for (name, text) in &files {
        assert!(text.is_ascii(), "{name}: {:?}", text.chars().find(|c| !c.is_ascii()));
    }
    check("initramfs/man", &files);
}

#[test]
fn completions_are_made_from_the_tables() {
    check("initramfs/completions", &complete::files());
}

#[test]
fn every_text_belongs_to_a_page() {
    let pages: Vec<String> = page::all().iter().map(page::Page::file).collect();
    for entry in std::fs::read_dir(path("initramfs/man/text")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.strip_suffix(".md").is_some_and(|p| pages.iter().any(|o| o == p)), "{name}");
    }
}

/// Keywords of a parser: the words in byte strings at the start of an arm of the `match` of
/// `add_line`.
fn keywords(source: &str) -> BTreeSet<String> {
    let code = sources::read(source);
    let start = code.find("fn add_line").unwrap();
    let body = code[start..].split("\n    }\n").next().unwrap();
    let arms = body.lines().map(str::trim).filter(|line| line.starts_with("b\""));
    let patterns = arms.filter_map(|line| line.split("=>").next());
    let words = patterns.flat_map(|pattern| pattern.split('"').skip(1).step_by(2));
    words.map(str::to_owned).collect()
}

#[test]
fn the_pages_have_every_keyword_of_the_configuration() {
    for (file, source) in
        [("modprobe.d.5", "src/kmod/conf/mod.rs"), ("depmod.d.5", "src/kmod/depmod/conf.rs")]
    {
        let pages = page::all();
        let page = pages.iter().find(|page| page.file() == file).unwrap().text();
        let terms = page.split(".SH COMMANDS\n").nth(1).unwrap().split("\n.SH ").next().unwrap();
        let terms = terms.split(".TP\n").skip(1).map(|item| item.lines().next().unwrap());
        let bold = terms.flat_map(|term| term.split("\\fB").skip(1));
        let words = bold.map(|word| word.split("\\fR").next().unwrap().to_owned());
        let is_keyword = |word: &String| word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let found: BTreeSet<String> = words.filter(is_keyword).collect();
        let keywords = keywords(source);
        assert!(keywords.len() > 5, "{keywords:?}");
        assert_eq!(found, keywords, "{file}");
    }
}

/// The options that getopts takes in the script, each with whether it takes a value.
#[test]
fn the_page_of_update_initramfs_has_the_options_of_the_script() {
    let script = sources::read("initramfs/debian/update-initramfs");
    let letters = script.split("while getopts ").nth(1).unwrap().split(' ').next().unwrap();
    let mut options = BTreeSet::new();
    for (at, letter) in letters.char_indices().filter(|(_, letter)| *letter != ':') {
        options.insert((letter, letters[at + 1..].starts_with(':')));
    }
    assert!(options.contains(&('k', true)) && options.contains(&('u', false)), "{letters}");
    let page = sources::Prose::of("update-initramfs.8");
    let rows = page.section("OPTIONS").unwrap().lines().skip(2);
    let described: BTreeSet<_> = rows
        .map(|row| {
            let term = row.split('|').nth(1).unwrap();
            let letter = term.split("`-").nth(1).and_then(|term| term.chars().next()).unwrap();
            (letter, term.contains('*'))
        })
        .collect();
    assert_eq!(described, options);
    // The synopsis and the help leave out what has no effect, and the help itself.
    let named: BTreeSet<_> =
        options.iter().filter(|o| !matches!(o.0, 't' | 'h')).copied().collect();
    let synopsis = page.section("SYNOPSIS").unwrap();
    let usage = script.split("usage: ").nth(1).unwrap().split('"').next().unwrap();
    for text in [synopsis.replace('`', ""), usage.to_owned()] {
        let words = text.split(['[', ']', '{', '}', '|', ' ']).collect::<Vec<_>>();
        let letters = words.windows(2).filter_map(|pair| {
            let letter = pair[0].strip_prefix('-')?.chars().next()?;
            Some((letter, !pair[1].is_empty() && !pair[1].starts_with('-')))
        });
        assert_eq!(letters.collect::<BTreeSet<_>>(), named, "{text}");
    }
}

/// The document, the table of the parser and the page have the same parameters.
#[test]
fn every_kernel_parameter_is_in_the_table_and_on_the_page() {
    let document = sources::read("docs/kernel-parameters.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<&str> = rows
        .filter_map(|row| row.split(['`', '=', '[']).next())
        .filter(|name| !OPTIONS_OF_VERITY.contains(name))
        .collect();
    let table: BTreeSet<&str> = parameter_names().collect();
    assert_eq!(documented, table);
    let pages = page::all();
    let page = pages.iter().find(|page| page.file() == "coldplug.cmdline.7").unwrap().text();
    for name in table {
        let term = format!("\n.TP\n{}", roff::bold(name));
        assert!(page.contains(&term), "coldplug.cmdline.7 lacks {name}");
    }
}

/// Rows of a table that is about the options of one parameter.
const OPTIONS_OF_VERITY: [&str; 9] = [
    "hashoffset",
    "superblock",
    "salt",
    "datablocksize",
    "datablocks",
    "fecdevice",
    "ignore-corruption",
    "ignore-zero-blocks",
    "option",
];
