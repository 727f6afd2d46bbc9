//! `rmmod NAME...`: modules out of the kernel, without looking at what they need; `rmmod -a`: see autoclean.

use std::ffi::OsString;
use std::time::Duration;

use super::args::{Arg, Args, Opt};
use super::autoclean::{Plan, visit};
use super::paths::module_dir;
use super::tool::{Fail, Level, Tool};
use super::{Exit, settings};
use crate::kmod::catalog::Catalog;
use crate::kmod::name::ModuleName;
use crate::load;
use crate::sys::moddir::ModuleDir;
use crate::sys::{autoclean_marker, errno, sysfs};

const OPTIONS: &[Opt] = &[
    Opt('a', "all", false),
    Opt('f', "force", false),
    Opt('s', "syslog", false),
    Opt('v', "verbose", false),
    Opt('V', "version", false),
    Opt('h', "help", false),
];

const HELP: &str = "[options] modulename ...
\trmmod [options] -a
Options:
\t-a, --all      what was loaded on demand and has been unused since the last time
\t-f, --force    remove although it is in use; this may crash the machine
\t-s, --syslog   messages go to the system log
\t-v, --verbose  more messages
\t-V, --version  show version
\t-h, --help     show this help
";

pub(super) fn run(args: &[OsString]) -> Exit {
    let tool = Tool::new(args, Level::Error);
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let (mut names, mut force) = (Vec::new(), false);
    let (mut all, mut plan) = (false, Plan::default());
    loop {
        match args.next() {
            Ok(None) => break,
            Ok(Some(Arg::Operand(word))) => names.push(word),
            Ok(Some(Arg::Opt(letter, _))) => match letter {
                'a' => all = true,
                'f' => force = true,
                's' => tool.use_syslog(),
                'v' => {
                    plan.tells = true;
                    tool.louder();
                }
                'V' => return tool.version(),
                _ => return tool.help(HELP),
            },
            Err(text) => return tool.bad_option(&text),
        }
    }
    match (all, names.first()) {
        (true, None) => return visit(&tool, &plan),
        (true, Some(name)) => {
            tool.error(&format!("'{}' is too much: -a takes no names.", name.to_string_lossy()));
            return Exit::Failure;
        }
        (false, _) => {}
    }
    if names.is_empty() {
        tool.error("missing module name.");
        return Exit::Failure;
    }
    let catalog = Catalog::new(std::sync::Arc::new(ModuleDir::at(module_dir(None, None))));
    // All are tried, whatever becomes of the first.
    let failed = names.iter().filter(|n| remove(&tool, &catalog, n, force).is_err()).count();
    if failed == 0 { Exit::Success } else { Exit::Failure }
}

fn remove(tool: &Tool, catalog: &Catalog, operand: &OsString, force: bool) -> Result<(), Fail> {
    let operand = operand.to_string_lossy();
    // A file of that name gives the module's name, as a path does.
    let name = match std::path::Path::new(&*operand).exists() {
        true => ModuleName::new(&operand),
        false => operand.replace('-', "_").as_str().into(),
    };
    if !force {
        check(tool, catalog, &name)?;
    }
    for complaint in settings::save(&tool.root, &name) {
        tool.error(&complaint);
    }
    load::delete(&*tool.ops, &name, force, Duration::ZERO).map_err(|errno| {
        let reason = errno::text(errno);
        tool.error(&format!("could not remove '{name}': {reason}"));
        tool.error(&format!("could not remove module {operand}: {reason}"))
    })?;
    autoclean_marker::remove(&tool.root, &name);
    Ok(())
}

/// Says why `name` can't be removed, before the kernel is asked.
fn check(tool: &Tool, catalog: &Catalog, name: &ModuleName) -> Result<(), Fail> {
    if catalog.is_builtin(name) {
        return Err(tool.error(&format!("Module {name} is builtin.")));
    }
    if !sysfs::has_module(&tool.root, name) {
        return Err(tool.error(&format!("Module {name} is not currently loaded")));
    }
    let holders = sysfs::holders(&tool.root, name);
    if !holders.is_empty() {
        return Err(tool.error(&format!("Module {name} is in use by: {}", holders.join(" "))));
    }
    match sysfs::refcnt(&tool.root, name) {
        Some(0) => Ok(()),
        Some(_) => Err(tool.error(&format!("Module {name} is in use"))),
        None => Err(tool.error("Module unloading is not supported")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::tool::Sink;
    use crate::sys::Root;
    use crate::sys::module::Kernel;
    use std::fs;
    use std::sync::Arc;

    #[test]
    fn what_stands_in_the_way_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("sys/module/free/refcnt", "0\n");
        put("sys/module/used/refcnt", "2\n");
        put("sys/module/held/refcnt", "1\n");
        put("sys/module/held/holders/used/x", "");
        put("sys/module/forever/x", "");
        put("m/modules.builtin", "kernel/inside.ko\n");
        let sink = Sink::default();
        let tool = Tool::on(Root::at(scratch.path()), Arc::new(Kernel), &sink);
        let catalog = Catalog::new(Arc::new(ModuleDir::at(scratch.path().join("m"))));
        for (name, want) in [
            ("free", ""),
            ("used", "Module used is in use"),
            ("held", "Module held is in use by: used"),
            ("forever", "Module unloading is not supported"),
            ("inside", "Module inside is builtin."),
            ("gone", "Module gone is not currently loaded"),
        ] {
            assert_eq!(check(&tool, &catalog, &name.into()).is_ok(), want.is_empty());
            let said = sink.take();
            assert_eq!(said.trim_end().trim_start_matches("modprobe: ERROR: "), want);
        }
    }
}
