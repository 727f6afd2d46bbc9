//! `autoclean`, and `rmmod -a`: one visit to the modules that were loaded on demand.

mod visit;

use std::ffi::OsString;

use super::Exit;
use super::args::{Arg, Args, Opt};
use super::tool::{Level, Tool};
pub(super) use visit::{Plan, visit};

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

const HELP: &str = "[options]
Removes what was loaded on demand and was unused at this visit and the one before.
Options:
\t    --idle=SECONDS  only what has been unused for so long
\t    --keep=A,B      never these, names or patterns
\t-n, --dry-run       print what would be done
\t-s, --syslog        messages go to the system log
\t-v, --verbose       print what is done
\t-V, --version       show version
\t-h, --help          show this help
";

pub(super) fn run(args: &[OsString]) -> Exit {
    let tool = Tool::new(args, Level::Warning);
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let mut plan = Plan::default();
    loop {
        match args.next() {
            Ok(None) => break,
            Ok(Some(Arg::Operand(word))) => {
                tool.error(&format!("'{}' is too much. See -h.", word.to_string_lossy()));
                return Exit::Failure;
            }
            Ok(Some(Arg::Opt(letter, value))) => match letter {
                IDLE => match value.to_str().and_then(|text| text.parse().ok()) {
                    Some(seconds) => plan.idle = seconds,
                    None => {
                        let text = value.to_string_lossy();
                        tool.error(&format!("unexpected idle value '{text}'."));
                        return Exit::Failure;
                    }
                },
                KEEP => plan.keep_all(&value.to_string_lossy()),
                'n' => plan.dry_run = true,
                's' => tool.use_syslog(),
                'v' => plan.tells = true,
                'V' => return tool.version(),
                _ => return tool.help(HELP),
            },
            Err(text) => return tool.bad_option(&text),
        }
    }
    visit(&tool, &plan)
}
