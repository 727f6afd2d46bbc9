//! The usage of a command: what its command line may hold, and what that means. It is the one
//! description of a command. The parser takes the options from it, `--help` prints it, and the
//! manual pages and the completions of shells are made from it.

/// Columns of `--help`.
#[cfg(feature = "full")]
const WIDTH: usize = 80;
/// Column of the texts of options.
#[cfg(feature = "full")]
const COLUMN: usize = 28;

/// An option: its short letter, then `NAME: MEANING`.
///
/// - An option without a short letter has a control character instead, which cannot be typed: it
///   stands for the option in [`Arg`](super::args::Arg).
/// - The value is part of the name: `config=FILE`, or `microcode[=VENDOR]` if it may be missing.
///   The word for the value says how shells complete it; words with `|` between them are its only
///   values.
/// - A row without a meaning is another name of the option with the same letter, or a deprecated
///   one that no help shows.
/// - A row without a name is the title of the rows after it.
#[cfg(feature = "full")]
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opt(pub(super) char, pub(super) &'static str);

/// The option that every command has.
#[cfg(feature = "full")]
pub(super) const HELP: Opt = Opt('h', "help: print this help");
#[cfg(feature = "full")]
pub(super) const VERSION: Opt = Opt('V', "version: print the version");
#[cfg(feature = "full")]
pub(super) const SYSLOG: Opt = Opt('s', "syslog: log messages to syslog");

#[cfg(feature = "full")]
impl Opt {
    /// Returns the long name with its value, and the meaning.
    pub(super) fn parts(&self) -> (&'static str, &'static str) {
        self.1.split_once(": ").unwrap_or((self.1, ""))
    }

    /// Returns the long name, without the value; empty for a title.
    pub(super) fn long(&self) -> &'static str {
        self.1.split([':', '=', '[']).next().unwrap_or_default()
    }

    /// Returns whether the option takes a value.
    pub(super) fn takes_value(&self) -> bool {
        self.parts().0.len() > self.long().len()
    }

    /// Returns whether the value may be missing.
    #[cfg(feature = "host")]
    pub(super) fn is_optional(&self) -> bool {
        self.parts().0.contains("[=")
    }
}

/// The usage of a command, or of an action of one such as `image build`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// Name as typed after `coldplug`.
    pub(super) name: &'static str,
    /// What the command does.
    pub(super) summary: &'static str,
    /// What follows the name, one line for each form; then an empty line, and a paragraph in each
    /// line.
    pub(super) text: &'static str,
    #[cfg(feature = "full")]
    pub(super) options: &'static [Opt],
    /// What the first operand may be.
    #[cfg(feature = "host")]
    pub(super) actions: &'static [&'static Self],
    /// Whether the command is called by a link to this program.
    pub(super) is_tool: bool,
}

impl Usage {
    /// Returns the usage of `coldplug NAME`.
    pub(super) const fn new(name: &'static str, summary: &'static str) -> Self {
        Self {
            name,
            summary,
            text: "",
            #[cfg(feature = "full")]
            options: &[],
            #[cfg(feature = "host")]
            actions: &[],
            is_tool: false,
        }
    }

    /// Returns the usage of the command `name`, which is a link to this program.
    pub(super) const fn tool(name: &'static str, summary: &'static str) -> Self {
        Self { is_tool: true, ..Self::new(name, summary) }
    }

    /// Sets the forms of the command, and its description after an empty line.
    pub(super) const fn text(mut self, text: &'static str) -> Self {
        self.text = text;
        self
    }

    /// Sets the options, apart from `--help`.
    #[cfg(feature = "full")]
    pub(super) const fn options(mut self, options: &'static [Opt]) -> Self {
        self.options = options;
        self
    }

    /// Sets the actions.
    #[cfg(feature = "host")]
    pub(super) const fn actions(mut self, actions: &'static [&'static Self]) -> Self {
        self.actions = actions;
        self
    }

    /// Returns the forms of the command, without its name, and its description.
    #[cfg(feature = "full")]
    pub(super) fn parts(&self) -> (&'static str, &'static str) {
        self.text.split_once("\n\n").unwrap_or((self.text, ""))
    }

    /// Returns the words to call the command with.
    pub(super) fn call(&self) -> String {
        let program = if self.is_tool { "" } else { "coldplug " };
        [program, self.name].concat()
    }

    /// Returns the answer to `--help`.
    #[cfg(feature = "full")]
    pub(super) fn help(&self) -> String {
        let mut help = Help(String::new());
        self.add_forms(&mut help);
        help.add_paragraphs(self.parts().1);
        #[cfg(feature = "host")]
        help.add_actions(self);
        let options = self.options.iter().chain([&HELP]);
        if self.options.first().is_none_or(|first| !first.long().is_empty()) {
            help.0 += "\nOptions:\n";
        }
        options.for_each(|opt| help.add_option(opt, self.options));
        help.0
    }

    /// Returns the answer to `--help`, for commands without options.
    #[cfg(not(feature = "full"))]
    pub(super) fn help(&self) -> String {
        ["usage: ", &self.call(), " ", self.text, "\n\n", self.summary].concat()
    }

    /// Adds the lines of the usage.
    #[cfg(feature = "full")]
    fn add_forms(&self, help: &mut Help) {
        #[cfg(feature = "host")]
        if self.parts().0.is_empty() && !self.actions.is_empty() {
            return self.actions.iter().for_each(|action| action.add_forms(help));
        }
        for form in self.parts().0.split('\n') {
            // The tools of kmod begin with its line.
            let start = match (help.0.is_empty(), self.is_tool) {
                (true, true) => "Usage:\n\t",
                (false, true) => "\t",
                (true, false) => "usage: ",
                (false, false) => "       ",
            };
            help.0 += &[start, &self.call(), " ", form].concat();
            help.0.truncate(help.0.trim_end().len());
            help.0.push('\n');
        }
    }
}

