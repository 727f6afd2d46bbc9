//! `settings save|restore|show [MODULE...]`: the settings that settings.d names, saved and restored
//! by hand. modprobe, rmmod and autoclean do so by themselves.

use std::ffi::OsString;

use super::save_restore::{restore, save};
use crate::applet::args;
use crate::applet::message::Error;
use crate::applet::tool::{Level, Tool};
use crate::applet::usage::Usage;
use crate::escape;
use crate::kmod::name::ModuleName;
use crate::kmod::settings::Settings;
use crate::sys::{settings, sysfs};

pub(in crate::applet) static USAGE: Usage = Usage::new(
    "settings",
    "save, restore or show the settings of modules",
)
.text(
    "\n\n\
     Saves, restores or shows the settings of modules (default: of all modules that have some). \
     Lines 'settings MODULE PARAMETER|PATH...' in /etc/coldplug/settings.d/*.conf name the settings.",
)
.actions(&[
    &Usage::new("settings save", "save the settings of loaded modules").text("[MODULE…]"),
    &Usage::new("settings restore", "set the saved settings of loaded modules").text("[MODULE…]"),
    &Usage::new("settings show", "show each setting with its present and its saved value")
        .text("[MODULE…]"),
]);

/// Action on the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Save,
    Restore,
    Show,
}

pub(in crate::applet) fn run(args: &[OsString]) -> Result<(), Error> {
    let tool = Tool::coldplug(args);
    let words = args::operands(args, &USAGE)?;
    let Some((word, names)) = words.split_first() else {
        return Err(Error::Usage("missing argument: save, restore or show".into()));
    };
    let action = match word.to_str() {
        Some("save") => Action::Save,
        Some("restore") => Action::Restore,
        Some("show") => Action::Show,
        _ => return Err(Error::unexpected(word)),
    };
    let names: Vec<_> = names.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    act(&tool, action, &names)
}

fn act(tool: &Tool, action: Action, names: &[String]) -> Result<(), Error> {
    let mut warnings = Vec::new();
    let config = settings::config(&tool.root, &mut warnings);
    let mut failed = !warnings.is_empty();
    warnings.iter().for_each(|warning| tool.message(Level::Warning, &warning.to_string()));
    for module in select(tool, &config, names, &mut failed) {
        let problems = match action {
            Action::Show => {
                show(tool, &config, &module);
                continue;
            }
            _ if !sysfs::has_module(&tool.root, &module) => not_loaded(&module, names),
            Action::Save => save(&tool.root, &module),
            Action::Restore => restore(&tool.root, &module, b""),
        };
        // Faults of the configuration have been printed.
        let problems = problems.iter().filter(|p| !warnings.iter().any(|w| w.to_string() == **p));
        for problem in problems {
            failed = true;
            tool.error(problem);
        }
    }
    Error::unless(!failed)
}

/// Returns the modules of `names` that have settings, or all if there are no names.
fn select(tool: &Tool, config: &Settings, names: &[String], failed: &mut bool) -> Vec<ModuleName> {
    let all = config.modules();
    if names.is_empty() {
        return all;
    }
    let mut modules = Vec::new();
    for name in names {
        let module = ModuleName::new(name);
        match all.contains(&module) {
            true => modules.push(module),
            false => {
                tool.error(&format!("{name}: no settings in settings.d"));
                *failed = true;
            }
        }
    }
    modules
}

/// Returns the problem of a module that is not loaded. It is one only if the module was named.
fn not_loaded(module: &ModuleName, names: &[String]) -> Vec<String> {
    let named = names.iter().any(|name| ModuleName::new(name) == *module);
    if named { vec![format!("{module}: not loaded")] } else { Vec::new() }
}

/// Prints each setting of `module` as a line `MODULE PATH VALUE SAVED`, with tabs. A value may hold
/// tabs and newlines of its own, which are escaped as all that a terminal would obey.
fn show(tool: &Tool, config: &Settings, module: &ModuleName) {
    let saved = settings::read_saved(&tool.root, module).unwrap_or_default();
    let mut paths = settings::paths(&tool.root, config, module);
    paths.extend(saved.iter().map(|(path, _)| path.clone()));
    let mut shown: Vec<&String> = Vec::new();
    for path in &paths {
        if shown.contains(&path) {
            continue;
        }
        shown.push(path);
        let now = settings::value(&tool.root, path).unwrap_or_else(|_| b"-".to_vec());
        let saved = saved.iter().find(|(p, _)| p == path);
        let saved = saved.map_or(&b"-"[..], |(_, value)| value);
        let [path, now, saved] = [path.as_bytes(), &now, saved].map(escaped);
        tool.print(format!("{module}\t{path}\t{now}\t{saved}\n"));
    }
}

/// Returns bytes as a part of a line.
fn escaped(bytes: &[u8]) -> String {
    escape::line(&escape::bytes(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::applet::tool::Sink;
    use crate::sys::Root;
    use crate::sys::module::Kernel;

    #[test]
    fn a_setting_is_one_line_whatever_its_value_holds() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let sink = Sink::default();
        let path = "sys/module/m/parameters/a";
        for (path, bytes) in [
            ("etc/coldplug/settings.d/a.conf", &b"settings m a\n"[..]),
            (path, b"1\t2\n\x1b[2J\xf6\n"),
            ("var/lib/coldplug/settings/m", b"/sys/module/m/parameters/a x\ty\\nz\n"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let tool = Tool::for_test(root, Arc::new(Kernel), &sink);
        act(&tool, Action::Show, &[]).unwrap();
        tool.flush();
        let want = format!("m\t/{path}\t1\\x092\\x0a\\x1b[2J\\xf6\tx\\x09y\\x0az\n");
        assert_eq!(sink.take(), want);
    }
}
