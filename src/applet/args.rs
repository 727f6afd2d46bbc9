//! Options as getopt_long(3) reads them: short ones bundle, long ones may be shortened as far as they
//! stay unique, both may follow operands, `--` ends them.

use std::collections::VecDeque;
use std::ffi::OsString;

use lexopt::Parser;

/// An option: its short letter, its long name, and whether it takes a value. One without a short letter has
/// a control character for it, which stands for the option in [`Arg`] and can't be typed.
pub(super) struct Opt(pub(super) char, pub(super) &'static str, pub(super) bool);

/// What stands on a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// An option, by its letter, with its value; empty for one that takes none.
    Opt(char, OsString),
    /// Anything else.
    Operand(OsString),
}

/// A command line on its way to be read.
pub(super) struct Args {
    parser: Parser,
    argv0: String,
    table: &'static [Opt],
}

impl Args {
    /// Reads `args`, the command's own name first. `extra` stands before the rest.
    pub(super) fn new(args: &[OsString], extra: Vec<OsString>, table: &'static [Opt]) -> Self {
        let argv0 = args.first().map_or_else(String::new, |a| a.to_string_lossy().into_owned());
        let words: VecDeque<OsString> =
            extra.into_iter().chain(args.iter().skip(1).cloned()).collect();
        let mut parser = Parser::from_args(words);
        parser.set_short_equals(false);
        Self { parser, argv0, table }
    }

    /// The next option or operand; `None` at the end.
    ///
    /// # Errors
    /// getopt_long's own words about an option that is not known, or has a value too many or too few.
    pub(super) fn next(&mut self) -> Result<Option<Arg>, String> {
        self.read().map_err(|text| format!("{}: {text}", self.argv0))
    }

    fn read(&mut self) -> Result<Option<Arg>, String> {
        let table = self.table;
        let (opt, is_long) = match self.parser.next().map_err(|e| e.to_string())? {
            None => return Ok(None),
            Some(lexopt::Arg::Value(word)) => return Ok(Some(Arg::Operand(word))),
            Some(lexopt::Arg::Long(name)) => (long(table, name)?, true),
            Some(lexopt::Arg::Short(letter)) => {
                let opt = table.iter().find(|o| o.0 == letter && !letter.is_control());
                (opt.ok_or_else(|| format!("invalid option -- '{letter}'"))?, false)
            }
        };
        let value = match (opt.2, is_long) {
            (true, _) => self.parser.value().map_err(|_| needs_value(opt, is_long))?,
            (false, true) if self.parser.optional_value().is_some() => {
                return Err(format!("option '--{}' doesn't allow an argument", opt.1));
            }
            (false, _) => OsString::new(),
        };
        Ok(Some(Arg::Opt(opt.0, value)))
    }
}

fn needs_value(opt: &Opt, is_long: bool) -> String {
    match is_long {
        true => format!("option '--{}' requires an argument", opt.1),
        false => format!("option requires an argument -- '{}'", opt.0),
    }
}

/// The option called `name`, or the only one whose name starts so.
fn long(table: &'static [Opt], name: &str) -> Result<&'static Opt, String> {
    let starts: Vec<&Opt> = table.iter().filter(|o| o.1.starts_with(name)).collect();
    let exact = starts.iter().find(|o| o.1 == name);
    match (exact, &starts[..]) {
        (Some(opt), _) => Ok(opt),
        (None, []) => Err(format!("unrecognized option '--{name}'")),
        // Two names of one option are no doubt.
        (None, [first, rest @ ..]) if rest.iter().all(|o| o.0 == first.0) => Ok(first),
        (None, many) => {
            let names: Vec<String> = many.iter().map(|o| format!(" '--{}'", o.1)).collect();
            Err(format!("option '--{name}' is ambiguous; possibilities:{}", names.concat()))
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
                Err(text) => {
                    out.push(text);
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
            ("-a --frob -a", "[a] /sbin/x: unrecognized option '--frob'"),
            ("-az", "[a] /sbin/x: invalid option -- 'z'"),
            ("-C", "/sbin/x: option requires an argument -- 'C'"),
            ("--config", "/sbin/x: option '--config' requires an argument"),
            ("--all=x", "/sbin/x: option '--all' doesn't allow an argument"),
            (
                "--for",
                "/sbin/x: option '--for' is ambiguous; possibilities: '--force-vermagic' '--force-modversion' '--force'",
            ),
            (
                "--force-",
                "/sbin/x: option '--force-' is ambiguous; possibilities: '--force-vermagic' '--force-modversion'",
            ),
        ] {
            assert_eq!(read(words), want, "{words}");
        }
    }
}
