//! `coldplug image check`: whether an image boots its kernels, and a given machine.

use std::collections::HashSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Command, input, operands, usage};
use crate::applet::args::Args;
use crate::applet::message::Error;
use crate::applet::usage::{Opt, Usage};
use crate::applet::{args, capture_file, out};
use crate::escape;
use crate::image::check::{self, Finding, ReadError, Report, Request, Severity};
use crate::machine::capture::Capture;
use crate::sys::{Root, machine};

/// Exit status if the image has an error.
const UNFIT: u8 = 1;

/// What to check, and how to report it.
#[derive(Debug)]
pub(super) struct Check {
    image: PathBuf,
    board: Option<Board>,
    cmdline: Option<String>,
    release: Option<String>,
    limit: u64,
    strict: bool,
    json: bool,
    quiet: bool,
}

/// The machine that is to boot.
#[derive(Debug, PartialEq, Eq)]
enum Board {
    /// The one that was captured in this file.
    File(PathBuf),
    /// This one.
    Host,
}

impl Board {
    fn capture(&self) -> Result<Capture, Error> {
        match self {
            Self::File(path) => capture_file::read(path),
            Self::Host => Ok(machine::capture(&Root::default())?),
        }
    }
}

pub(super) static USAGE: Usage = Usage::new("image check", "check that an image boots")
    .text(
        "[--board FILE|--host] [option…] IMAGE\n\n\
         Checks dependencies, indexes and firmware of the modules, kernel release and machine of \
         modules and programs, and /init; with a machine also the drivers of its devices and the \
         way to its root. The exit status is 0 if there is no error, 1 if there is one, and 2 if \
         the check is not possible.",
    )
    .options(&[
        Opt('\0', "board=FILE: the machine that coldplug scan --save wrote to FILE, or the one in the log of a \
             serial line"),
        Opt('\0', "host: this machine"),
        Opt('c', "cmdline=TEXT: the kernel command line of the boot (default: the machine's)"),
        Opt('k', "kernel=RELEASE: check only this kernel of the image, which must have it"),
        Opt('\0', "max-size=SIZE: refuse an image that unpacks to more, and modules that decompress to more: bytes, or \
             with K, M, G or T (default: 4G)"),
        Opt('\0', "strict: let warnings count as errors"),
        Opt('j', "json: print one JSON object"),
        Opt('q', "quiet: print errors alone"),
    ]);

/// Parses the options of the command.
pub(super) fn parse(mut args: Args) -> Result<Command, Error> {
    let mut words = Vec::new();
    let mut check = Check {
        image: PathBuf::new(),
        board: None,
        cmdline: None,
        release: None,
        limit: input::LIMIT,
        strict: false,
        json: false,
        quiet: false,
    };
    while let Some((name, value)) = args.next_named()? {
        match name {
            "board" => check.set_board(Board::File(value.into()))?,
            "host" => check.set_board(Board::Host)?,
            "cmdline" => check.cmdline = Some(value.to_string_lossy().into_owned()),
            "kernel" => check.release = Some(args::release(value)?),
            "max-size" => check.limit = input::size(&value)?,
            "strict" => check.strict = true,
            "json" => check.json = true,
            "quiet" => check.quiet = true,
            _ => words.push(value),
        }
    }
    let (image, rest) = operands(words)?;
    if let Some(word) = rest.first() {
        return Err(usage(&format!("unexpected argument '{}'", escape::bytes(word))));
    }
    input::check(&image)?;
    check.image = image;
    Ok(Command::Check(check))
}

impl Check {
    fn set_board(&mut self, board: Board) -> Result<(), Error> {
        match self.board.replace(board) {
            None => Ok(()),
            Some(_) => Err(usage("one machine is checked: --board FILE or --host")),
        }
    }

    /// Checks the image and prints what was found. The exit status says whether it has errors.
    pub(super) fn run(&self) -> Result<(), Error> {
        let board = self.board.as_ref().map(Board::capture).transpose()?;
        let request = Request {
            limit: self.limit,
            release: self.release.as_deref(),
            boards: board.as_slice(),
            cmdline: self.cmdline.as_deref(),
        };
        let report = check::check(|| input::open(&self.image), request);
        let report = report.map_err(|error| self.failed(&error))?;
        match self.json {
            true => out::text(&self.to_json(&report)),
            false => out::text(&self.to_text(&report)),
        }
        let worst = if self.strict { Severity::Warning } else { Severity::Error };
        match report.findings.iter().any(|finding| finding.severity <= worst) {
            true => Err(Error::Code(UNFIT)),
            false => Ok(()),
        }
    }

    fn failed(&self, error: &ReadError) -> Error {
        let text = format!("{}: {error}", escape::path(&self.image));
        match error.hint() {
            Some(hint) => Error::Hinted(text, hint),
            None => Error::Failed(text),
        }
    }

    /// Returns a line for each finding, each hint once, and a summary.
    fn to_text(&self, report: &Report) -> String {
        let image = escape::path(&self.image);
        let (mut text, mut hints) = (String::new(), HashSet::new());
        let is_shown =
            |finding: &&Finding| !self.quiet || self.strict || finding.severity == Severity::Error;
        for finding in report.findings.iter().filter(is_shown) {
            text += &format!("{image}: {finding}\n");
            if let Some(hint) = finding.hint.as_ref().filter(|hint| hints.insert(*hint)) {
                text += &format!("  hint: {hint}\n");
            }
        }
        if self.quiet {
            return text;
        }
        let kernels = report.kernels.iter().map(|(release, modules)| {
            format!("{} of kernel {}", count(*modules, "module"), escape::line(release))
        });
        let checked: Vec<String> = kernels.collect();
        let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
        let found = match (errors, warnings) {
            (0, 0) => "no errors".to_owned(),
            (0, _) => format!("no errors, {}", count(warnings, "warning")),
            (_, 0) => count(errors, "error"),
            _ => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        };
        text += &format!("{image}: {found}");
        if !checked.is_empty() {
            text += &format!(" ({})", checked.join(", "));
        }
        text
    }

    fn to_json(&self, report: &Report) -> String {
        let kernels: Vec<Value> = report
            .kernels
            .iter()
            .map(|(release, modules)| json!({"release": release, "modules": modules}))
            .collect();
        let findings = report.findings.iter().map(|finding| {
            json!({
                "severity": finding.severity.as_str(),
                "kind": finding.kind.as_str(),
                "object": finding.object,
                "text": finding.text,
                "hint": finding.hint,
            })
        });
        json!({
            "image": escape::path(&self.image),
            "kernels": kernels,
            "errors": report.count(Severity::Error),
            "warnings": report.count(Severity::Warning),
            "findings": findings.collect::<Vec<_>>(),
        })
        .to_string()
    }
}

/// Returns a number with its noun.
fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
