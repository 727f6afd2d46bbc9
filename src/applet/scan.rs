//! `scan`: shows each device of a machine, its driver and the modules for it, or saves the machine
//! to a file for `plan --from`.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;
use serde_json::Value;

use super::args::{Arg, Args, release};
use super::message::{self, Error};
use super::table::table;
use super::usage::{Opt, Usage};
use super::{out, serial};
use crate::cmdline::KernelCommandLine;
use crate::cmdline::modules::ModuleParams;
use crate::escape;
use crate::kmod::catalog::{Catalog, Match, Source};
use crate::kmod::conf::Config;
use crate::kmod::name::ModuleName;
use crate::machine::capture::{Capture, Device};
use crate::machine::serial_lines::Kind;
use crate::report::json::object;
use crate::sys::moddir::{self, ModuleDir};
use crate::sys::{self, Root, errno, machine};

pub(super) static USAGE: Usage = Usage::new(
    "scan",
    "show devices, their drivers and the modules for them, or save them to a file",
)
.text(
    "[option…]\n\n\
     Shows every device with a modalias, the driver it is bound to, and the modules that the \
     indexes name for it. Modules built into the kernel are in brackets.",
)
.options(&[
    Opt('r', "root=DIR: read /sys, /proc, /etc and /lib/modules below DIR (default: /)"),
    Opt('k', "kernel=RELEASE: look up modules of this kernel (default: the running kernel)"),
    #[cfg(feature = "host")]
    Opt('j', "json: print one JSON object"),
    Opt('s', "save=FILE: write the machine to FILE instead, for coldplug plan --from; '-' is standard output"),
    Opt('l', "serial: print the machine in numbered lines with checksums instead: plan --from finds them in \
         the log of a serial line, between other messages"),
    #[cfg(feature = "host")]
    Opt('f', "from=FILE: use the machine that --save or --serial has written to FILE"),
]);

/// A parsed command line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    root: Option<PathBuf>,
    kernel: Option<String>,
    json: bool,
    save: Option<PathBuf>,
    serial: bool,
    #[cfg(feature = "host")]
    from: Option<PathBuf>,
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    out::text(&scan(&parse(args)?)?);
    Ok(())
}

fn parse(args: &[OsString]) -> Result<Options, Error> {
    let mut args = Args::new(args, Vec::new(), &USAGE);
    let mut options = Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Opt('r', dir) => options.root = Some(dir.into()),
            Arg::Opt('k', word) => options.kernel = Some(release(word)?),
            #[cfg(feature = "host")]
            Arg::Opt('j', _) => options.json = true,
            Arg::Opt('l', _) => options.serial = true,
            #[cfg(feature = "host")]
            Arg::Opt('f', file) => options.from = Some(file.into()),
            Arg::Opt(_, file) => options.save = Some(file.into()),
            Arg::Operand(word) => return Err(Error::unexpected(&word)),
        }
    }
    let saves = options.save.is_some() || options.serial;
    if saves && (options.json || options.kernel.is_some()) {
        return Err(Error::Usage(
            "--save and --serial exclude --json and --kernel: a capture names no modules".into(),
        ));
    }
    Ok(options)
}

/// Returns the text to print; empty if the capture went to a file.
fn scan(options: &Options) -> Result<String, Error> {
    let root = options.root.as_ref().map_or_else(Root::default, Root::at);
    let capture = captured(options, &root)?;
    if options.serial {
        serial::print(Kind::Capture, capture.to_text().as_bytes());
        return Ok(String::new());
    }
    if let Some(path) = &options.save {
        if path.as_os_str() == "-" {
            return Ok(capture.to_text());
        }
        std::fs::write(path, capture.to_text()).map_err(|e| sys::Error::io("write", path, &e))?;
        return Ok(String::new());
    }
    let release = options.kernel.clone().or_else(|| capture.kernel.clone());
    let release = release.unwrap_or_else(sys::release);
    let params = KernelCommandLine::parse(&capture.cmdline);
    let modules = Modules::new("scan", &root, &release, &params.modules);
    if let Err(error) = modules.check() {
        error.print("scan");
    }
    let candidates: Vec<Vec<Match>> =
        capture.devices.iter().map(|device| modules.for_device(device)).collect();
    for warning in modules.catalog.take_warnings() {
        message::warn("scan", &warning.to_string());
    }
    #[cfg(feature = "host")]
    if options.json {
        return Ok(to_json(&capture, &release, &candidates));
    }
    Ok(to_text(&capture, &candidates))
}

/// Returns the machine below `root`, or the one of `--from`.
fn captured(options: &Options, root: &Root) -> Result<Capture, Error> {
    #[cfg(feature = "host")]
    if let Some(path) = &options.from {
        return super::capture_file::read(path);
    }
    let _ = options;
    Ok(machine::capture(root)?)
}

/// Indexes and configuration of the modules of a kernel.
#[derive(Debug)]
pub(super) struct Modules {
    pub(super) dir: ModuleDir,
    pub(super) catalog: Catalog,
    pub(super) config: Config,
}

