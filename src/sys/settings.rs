//! Settings of modules: settings.d, the files of the kernel that hold them, and what is saved of them in /var/lib/coldplug.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::io::Errno;

use super::{Cause, Error, Result, Root, atomic_file, moddir};
use crate::kmod::Warning;
use crate::kmod::name::ModuleName;
use crate::kmod::settings::{Setting, Settings, format_saved, parse_saved};

const SAVED: &str = "var/lib/coldplug/settings";

/// What the configuration of `root` names: coldplug/settings.d in /etc, /run and the lib folders, by modprobe.d's rules of
/// precedence and order.
pub fn config(root: &Root, warnings: &mut Vec<Warning>) -> Settings {
    let folders = moddir::config_dirs(root, "coldplug/settings.d");
    let mut settings = Settings::default();
    for path in moddir::conf_files_of(&folders, warnings).values() {
        // A file that cannot be opened says nothing, as in modprobe.d.
        if let Ok(bytes) = fs::read(path) {
            settings.add_file(&path.to_string_lossy(), &bytes, warnings);
        }
    }
    settings
}

/// The paths that `settings` name for `module` as it is loaded now, each once: what a pattern stands for is sorted, and only
/// what can be read and written is among it.
pub fn paths(root: &Root, settings: &Settings, module: &ModuleName) -> Vec<String> {
    let folder = format!("/sys/module/{module}/parameters");
    let entries = fs::read_dir(root.join(&folder)).into_iter().flatten().flatten();
    let both = |mode: u32| mode & 0o400 != 0 && mode & 0o200 != 0;
    let open = entries.filter(|entry| entry.metadata().is_ok_and(|m| both(m.mode())));
    let mut names: Vec<String> =
        open.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    let mut paths: Vec<String> = Vec::new();
    for setting in settings.for_module(module) {
        let named: Vec<String> = match setting {
            Setting::Path(path) => vec![path.clone()],
            Setting::Parameter(_) => {
                let matching = names.iter().filter(|name| setting.is_parameter(name));
                matching.map(|name| format!("{folder}/{name}")).collect()
            }
        };
        for path in named {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths
}

/// The value of the setting at `path`, without its last newline.
///
/// # Errors
/// It cannot be read.
pub fn value(root: &Root, path: &str) -> Result<String> {
    let path = root.join(path);
    let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, &e))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// Gives the setting at `path` a value.
///
/// # Errors
/// There is no such setting, or the kernel refuses the value.
pub fn set_value(root: &Root, path: &str, value: &str) -> Result<()> {
    let path = root.join(path);
    let failed = |op| {
        let path = &path;
        move |e: std::io::Error| Error::io(op, path, &e)
    };
    // Truncated but never made: what is not there is no setting.
    let mut file =
        OpenOptions::new().write(true).truncate(true).open(&path).map_err(failed("open"))?;
    // In one piece: the kernel takes each write for a whole value.
    file.write_all(format!("{value}\n").as_bytes()).map_err(failed("write"))
}

fn saved_path(root: &Root, module: &ModuleName) -> PathBuf {
    root.join(SAVED).join(module.as_str())
}

/// What is saved for `module`, paths and values; nothing where nothing is.
///
/// # Errors
/// The file is there and cannot be read.
pub fn read_saved(root: &Root, module: &ModuleName) -> Result<Vec<(String, String)>> {
    let path = saved_path(root, module);
    match fs::read(&path) {
        Ok(bytes) => Ok(parse_saved(&String::from_utf8_lossy(&bytes))),
        Err(e) => match Error::io("read", &path, &e) {
            error if matches!(error.cause, Cause::Errno(Errno::NOENT | Errno::NOTDIR)) => {
                Ok(Vec::new())
            }
            error => Err(error),
        },
    }
}

/// Saves paths and values for `module`, in the place of what was saved before.
///
/// # Errors
/// The file cannot be written.
pub fn save(root: &Root, module: &ModuleName, values: &[(String, String)]) -> Result<()> {
    atomic_file::replace(&saved_path(root, module), format_saved(values).as_bytes(), true)
}
