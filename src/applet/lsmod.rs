//! `lsmod`: shows the loaded modules as a table.

use std::ffi::OsString;
use std::fmt::Write;

use serde_json::Value;

use super::args::{Arg, Args};
use super::message::Error;
use super::tool::{Level, Tool};
use super::usage::{Opt, SYSLOG, Usage, VERSION};
use crate::kmod::name::ModuleName;
use crate::kmod::proc_modules::{self, LoadedModule};
use crate::report::json::{object, strings};
use crate::sys::{Root, procfs, sysfs};

const JSON: char = '\u{1}';

pub(super) static USAGE: Usage =
    Usage::tool("lsmod", "show loaded modules").text(FORM).options(OPTIONS);
pub(super) static LIST: Usage = Usage::new("list", "same as lsmod").text(FORM).options(OPTIONS);

#[cfg(feature = "host")]
pub(super) static OF_KMOD: Usage =
    Usage::tool("kmod list", "show loaded modules, as lsmod does").text(FORM).options(OPTIONS);

const FORM: &str = "[option…]";

const OPTIONS: &[Opt] = &[
    SYSLOG,
    Opt('v', "verbose: print more messages, and the state and taint flags of each module"),
    #[cfg(feature = "host")]
    Opt(JSON, "json: print a JSON array"),
    VERSION,
];

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Table,
    Wide,
    #[cfg(feature = "host")]
    Json,
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    show(&Tool::kmod(args, Level::Error), args, &USAGE)
}

/// Runs `kmod list`.
#[cfg(feature = "host")]
pub(super) fn run_in_kmod(args: &[OsString]) -> Result<(), Error> {
    show(&Tool::kmod_command(args, Level::Error), args, &OF_KMOD)
}

fn show(tool: &Tool, args: &[OsString], usage: &'static Usage) -> Result<(), Error> {
    let form = parse(tool, args, usage)?;
    let text = procfs::modules(&tool.root).map_err(|error| {
        let reason = error.into_cause();
        tool.error(&format!("could not open /proc/modules: {reason}"));
        tool.error(&format!("could not get list of modules: {reason}"))
    })?;
    let rows = rows(&tool.root, &text);
    tool.print(match form {
        #[cfg(feature = "host")]
        Form::Json => json(&rows),
        other => table(&rows, other == Form::Wide),
    });
    Ok(())
}

fn parse(tool: &Tool, args: &[OsString], usage: &'static Usage) -> Result<Form, Error> {
    let mut args = Args::new(args, Vec::new(), usage);
    let (mut operands, mut form) = (0, Form::Table);
    while let Some(arg) = args.next().map_err(|error| tool.bad_option(error))? {
        match arg {
            Arg::Operand(_) => operands += 1,
            Arg::Opt(letter, _) => match letter {
                's' => tool.use_syslog(),
                'v' => {
                    tool.increase_verbosity();
                    form = form.max(Form::Wide);
                }
                #[cfg(feature = "host")]
                JSON => form = Form::Json,
                _ => return Err(tool.version()),
            },
        }
    }
    match operands {
        0 => Ok(form),
        _ => Err(tool.error("too many arguments provided.").into()),
    }
}

/// A loaded module and the modules that use it.
struct Row<'a> {
    loaded: LoadedModule<'a>,
    holders: Vec<String>,
}

/// Returns the loaded modules. The values of /sys are newer than those of `modules`, the text of
/// /proc/modules, which are used if the module has just left /sys, or without /sys.
fn rows<'a>(root: &Root, modules: &'a str) -> Vec<Row<'a>> {
    let row = |mut loaded: LoadedModule<'a>| {
        let name = ModuleName::new(loaded.name);
        loaded.size = sysfs::coresize(root, &name).unwrap_or(loaded.size);
        loaded.refcnt = sysfs::refcnt(root, &name).unwrap_or(loaded.refcnt);
        let named = || loaded.user_names().map(str::to_owned).collect();
        Row { holders: sysfs::holders(root, &name).unwrap_or_else(named), loaded }
    };
    proc_modules::parse(modules).map(row).collect()
}

fn table(rows: &[Row<'_>], wide: bool) -> String {
    let more = if wide { "State    Taint  " } else { "" };
    let mut table = format!("Module                  Size  {more}Used by\n");
    for Row { loaded, holders } in rows {
        let LoadedModule { name, size, refcnt: references, state, taint, .. } = loaded;
        let more = if wide { format!("{state:<7}  {taint:<5}  ") } else { String::new() };
        let space = if holders.is_empty() { "" } else { " " };
        let holders = holders.join(",");
        let _ = writeln!(table, "{name:<19} {size:>8}  {more}{references}{space}{holders}");
    }
    table
}

fn json(rows: &[Row<'_>]) -> String {
    let module = |Row { loaded, holders }: &Row<'_>| {
        object(vec![
            ("name", loaded.name.into()),
            ("size", loaded.size.into()),
            ("references", loaded.refcnt.into()),
            ("used_by", strings(holders)),
            ("state", loaded.state.into()),
            ("taint", loaded.taint.into()),
        ])
    };
    format!("{}\n", rows.iter().map(module).collect::<Value>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_columns_are_kmods() {
        let scratch = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = scratch.path().join("sys/module").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("libcrc32c/coresize", "16384\n");
        put("libcrc32c/refcnt", "1\n");
        put("libcrc32c/holders/xfs/x", "");
        let text = "xfs 2162688 0 - Live 0x0\nlibcrc32c 1 9 xfs, Loading 0x0 (OE)\n";
        let without_sys = rows(&Root::at("/nowhere"), "a 1 2 b,c, Live 0x0\nb 2 0 - Live 0x0\n");
        assert_eq!(
            table(&without_sys, false),
            "Module                  Size  Used by\n\
             a                          1  2 b,c\n\
             b                          2  0\n"
        );
        let value: Value = serde_json::from_str(&json(&without_sys)).unwrap();
        assert_eq!(value[0]["used_by"], serde_json::json!(["b", "c"]));
        let rows = rows(&Root::at(scratch.path()), text);
        assert_eq!(
            table(&rows, false),
            "Module                  Size  Used by\n\
             xfs                  2162688  0\n\
             libcrc32c              16384  1 xfs\n"
        );
        assert_eq!(
            table(&rows, true),
            "Module                  Size  State    Taint  Used by\n\
             xfs                  2162688  Live            0\n\
             libcrc32c              16384  Loading  OE     1 xfs\n"
        );
        let value: Value = serde_json::from_str(&json(&rows)).unwrap();
        assert_eq!(
            value,
            serde_json::json!([
                {
                    "name": "xfs", "size": 2_162_688, "references": 0, "used_by": [],
                    "state": "Live", "taint": ""
                },
                {
                    "name": "libcrc32c", "size": 16384, "references": 1, "used_by": ["xfs"],
                    "state": "Loading", "taint": "OE"
                },
            ])
        );
    }
}