impl Modules {
    /// Opens the indexes of kernel `release` below `root` and reads the configuration, to which
    /// `params` of the kernel command line are added. Warnings are printed as those of `command`.
    pub(super) fn new(command: &str, root: &Root, release: &str, params: &ModuleParams) -> Self {
        #[cfg(feature = "host")]
        let dir = ModuleDir::find(root, release);
        #[cfg(not(feature = "host"))]
        let dir = ModuleDir::new(root, release);
        let catalog = Catalog::checked(Arc::new(dir.clone()));
        let mut warnings = Vec::new();
        let config = moddir::config_with(root, &dir, params, &mut warnings);
        for warning in warnings {
            message::warn(command, &warning.to_string());
        }
        Self { dir, catalog, config }
    }

    /// Checks that the kernel has modules.
    ///
    /// # Errors
    /// modules.dep is missing.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.catalog.is_present() {
            return Ok(());
        }
        let dep = self.dir.path().join("modules.dep");
        #[cfg(feature = "host")]
        if let Some(hint) = super::paths::depmod_hint(self.dir.path()) {
            let text = format!("{}: {}", escape::path(&dep), errno::text(Errno::NOENT));
            return Err(Error::Hinted(text, hint));
        }
        Err(Error::Hinted(
            format!(
                "{}: {}: this kernel has no modules",
                escape::path(&dep),
                errno::text(Errno::NOENT)
            ),
            "run depmod, install the modules, or name another kernel with --kernel".into(),
        ))
    }

    /// Returns the modules that match the modalias of `device`.
    pub(super) fn for_device(&self, device: &Device) -> Vec<Match> {
        self.catalog.lookup_modalias(&self.config, &device.modalias.normalized())
    }
}

/// Returns the name of the file that maps a name to a module.
pub(super) fn source_name(source: Source) -> &'static str {
    match source {
        Source::ConfigAlias => "modprobe.d",
        Source::Name => "modules.dep",
        Source::Symbol => "modules.symbols",
        Source::Command => "modprobe.d install",
        Source::Alias => "modules.alias",
        Source::Builtin => "modules.builtin",
        Source::BuiltinAlias => "modules.builtin.modinfo",
    }
}

fn to_text(capture: &Capture, candidates: &[Vec<Match>]) -> String {
    let mut rows = vec![["DEVICE", "DRIVER", "MODULES", "MODALIAS"].map(str::to_owned).to_vec()];
    for (device, found) in capture.devices.iter().zip(candidates) {
        let driver = device.driver.clone().unwrap_or_else(|| "-".to_owned());
        rows.push(vec![
            device.path.clone(),
            driver,
            names(found),
            device.modalias.text().into_owned(),
        ]);
    }
    let bound = capture.devices.iter().filter(|d| d.driver.is_some()).count();
    let none = candidates.iter().filter(|found| found.is_empty()).count();
    let count = capture.devices.len();
    table("", &rows) + &format!("\n{count} devices, {bound} with a driver, {none} without a module")
}

/// Returns the names of modules, those of built-in ones in brackets.
fn names(found: &[Match]) -> String {
    let mut names = String::new();
    for found in found {
        let comma = if names.is_empty() { "" } else { "," };
        let (open, close) = if found.is_builtin() { ("[", "]") } else { ("", "") };
        let _ = write!(names, "{comma}{open}{}{close}", found.module);
    }
    if names.is_empty() { "-".to_owned() } else { names }
}

fn to_json(capture: &Capture, release: &str, candidates: &[Vec<Match>]) -> String {
    let devices = capture.devices.iter().zip(candidates).map(|(device, found)| {
        object(vec![
            ("device", device.path.as_str().into()),
            ("modalias", device.modalias.text().into()),
            ("subsystem", device.subsystem.as_deref().into()),
            ("driver", device.driver.as_deref().into()),
            ("driver_module", device.module.as_ref().map(ModuleName::text).into()),
            ("candidates", found.iter().map(candidate).collect()),
        ])
    });
    object(vec![("kernel", release.into()), ("devices", devices.collect())]).to_string()
}

fn candidate(found: &Match) -> Value {
    object(vec![
        ("module", found.module.text().into()),
        ("builtin", found.is_builtin().into()),
        ("alias", found.pattern.as_deref().into()),
        ("source", source_name(found.source).into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &str) -> Result<Options, Error> {
        let args = format!("scan {args}");
        parse(&args.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_parsed() {
        let options = parsed("-r /x --kernel=6.1 --json").unwrap();
        assert_eq!((options.root, options.kernel), (Some("/x".into()), Some("6.1".into())));
        assert!(options.json);
        assert_eq!(parsed("--save f").unwrap().save, Some("f".into()));
        for (args, why) in [
            ("--save f --json", "--save and --serial exclude"),
            ("--serial --kernel 6.1", "--save and --serial exclude"),
            ("--kernel a/b", "--kernel 'a/b' is not a release"),
            ("--kernel ..", "not a release"),
            ("extra", "unexpected argument 'extra'"),
            ("--root", "option '--root' requires an argument"),
        ] {
            let error = parsed(args).unwrap_err().to_string();
            assert!(error.contains(why), "{args}: {error}");
        }
    }
}
