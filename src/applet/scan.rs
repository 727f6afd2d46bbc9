//! `scan`: the devices of a machine, the modules that would drive each, and the driver that does; or the
//! machine as a file, for `plan --from`.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::{Arg, Args, Opt};
use super::{Exit, out};
use crate::cmdline::KernelCommandLine;
use crate::kmod::catalog::{Catalog, Match, Source};
use crate::kmod::conf::Config;
use crate::machine::capture::{Capture, Device};
use crate::sys::moddir::{self, ModuleDir};
use crate::sys::{self, Root, machine};

const HELP: &str = "\
usage: coldplug scan [option…]

Shows every device that says what it is, the driver that it is bound to, and the modules that
the indexes name for it; those that the kernel image holds stand in brackets.
  -r, --root DIR          where /sys, /proc, /etc and /lib/modules hang (default /)
  -k, --kernel RELEASE    whose modules (default: those of the kernel that runs)
  -j, --json              one JSON object
  -s, --save FILE         write the machine to FILE instead, for coldplug plan --from
";

const OPTIONS: &[Opt] = &[
    Opt('r', "root", true),
    Opt('k', "kernel", true),
    Opt('j', "json", false),
    Opt('s', "save", true),
    Opt('h', "help", false),
];

/// What a command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    help: bool,
    root: Option<PathBuf>,
    kernel: Option<String>,
    json: bool,
    save: Option<PathBuf>,
}

pub(super) fn run(args: &[OsString]) -> Exit {
    let done = parse(args)
        .map_err(|error| format!("{error}; coldplug scan --help shows the usage"))
        .and_then(|options| if options.help { Ok(HELP.to_owned()) } else { scan(&options) });
    tell("scan", args, done)
}

/// Prints what the command `name`, called with `args`, has to show, or why it has nothing.
pub(super) fn tell(name: &str, args: &[OsString], done: Result<String, String>) -> Exit {
    match done {
        Ok(text) if text.is_empty() => Exit::Success,
        Ok(text) => {
            out::line(text.trim_end());
            Exit::Success
        }
        Err(why) => {
            // Complaints about options start with the command's name as it was called.
            let called = args.first().and_then(|name| name.to_str()).unwrap_or_default();
            let own = why.strip_prefix(called).and_then(|why| why.strip_prefix(": "));
            out::error(&format!("coldplug {name}: {}", own.unwrap_or(&why)));
            Exit::Failure
        }
    }
}

fn parse(args: &[OsString]) -> Result<Options, String> {
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let mut options = Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Opt('h', _) => options.help = true,
            Arg::Opt('r', dir) => options.root = Some(dir.into()),
            Arg::Opt('k', word) => options.kernel = Some(release(word)?),
            Arg::Opt('j', _) => options.json = true,
            Arg::Opt(_, file) => options.save = Some(file.into()),
            Arg::Operand(word) => return Err(unexpected(&word)),
        }
    }
    if options.save.is_some() && (options.json || options.kernel.is_some()) {
        return Err("--save takes neither --json nor --kernel: a capture names no modules".into());
    }
    Ok(options)
}

/// A word that is no option.
pub(super) fn unexpected(word: &OsStr) -> String {
    format!("unexpected argument '{}'", word.to_string_lossy())
}

/// A release is one folder's name; more would read elsewhere.
pub(super) fn release(word: OsString) -> Result<String, String> {
    let word = word.to_string_lossy().into_owned();
    if matches!(word.as_str(), "" | "." | "..") || word.contains('/') {
        return Err(format!("--kernel '{word}' is not a release"));
    }
    Ok(word)
}

fn scan(options: &Options) -> Result<String, String> {
    let root = options.root.as_ref().map_or_else(Root::default, Root::at);
    let capture = machine::capture(&root).map_err(|error| error.to_string())?;
    if let Some(path) = &options.save {
        std::fs::write(path, capture.to_text())
            .map_err(|e| sys::Error::io("write", path, &e).to_string())?;
        return Ok(String::new());
    }
    let release = options.kernel.clone().or_else(|| capture.kernel.clone());
    let release = release.unwrap_or_else(sys::release);
    let modules = Modules::new(&root, &release, &KernelCommandLine::parse(&capture.cmdline));
    if let Err(lack) = modules.check() {
        out::error(&format!("coldplug scan: {lack}"));
    }
    let candidates: Vec<Vec<Match>> =
        capture.devices.iter().map(|device| modules.of(device)).collect();
    for warning in modules.catalog.take_warnings() {
        out::error(&format!("coldplug scan: {warning}"));
    }
    Ok(match options.json {
        true => to_json(&capture, &release, &candidates),
        false => to_text(&capture, &candidates),
    })
}