/// Returns the number of characters of `text`: the bytes that begin one.
#[cfg(feature = "full")]
fn columns(text: &str) -> usize {
    text.bytes().filter(|byte| byte & 0xc0 != 0x80).count()
}

/// The text of a help.
#[cfg(feature = "full")]
struct Help(String);

#[cfg(feature = "full")]
impl Help {
    fn pad(&mut self, count: usize) {
        self.0.extend(std::iter::repeat_n(' ', count));
    }

    /// Adds words from column `at` on; lines after the first begin in the column `indent`.
    fn add_words(&mut self, mut at: usize, words: &str, indent: usize) {
        for (number, word) in words.split(' ').enumerate() {
            if number > 0 && at + word.len() >= WIDTH {
                self.0.push('\n');
                self.pad(indent);
                at = indent;
            } else if number > 0 {
                self.0.push(' ');
                at += 1;
            }
            self.0 += word;
            at += word.len();
        }
    }

    /// Adds paragraphs, with an empty line above each.
    fn add_paragraphs(&mut self, text: &str) {
        for paragraph in text.lines() {
            self.0.push('\n');
            self.add_words(0, paragraph, 0);
            self.0.push('\n');
        }
    }

    /// Adds a line of two columns.
    fn add_row(&mut self, head: &str, text: &str) {
        self.0 += head;
        let end = columns(head);
        match end + 2 > COLUMN {
            true => {
                self.0.push('\n');
                self.pad(COLUMN);
            }
            false => self.pad(COLUMN - end),
        }
        self.add_words(COLUMN, text, COLUMN);
        self.0.push('\n');
    }

    /// Adds an option with the other names that it has in `all`, or a title.
    fn add_option(&mut self, opt: &Opt, all: &[Opt]) {
        let (name, meaning) = opt.parts();
        if name.is_empty() {
            self.0 += &["\n", meaning, ":\n"].concat();
            return;
        }
        if meaning.is_empty() {
            return;
        }
        let mut head = "      --".to_owned();
        if !opt.0.is_control() {
            head = ["  -", opt.0.encode_utf8(&mut [0; 4]), ", --"].concat();
        }
        head += name;
        for other in all.iter().filter(|other| other.0 == opt.0 && other.parts().1.is_empty()) {
            head += ", --";
            head += other.1;
        }
        self.add_row(&head, meaning);
    }

    /// Adds the list of actions.
    #[cfg(feature = "host")]
    fn add_actions(&mut self, usage: &Usage) {
        if usage.actions.is_empty() {
            return;
        }
        self.0 += "\nActions:\n";
        for action in usage.actions {
            let name = action.name.rsplit(' ').next().unwrap_or_default();
            self.add_row(&format!("  {name}"), action.summary);
        }
        if usage.actions.iter().any(|action| !action.options.is_empty()) {
            self.add_paragraphs(&format!(
                "'coldplug help {} ACTION' describes an action and its options.",
                usage.name
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static USAGE: Usage = Usage::new("x", "do something")
        .text(
            "[option…] FILE\n-a\n\nDoes something that takes many words to describe, so that the \
             line is broken in two.\nA second paragraph.",
        )
        .options(&[
            Opt('\0', ": Management"),
            Opt('a', "all: do all of it"),
            Opt('C', "config=FILE,…: read FILE"),
            Opt('\u{1}', "a-very-long-name-of-an-option=VALUE: a text"),
            Opt('i', "ignore-install: ignore"),
            Opt('i', "ignore-remove"),
            Opt('\u{2}', "deprecated"),
            Opt('\0', ": General"),
            VERSION,
        ]);

    #[test]
    fn help_is_made_from_the_usage() {
        assert_eq!(
            USAGE.help(),
            "usage: coldplug x [option…] FILE\n       coldplug x -a\n\n\
             Does something that takes many words to describe, so that the line is broken in\n\
             two.\n\nA second paragraph.\n\nManagement:\n\
             \u{20} -a, --all                 do all of it\n\
             \u{20} -C, --config=FILE,…       read FILE\n\
             \u{20}     --a-very-long-name-of-an-option=VALUE\n\
             \u{20}                           a text\n\
             \u{20} -i, --ignore-install, --ignore-remove\n\
             \u{20}                           ignore\n\nGeneral:\n\
             \u{20} -V, --version             print the version\n\
             \u{20} -h, --help                print this help\n"
        );
    }
}
