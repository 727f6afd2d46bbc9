//! `lsmod`: the loaded modules as a table.

use std::ffi::OsString;
use std::fmt::Write;

use super::Exit;
use super::args::{Arg, Args, Opt};
use super::tool::{Level, Tool};
use crate::kmod::name::ModuleName;
use crate::kmod::proc_modules;
use crate::sys::{Root, errno, procfs, sysfs};

const OPTIONS: &[Opt] = &[
    Opt('s', "syslog", false),
    Opt('v', "verbose", false),
    Opt('V', "version", false),
    Opt('h', "help", false),
];

const HELP: &str = "[options]
Options:
\t-s, --syslog   messages go to the system log
\t-v, --verbose  more messages
\t-V, --version  show version
\t-h, --help     show this help
";

pub(super) fn run(args: &[OsString]) -> Exit {
    let tool = Tool::new(args, Level::Error);
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let mut operands = 0;
    loop {
        match args.next() {
            Ok(None) => break,
            Ok(Some(Arg::Operand(_))) => operands += 1,
            Ok(Some(Arg::Opt(letter, _))) => match letter {
                's' => tool.use_syslog(),
                'v' => tool.louder(),
                'V' => return tool.version(),
                _ => return tool.help(HELP),
            },
            Err(text) => return tool.bad_option(&text),
        }
    }
    if operands > 0 {
        tool.error("too many arguments provided.");
        return Exit::Failure;
    }
    match procfs::modules(&tool.root) {
        Ok(text) => {
            tool.print(table(&tool.root, &text));
            Exit::Success
        }
        Err(error) => {
            let reason = errno::text(error.errno);
            tool.error(&format!("could not open /proc/modules: {reason}"));
            tool.error(&format!("could not get list of modules: {reason}"));
            Exit::Failure
        }
    }
}

/// The table; /sys has the last word, and where a module has just gone from it /proc/modules.
fn table(root: &Root, modules: &str) -> String {
    let mut table = String::from("Module                  Size  Used by\n");
    for loaded in proc_modules::parse(modules) {
        let name = ModuleName::new(loaded.name);
        let size = sysfs::coresize(root, &name).unwrap_or(loaded.size);
        let users = sysfs::refcnt(root, &name).unwrap_or(loaded.references);
        let holders = sysfs::holders(root, &name);
        let blank = if holders.is_empty() { "" } else { " " };
        let holders = holders.join(",");
        let _ = writeln!(table, "{:<19} {size:>8}  {users}{blank}{holders}", loaded.name);
    }
    table
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
        let text = "xfs 2162688 0 - Live 0x0\nlibcrc32c 1 9 xfs, Live 0x0\n";
        assert_eq!(
            table(&Root::at(scratch.path()), text),
            "Module                  Size  Used by\n\
             xfs                  2162688  0\n\
             libcrc32c              16384  1 xfs\n"
        );
    }
}
