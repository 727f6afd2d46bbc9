//! `rmmod NAME...`: removes modules, but not their dependencies. `rmmod -a`: see autoclean.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use super::args::{Arg, Args};
use super::autoclean::{Policy, run_pass};
use super::message::Error;
use super::paths::module_dir;
use super::settings;
use super::tool::{Fail, Level, Tool};
use super::usage::{Opt, SYSLOG, Usage, VERSION};
use crate::escape;
use crate::kmod::catalog::Catalog;
use crate::kmod::name::ModuleName;
use crate::load;
use crate::sys::moddir::ModuleDir;
use crate::sys::{autoclean_marker, errno, sysfs};

pub(super) static USAGE: Usage = Usage::tool("rmmod", "remove modules")
    .text("[option…] MODULE…\n[option…] -a\n\nRemoves modules, but not their dependencies.")
    .options(&[
        Opt('a', "all: remove modules loaded on demand that were unused at the last run too"),
        Opt('f', "force: remove even if in use; this may crash the machine"),
        SYSLOG,
        Opt('v', "verbose: print more messages"),
        VERSION,
    ]);

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let tool = Tool::kmod(args, Level::Error);
    let mut args = Args::new(args, Vec::new(), &USAGE);
    let (mut names, mut force) = (Vec::new(), false);
    let (mut all, mut policy) = (false, Policy::default());
    while let Some(arg) = args.next().map_err(|error| tool.bad_option(error))? {
        match arg {
            Arg::Operand(word) => names.push(word),
            Arg::Opt(letter, _) => match letter {
                'a' => all = true,
                'f' => force = true,
                's' => tool.use_syslog(),
                'v' => {
                    policy.verbose = true;
                    tool.increase_verbosity();
                }
                _ => return Err(tool.version()),
            },
        }
    }
    match (all, names.first()) {
        (true, None) => run_pass(&tool, &policy),
        (true, Some(name)) => {
            let name = escape::path(name);
            Err(tool.usage_error(&format!("unexpected argument '{name}': -a takes no names")))
        }
        (false, None) => Err(tool.error("missing module name.").into()),
        (false, Some(_)) => remove_all(&tool, &names, force),
    }
}

/// Removes all modules in `names`. A failure does not stop the others.
fn remove_all(tool: &Tool, names: &[OsString], force: bool) -> Result<(), Error> {
    let catalog = Catalog::new(Arc::new(ModuleDir::at(module_dir(None, None))));
    let failed = names.iter().filter(|n| remove(tool, &catalog, n, force).is_err()).count();
    Error::unless(failed == 0)
}

fn remove(tool: &Tool, catalog: &Catalog, operand: &OsString, force: bool) -> Result<(), Fail> {
    // The name of a file, which ends in the name of the module, is accepted too.
    let name = ModuleName::new(operand.as_bytes());
    if !force {
        check(tool, catalog, &name)?;
    }
    for problem in settings::save(&tool.root, &name) {
        tool.error(&problem);
    }
    load::delete(&*tool.ops, &name, force, Duration::ZERO).map_err(|errno| {
        let reason = errno::text(errno);
        tool.error(&format!("could not remove '{name}': {reason}"));
        tool.error(&format!("could not remove module {}: {reason}", escape::path(operand)))
    })?;
    autoclean_marker::remove(&tool.root, &name);
    Ok(())
}

/// Checks that `name` can be removed, before the kernel is asked.
fn check(tool: &Tool, catalog: &Catalog, name: &ModuleName) -> Result<(), Fail> {
    if catalog.is_builtin(name) {
        return Err(tool.error(&format!("Module {name} is builtin.")));
    }
    if !sysfs::has_module(&tool.root, name) {
        return Err(tool.error(&format!("Module {name} is not currently loaded")));
    }
    let holders = sysfs::holders(&tool.root, name).unwrap_or_default();
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

    #[test]
    fn the_reason_against_removal_is_named() {
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
        let tool = Tool::for_test(Root::at(scratch.path()), Arc::new(Kernel), &sink);
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
            let output = sink.take();
            assert_eq!(output.trim_end().trim_start_matches("modprobe: ERROR: "), want);
        }
    }
}
