//! `kmod COMMAND`: the commands that kmod has under its own name. They are few: modprobe and the
//! other tools are links.

use std::ffi::OsString;

use super::args::{Arg, Args};
use super::message::Error;
use super::tool::{Level, Tool};
use super::usage::{Usage, VERSION};
use super::{lsmod, static_nodes};
use crate::escape;

pub(super) static USAGE: Usage = Usage::tool("kmod", "kmod's own commands: list, static-nodes")
    .text(
        "[option…] COMMAND [ARGUMENT…]\n\n\
         Has the commands that kmod has under its own name. The others are links: lsmod, rmmod, \
         insmod, modinfo, modprobe, depmod.",
    )
    .options(&[VERSION])
    .actions(&[
        &Usage::tool("kmod help", "print this help"),
        &lsmod::OF_KMOD,
        &Usage::tool("kmod static-nodes", static_nodes::SUMMARY).options(static_nodes::OPTIONS),
    ]);

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
        Some("help") => Err(Error::Help(&USAGE)),
        _ => {
            tool.raw_error(&match args.get(at) {
                Some(word) => format!("invalid command '{}'", escape::line(&escape::path(word))),
                None => "missing command".to_owned(),
            });
            tool.print(USAGE.help());
            Err(Error::Reported)
        }
    }
}

/// Answers the first option.
fn answer(tool: &Tool, args: &[OsString]) -> Result<(), Error> {
    let first = Args::new(args, Vec::new(), &USAGE).next();
    match first.map_err(|error| tool.bad_option(error))? {
        Some(Arg::Opt('V', _)) => Err(tool.version()),
        _ => Err(Error::Help(&USAGE)),
    }
}
