//! `helper install [PATH] | show | off`: the program that the kernel runs to load modules.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::args;
use super::message::Error;
use super::paths::absolute;
use super::tool::Tool;
use super::usage::Usage;
use crate::escape;
use crate::sys::process::SELF_EXE;
use crate::sys::{Cause, helper};

pub(super) static USAGE: Usage =
    Usage::new("helper", "show or set the program that the kernel runs to load modules")
        .text(
            "\n\n\
     Shows or sets the program that the kernel runs to load a module.\n\
     The setting is lost at reboot; kernel.modprobe in sysctl.d makes it permanent.",
        )
        .actions(&[
            &Usage::new("helper install", "set PATH, or this program if there is no PATH")
                .text("[PATH]"),
            &Usage::new("helper show", "print the program"),
            &Usage::new(
                "helper off",
                "set no program: requests for modules that are not loaded fail immediately",
            ),
        ]);

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let tool = Tool::coldplug(args);
    let words = args::operands(args, &USAGE)?;
    let words: Vec<&str> = words.iter().map(|w| w.to_str().unwrap_or("?")).collect();
    match words[..] {
        ["install"] => install(&tool, &this_program()?),
        ["install", path] => install(&tool, Path::new(path)),
        ["show"] => show(&tool),
        ["off"] => Ok(helper::set_path(&tool.root, None)?),
        [] => Err(Error::Usage("missing argument: install, show or off".into())),
        ["show" | "off", word, ..] | ["install", _, word, ..] | [word, ..] => {
            Err(Error::unexpected(word.as_ref()))
        }
    }
}

/// Returns the path of a link to this program that is called modprobe, or else of the program.
fn this_program() -> Result<PathBuf, Error> {
    let program = fs::canonicalize(SELF_EXE)
        .map_err(|e| Error::Failed(format!("{SELF_EXE}: {}", Cause::from(&e))))?;
    let beside = program.with_file_name("modprobe");
    let links = [beside, "/sbin/modprobe".into(), "/usr/sbin/modprobe".into()];
    let is_ours = |link: &PathBuf| fs::canonicalize(link).is_ok_and(|target| target == program);
    Ok(links.into_iter().find(is_ours).unwrap_or(program))
}

fn install(tool: &Tool, path: &Path) -> Result<(), Error> {
    let path = absolute(path);
    if let Some(why) = unusable(tool, &path) {
        return Err(Error::Failed(format!("{}: helper not changed: {why}", escape::path(&path))));
    }
    Ok(helper::set_path(&tool.root, Some(&path))?)
}

/// Returns why the kernel cannot run the program at `path`.
fn unusable(tool: &Tool, path: &Path) -> Option<String> {
    match fs::metadata(tool.root.join(path)) {
        Err(error) => Some(Cause::from(&error).to_string()),
        Ok(meta) if !meta.is_file() => Some("not a regular file".to_owned()),
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => Some("not executable".to_owned()),
        Ok(_) => None,
    }
}

fn show(tool: &Tool) -> Result<(), Error> {
    let Some(path) = helper::path(&tool.root)? else {
        tool.print("off\n");
        return Ok(());
    };
    tool.print(format!("{path}\n"));
    match unusable(tool, Path::new(&path)) {
        Some(why) => Err(Error::Hinted(
            format!("{path}: requests of the kernel for modules fail: {why}"),
            "'coldplug helper install' sets this program".into(),
        )),
        None => Ok(()),
    }
}
