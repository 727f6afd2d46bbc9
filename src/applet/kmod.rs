//! `kmod COMMAND`: the commands that kmod has under its own name. They are few: modprobe and the
//! other tools are links.

use std::ffi::OsString;

use super::args::{Arg, Args, Opt};
use super::message::Error;
use super::tool::{Level, Tool};
use super::{lsmod, static_nodes};
use crate::escape;

const OPTIONS: &[Opt] = &[Opt('V', "version", false), Opt('h', "help", false)];

/// The help of kmod 34.
const HELP: &str = "kmod - Manage kernel modules: list, load, unload, etc
Usage:
\tkmod [options] command [command_options]

Options:
\t-V, --version     show version
\t-h, --help        show this help

Commands:
  help         show help message
  list         list currently loaded modules
  static-nodes output the static-node information installed with the currently running kernel

kmod also handles gracefully if called from following symlinks:
  lsmod        compat lsmod command
  rmmod        compat rmmod command
  insmod       compat insmod command
  modinfo      compat modinfo command
  modprobe     compat modprobe command
  depmod       compat depmod command
";

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let tool = Tool::kmod(args, Level::Error);
    // Options end at the command, whose own options follow.
    let at = if args.get(1).is_some_and(|word| word == "--") { 2 } else { 1 };
    let command = args.get(at).and_then(|word| word.to_str());
    let is_option = |word: &str| at == 1 && word.len() > 1 && word.starts_with('-');
    match command {
        Some("list") => lsmod::run_in_kmod(&args[at..]),
        Some("static-nodes") => static_nodes::run(&args[at..]),
        Some(word) if is_option(word) => answer(&tool, args),
        Some("help") => Err(help(&tool)),
        _ => {
            tool.raw_error(&match args.get(at) {
                Some(word) => format!("invalid command '{}'", escape::line(&escape::path(word))),
                None => "missing command".to_owned(),
            });
            help(&tool);
            Err(Error::Reported)
        }
    }
}

/// Answers the first option.
fn answer(tool: &Tool, args: &[OsString]) -> Result<(), Error> {
    let first = Args::new(args, Vec::new(), OPTIONS).next();
    match first.map_err(|error| tool.bad_option(&error))? {
        Some(Arg::Opt('V', _)) => Err(tool.version()),
        _ => Err(help(tool)),
    }
}

fn help(tool: &Tool) -> Error {
    tool.print(HELP);
    Error::Answered
}
