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
#[cfg(feature = "full")]
mod report;
#[cfg(feature = "full")]
mod report_writer;
#[cfg(feature = "full")]
mod rescue;
#[cfg(feature = "full")]
mod rmmod;
#[cfg(feature = "full")]
mod scan;
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

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use crate::escape;
use crate::sys::{Cause, process};
use message::Error;

/// One command.
struct Applet {
    name: &'static str,
    help: &'static str,
    /// Runs the command. The first argument is its name.
    run: fn(&[OsString]) -> Result<(), Error>,
}

/// Commands for people, by the name they are called with or as `coldplug NAME`.
const COMMANDS: &[Applet] = &[
    Applet {
        name: "init",
        help: "run as PID 1 of an initramfs: load modules, mount the root, switch to it",
        run: init::run,
    },
    #[cfg(feature = "host")]
    Applet {
        name: "image",
        help: "build initramfs images, keep those of the kernels up to date; list, extract, compare",
        run: image::run,
    },
    #[cfg(feature = "host")]
    Applet {
        name: "finish",
        help: "load the modules that a boot with coldplug.settle=root left",
        run: finish::run,
    },
    #[cfg(feature = "full")]
    Applet {
        name: "scan",
        help: "show devices, their drivers and the modules for them, or save them to a file",
        run: scan::run,
    },
    #[cfg(feature = "host")]
    Applet {
        name: "plan",
        help: "show which modules a boot would load, in what order and why",
        run: plan::run,
    },
    #[cfg(feature = "full")]
    Applet {
        name: "report",
        help: "show the record of the last boot: loaded modules and the reasons",
        run: report::run,
    },
    Applet {
        name: "modprobe",
        help: "load or remove modules with their dependencies; also for the kernel",
        run: modprobe::run,
    },
    #[cfg(feature = "host")]
    Applet {
        name: "helper",
        help: "show or set the program that the kernel runs to load modules",
        run: helper::run,
    },
    #[cfg(feature = "host")]
    Applet {
        name: "autoclean",
        help: "remove unused modules that were loaded on demand",
        run: autoclean::run,
    },
    #[cfg(feature = "host")]
    Applet {
        name: "settings",
        help: "save, restore or show the settings of modules",
        run: settings::run,
    },
    #[cfg(feature = "host")]
    Applet {
        name: "slot",
        help: "show the slots of an A/B system, or mark one as good or bad",
        run: slot::run,
    },
    #[cfg(feature = "host")]
    Applet {
        name: "monitor",
        help: "show uevents of the kernel, or run a command for each",
        run: monitor::run,
    },
    #[cfg(feature = "full")]
    Applet { name: "insmod", help: "load a module file", run: insmod::run },
    #[cfg(feature = "full")]
    Applet { name: "rmmod", help: "remove modules", run: rmmod::run },
    #[cfg(feature = "full")]
    Applet { name: "lsmod", help: "show loaded modules", run: lsmod::run },
    #[cfg(feature = "full")]
    Applet { name: "list", help: "same as lsmod", run: lsmod::run },
    #[cfg(feature = "host")]
    Applet { name: "modinfo", help: "show information about modules", run: modinfo::run },
    #[cfg(feature = "host")]
    Applet {
        name: "depmod",
        help: "index the modules of a kernel: dependencies, aliases, symbols",
        run: depmod::run,
    },
    #[cfg(feature = "host")]
    Applet {
        name: "convert",
        help: "convert a modules.conf of modutils to modprobe.d",
        run: convert::run,
    },
    #[cfg(feature = "host")]
    Applet { name: "kmod", help: "kmod's own commands: list, static-nodes", run: kmod::run },
    #[cfg(feature = "host")]
    Applet {
        name: "static-nodes",
        help: "show the device nodes that load a module when they are opened",
        run: static_nodes::run,
    },
];

