//! Command lines: one file a command, one line of [`APPLETS`] each. The only layer that picks an exit code.

mod args;
mod autoclean;
mod console_shell;
#[cfg(feature = "host")]
mod convert;
#[cfg(feature = "host")]
mod depmod;
mod explain;
mod finish;
mod free_initramfs;
mod helper;
#[cfg(feature = "host")]
mod image;
mod init;
mod insmod;
mod load_server;
mod lsmod;
mod modinfo;
mod modprobe;
mod module_file;
#[cfg(feature = "host")]
mod monitor;
mod out;
mod paths;
#[cfg(feature = "host")]
mod plan;
mod report;
mod rmmod;
mod scan;
mod settings;
mod static_nodes;
mod tool;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use crate::sys::{Cause, process};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked.
    Success,
    /// It could not; it has said why.
    Failure,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Failure => Self::FAILURE,
        }
    }
}

/// One command.
struct Applet {
    name: &'static str,
    help: &'static str,
    /// Takes all arguments, the command's own name first.
    run: fn(&[OsString]) -> Exit,
}

/// Commands that take no options: all there is to say of them is their line.
const PLAIN: [&str; 5] = ["init", "finish", "console-shell", "free-initramfs", "load-server"];

impl Applet {
    fn call(&self, args: &[OsString]) -> Exit {
        let asks = args.get(1).is_some_and(|word| word == "--help" || word == "-h");
        // The arguments of PID 1 are the real init's.
        if asks && PLAIN.contains(&self.name) && !process::is_pid1() {
            out::line(&format!("usage: coldplug {}\n\n{}", self.name, self.help));
            return Exit::Success;
        }
        (self.run)(args)
    }
}

/// Every command, by the name it is called with or as `coldplug NAME`.
const APPLETS: &[Applet] = &[
    Applet {
        name: "init",
        help: "PID 1 of an initramfs: load what devices need, mount the root, switch to it",
        run: init::run,
    },
    #[cfg(feature = "host")]
    Applet {
        name: "image",
        help: "build an initramfs image, or list what one holds",
        run: image::run,
    },
    Applet {
        name: "finish",
        help: "load what a boot with coldplug.settle=root has left",
        run: finish::run,
    },
    Applet {
        name: "scan",
        help: "show devices, their drivers and the modules for them, or save them to a file",
        run: scan::run,
    },
    #[cfg(feature = "host")]
    Applet {
        name: "plan",
        help: "show what a boot would load, in what order and why",
        run: plan::run,
    },
    Applet {
        name: "report",
        help: "show the record of the last boot: what was loaded and why",
        run: report::run,
    },
    Applet {
        name: "modprobe",
        help: "load or remove modules with what they need; also the kernel's helper",
        run: modprobe::run,
    },
    Applet {
        name: "helper",
        help: "show or set the program that the kernel starts for modules",
        run: helper::run,
    },
    Applet {
        name: "autoclean",
        help: "remove what was loaded on demand and is no longer used",
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
        name: "monitor",
        help: "show the kernel's events about devices, or run a command for each",
        run: monitor::run,
    },
    Applet {
        name: "console-shell",
        help: "a shell on the terminal of standard input; started by init",
        run: console_shell::run,
    },
    Applet {
        name: "free-initramfs",
        help: "delete the initramfs that init has left; started by init",
        run: free_initramfs::run,
    },
    Applet {
        name: "load-server",
        help: "load the modules that standard input asks for; started by init",
        run: load_server::run,
    },
    Applet { name: "insmod", help: "load one module file", run: insmod::run },
    Applet { name: "rmmod", help: "remove modules", run: rmmod::run },
    Applet { name: "lsmod", help: "show the loaded modules", run: lsmod::run },
    Applet { name: "list", help: "the same as lsmod", run: lsmod::run },
    Applet { name: "modinfo", help: "show what modules say of themselves", run: modinfo::run },
    #[cfg(feature = "host")]
    Applet {
        name: "depmod",
        help: "index the modules of a kernel: dependencies, aliases, symbols",
        run: depmod::run,
    },
    #[cfg(feature = "host")]
    Applet {
        name: "convert",
        help: "write a modules.conf of modutils as modprobe.d has it",
        run: convert::run,
    },
    Applet {
        name: "static-nodes",
        help: "show the device nodes that load modules when they are opened",
        run: static_nodes::run,
    },
];

/// Runs the applet that the arguments name and gives its exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    let own = args.first().and_then(|a| applet(a));
    let exit = match (own, args.get(1)) {
        (Some(applet), _) => applet.call(&args),
        // An image may call its init by any name (rdinit=).
        (None, _) if process::is_pid1() => init::run(&args),
        // As the kernel calls its helper, whatever that is called: PATH -q -- NAME.
        (None, Some(quiet)) if quiet == "-q" && args.get(2).is_some_and(|a| a == "--") => {
            modprobe::run(&args)
        }
        (None, Some(name)) => match applet(name) {
            Some(applet) => applet.call(&args[1..]),
            None => help(name, args.get(2)),
        },
        (None, None) => help(OsStr::new("--help"), None),
    };
    match out::failure() {
        Some(error) => refuse(&format!("standard output: {}", Cause::from(&error))),
        None => exit,
    }
    .into()
}

/// Says why nothing was done, or not all.
fn refuse(why: &str) -> Exit {
    out::error(&format!("coldplug: {why}"));
    Exit::Failure
}

/// The applet with the base name of `path`.
fn applet(path: &OsStr) -> Option<&'static Applet> {
    let name = Path::new(path).file_name()?;
    APPLETS.iter().find(|a| a.name == name)
}

/// `--help`, `help COMMAND` and `--version`; anything else is an error that says what there is.
fn help(word: &OsStr, about: Option<&OsString>) -> Exit {
    match (word.to_str(), about) {
        (Some("-V" | "--version"), _) => {
            out::line(&format!(
                "coldplug {} ({}, {})",
                env!("CARGO_PKG_VERSION"),
                env!("COLDPLUG_COMMIT"),
                env!("COLDPLUG_TARGET")
            ));
            Exit::Success
        }
        (Some("help"), Some(name)) => match applet(name) {
            Some(applet) => applet.call(&[name.clone(), "--help".into()]),
            None => unknown(name),
        },
        (Some("-h" | "--help" | "help"), _) => {
            out::line(&usage());
            Exit::Success
        }
        _ => unknown(word),
    }
}

fn unknown(word: &OsStr) -> Exit {
    refuse(&format!("there is no command '{}'\n{}", word.to_string_lossy(), usage()))
}

fn usage() -> String {
    let width = APPLETS.iter().map(|a| a.name.len()).max().unwrap_or(0);
    let lines: Vec<String> =
        APPLETS.iter().map(|a| format!("  {:width$}  {}", a.name, a.help)).collect();
    format!(
        "usage: coldplug COMMAND [ARGUMENT...], or COMMAND as a link to coldplug\n\n{}",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "host")]
    #[test]
    fn units_call_commands_that_there_are() {
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
            assert!(applet(OsStr::new(name)).is_some(), "{name}");
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
            assert!(applet(OsStr::new(link)).is_some(), "{link} names no applet");
        }
    }
}
