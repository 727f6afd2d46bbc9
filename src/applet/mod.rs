//! Command lines: one file and one entry of [`COMMANDS`] per command. No other layer picks an exit
//! code.

#[cfg(feature = "full")]
mod args;
#[cfg(feature = "stacks")]
mod ask_passphrase;
#[cfg(feature = "stacks")]
mod assemble;
#[cfg(feature = "host")]
mod autoclean;
#[cfg(all(feature = "full", not(feature = "host")))]
#[path = "no_autoclean.rs"]
mod autoclean;
#[cfg(feature = "host")]
mod capture_file;
#[cfg(feature = "full")]
mod console_shell;
#[cfg(feature = "host")]
mod convert;
#[cfg(feature = "host")]
mod depmod;
mod disk_prober;
#[cfg(feature = "host")]
mod explain;
#[cfg(all(feature = "full", not(feature = "host")))]
#[path = "no_explain.rs"]
mod explain;
#[cfg(feature = "host")]
mod finish;
mod free_initramfs;
#[cfg(feature = "host")]
mod helper;
#[cfg(feature = "host")]
mod image;
mod init;
#[cfg(feature = "full")]
mod insmod;
#[cfg(feature = "host")]
mod kmod;
#[cfg(feature = "full")]
mod led_blinker;
#[cfg(feature = "full")]
mod load_keyboards;
mod load_worker;
#[cfg(feature = "full")]
mod lsmod;
mod message;
#[cfg(feature = "host")]
mod modinfo;
#[cfg(feature = "full")]
mod modprobe;
#[cfg(not(feature = "full"))]
#[path = "kernel_request.rs"]
mod modprobe;
#[cfg(feature = "full")]
mod module_file;
#[cfg(feature = "host")]
mod monitor;
mod mount_worker;
mod out;
#[cfg(feature = "full")]
mod paths;
#[cfg(feature = "full")]
mod persist;
#[cfg(feature = "host")]
mod plan;
#[cfg(feature = "host")]
mod progress;
#[cfg(all(test, feature = "host", feature = "stacks"))]
mod reference;
#[cfg(feature = "full")]
mod report;
#[cfg(feature = "full")]
mod report_writer;
#[cfg(feature = "full")]
mod rescue;
#[cfg(feature = "full")]
mod rmmod;
#[cfg(feature = "host")]
mod run;
#[cfg(feature = "full")]
mod scan;
#[cfg(feature = "full")]
mod script_reader;
#[cfg(all(feature = "full", any(target_arch = "aarch64", target_arch = "riscv64")))]
mod semihosting_exit;
#[cfg(feature = "full")]
mod serial;
#[cfg(feature = "host")]
mod settings;
#[cfg(all(feature = "full", not(feature = "host")))]
#[path = "no_settings.rs"]
mod settings;
#[cfg(feature = "host")]
mod slot;
#[cfg(feature = "host")]
mod static_nodes;
#[cfg(feature = "full")]
mod table;
#[cfg(feature = "full")]
mod tool;
mod usage;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use crate::escape;
use crate::sys::{Cause, process};
use message::Error;
use usage::Usage;

/// Runs a command. The first argument is its name.
type Run = fn(&[OsString]) -> Result<(), Error>;

