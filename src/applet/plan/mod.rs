//! `plan`: shows which modules a boot would load on a machine, in which order and why.

mod show;

use std::ffi::OsString;
use std::path::PathBuf;

use super::args::{Arg, Args, release};
use super::capture_file;
use super::message::{self, Error};
use super::out;
use super::scan::Modules;
use super::usage::{Opt, Usage};
use crate::cmdline::KernelCommandLine;
use crate::escape;
use crate::kmod::catalog::Match;
use crate::kmod::elf_machine::Machine;
use crate::machine::capture::Capture;
use crate::scan::simulation::{KernelModules, Simulation};
use crate::sys::modfile::ModuleFile;
use crate::sys::{self, Root, machine, modules_load};

pub(super) static USAGE: Usage = Usage::new(
    "plan",
    "show which modules a boot would load, in what order and why",
)
.text(
    "[option…]\n\n\
     Shows which modules init would load on this machine or a captured one with coldplug.jobs=1: \
     in which order, for which device, by which alias. Also shows builtin, excluded and missing \
     modules, and devices without a module.",
)
.options(&[
    Opt('r', "root=DIR: directory with /lib/modules and modprobe.d, and without --from also /sys and /proc \
         (default: /): a mounted system or an unpacked image"),
    Opt('f', "from=FILE: use the machine that coldplug scan --save wrote to FILE, or the one in the log of a \
         serial line to which it was printed"),
    Opt('k', "kernel=RELEASE: use the modules of this kernel (default: the machine's)"),
    Opt('c', "cmdline=TEXT: use this kernel command line (default: the machine's)"),
    Opt('j', "json: print one JSON object"),
]);

/// Options of the command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    root: Option<PathBuf>,
    from: Option<PathBuf>,
    kernel: Option<String>,
    cmdline: Option<String>,
    json: bool,
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    out::text(&plan(&parse(args)?)?);
    Ok(())
}

fn parse(args: &[OsString]) -> Result<Options, Error> {
    let mut args = Args::new(args, Vec::new(), &USAGE);
    let mut options = Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Opt('r', dir) => options.root = Some(dir.into()),
            Arg::Opt('f', file) => options.from = Some(file.into()),
            Arg::Opt('k', word) => options.kernel = Some(release(word)?),
            Arg::Opt('c', line) => options.cmdline = Some(line.to_string_lossy().into_owned()),
            Arg::Opt(..) => options.json = true,
            Arg::Operand(word) => return Err(Error::unexpected(&word)),
        }
    }
    Ok(options)
}

fn plan(options: &Options) -> Result<String, Error> {
    let root = options.root.as_ref().map_or_else(Root::default, Root::at);
    let mut capture = match &options.from {
        Some(path) => capture_file::read(path)?,
        None => machine::capture(&root)?,
    };
    if let Some(cmdline) = &options.cmdline {
        capture.cmdline.clone_from(cmdline);
    }
    let release = options.kernel.clone().or_else(|| capture.kernel.clone());
    let release = release.ok_or_else(|| {
        Error::Hinted("the capture names no kernel".into(), "name the kernel with --kernel".into())
    })?;
    let params = KernelCommandLine::parse(&capture.cmdline);
    let modules = Modules::new("plan", &root, &release, &params.modules);
    modules.check()?;
    check_machine(&capture, &modules)?;
    for warning in &params.warnings {
        message::warn("plan", &warning.to_string());
    }
    let Modules { dir, catalog, mut config } = modules;
    let mut warnings = Vec::new();
    let listed = modules_load::names(&root, &params.boot.more_modules, &mut config, &mut warnings);
    for warning in &warnings {
        message::warn("plan", &warning.to_string());
    }
    let modules = KernelModules { dir: dir.path().to_owned(), catalog, config, listed };
    let boot = Simulation::new(&capture, modules, &params)?.run();
    Ok(match options.json {
        true => show::to_json(&release, &boot),
        false => show::to_text(&release, &boot),
    })
}

/// Checks that the modules are for the machine of the capture. The first module that matches a
/// device tells what they are for; without one there is nothing to load on either.
fn check_machine(capture: &Capture, modules: &Modules) -> Result<(), Error> {
    let Some(name) = &capture.machine else { return Ok(()) };
    let found = capture.devices.iter().flat_map(|device| modules.for_device(device));
    let Some((path, machine)) = found.filter_map(|found| machine_of(modules, &found)).next() else {
        return Ok(());
    };
    if machine.has_name(name) != Some(false) {
        return Ok(());
    }
    Err(Error::Hinted(
        format!("the machine is {name}, but {} is for {machine}", escape::path(&path)),
        "name the modules of that machine with --root and --kernel".into(),
    ))
}

/// Returns the file of a module and what machine it is for; `None` if it cannot be read.
fn machine_of(modules: &Modules, found: &Match) -> Option<(PathBuf, Machine)> {
    let path = modules.dir.path().join(sys::path(&modules.catalog.dep(&found.module)?.path));
    let machine = ModuleFile::machine(&path)?;
    Some((path, machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &str) -> Result<Options, Error> {
        let args = format!("plan {args}");
        parse(&args.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_understood() {
        let options = parsed("-r /x -f cap --kernel=6.1 --cmdline quiet --json").unwrap();
        assert_eq!((options.root, options.from), (Some("/x".into()), Some("cap".into())));
        assert_eq!(
            (options.kernel.as_deref(), options.cmdline.as_deref()),
            (Some("6.1"), Some("quiet"))
        );
        for (args, why) in [
            ("--kernel a/b", "not a release"),
            ("extra", "unexpected argument"),
            ("--from", "option '--from' requires an argument"),
        ] {
            let error = parsed(args).unwrap_err().to_string();
            assert!(error.contains(why), "{args}: {error}");
        }
    }
}
