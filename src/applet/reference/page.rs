//! Manual pages: of a command from its usage, of other things from a text.

use super::markdown::{self, Level, inline};
use super::roff::{Roff, bold, form, plain};
use super::sources::{Prose, keys, parameters, read};
use crate::applet::COMMANDS;
use crate::applet::usage::{HELP, Opt, Usage};

/// A manual page.
pub(super) struct Page {
    pub(super) name: String,
    pub(super) section: char,
    /// Names and summary of a page that is about no command.
    about: Option<(&'static str, &'static str)>,
    usage: Option<&'static Usage>,
}

/// The pages about other things than commands of this program: name, section, all names, summary.
const OTHERS: [(&str, char, &str, &str); 8] = [
    ("coldplug", '8', "coldplug", "initramfs, module tools and image builder in one program"),
    (
        "coldplug-image.conf",
        '5',
        "coldplug-image.conf, image.conf, image.conf.d",
        "options of the images of installed kernels",
    ),
    (
        "coldplug-settings.d",
        '5',
        "coldplug-settings.d, settings.d",
        "settings of modules that are saved and restored",
    ),
    ("coldplug-record", '5', "coldplug-record", "the boot record of coldplug"),
    ("modprobe.d", '5', "modprobe.d", "configuration of modules and of modprobe"),
    ("depmod.d", '5', "depmod.d", "configuration of depmod"),
    ("coldplug.cmdline", '7', "coldplug.cmdline", "kernel parameters of coldplug"),
    (
        "update-initramfs",
        '8',
        "update-initramfs",
        "build the images of installed kernels, as packages of Debian request it",
    ),
];

/// Returns all pages.
pub(super) fn all() -> Vec<Page> {
    let others = OTHERS.into_iter().map(|(name, section, names, summary)| Page {
        name: name.to_owned(),
        section,
        about: Some((names, summary)),
        usage: None,
    });
    let commands = COMMANDS.iter().map(|applet| applet.0).filter(|usage| usage.name != "list");
    let commands = commands.map(|usage| Page {
        name: usage.page(),
        section: '8',
        about: None,
        usage: Some(usage),
    });
    others.chain(commands).collect()
}

impl Usage {
    /// Returns the name of the manual page.
    pub(super) fn page(&self) -> String {
        self.call().replace(' ', "-")
    }
}

impl Page {
    /// Returns the name of the file.
    pub(super) fn file(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }

    /// Returns the content of the file.
    pub(super) fn text(&self) -> String {
        let prose = Prose::of(&self.file());
        let mut page = Roff::new(&self.name, self.section);
        let (names, summary) = match (self.about, self.usage) {
            (Some(about), _) => about,
            (_, Some(usage)) => (&*self.name, usage.summary),
            _ => (&*self.name, ""),
        };
        page.section("NAME");
        page.text(&format!("{} \\- {}", plain(names), plain(summary)));
        match self.usage {
            Some(usage) => add_usage(&mut page, usage, &prose),
            None => add_sections(&mut page, &prose, &["SEE ALSO"]),
        }
        add_end(&mut page, &prose);
        page.into_text()
    }
}

/// Adds the sections of a command.
fn add_usage(page: &mut Roff, usage: &Usage, prose: &Prose) {
    page.section("SYNOPSIS");
    let forms = synopsis(usage);
    for (number, line) in forms.iter().enumerate() {
        if number > 0 {
            page.request("br");
        }
        page.text(line);
    }
    page.section("DESCRIPTION");
    let about = usage.parts().1;
    let summary = sentence(usage.summary);
    let about = if about.is_empty() { &summary } else { about };
    about.lines().for_each(|paragraph| page.paragraph(&inline(paragraph)));
    if let Some(more) = prose.section("DESCRIPTION") {
        markdown::add(page, &format!("{more}\n"), Level::Subsection);
    }
    add_actions(page, usage);
    page.section("OPTIONS");
    add_options(page, usage);
    add_sections(page, prose, &["DESCRIPTION", "EXIT STATUS", "SEE ALSO"]);
    page.section("EXIT STATUS");
    let status = prose.section("EXIT STATUS").unwrap_or("0 if all went well, else 1.");
    markdown::add(page, status, Level::Subsection);
}

/// Adds where the documents are, if the page names some, and related pages.
fn add_end(page: &mut Roff, prose: &Prose) {
    if page.has(".md") {
        page.section("NOTES");
        page.text("Names with the suffix .md are documents in the directory docs of the sources.");
    }
    page.section("SEE ALSO");
    page.text(&inline(prose.section("SEE ALSO").unwrap_or("coldplug(8)")));
}

/// Returns the forms of a command and of its actions.
fn synopsis(usage: &Usage) -> Vec<String> {
    let (forms, _) = usage.parts();
    if forms.is_empty() && !usage.actions.is_empty() {
        return usage.actions.iter().flat_map(|action| synopsis(action)).collect();
    }
    let line = |rest: &str| format!("{} {}", bold(&usage.call()), form(rest));
    forms.split('\n').map(|rest| line(rest).trim_end().to_owned()).collect()
}

