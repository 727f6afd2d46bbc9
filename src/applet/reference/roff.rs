//! Text in the language of man(7).

/// Longest line of a page, in bytes.
const WIDTH: usize = 78;
/// Date of all pages: that of the last review. Pages without a date, or with the one of the build,
/// would be faults or differ each time.
const DATE: &str = "2026-11-30";

/// A manual page that is being written.
pub(super) struct Roff(String);

impl Roff {
    /// Returns a page with its title.
    pub(super) fn new(name: &str, section: char) -> Self {
        let manual = match section {
            '5' => "File Formats",
            '7' => "Miscellaneous",
            _ => "System Administration",
        };
        let name = literal(&name.to_uppercase());
        Self(format!(
            ".\\\" Made by BLESS=1 cargo test --lib reference: see initramfs/man/text.\n\
             .TH {name} {section} {DATE} coldplug \"{manual}\"\n\
             .\\\" Names are not hyphenated.\n.nh\n.ad l\n"
        ))
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// Returns whether the page has a word with this suffix.
    pub(super) fn has(&self, suffix: &str) -> bool {
        let mut words = self.0.lines().skip(1).flat_map(|line| line.split([' ', ',', ':', ')']));
        words.any(|word| word.trim_end_matches('.').ends_with(suffix))
    }

    pub(super) fn section(&mut self, title: &str) {
        self.macro_line("SH", &title.to_uppercase());
    }

    pub(super) fn subsection(&mut self, title: &str) {
        self.macro_line("SS", title);
    }

    fn macro_line(&mut self, name: &str, title: &str) {
        let title = plain(title);
        let quote = if title.contains(' ') { "\"" } else { "" };
        self.0 += &format!(".{name} {quote}{title}{quote}\n");
    }

    /// Adds a line with a request or macro.
    pub(super) fn request(&mut self, name: &str) {
        self.0 += &format!(".{name}\n");
    }

    /// Adds a text that is marked up already, in lines of a fair length.
    pub(super) fn text(&mut self, marked: &str) {
        let mut width = 0;
        for word in marked.split_whitespace() {
            if width > 0 && width + word.len() >= WIDTH {
                self.0.push('\n');
                width = 0;
            } else if width > 0 {
                self.0.push(' ');
            }
            // A line that starts with these would be a request.
            let guard = if word.starts_with(['.', '\'']) { "\\&" } else { "" };
            self.0 += guard;
            self.0 += word;
            width += word.len() + 1;
        }
        self.0.push('\n');
    }

    /// Adds a paragraph of marked text.
    pub(super) fn paragraph(&mut self, marked: &str) {
        self.start_paragraph();
        self.text(marked);
    }

    fn start_paragraph(&mut self) {
        let last = self.0.lines().last().unwrap_or_default();
        if !last.starts_with(".SH") && !last.starts_with(".SS") {
            self.request("PP");
        }
    }

    /// Adds a term, and what is said about it.
    pub(super) fn item(&mut self, term: &str, marked: &str) {
        self.request("TP");
        self.0 += term;
        self.0.push('\n');
        self.text(marked);
    }

    /// Adds an entry of a list.
    pub(super) fn bullet(&mut self, marked: &str) {
        self.request("IP \\(bu 2");
        self.text(marked);
    }

    /// Adds lines as they are.
    pub(super) fn example<'a>(&mut self, lines: impl Iterator<Item = &'a str>) {
        self.start_paragraph();
        self.0 += ".RS 4\n.EX\n";
        for line in lines {
            let line = literal(line);
            let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
            self.0 += &format!("{guard}{line}\n");
        }
        self.0 += ".EE\n.RE\n";
    }
}

/// Returns prose: characters that roff would read differently are escaped.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| escaped(c, false)).collect()
}

/// Returns what is typed as it is written.
pub(super) fn literal(text: &str) -> String {
    text.chars().map(|c| escaped(c, true)).collect()
}

fn escaped(c: char, is_literal: bool) -> String {
    let text = match c {
        '\\' => "\\e",
        '-' => "\\-",
        '\'' if is_literal => "\\(aq",
        '`' => "\\(ga",
        '^' => "\\(ha",
        '~' => "\\(ti",
        '…' => "...",
        '–' => "\\(en",
        '→' => "\\(->",
        '×' => "\\(mu",
        'µ' => "\\(mc",
        other => return other.to_string(),
    };
    text.to_owned()
}

pub(super) fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", literal(text))
}

pub(super) fn italic(text: &str) -> String {
    format!("\\fI{}\\fR", literal(text))
}

/// Returns a form of a command line, or the value of an option: words to type are bold, and words
/// in capitals, which stand for others, are italic.
pub(super) fn form(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_@%.".contains(c);
    let mut marked = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        marked += &match is_word(first) {
            false => plain(word),
            true if word == "option" || !word.contains(|c: char| c.is_ascii_lowercase()) => {
                if word.starts_with('-') { bold(word) } else { italic(word) }
            }
            true => bold(word),
        };
        rest = after;
    }
    marked
}