/// A command for people: its usage, and the function that runs it.
struct Applet(&'static Usage, Run);

/// A command: its name, its usage unless init starts it, and the function that runs it.
struct Command(&'static str, Option<&'static Usage>, Run);

/// Commands for people, by the name they are called with or as `coldplug NAME`.
static COMMANDS: &[Applet] = &[
    Applet(&init::USAGE, init::run),
    #[cfg(feature = "host")]
    Applet(&image::USAGE, image::run),
    #[cfg(feature = "host")]
    Applet(&finish::USAGE, finish::run),
    #[cfg(feature = "full")]
    Applet(&scan::USAGE, scan::run),
    #[cfg(feature = "host")]
    Applet(&plan::USAGE, plan::run),
    #[cfg(feature = "host")]
    Applet(&run::USAGE, run::run),
    #[cfg(feature = "full")]
    Applet(&report::USAGE, report::run),
    Applet(&modprobe::USAGE, modprobe::run),
    #[cfg(feature = "host")]
    Applet(&helper::USAGE, helper::run),
    #[cfg(feature = "host")]
    Applet(&autoclean::USAGE, autoclean::run),
    #[cfg(feature = "host")]
    Applet(&settings::USAGE, settings::run),
    #[cfg(feature = "host")]
    Applet(&slot::USAGE, slot::run),
    #[cfg(feature = "host")]
    Applet(&monitor::USAGE, monitor::run),
    #[cfg(feature = "full")]
    Applet(&insmod::USAGE, insmod::run),
    #[cfg(feature = "full")]
    Applet(&rmmod::USAGE, rmmod::run),
    #[cfg(feature = "full")]
    Applet(&lsmod::USAGE, lsmod::run),
    #[cfg(feature = "full")]
    Applet(&lsmod::LIST, lsmod::run),
    #[cfg(feature = "host")]
    Applet(&modinfo::USAGE, modinfo::run),
    #[cfg(feature = "host")]
    Applet(&depmod::USAGE, depmod::run),
    #[cfg(feature = "host")]
    Applet(&convert::USAGE, convert::run),
    #[cfg(feature = "host")]
    Applet(&kmod::USAGE, kmod::run),
    #[cfg(feature = "host")]
    Applet(&static_nodes::USAGE, static_nodes::run),
];

/// Commands that init starts, by name. The list of commands leaves them out.
static INTERNAL: &[(&str, Run)] = &[
    #[cfg(feature = "stacks")]
    ("assemble", assemble::run),
    #[cfg(feature = "full")]
    ("persist", persist::run),
    #[cfg(feature = "stacks")]
    ("ask-passphrase", ask_passphrase::run),
    #[cfg(feature = "full")]
    ("console-shell", console_shell::run),
    ("disk-prober", disk_prober::run),
    ("free-initramfs", free_initramfs::run),
    #[cfg(feature = "full")]
    ("led-blinker", led_blinker::run),
    #[cfg(feature = "full")]
    ("load-keyboards", load_keyboards::run),
    #[cfg(feature = "full")]
    ("report-writer", report_writer::run),
    #[cfg(feature = "full")]
    ("rescue", rescue::run),
    #[cfg(feature = "full")]
    ("script-reader", script_reader::run),
    #[cfg(all(feature = "full", any(target_arch = "aarch64", target_arch = "riscv64")))]
    ("semihosting-exit", semihosting_exit::run),
    #[cfg(feature = "host")]
    ("tied", run::run_tied),
    ("load-worker", load_worker::run),
    ("mount-worker", mount_worker::run),
];

impl Command {
    /// Runs the command and prints its error, or its help. Returns its exit code.
    fn call(&self, args: &[OsString]) -> ExitCode {
        match self.answer_or_run(args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                error.print(self.0);
                error.exit_code()
            }
        }
    }

    fn answer_or_run(&self, args: &[OsString]) -> Result<(), Error> {
        let asks = args.get(1).is_some_and(|word| word == "--help" || word == "-h");
        match self.1 {
            Some(usage) if asks => Err(Error::Help(usage)),
            None if asks => Err(Error::Failed("only init starts this command".to_owned())),
            _ => (self.2)(args),
        }
    }

    /// Prints the help of the command, or of the action that `words` name. The command does not
    /// see the words: one that runs other programs would take them for its own.
    fn describe(&self, words: &[OsString]) -> ExitCode {
        let action = self.1.zip(words.first()).and_then(|(usage, word)| action(usage, word));
        let rest = if action.is_some() { &words[1..] } else { words };
        let usage = action.or(self.1);
        let error = match (usage, rest) {
            (None, _) => Error::Failed("only init starts this command".to_owned()),
            (_, [word, ..]) => Error::unexpected(word),
            (Some(usage), []) => Error::Help(usage),
        };
        error.print(usage.map_or(self.0, |usage| usage.name));
        error.exit_code()
    }
}

/// Runs the command that the arguments name. Returns its exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    let code = dispatch(&args);
    match out::take_failure() {
        Some(error) => fail(&format!("standard output: {}", Cause::from(&error)), None),
        None => code,
    }
}

fn dispatch(args: &[OsString]) -> ExitCode {
    // rdinit= may name any link of an image, and the kernel panics when that program ends. In a
    // container PID 1 is what its name says.
    if process::is_init_of_machine() {
        init::boot(args)
    }
    let own = args.first().and_then(|a| find(a));
    match (own, args.get(1)) {
        (Some(command), _) => command.call(args),
        // The kernel calls its helper PATH -q -- NAME, whatever the name of the program.
        (None, Some(quiet)) if quiet == "-q" && args.get(2).is_some_and(|a| a == "--") => {
            Command("modprobe", None, modprobe::run).call(args)
        }
        (None, Some(name)) => match find(name) {
            Some(command) => command.call(&args[1..]),
            None => help(name, &args[2..]),
        },
        (None, None) => help(OsStr::new("--help"), &[]),
    }
}

/// Prints an error that belongs to no command.
fn fail(text: &str, hint: Option<&str>) -> ExitCode {
    out::error(&format!("coldplug: {text}"));
    if let Some(hint) = hint {
        message::hint(hint);
    }
    ExitCode::FAILURE
}

