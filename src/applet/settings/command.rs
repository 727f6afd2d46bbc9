//! `settings save|restore|show [MODULE...]`: the settings that settings.d names, by hand. modprobe, rmmod and autoclean save
//! and restore them by themselves.

use std::ffi::OsString;

use super::save_restore::{restore, save};
use crate::applet::Exit;
use crate::applet::args::{Arg, Args, Opt};
use crate::applet::tool::{Level, Tool};
use crate::kmod::name::ModuleName;
use crate::kmod::settings::Settings;
use crate::sys::{settings, sysfs};

const OPTIONS: &[Opt] = &[Opt('h', "help", false)];

const HELP: &str = "save|restore|show [MODULE...]
\tsave     save the settings of loaded modules
\trestore  give loaded modules what is saved for them
\tshow     show each setting, and what is saved for it
What is a setting stands in /etc/coldplug/settings.d/*.conf: settings MODULE PARAMETER|PATH...
";

pub(in crate::applet) fn run(args: &[OsString]) -> Exit {
    let tool = Tool::new(args, Level::Warning);
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let mut words = Vec::new();
    loop {
        match args.next() {
            Ok(None) => break,
            Ok(Some(Arg::Operand(word))) => words.push(word.to_string_lossy().into_owned()),
            Ok(Some(Arg::Opt(..))) => return tool.help(HELP),
            Err(text) => return tool.bad_option(&text),
        }
    }
    command(&tool, &words)
}

fn command(tool: &Tool, words: &[String]) -> Exit {
    let Some((act, names)) = words.split_first() else {
        tool.error("one of save, restore and show is missing.");
        return Exit::Failure;
    };
    if !matches!(act.as_str(), "save" | "restore" | "show") {
        tool.error(&format!("'{act}' is none of save, restore and show."));
        return Exit::Failure;
    }
    let mut warnings = Vec::new();
    let config = settings::config(&tool.root, &mut warnings);
    let mut failed = !warnings.is_empty();
    warnings.iter().for_each(|warning| tool.say(Level::Warning, &warning.to_string()));
    for module in chosen(tool, &config, names, &mut failed) {
        let complaints = match act.as_str() {
            "show" => {
                show(tool, &config, &module);
                continue;
            }
            _ if !sysfs::has_module(&tool.root, &module) => {
                // Of all modules those that are there are meant.
                absent(&module, names)
            }
            "save" => save(&tool.root, &module),
            _ => restore(&tool.root, &module, ""),
        };
        // What is wrong with the configuration has been said.
        let complaints =
            complaints.iter().filter(|c| !warnings.iter().any(|w| w.to_string() == **c));
        for complaint in complaints {
            failed = true;
            tool.error(complaint);
        }
    }
    if failed { Exit::Failure } else { Exit::Success }
}

/// The modules that are meant: those named, as far as they have settings, or all.
fn chosen(tool: &Tool, config: &Settings, names: &[String], failed: &mut bool) -> Vec<ModuleName> {
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
                tool.error(&format!("{name} has no settings in settings.d."));
                *failed = true;
            }
        }
    }
    modules
}

fn absent(module: &ModuleName, names: &[String]) -> Vec<String> {
    let named = names.iter().any(|name| ModuleName::new(name) == *module);
    if named { vec![format!("{module} is not loaded.")] } else { Vec::new() }
}

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
        let now = settings::value(&tool.root, path).unwrap_or_else(|_| "-".to_owned());
        let kept = saved.iter().find(|(p, _)| p == path).map_or("-", |(_, value)| value);
        tool.print(format!("{module}\t{path}\t{now}\t{kept}\n"));
    }
}
