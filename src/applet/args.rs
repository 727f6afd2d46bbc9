//! Options in the manner of getopt_long(3). Short options may be bundled, and long ones shortened
//! to a unique prefix. Both may follow operands; `--` ends them.

use std::collections::VecDeque;
#[cfg(feature = "host")]
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fmt;
#[cfg(feature = "host")]
use std::path::Path;

use lexopt::Parser;

use super::message::Error;
use super::usage::{HELP, Opt, Usage};
use crate::escape;

/// A parsed argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// An option, by its letter, and its value; empty if the option takes none.
    Opt(char, OsString),
    /// Any other word.
    Operand(OsString),
}

/// A wrong option, or the one that asks for help.
#[derive(Debug)]
pub(super) enum OptionError {
    Help(&'static Usage),
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
            Self::Help(_) => Ok(()),
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
        match error {
            OptionError::Help(usage) => Self::Help(usage),
            error => Self::Usage(error.to_string()),
        }
    }
}

/// Parser of a command line.
pub(super) struct Args {
    parser: Parser,
    usage: &'static Usage,
}

impl Args {
    /// Returns a parser of `args`, whose first word is the name of the command, for the options of
    /// `usage`. The words of `extra` come before the others.
    pub(super) fn new(args: &[OsString], extra: Vec<OsString>, usage: &'static Usage) -> Self {
        let words: VecDeque<OsString> =
            extra.into_iter().chain(args.iter().skip(1).cloned()).collect();
        let mut parser = Parser::from_args(words);
        parser.set_short_equals(false);
        Self { parser, usage }
    }

    /// Parses the next option or operand. Returns `None` at the end.
    ///
    /// # Errors
    /// The option is unknown, lacks a value, or has a value that it does not take; or it asks for
    /// help.
    pub(super) fn next(&mut self) -> Result<Option<Arg>, OptionError> {
        let next = self.next_word()?;
        Ok(next.map(|(opt, value)| match opt {
            Some(opt) => Arg::Opt(opt.0, value),
            None => Arg::Operand(value),
        }))
    }

    /// Parses the next option or operand. Returns the long name of the option, which is empty for
    /// an operand, and the value.
    ///
    /// # Errors
    /// As for [`Self::next`].
    #[cfg(feature = "host")]
    pub(super) fn next_named(&mut self) -> Result<Option<(&'static str, OsString)>, OptionError> {
        let next = self.next_word()?;
        Ok(next.map(|(opt, value)| (opt.map_or("", Opt::long), value)))
    }

    /// Returns the words that have not been parsed.
    #[cfg(feature = "host")]
    pub(super) fn rest(mut self) -> Vec<OsString> {
        self.parser.raw_args().map(Iterator::collect).unwrap_or_default()
    }

    fn next_word(&mut self) -> Result<Option<(Option<&'static Opt>, OsString)>, OptionError> {
        let next = self.parser.next().map_err(|error| OptionError::Other(error.to_string()))?;
        let (opt, is_long) = match next {
            None => return Ok(None),
            Some(lexopt::Arg::Value(word)) => return Ok(Some((None, word))),
            Some(lexopt::Arg::Long(name)) => (long(self.usage, name)?, true),
            Some(lexopt::Arg::Short(letter)) => {
                let opt = all(self.usage).find(|o| o.0 == letter && !letter.is_control());
                (opt.ok_or(OptionError::UnknownShort(letter))?, false)
            }
        };
        if opt.0 == HELP.0 {
            return Err(OptionError::Help(self.usage));
        }
        let value = match (opt.takes_value(), is_long) {
            #[cfg(feature = "host")]
            (true, _) if opt.is_optional() => self.parser.optional_value().unwrap_or_default(),
            (true, _) => self.parser.value().map_err(|_| needs_value(opt, is_long))?,
            (false, true) if self.parser.optional_value().is_some() => {
                return Err(OptionError::TakesNoValue(opt.long()));
            }
            (false, _) => OsString::new(),
        };
        Ok(Some((Some(opt), value)))
    }
}

/// Returns the options of a command, the one for help included.
fn all(usage: &'static Usage) -> impl Iterator<Item = &'static Opt> {
    usage.options.iter().filter(|opt| !opt.long().is_empty()).chain([&HELP])
}

fn needs_value(opt: &Opt, is_long: bool) -> OptionError {
    match is_long {
        true => OptionError::LongNeedsValue(opt.long()),
        false => OptionError::ShortNeedsValue(opt.0),
    }
}

/// Returns the option called `name`, or the only one whose name starts with it.
fn long(usage: &'static Usage, name: &str) -> Result<&'static Opt, OptionError> {
    let starts: Vec<&Opt> = all(usage).filter(|o| o.long().starts_with(name)).collect();
    let exact = starts.iter().find(|o| o.long() == name);
    match (exact, &starts[..]) {
        (Some(opt), _) => Ok(opt),
        (None, []) => Err(OptionError::UnknownLong(name.to_owned())),
        // Two names of the same option are not ambiguous.
        (None, [first, rest @ ..]) if rest.iter().all(|o| o.0 == first.0 && o.0 != '\0') => {
            Ok(first)
        }
        (None, many) => {
            let names = many.iter().map(|o| o.long()).collect();
            Err(OptionError::Ambiguous(name.to_owned(), names))
        }
    }
}

/// Parses a command line whose only option is `--help`. Returns the operands.
///
/// # Errors
/// There is another option, or help is asked for.
#[cfg(feature = "host")]
pub(super) fn operands(args: &[OsString], usage: &'static Usage) -> Result<Vec<OsString>, Error> {
    let mut args = Args::new(args, Vec::new(), usage);
    let mut operands = Vec::new();
    while let Some((_, word)) = args.next_named()? {
        operands.push(word);
    }
    Ok(operands)
}

/// Returns a value as text.
///
/// # Errors
/// It is not UTF-8.
#[cfg(feature = "host")]
pub(super) fn text(value: &OsStr) -> Result<&str, Error> {
    let wrong = || format!("'{}' is not UTF-8", escape::line(&escape::path(value)));
    value.to_str().ok_or_else(|| Error::Usage(wrong()))
}

/// Returns the only one of `releases`, those of the kernels below `root`; `None` if there are none.
///
/// # Errors
/// There are several.
#[cfg(feature = "host")]
pub(super) fn only_release(
    mut releases: Vec<String>,
    root: &Path,
) -> Result<Option<String>, Error> {
    let last = releases.pop();
    match last {
        Some(last) if !releases.is_empty() => Err(Error::Hinted(
            format!("{}: several kernels: {}, {last}", escape::path(root), releases.join(", ")),
            "name one of them with --kernel".to_owned(),
        )),
        only => Ok(only),
    }
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

    static USAGE: Usage = Usage::tool("x", "try").options(&[
        Opt('\0', ": Options"),
        Opt('a', "all: all"),
        Opt('C', "config=FILE: file"),
        Opt('\u{1}', "force-vermagic: force"),
        Opt('\u{2}', "force-modversion: force"),
        Opt('\u{3}', "resolve-alias: alias"),
        Opt('\u{3}', "resolve-name"),
        Opt('\u{4}', "microcode[=VENDOR]: microcode"),
        Opt('f', "force: force"),
    ]);

    fn read(words: &str) -> String {
        let args: Vec<OsString> =
            format!("/sbin/x {words}").split_whitespace().map(Into::into).collect();
        let mut args = Args::new(&args, Vec::new(), &USAGE);
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
            ("--micro m --microcode=x", "[\\u{4}] m [\\u{4}x]"),
            ("-a --he m", "[a] "),
            ("-ha", ""),
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
