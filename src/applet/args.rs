//! Options in the manner of getopt_long(3). Short options may be bundled, and long ones shortened
//! to a unique prefix. Both may follow operands; `--` ends them.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;

use lexopt::Parser;

use super::message::Error;
use super::tool::Tool;
use crate::escape;

/// An option: its short letter, its long name, and whether it takes a value. An option without a
/// short letter has a control character instead: it stands for the option in [`Arg`] and cannot be
/// typed.
pub(super) struct Opt(pub(super) char, pub(super) &'static str, pub(super) bool);

/// A parsed argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// An option, by its letter, and its value; empty if the option takes none.
    Opt(char, OsString),
    /// Any other word.
    Operand(OsString),
}

/// A wrong option.
#[derive(Debug)]
pub(super) enum OptionError {
    UnknownShort(char),
    UnknownLong(String),
    /// A prefix, and the options that start with it.
    Ambiguous(String, Vec<&'static str>),
    ShortNeedsValue(char),
    LongNeedsValue(&'static str),
    TakesNoValue(&'static str),
    /// An error of the parser.
    Other(String),
}

impl fmt::Display for OptionError {
    /// Writes the text of getopt_long(3).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownShort(letter) => write!(f, "invalid option -- '{letter}'"),
            Self::UnknownLong(name) => write!(f, "unrecognized option '--{name}'"),
            Self::Ambiguous(name, all) => {
                write!(f, "option '--{name}' is ambiguous; possibilities:")?;
                all.iter().try_for_each(|name| write!(f, " '--{name}'"))
            }
            Self::ShortNeedsValue(letter) => {
                write!(f, "option requires an argument -- '{letter}'")
            }
            Self::LongNeedsValue(name) => write!(f, "option '--{name}' requires an argument"),
            Self::TakesNoValue(name) => write!(f, "option '--{name}' doesn't allow an argument"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for OptionError {}

impl From<OptionError> for Error {
    fn from(error: OptionError) -> Self {
        Self::Usage(error.to_string())
    }
}

#[cfg(feature = "host")]
impl From<lexopt::Error> for Error {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Parser of a command line.
pub(super) struct Args {
    parser: Parser,
    table: &'static [Opt],
}

impl Args {
    /// Returns a parser of `args`, whose first word is the name of the command. The words of
    /// `extra` come before the others.
    pub(super) fn new(args: &[OsString], extra: Vec<OsString>, table: &'static [Opt]) -> Self {
        let words: VecDeque<OsString> =
            extra.into_iter().chain(args.iter().skip(1).cloned()).collect();
        let mut parser = Parser::from_args(words);
        parser.set_short_equals(false);
        Self { parser, table }
    }

    /// Parses the next option or operand. Returns `None` at the end.
    ///
    /// # Errors
    /// The option is unknown, lacks a value, or has a value that it does not take.
    pub(super) fn next(&mut self) -> Result<Option<Arg>, OptionError> {
        let table = self.table;
        let next = self.parser.next().map_err(|error| OptionError::Other(error.to_string()))?;
        let (opt, is_long) = match next {
            None => return Ok(None),
            Some(lexopt::Arg::Value(word)) => return Ok(Some(Arg::Operand(word))),
            Some(lexopt::Arg::Long(name)) => (long(table, name)?, true),
            Some(lexopt::Arg::Short(letter)) => {
                let opt = table.iter().find(|o| o.0 == letter && !letter.is_control());
                (opt.ok_or(OptionError::UnknownShort(letter))?, false)
            }
        };
        let value = match (opt.2, is_long) {
            (true, _) => self.parser.value().map_err(|_| needs_value(opt, is_long))?,
            (false, true) if self.parser.optional_value().is_some() => {
                return Err(OptionError::TakesNoValue(opt.1));
            }
            (false, _) => OsString::new(),
        };
        Ok(Some(Arg::Opt(opt.0, value)))
    }
}

fn needs_value(opt: &Opt, is_long: bool) -> OptionError {
    match is_long {
        true => OptionError::LongNeedsValue(opt.1),
        false => OptionError::ShortNeedsValue(opt.0),
    }
}

/// Returns the option called `name`, or the only one whose name starts with it.
fn long(table: &'static [Opt], name: &str) -> Result<&'static Opt, OptionError> {
    let starts: Vec<&Opt> = table.iter().filter(|o| o.1.starts_with(name)).collect();
    let exact = starts.iter().find(|o| o.1 == name);
    match (exact, &starts[..]) {
        (Some(opt), _) => Ok(opt),
        (None, []) => Err(OptionError::UnknownLong(name.to_owned())),
        // Two names of the same option are not ambiguous.
        (None, [first, rest @ ..]) if rest.iter().all(|o| o.0 == first.0) => Ok(first),
        (None, many) => {
            Err(OptionError::Ambiguous(name.to_owned(), many.iter().map(|o| o.1).collect()))
        }
    }
}

/// Parses a command line whose only option is `--help`. Returns the operands.
///
/// # Errors
/// There is another option, or `--help` has been answered.
pub(super) fn operands(tool: &Tool, args: &[OsString], help: &str) -> Result<Vec<OsString>, Error> {
    let mut args = Args::new(args, Vec::new(), &[Opt('h', "help", false)]);
    let mut operands = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Operand(word) => operands.push(word),
            Arg::Opt(..) => return Err(tool.help(help)),
        }
    }
    Ok(operands)
}

/// Parses the value of `--kernel`. A release is the name of one directory; any other path would
/// read elsewhere.
///
/// # Errors
/// The word is empty, `.`, `..` or has a slash.
pub(super) fn release(word: OsString) -> Result<String, Error> {
    let word = word.into_string();
    let is_name = |word: &str| !matches!(word, "" | "." | "..") && !word.contains('/');
    match word {
        Ok(word) if is_name(&word) => Ok(word),
        word => {
            let word = word.unwrap_or_else(|word| escape::path(&word).into_owned());
            Err(Error::Usage(format!("--kernel '{word}' is not a release")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Opt] = &[
        Opt('a', "all", false),
        Opt('C', "config", true),
        Opt('\u{1}', "force-vermagic", false),
        Opt('\u{2}', "force-modversion", false),
        Opt('\u{3}', "resolve-alias", false),
        Opt('\u{3}', "resolve-name", false),
        Opt('f', "force", false),
    ];

    fn read(words: &str) -> String {
        let args: Vec<OsString> =
            format!("/sbin/x {words}").split_whitespace().map(Into::into).collect();
        let mut args = Args::new(&args, Vec::new(), TABLE);
        let mut out = Vec::new();
        loop {
            match args.next() {
                Ok(None) => return out.join(" "),
                Ok(Some(Arg::Operand(word))) => out.push(word.into_string().unwrap()),
                Ok(Some(Arg::Opt(letter, value))) => out.push(format!(
                    "[{}{}]",
                    letter.escape_default(),
                    value.into_string().unwrap()
                )),
                Err(error) => {
                    out.push(error.to_string());
                    return out.join(" ");
                }
            }
        }
    }

    #[test]
    fn options_are_read_as_getopt_long_does() {
        for (words, want) in [
            ("-af m -Cx -C y", "[a] [f] m [Cx] [Cy]"),
            ("-C=x -aCb", "[C=x] [a] [Cb]"),
            ("m --all -- -a --x", "m [a] -a --x"),
            ("--conf=x --config y --con=", "[Cx] [Cy] [C]"),
            ("--force --force-v", "[f] [\\u{1}]"),
            ("--reso", "[\\u{3}]"),
            ("- m", "- m"),
            ("-a --frob -a", "[a] unrecognized option '--frob'"),
            ("-az", "[a] invalid option -- 'z'"),
            ("-C", "option requires an argument -- 'C'"),
            ("--config", "option '--config' requires an argument"),
            ("--all=x", "option '--all' doesn't allow an argument"),
            (
                "--for",
                "option '--for' is ambiguous; possibilities: '--force-vermagic' \
                 '--force-modversion' '--force'",
            ),
            (
                "--force-",
                "option '--force-' is ambiguous; possibilities: '--force-vermagic' \
                 '--force-modversion'",
            ),
        ] {
            assert_eq!(read(words), want, "{words}");
        }
    }
}