/// Returns the command with the base name of `path`.
fn find(path: &OsStr) -> Option<Command> {
    let name = Path::new(path).file_name()?;
    let applet = COMMANDS.iter().find(|applet| applet.0.name == name);
    let command = applet.map(|Applet(usage, run)| Command(usage.name, Some(usage), *run));
    let internal = || INTERNAL.iter().find(|(own, _)| *own == name);
    command.or_else(|| internal().map(|(name, run)| Command(name, None, *run)))
}

/// Returns the usage of an action of a command, or of the command if its options are those of the
/// action.
#[cfg(feature = "host")]
fn action(usage: &'static Usage, word: &OsStr) -> Option<&'static Usage> {
    let is_it = |action: &&&Usage| action.name.rsplit(' ').next().is_some_and(|name| name == word);
    let action = *usage.actions.iter().find(is_it)?;
    Some(if action.options.is_empty() { usage } else { action })
}

/// Returns nothing: no command has actions.
#[cfg(not(feature = "host"))]
fn action(_: &Usage, _: &OsStr) -> Option<&'static Usage> {
    None
}

/// Answers `--help`, `help COMMAND [ACTION]` and `--version`. Any other word is an unknown command.
fn help(word: &OsStr, command: &[OsString]) -> ExitCode {
    match (word.to_str(), command) {
        (Some("-V" | "--version"), _) => {
            out::line(&format!(
                "coldplug {} ({}, {})",
                env!("CARGO_PKG_VERSION"),
                env!("COLDPLUG_COMMIT"),
                env!("COLDPLUG_TARGET")
            ));
            ExitCode::SUCCESS
        }
        (Some("help"), [name, ..]) => {
            find(name).map_or_else(|| unknown(name), |found| found.describe(&command[1..]))
        }
        (Some("-h" | "--help" | "help"), _) => {
            out::line(&usage());
            ExitCode::SUCCESS
        }
        _ => unknown(word),
    }
}

fn unknown(word: &OsStr) -> ExitCode {
    let text = format!("unknown command '{}'", escape::line(&escape::path(word)));
    fail(&text, Some("'coldplug help' lists the commands"))
}

fn usage() -> String {
    let mut text =
        "usage: coldplug COMMAND [ARGUMENT…], or COMMAND as a link to coldplug\n\n".to_owned();
    for Applet(usage, _) in COMMANDS {
        text += &format!("  {:12}  {}\n", usage.name, usage.summary);
    }
    text + "\n'coldplug help COMMAND' describes a command."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "host")]
    #[test]
    fn units_call_existing_commands() {
        for unit in [
            include_str!("../../initramfs/systemd/coldplug-autoclean.service"),
            include_str!("../../initramfs/systemd/coldplug-settings.service"),
            include_str!("../../initramfs/cron.d/coldplug-autoclean"),
        ] {
            let lines = unit.lines().filter(|line| !line.starts_with('#'));
            let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
            let is_call = |word: &&str| word.contains("/bin/coldplug") || word.contains("/rmmod");
            let at = words.iter().position(is_call).unwrap();
            let name = if words[at].ends_with("rmmod") { "rmmod" } else { words[at + 1] };
            assert!(find(OsStr::new(name)).is_some(), "{name}");
        }
    }

    #[cfg(feature = "host")]
    #[test]
    fn help_describes_actions_by_name() {
        let name = |command: &str, word: &str| {
            let usage = find(OsStr::new(command)).unwrap().1.unwrap();
            action(usage, OsStr::new(word)).map(|usage| usage.name)
        };
        assert_eq!(name("image", "build"), Some("image build"));
        assert_eq!(name("slot", "good"), Some("slot"));
        assert_eq!(name("run", "uname"), None);
        let describe = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            help(OsStr::new("help"), &words)
        };
        assert_eq!(describe(&["run", "uname"]), ExitCode::FAILURE);
        assert_eq!(describe(&["image", "build", "x"]), ExitCode::FAILURE);
        assert_eq!(describe(&["image", "build"]), ExitCode::SUCCESS);
    }

    #[test]
    fn every_link_of_an_image_is_a_command() {
        let links: Vec<&str> = include_str!("../../initramfs/base.list")
            .lines()
            .filter_map(|line| line.strip_prefix("slink ")?.split_whitespace().next())
            .filter(|link| !link.ends_with("/coldplug"))
            .collect();
        assert!(links.contains(&"/sbin/modprobe"));
        for link in links {
            assert!(find(OsStr::new(link)).is_some(), "{link} is no command");
        }
    }

    #[test]
    fn help_lists_commands_for_people_alone() {
        let text = usage();
        assert!(COMMANDS.iter().all(|a| text.contains(&format!("  {} ", a.0.name))));
        assert!(INTERNAL.iter().all(|(name, _)| !text.contains(name)));
    }
}
