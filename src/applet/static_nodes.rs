//! `static-nodes [-f human|tmpfiles|devname] [-o FILE]`: the device nodes that load a module when they are
//! opened.
//!
//! ```text
//! modules.devname     MODULE NODE TYPE-LETTER MAJOR:MINOR       fuse fuse c10:229
//! ```

use std::ffi::OsString;
use std::path::Path;

use super::Exit;
use super::args::{Arg, Args, Opt};
use super::paths::module_dir;
use super::tool::{Level, Tool};
use crate::kmod::catalog::IndexFiles;
use crate::sys::Cause;
use crate::sys::moddir::ModuleDir;

const OPTIONS: &[Opt] =
    &[Opt('f', "format", true), Opt('o', "output", true), Opt('h', "help", false)];

const HELP: &str = "[options]
Options:
\t-f, --format=FORMAT  human, tmpfiles or devname; default human
\t-o, --output=FILE    write to FILE
\t-h, --help           show this help
";

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

pub(super) fn run(args: &[OsString]) -> Exit {
    let tool = Tool::new(args, Level::Error);
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let (mut format, mut output): (Format, _) = (human, None);
    loop {
        match args.next() {
            Ok(None) => break,
            Ok(Some(Arg::Operand(_))) => {}
            Ok(Some(Arg::Opt('f', value))) => {
                match FORMATS.iter().find(|(name, _)| value == *name) {
                    Some((_, known)) => format = *known,
                    None => {
                        tool.raw_error(&format!("Unknown format: '{}'.", value.to_string_lossy()));
                        tool.help(HELP);
                        return Exit::Failure;
                    }
                }
            }
            Ok(Some(Arg::Opt('o', value))) => output = Some(value),
            Ok(Some(Arg::Opt(..))) => return tool.help(HELP),
            Err(text) => {
                tool.bad_option(&text);
                tool.help(HELP);
                return Exit::Failure;
            }
        }
    }
    show(&tool, &ModuleDir::at(module_dir(None, None)), format, output.as_deref().map(Path::new))
}

fn show(tool: &Tool, dir: &ModuleDir, format: Format, output: Option<&Path>) -> Exit {
    let Some(file) = dir.open("modules.devname") else {
        let path = dir.path().join("modules.devname");
        tool.raw_error(&format!("Warning: {} not found - ignoring", path.display()));
        return Exit::Success;
    };
    let text = String::from_utf8_lossy((*file).as_ref());
    let mut exit = Exit::Success;
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match parse(line) {
            Some(node) => out += &format(&node),
            None => {
                tool.raw_error(&format!("Error: invalid devname entry: {line}"));
                exit = Exit::Failure;
            }
        }
    }
    let Some(path) = output else {
        tool.print(out);
        return exit;
    };
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    match folder.and_then(|()| std::fs::write(path, out)) {
        Ok(()) => exit,
        Err(error) => {
            let reason = Cause::from(&error);
            tool.raw_error(&format!("Error: could not create {}: {reason}", path.display()));
            Exit::Failure
        }
    }
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
        "Module: {module}\n\tDevice node: /dev/{name}\n\t\tType: {kind} device\n\t\tMajor: {major}\n\t\tMinor: {minor}\n"
    )
}

fn tmpfiles(node: &Node<'_>) -> String {
    let Node { name, kind, major, minor, .. } = node;
    let folder = name.rsplit_once('/').map(|(dir, _)| format!("d /dev/{dir} 0755 - - -\n"));
    folder.unwrap_or_default() + &format!("{kind}! /dev/{name} 0600 - - - {major}:{minor}\n")
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

    fn run(text: &str, format: Format) -> (Exit, String) {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("modules.devname"), text).unwrap();
        let sink = Sink::default();
        let tool = Tool::on(Root::default(), Arc::new(Kernel), &sink);
        let dir = ModuleDir::at(scratch.path());
        let exit = show(&tool, &dir, format, None);
        drop(tool);
        (exit, sink.take())
    }

    #[test]
    fn every_format_is_kmods() {
        let text = "# head\nfuse fuse c10:229\nsnd_timer snd/timer c116:33\nloop loop0 b7:0\n";
        for (format, want) in [
            (
                tmpfiles as Format,
                "c! /dev/fuse 0600 - - - 10:229\nd /dev/snd 0755 - - -\n\
                 c! /dev/snd/timer 0600 - - - 116:33\nb! /dev/loop0 0600 - - - 7:0\n",
            ),
            (devname, "fuse fuse c10:229\nsnd_timer snd/timer c116:33\nloop loop0 b7:0\n"),
        ] {
            assert_eq!(run(text, format), (Exit::Success, want.to_owned()));
        }
        assert_eq!(
            run("fuse fuse c10:229\n", human).1,
            "Module: fuse\n\tDevice node: /dev/fuse\n\t\tType: character device\n\t\tMajor: 10\n\t\tMinor: 229\n"
        );
    }

    #[test]
    fn a_bad_line_is_named_and_the_rest_goes_on() {
        let (exit, said) = run("bad x10:2\nfuse fuse c10:229\n", devname);
        assert_eq!(exit, Exit::Failure);
        assert_eq!(said, "Error: invalid devname entry: bad x10:2\nfuse fuse c10:229\n");
    }
}
