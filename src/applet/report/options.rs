//! The command line of the host's `report`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::RECORD;
use crate::applet::args::{Arg, Args};
use crate::applet::message::Error;
use crate::applet::usage::{Opt, Usage};
use crate::escape;
use crate::kmod::name::ModuleName;
use crate::report::view::Order;

pub(in crate::applet) static USAGE: Usage = Usage::new(
    "report",
    "show the record of a boot: what was loaded, why, and what the boot waited for",
)
.text(
    "[--sort ORDER] [--module NAME] [INPUT]\n\
     --tree [--module NAME] [INPUT]\n\
     --critical|--json|--serial [INPUT]\n\
     --html OUT [INPUT]\n\
     --svg OUT [INPUT]\n\
     --diff INPUT INPUT\n\
     --fleet DIR\n\
     --persist DEVICE|FILE\n\n\
     Shows the record of a boot: what was loaded, how long it took and for which device. INPUT \
     holds the record (default: /run/coldplug/record.json, that of the last boot): a record in \
     JSON, the log of a serial line, an image, or a place of coldplug.persist=; - is standard \
     input.",
)
.options(&[
    Opt(
        's',
        "sort=load|time|name: order of the table: load (default), time (the slowest first) \
         or name",
    ),
    Opt('m', "module=NAME: only this module"),
    Opt('t', "tree: why each module is loaded: device, alias, module, dependencies"),
    Opt(
        'c',
        "critical: what decided when the root was there and the boot ended, and what each \
         step waited for",
    ),
    Opt('j', "json: the record as JSON in lines"),
    Opt(
        HTML,
        "html=OUT: write a page with chart, critical path and modules to OUT; - is \
         standard output",
    ),
    Opt(SVG, "svg=OUT: write the chart to OUT"),
    Opt('d', "diff: compare two boots: modules, times, phases"),
    Opt('f', "fleet: many boots, the records in the directory DIR: percentiles and outliers"),
    Opt(
        'p',
        "persist: show the failed boot that coldplug.persist= has stored: what ended it, its \
         record and the end of the kernel log",
    ),
    Opt(
        'l',
        "serial: print the record in numbered lines with checksums, for the log of a \
         serial line",
    ),
]);

const HTML: char = '\u{1}';
const SVG: char = '\u{2}';

/// What to show.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum View {
    Table(Order),
    Tree,
    Critical,
    Json,
    Html(PathBuf),
    Svg(PathBuf),
    Diff,
    Fleet,
    Stored,
    Serial,
}

/// A command line.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) view: View,
    /// The only module to show.
    pub(super) module: Option<String>,
    /// What to read; of `--diff` the boot before.
    pub(super) input: PathBuf,
    /// The other boot of `--diff`.
    pub(super) after: PathBuf,
}

impl Options {
    /// Parses the arguments of the command.
    ///
    /// # Errors
    /// An unknown option, two views, or the wrong number of operands.
    pub(super) fn parse(args: &[OsString]) -> Result<Self, Error> {
        let mut args = Args::new(args, Vec::new(), &USAGE);
        let (mut chosen, mut order, mut module) = (None, None, None);
        let mut operands = Vec::new();
        while let Some(arg) = args.next()? {
            let (letter, value) = match arg {
                Arg::Operand(word) => {
                    operands.push(word);
                    continue;
                }
                Arg::Opt(letter, value) => (letter, value),
            };
            let view = match letter {
                's' => {
                    order = Some(parse_order(&value)?);
                    continue;
                }
                'm' => {
                    module = Some(module_name(&value)?);
                    continue;
                }
                't' => View::Tree,
                'c' => View::Critical,
                'j' => View::Json,
                HTML => View::Html(value.into()),
                SVG => View::Svg(value.into()),
                'd' => View::Diff,
                'f' => View::Fleet,
                'p' => View::Stored,
                _ => View::Serial,
            };
            if chosen.as_ref().is_some_and(|other| *other != view) {
                return Err(usage("only one of the options for a view can be given"));
            }
            chosen = Some(view);
        }
        let view = chosen.unwrap_or_else(|| View::Table(order.unwrap_or_default()));
        if order.is_some() && !matches!(view, View::Table(_)) {
            return Err(usage("--sort is for the table alone"));
        }
        if module.is_some() && !matches!(view, View::Table(_) | View::Tree) {
            return Err(usage("--module is for the table and --tree"));
        }
        let (input, after) = inputs(&view, operands)?;
        Ok(Self { view, module, input, after })
    }
}

