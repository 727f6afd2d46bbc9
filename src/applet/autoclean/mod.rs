//! `autoclean`, and `rmmod -a`: one pass over the modules that were loaded on demand.

mod pass;

use std::ffi::OsString;

use super::args::{Arg, Args, Opt};
use super::message::Error;
use super::tool::Tool;
use crate::escape;
pub(super) use pass::{Policy, run_pass};

const IDLE: char = '\u{1}';
const KEEP: char = '\u{2}';

const OPTIONS: &[Opt] = &[
    Opt(IDLE, "idle", true),
    Opt(KEEP, "keep", true),
    Opt('n', "dry-run", false),
    Opt('s', "syslog", false),
    Opt('v', "verbose", false),
    Opt('V', "version", false),
    Opt('h', "help", false),
];

const HELP: &str = "[option…]

Removes modules that were loaded on demand and are unused now and were at the last run.
      --idle=SECONDS  only modules that have been unused for at least SECONDS
      --keep=A,B      keep modules with these names or patterns
  -n, --dry-run       print what would be done, and do nothing
  -s, --syslog        log messages to syslog
  -v, --verbose       print what is done
  -V, --version       print the version
  -h, --help          print this help
";

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let tool = Tool::coldplug(args);
    let mut args = Args::new(args, Vec::new(), OPTIONS);
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
                'V' => return Err(tool.version()),
                _ => return Err(tool.help(HELP)),
            },
        }
    }
    run_pass(&tool, &policy)
}

fn seconds(value: &OsString) -> Result<u64, Error> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::Usage(format!("unexpected --idle value '{}'", escape::path(value))))
}
