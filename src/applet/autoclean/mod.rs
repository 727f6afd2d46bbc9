//! `autoclean`, and `rmmod -a`: one pass over the modules that were loaded on demand.

mod pass;

use std::ffi::OsString;

use super::args::{Arg, Args};
use super::message::Error;
use super::tool::Tool;
use super::usage::{Opt, SYSLOG, Usage, VERSION};
use crate::escape;
pub(super) use pass::{Policy, run_pass};

const IDLE: char = '\u{1}';
const KEEP: char = '\u{2}';

pub(super) static USAGE: Usage =
    Usage::new("autoclean", "remove unused modules that were loaded on demand")
        .text(
            "[option…]\n\n\
     Removes modules that were loaded on demand and are unused now and were at the last run.",
        )
        .options(&[
            Opt(IDLE, "idle=SECONDS: only modules that have been unused for at least SECONDS"),
            Opt(KEEP, "keep=MODULE,…: keep modules with these names or patterns"),
            Opt('n', "dry-run: print what would be done, and do nothing"),
            SYSLOG,
            Opt('v', "verbose: print what is done"),
            VERSION,
        ]);

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let tool = Tool::coldplug(args);
    let mut args = Args::new(args, Vec::new(), &USAGE);
    let mut policy = Policy::default();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Operand(word) => return Err(Error::unexpected(&word)),
            Arg::Opt(letter, value) => match letter {
                IDLE => policy.idle_s = seconds(&value)?,
                KEEP => policy.keep_all(&value.to_string_lossy()),
                'n' => policy.dry_run = true,
                's' => tool.use_syslog(),
                'v' => policy.verbose = true,
                _ => return Err(tool.version()),
            },
        }
    }
    run_pass(&tool, &policy)
}

fn seconds(value: &OsString) -> Result<u64, Error> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::Usage(format!("unexpected --idle value '{}'", escape::path(value))))
}