/// Returns what a view reads.
fn inputs(view: &View, operands: Vec<OsString>) -> Result<(PathBuf, PathBuf), Error> {
    let mut operands = operands.into_iter();
    let missing = |what| move || usage(&format!("{what} is missing"));
    let first = operands.next().map(PathBuf::from);
    let (input, after) = match view {
        View::Diff => {
            let before = first.ok_or_else(missing("INPUT"))?;
            (before, operands.next().ok_or_else(missing("the second INPUT"))?.into())
        }
        View::Fleet => (first.ok_or_else(missing("DIR"))?, PathBuf::new()),
        View::Stored => {
            let none = || Error::Failed("--persist: no device or file given".into());
            (first.ok_or_else(none)?, PathBuf::new())
        }
        _ => (first.unwrap_or_else(|| RECORD.into()), PathBuf::new()),
    };
    match operands.next() {
        Some(word) => Err(Error::unexpected(&word)),
        None => Ok((input, after)),
    }
}

fn parse_order(word: &OsString) -> Result<Order, Error> {
    match word.to_str() {
        Some("load") => Ok(Order::Load),
        Some("time") => Ok(Order::Time),
        Some("name") => Ok(Order::Name),
        _ => {
            let word = escape::path(word);
            Err(usage(&format!("--sort '{word}' is not one of load, time, name")))
        }
    }
}

/// Returns the name of a module as records have it, with underscores.
fn module_name(word: &OsString) -> Result<String, Error> {
    let name = word.to_str().map(|name| ModuleName::new(name).text().into_owned());
    name.ok_or_else(|| usage(&format!("--module '{}' is not a name", escape::path(word))))
}

fn usage(text: &str) -> Error {
    Error::Usage(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let parse = |words: &str| {
            let words = format!("report {words}");
            let args: Vec<OsString> = words.split_whitespace().map(Into::into).collect();
            match Options::parse(&args) {
                Ok(Options { view, module, input, after }) => {
                    let module = module.map(|name| format!(" of {name}")).unwrap_or_default();
                    format!("{view:?}{module} {} {}", input.display(), after.display())
                }
                Err(error) => error.to_string(),
            }
        };
        for (words, want) in [
            ("", "Table(Load) /run/coldplug/record.json "),
            ("a", "Table(Load) a "),
            ("--sort time -m usb-storage a", "Table(Time) of usb_storage a "),
            ("-t", "Tree /run/coldplug/record.json "),
            ("-c -", "Critical - "),
            ("--html o a", "Html(\"o\") a "),
            ("--svg - a", "Svg(\"-\") a "),
            ("-d a b", "Diff a b"),
            ("-f d", "Fleet d "),
            ("-p d", "Stored d "),
            ("a b", "unexpected argument 'b'"),
            ("-d a b c", "unexpected argument 'c'"),
            ("-d a", "the second INPUT is missing"),
            ("-d", "INPUT is missing"),
            ("-f", "DIR is missing"),
            ("-p", "--persist: no device or file given"),
            ("-t -c", "only one of the options for a view can be given"),
            ("--html a --html b", "only one of the options for a view can be given"),
            ("--sort size", "--sort 'size' is not one of load, time, name"),
            ("--sort time -t", "--sort is for the table alone"),
            ("-m a -c", "--module is for the table and --tree"),
            ("--nonsense", "unrecognized option '--nonsense'"),
        ] {
            assert_eq!(parse(words), want, "{words}");
        }
    }
}