/// What a kernel's indexes and the configuration say of modules.
#[derive(Debug)]
pub(super) struct Modules {
    pub(super) dir: ModuleDir,
    pub(super) catalog: Catalog,
    pub(super) config: Config,
}

impl Modules {
    /// The modules of kernel `release` below `root`, configured as there and on the kernel command line. What
    /// makes no sense is told.
    pub(super) fn new(root: &Root, release: &str, params: &KernelCommandLine) -> Self {
        let dir = ModuleDir::new(root, release);
        let catalog = Catalog::new(Arc::new(dir.clone()));
        let mut warnings = Vec::new();
        let config = moddir::config_with(root, &dir, &params.modules, &mut warnings);
        for warning in warnings {
            out::error(&format!("coldplug: {warning}"));
        }
        Self { dir, catalog, config }
    }

    /// Whether there are any.
    ///
    /// # Errors
    /// There are none, in words.
    pub(super) fn check(&self) -> Result<(), String> {
        let dep = self.dir.path().join("modules.dep");
        let lack = || format!("{} is missing: no modules of this kernel", dep.display());
        self.catalog.is_present().then_some(()).ok_or_else(lack)
    }

    /// The modules that `device` stands for.
    pub(super) fn of(&self, device: &Device) -> Vec<Match> {
        self.catalog.lookup_modalias(&self.config, &device.modalias.normalized())
    }
}

/// Where it stands that a module is for a name.
pub(super) fn place(source: Source) -> &'static str {
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

/// A line of columns: its cells.
pub(super) type Row = Vec<String>;

/// The widest column: that of a path. A capture may hold what is longer than a format takes.
const WIDEST: usize = 4096;

/// Lines of columns, each as wide as its widest cell; the last one ends where its text does.
pub(super) fn columns(indent: &str, rows: &[Row]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count()).min(WIDEST);
        }
    }
    let mut text = String::new();
    for row in rows {
        text.push_str(indent);
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "{cell:width$}  ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn to_text(capture: &Capture, candidates: &[Vec<Match>]) -> String {
    let mut rows = vec![["DEVICE", "DRIVER", "MODULES", "MODALIAS"].map(str::to_owned).to_vec()];
    for (device, found) in capture.devices.iter().zip(candidates) {
        let driver = device.driver.clone().unwrap_or_else(|| "-".to_owned());
        rows.push(vec![
            device.path.clone(),
            driver,
            names(found),
            device.modalias.to_string_lossy(),
        ]);
    }
    let bound = capture.devices.iter().filter(|d| d.driver.is_some()).count();
    let none = candidates.iter().filter(|found| found.is_empty()).count();
    let count = capture.devices.len();
    columns("", &rows)
        + &format!("\n{count} devices, {bound} with a driver, {none} without a module")
}

/// The modules, those that are built in in brackets.
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
        json!({
            "device": device.path,
            "modalias": device.modalias.to_string_lossy(),
            "subsystem": device.subsystem,
            "driver": device.driver,
            "driver_module": device.module.as_ref().map(|m| m.as_str()),
            "candidates": found.iter().map(candidate).collect::<Vec<_>>(),
        })
    });
    json!({ "kernel": release, "devices": devices.collect::<Vec<_>>() }).to_string()
}

fn candidate(found: &Match) -> Value {
    json!({
        "module": found.module.as_str(),
        "builtin": found.is_builtin(),
        "alias": found.pattern,
        "source": place(found.source),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &str) -> Result<Options, String> {
        let args = format!("scan {args}");
        parse(&args.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_cell_of_any_length() {
        let row = |cell: &str| vec![cell.to_owned(), "end".to_owned()];
        let text = columns("", &[row(&"x".repeat(70_000)), row("y")]);
        assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [70_000 + 5, WIDEST + 5]);
    }

    #[test]
    fn options_are_understood() {
        let options = parsed("-r /x --kernel=6.1 --json").unwrap();
        assert_eq!((options.root, options.kernel), (Some("/x".into()), Some("6.1".into())));
        assert!(options.json && !options.help);
        assert_eq!(parsed("--save f").unwrap().save, Some("f".into()));
        for (args, why) in [
            ("--save f --json", "--save takes neither"),
            ("--kernel a/b", "--kernel 'a/b' is not a release"),
            ("--kernel ..", "not a release"),
            ("extra", "unexpected argument 'extra'"),
            ("--root", "option '--root' requires an argument"),
        ] {
            let error = parsed(args).unwrap_err();
            assert!(error.contains(why), "{args}: {error}");
        }
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [vec!["a", "bbb", "c d"], vec!["äöü", "b", ""], vec!["x"]];
        let rows = rows.map(|row| row.into_iter().map(str::to_owned).collect::<Row>());
        assert_eq!(columns("", &rows), "a    bbb  c d\näöü  b\nx\n");
    }
}
