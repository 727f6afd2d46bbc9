//! `helper install [PATH] | show | off`: the program that the kernel starts for modules.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Exit;
use super::args::{Arg, Args, Opt};
use super::paths::absolute;
use super::tool::{Fail, Level, Tool};
use crate::sys::process::SELF_EXE;
use crate::sys::{Cause, helper};

const OPTIONS: &[Opt] = &[Opt('h', "help", false)];

const HELP: &str = "install [PATH] | show | off
\tinstall  have the kernel start PATH, or else this program, when it wants a module
\tshow     show what it starts
\toff      have it start nothing: what needs a module that is not loaded then fails at once
It lasts until the next start; kernel.modprobe in sysctl.d makes it last.
";

pub(super) fn run(args: &[OsString]) -> Exit {
    let tool = Tool::new(args, Level::Warning);
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let mut words = Vec::new();
    loop {
        match args.next() {
            Ok(None) => break,
            Ok(Some(Arg::Operand(word))) => words.push(word),
            Ok(Some(Arg::Opt(..))) => return tool.help(HELP),
            Err(text) => return tool.bad_option(&text),
        }
    }
    let words: Vec<&str> = words.iter().map(|w| w.to_str().unwrap_or("?")).collect();
    let done = match words[..] {
        ["install"] => own(&tool).and_then(|path| install(&tool, &path)),
        ["install", path] => install(&tool, Path::new(path)),
        ["show"] => show(&tool),
        ["off"] => set(&tool, None),
        [] => Err(tool.error("one of install, show and off is missing.")),
        _ => Err(tool.error(&format!("'{}' is not understood. See -h.", words.join(" ")))),
    };
    if done.is_ok() { Exit::Success } else { Exit::Failure }
}

/// A link of this program that is called modprobe, or else the program.
fn own(tool: &Tool) -> Result<PathBuf, Fail> {
    let program = fs::canonicalize(SELF_EXE)
        .map_err(|e| tool.error(&format!("{SELF_EXE}: {}", Cause::from(&e))))?;
    let beside = program.with_file_name("modprobe");
    let links = [beside, "/sbin/modprobe".into(), "/usr/sbin/modprobe".into()];
    let is_ours = |link: &PathBuf| fs::canonicalize(link).is_ok_and(|target| target == program);
    Ok(links.into_iter().find(is_ours).unwrap_or(program))
}

fn install(tool: &Tool, path: &Path) -> Result<(), Fail> {
    let path = absolute(path);
    if let Some(why) = unfit(tool, &path) {
        return Err(tool.error(&format!("{}: {why}; nothing is changed.", path.display())));
    }
    set(tool, Some(&path))
}

/// Why the kernel could not start the program at `path`.
fn unfit(tool: &Tool, path: &Path) -> Option<String> {
    match fs::metadata(tool.root.join(path)) {
        Err(error) => Some(Cause::from(&error).to_string()),
        Ok(meta) if !meta.is_file() => Some("not a program".to_owned()),
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => Some("not executable".to_owned()),
        Ok(_) => None,
    }
}

fn set(tool: &Tool, path: Option<&Path>) -> Result<(), Fail> {
    helper::set_path(&tool.root, path).map_err(|error| tool.error(&error.to_string()))
}

fn show(tool: &Tool) -> Result<(), Fail> {
    let path = helper::path(&tool.root).map_err(|error| tool.error(&error.to_string()))?;
    let Some(path) = path else {
        tool.print("off\n");
        return Ok(());
    };
    tool.print(format!("{path}\n"));
    match unfit(tool, Path::new(&path)) {
        Some(why) => {
            Err(tool.error(&format!("{path}: {why}: the kernel's requests for modules fail.")))
        }
        None => Ok(()),
    }
}
