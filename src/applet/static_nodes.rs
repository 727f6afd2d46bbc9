//! `static-nodes [-f human|tmpfiles|devname] [-o FILE]`: shows the device nodes that load a module
//! when they are opened.
//!
//! ```text
//! modules.devname     MODULE NODE TYPE-LETTER MAJOR:MINOR       fuse fuse c10:229
//! ```

use std::ffi::OsString;
use std::path::Path;

use super::args::{Arg, Args};
use super::message::Error;
use super::paths::module_dir;
use super::tool::{Level, Tool};
use super::usage::{Opt, Usage};
use crate::escape;
use crate::kmod::catalog::IndexFiles;
use crate::sys::Cause;
use crate::sys::moddir::ModuleDir;

pub(super) static USAGE: Usage = Usage::new("static-nodes", SUMMARY)
    .text("[option…]\n\nShows the nodes in modules.devname of the running kernel.")
    .options(OPTIONS);

pub(super) const SUMMARY: &str = "show the device nodes that load a module when they are opened";

pub(super) const OPTIONS: &[Opt] = &[
    Opt('f', "format=human|tmpfiles|devname: format of the output (default: human)"),
    Opt('o', "output=FILE: write to FILE instead of standard output"),
];

type Format = fn(&Node<'_>) -> String;

const FORMATS: [(&str, Format); 3] =
    [("human", human), ("tmpfiles", tmpfiles), ("devname", devname)];

/// One line of modules.devname.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node<'a> {
    module: &'a str,
    name: &'a str,
    /// `c` or `b`.
    kind: char,
    major: u32,
    minor: u32,
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let tool = Tool::kmod(args, Level::Error);
    let mut args = Args::new(args, Vec::new(), &USAGE);
    let (mut format, mut output): (Format, _) = (human, None);
    while let Some(arg) = args.next().map_err(|error| with_help(&tool, tool.bad_option(error)))? {
        match arg {
            Arg::Operand(_) => {}
            Arg::Opt('f', value) => match FORMATS.iter().find(|(name, _)| value == *name) {
                Some((_, known)) => format = *known,
                None => {
                    tool.raw_error(&format!("Unknown format: '{}'.", escape::path(&value)));
                    return Err(with_help(&tool, Error::Reported));
                }
            },
            Arg::Opt(_, value) => output = Some(value),
        }
    }
    show(&tool, &ModuleDir::at(module_dir(None, None)), format, output.as_deref().map(Path::new))
}

/// Prints the help after an error, as kmod does.
fn with_help(tool: &Tool, error: Error) -> Error {
    if !matches!(error, Error::Help(_)) {
        tool.print(USAGE.help());
    }
    error
}

fn show(tool: &Tool, dir: &ModuleDir, format: Format, output: Option<&Path>) -> Result<(), Error> {
    let Ok(Some(file)) = dir.open("modules.devname") else {
        let path = dir.path().join("modules.devname");
        tool.raw_error(&format!("Warning: {} not found - ignoring", escape::path(&path)));
        return Ok(());
    };
    let text = String::from_utf8_lossy((*file).as_ref());
    let (mut out, mut valid) = (String::new(), true);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match parse(line) {
            Some(node) => out += &format(&node),
            None => {
                tool.raw_error(&format!("Error: invalid devname entry: {line}"));
                valid = false;
            }
        }
    }
    match output {
        Some(path) => write(path, &out).map_err(|error| {
            let reason = Cause::from(&error);
            tool.raw_error(&format!("Error: could not create {}: {reason}", escape::path(&path)));
            Error::Reported
        })?,
        None => tool.print(out),
    }
    Error::unless(valid)
}

/// Writes `text` to `path`, whose directory is created if need be.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(path, text)
}

fn parse(line: &str) -> Option<Node<'_>> {
    let mut words = line.split_whitespace();
    let (module, name, number) = (words.next()?, words.next()?, words.next()?);
    let kind = number.chars().next().filter(|k| matches!(k, 'b' | 'c'))?;
    let (major, minor) = number[1..].split_once(':')?;
    Some(Node { module, name, kind, major: major.parse().ok()?, minor: minor.parse().ok()? })
}

fn human(node: &Node<'_>) -> String {
    let Node { module, name, major, minor, .. } = node;
    let kind = if node.kind == 'c' { "character" } else { "block" };
    format!(
        "Module: {module}\n\tDevice node: /dev/{name}\n\t\tType: {kind} device\n\
         \t\tMajor: {major}\n\t\tMinor: {minor}\n"
    )
}

fn tmpfiles(node: &Node<'_>) -> String {
    let Node { name, kind, major, minor, .. } = node;
    let directory = name.rsplit_once('/').map(|(dir, _)| format!("d /dev/{dir} 0755 - - -\n"));
    directory.unwrap_or_default() + &format!("{kind}! /dev/{name} 0600 - - - {major}:{minor}\n")
}

fn devname(node: &Node<'_>) -> String {
    let Node { module, name, kind, major, minor } = node;
    format!("{module} {name} {kind}{major}:{minor}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::tool::Sink;
    use crate::sys::Root;
    use crate::sys::module::Kernel;
    use std::sync::Arc;

    fn run(text: &str, format: Format) -> (Result<(), Error>, String) {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("modules.devname"), text).unwrap();
        let sink = Sink::default();
        let tool = Tool::for_test(Root::default(), Arc::new(Kernel), &sink);
        let dir = ModuleDir::at(scratch.path());
        let result = show(&tool, &dir, format, None);
        drop(tool);
        (result, sink.take())
    }

    #[test]
    fn formats_are_those_of_kmod() {
        let text = "# head\nfuse fuse c10:229\nsnd_timer snd/timer c116:33\nloop loop0 b7:0\n";
        for (format, want) in [
            (
                tmpfiles as Format,
                "c! /dev/fuse 0600 - - - 10:229\nd /dev/snd 0755 - - -\n\
                 c! /dev/snd/timer 0600 - - - 116:33\nb! /dev/loop0 0600 - - - 7:0\n",
            ),
            (devname, "fuse fuse c10:229\nsnd_timer snd/timer c116:33\nloop loop0 b7:0\n"),
        ] {
            assert_eq!(run(text, format), (Ok(()), want.to_owned()));
        }
        assert_eq!(
            run("fuse fuse c10:229\n", human).1,
            "Module: fuse\n\tDevice node: /dev/fuse\n\t\tType: character device\n\
             \t\tMajor: 10\n\t\tMinor: 229\n"
        );
    }

    #[test]
    fn a_bad_line_is_named_and_skipped() {
        let (result, output) = run("bad x10:2\nfuse fuse c10:229\n", devname);
        assert_eq!(result, Err(Error::Reported));
        assert_eq!(output, "Error: invalid devname entry: bad x10:2\nfuse fuse c10:229\n");
    }
}