/// Adds the actions: as a list, or with a section for each if they have options of their own.
fn add_actions(page: &mut Roff, usage: &Usage) {
    if usage.actions.is_empty() {
        return;
    }
    page.section("ACTIONS");
    for action in usage.actions {
        let name = action.name.rsplit(' ').next().unwrap_or_default();
        let (forms, about) = action.parts();
        if usage.actions.iter().all(|action| action.options.is_empty()) {
            let term = format!("{} {}", bold(name), form(forms));
            page.item(term.trim_end(), &inline(&sentence(action.summary)));
            continue;
        }
        page.subsection(&action.call());
        page.paragraph(&inline(&sentence(action.summary)));
        about.lines().for_each(|paragraph| page.paragraph(&inline(paragraph)));
        for opt in action.options {
            match opt.parts() {
                ("", title) => page.paragraph(&bold(&format!("{title}:"))),
                _ => add_option(page, opt, action.options),
            }
        }
    }
}

fn add_options(page: &mut Roff, usage: &Usage) {
    let options = usage.options.iter().chain([&HELP]);
    options.for_each(|opt| add_option(page, opt, usage.options));
    let deprecated: Vec<String> = usage
        .options
        .iter()
        .filter(|opt| is_deprecated(opt, usage.options))
        .map(|opt| bold(&format!("--{}", opt.long())))
        .collect();
    if !deprecated.is_empty() {
        page.paragraph(&format!(
            "{} are deprecated names, which cause a warning.",
            deprecated.join(", ")
        ));
    }
}

/// Returns whether an option has no meaning of its own, and no other option has its letter.
fn is_deprecated(opt: &Opt, all: &[Opt]) -> bool {
    opt.parts().1.is_empty() && !all.iter().any(|o| o.0 == opt.0 && !o.parts().1.is_empty())
}

/// Adds an option, or a title of options.
fn add_option(page: &mut Roff, opt: &Opt, all: &[Opt]) {
    let (name, meaning) = opt.parts();
    if name.is_empty() {
        return page.subsection(meaning);
    }
    if meaning.is_empty() {
        return;
    }
    let others =
        all.iter().filter(|other| opt.0 != '\0' && other.0 == opt.0 && other.parts().1.is_empty());
    let letter = (!opt.0.is_control()).then(|| bold(&format!("-{}", opt.0)));
    let names = std::iter::once(name).chain(others.map(|other| other.parts().0));
    let names = names.map(|name| {
        let (long, value) = name.split_at(opt.long_of(name).len());
        format!("{}{}", bold(&format!("--{long}")), form(value))
    });
    let term: Vec<String> = letter.into_iter().chain(names).collect();
    let value = &name[opt.long().len()..];
    page.item(&term.join(", "), &inline(&marked(&sentence(meaning), value)));
}

/// Returns a meaning with the words of `value` that stand for others marked.
fn marked(meaning: &str, value: &str) -> String {
    let is_name = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase());
    let names: Vec<&str> = value.split(|c: char| !c.is_alphanumeric()).filter(is_name).collect();
    let mut words: Vec<String> = Vec::new();
    for word in meaning.split(' ') {
        let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let plural = core.strip_suffix('s').unwrap_or(core);
        match names.contains(&plural) && !word.contains('%') {
            true => words.push(word.replacen(plural, &format!("*{plural}*"), 1)),
            false => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}

impl Opt {
    /// Returns the part of a name before its value.
    fn long_of(&self, name: &'static str) -> &'static str {
        Self(self.0, name).long()
    }
}

/// Returns a meaning as a sentence.
fn sentence(text: &str) -> String {
    let first = text.split([' ', ',']).next().unwrap_or_default();
    let is_word = first.len() > 1 && first.chars().all(|c| c.is_ascii_lowercase());
    let (head, rest) = text.split_at(if is_word || text.starts_with("a ") { 1 } else { 0 });
    let end = if text.ends_with(['.', ':']) { "" } else { "." };
    format!("{}{rest}{end}", head.to_uppercase())
}

/// Adds the sections of a text, except for some.
fn add_sections(page: &mut Roff, prose: &Prose, except: &[&str]) {
    for (title, text) in prose.sections().filter(|(title, _)| !except.contains(title)) {
        page.section(title);
        for part in parts(text) {
            match part {
                Part::Text(text) => markdown::add(page, text, Level::Subsection),
                Part::Line(line) => include(page, line),
            }
        }
    }
}

/// A part of a section.
enum Part<'a> {
    Text(&'a str),
    /// A line that names what stands in its place.
    Line(&'a str),
}

/// Splits a text at the lines that start with `@`.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("\n@") {
        parts.push(Part::Text(&rest[..at]));
        let line = rest[at + 2..].lines().next().unwrap_or_default();
        parts.push(Part::Line(line));
        rest = &rest[at + 2 + line.len()..];
    }
    parts.push(Part::Text(rest));
    parts
}

/// Adds what a line `@WORD` stands for.
fn include(page: &mut Roff, word: &str) {
    match word.split_once('#') {
        Some((file, heading)) => {
            let text = read(file);
            let text = markdown::part(&text, heading).unwrap_or_default();
            assert!(!text.is_empty(), "{file} has no section '{heading}'");
            markdown::add(page, text, Level::Subsection);
        }
        None if word == "parameters" => markdown::add(page, &parameters(), Level::Subsection),
        None if word == "commands" => add_commands(page),
        None if word == "keys" => keys().iter().for_each(|key| {
            page.item(&key.term, &inline(&sentence(&key.meaning)));
        }),
        None => markdown::add(page, &read(word), Level::Subsection),
    }
}

fn add_commands(page: &mut Roff) {
    for usage in COMMANDS.iter().map(|applet| applet.0) {
        let see = match usage.name {
            "list" => String::new(),
            _ => format!(" See {}(8).", usage.page()),
        };
        page.item(&bold(usage.name), &inline(&format!("{}{see}", sentence(usage.summary))));
    }
}