/// Commands that init starts. The list of commands leaves them out.
const INTERNAL: &[Applet] = &[
    #[cfg(feature = "stacks")]
    Applet {
        name: "assemble",
        help: "make the devices of LUKS, LVM and md that standard input asks for",
        run: assemble::run,
    },
    #[cfg(feature = "full")]
    Applet {
        name: "persist",
        help: "read or write the stored boot that the arguments name",
        run: persist::run,
    },
    #[cfg(feature = "stacks")]
    Applet {
        name: "ask-passphrase",
        help: "ask for a passphrase on a console, and pass it to standard input",
        run: ask_passphrase::run,
    },
    #[cfg(feature = "full")]
    Applet {
        name: "console-shell",
        help: "run a shell on a console, after the password that standard input holds",
        run: console_shell::run,
    },
    Applet {
        name: "disk-prober",
        help: "read superblocks and partition tables that standard input asks for",
        run: disk_prober::run,
    },
    Applet {
        name: "free-initramfs",
        help: "delete the initramfs that init left",
        run: free_initramfs::run,
    },
    #[cfg(feature = "full")]
    Applet {
        name: "led-blinker",
        help: "show the states that standard input names by an LED",
        run: led_blinker::run,
    },
    #[cfg(feature = "full")]
    Applet {
        name: "load-keyboards",
        help: "load the drivers of keyboards",
        run: load_keyboards::run,
    },
    #[cfg(feature = "full")]
    Applet {
        name: "report-writer",
        help: "write the record to the port that the arguments name",
        run: report_writer::run,
    },
    #[cfg(feature = "full")]
    Applet {
        name: "rescue",
        help: "run a command of the rescue prompt, or the prompt",
        run: rescue::run,
    },
    Applet {
        name: "load-worker",
        help: "load the modules that standard input asks for",
        run: load_worker::run,
    },
    Applet {
        name: "mount-worker",
        help: "mount what standard input asks for",
        run: mount_worker::run,
    },
];

/// Commands without options. Their entry in the table is their whole help.
const WITHOUT_OPTIONS: [&str; 14] = [
    "init",
    "assemble",
    "finish",
    "ask-passphrase",
    "console-shell",
    "disk-prober",
    "free-initramfs",
    "led-blinker",
    "load-keyboards",
    "load-worker",
    "mount-worker",
    "persist",
    "report-writer",
    "rescue",
];

impl Applet {
    /// Runs the command and prints its error. Returns its exit code.
    fn call(&self, args: &[OsString]) -> ExitCode {
        match self.answer_or_run(args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                error.print(self.name);
                error.exit_code()
            }
        }
    }

    fn answer_or_run(&self, args: &[OsString]) -> Result<(), Error> {
        let asks = args.get(1).is_some_and(|word| word == "--help" || word == "-h");
        if asks && WITHOUT_OPTIONS.contains(&self.name) {
            out::line(&format!("usage: coldplug {}\n\n{}", self.name, self.help));
            return Ok(());
        }
        (self.run)(args)
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
        (Some(applet), _) => applet.call(args),
        // The kernel calls its helper PATH -q -- NAME, whatever the name of the program.
        (None, Some(quiet)) if quiet == "-q" && args.get(2).is_some_and(|a| a == "--") => {
            call("modprobe", args)
        }
        (None, Some(name)) => match find(name) {
            Some(applet) => applet.call(&args[1..]),
            None => help(name, args.get(2)),
        },
        (None, None) => help(OsStr::new("--help"), None),
    }
}

/// Runs the command `name`, whatever the first argument is.
fn call(name: &str, args: &[OsString]) -> ExitCode {
    match find(OsStr::new(name)) {
        Some(applet) => applet.call(args),
        None => unknown(OsStr::new(name)),
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
fn find(path: &OsStr) -> Option<&'static Applet> {
    let name = Path::new(path).file_name()?;
    COMMANDS.iter().chain(INTERNAL).find(|a| a.name == name)
}

/// Answers `--help`, `help COMMAND` and `--version`. Any other word is an unknown command.
fn help(word: &OsStr, command: Option<&OsString>) -> ExitCode {
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
        (Some("help"), Some(name)) => match find(name) {
            Some(applet) => applet.call(&[name.clone(), "--help".into()]),
            None => unknown(name),
        },
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
    let width = COMMANDS.iter().map(|a| a.name.len()).max().unwrap_or(0);
    let lines: Vec<String> =
        COMMANDS.iter().map(|a| format!("  {:width$}  {}", a.name, a.help)).collect();
    format!(
        "usage: coldplug COMMAND [ARGUMENT...], or COMMAND as a link to coldplug\n\n{}\n\n\
         'coldplug help COMMAND' describes a command.",
        lines.join("\n")
    )
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
        assert!(COMMANDS.iter().all(|a| text.contains(&format!("  {} ", a.name))));
        assert!(
            INTERNAL.iter().all(|a| !text.contains(a.name) && find(OsStr::new(a.name)).is_some())
        );
    }
}
