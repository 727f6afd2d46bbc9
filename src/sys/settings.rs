//! Settings of modules: settings.d, the files in /sys and /proc that hold the values, and the
//! values saved in /var/lib/coldplug/settings.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::io::Errno;

use super::regular_file::{self, CONFIG_LIMIT};
use super::{Cause, Error, Result, Root, atomic_file, moddir};
use crate::escape;
use crate::kmod::Warning;
use crate::kmod::name::ModuleName;
use crate::kmod::settings::{Setting, Settings, format_saved, parse_saved};

const SAVED: &str = "var/lib/coldplug/settings";

/// Reads coldplug/settings.d of `root` in /etc, /run and the lib directories, by the precedence and
/// the order of modprobe.d(5).
pub(crate) fn config(root: &Root, warnings: &mut Vec<Warning>) -> Settings {
    let dirs = moddir::config_dirs(root, "coldplug/settings.d");
    let mut settings = Settings::default();
    for path in moddir::conf_files(&dirs, warnings) {
        let name = escape::path(&path);
        match regular_file::read_if_opened(&path, CONFIG_LIMIT) {
            Ok(bytes) => settings.add_file(&name, &bytes.unwrap_or_default(), warnings),
            Err(error) => {
                warnings.push(Warning::new(&name, 0, format!("ignored: {}", error.cause)));
            }
        }
    }
    settings
}

/// Returns the paths that `settings` name for the loaded `module`, each once. A pattern stands for
/// the parameters that are readable and writable, sorted.
pub(crate) fn paths(root: &Root, settings: &Settings, module: &ModuleName) -> Vec<String> {
    let dir = format!("/sys/module/{module}/parameters");
    let entries = fs::read_dir(root.join(&dir)).into_iter().flatten().flatten();
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
                matching.map(|name| format!("{dir}/{name}")).collect()
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

/// Returns the value of the setting at `path` without the final newline.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn value(root: &Root, path: &str) -> Result<Vec<u8>> {
    let path = root.join(path);
    let mut bytes = fs::read(&path).map_err(|e| Error::io("read", &path, &e))?;
    bytes.pop_if(|last| *last == b'\n');
    Ok(bytes)
}

/// Writes `value` to the setting at `path`.
///
/// # Errors
/// The setting does not exist, or the kernel refuses the value.
pub(crate) fn set_value(root: &Root, path: &str, value: &[u8]) -> Result<()> {
    let path = root.join(path);
    let failed = |op| {
        let path = &path;
        move |e: std::io::Error| Error::io(op, path, &e)
    };
    // Not created if missing: a missing file is not a setting.
    let mut file =
        OpenOptions::new().write(true).truncate(true).open(&path).map_err(failed("open"))?;
    // One write(2), because the kernel takes each write as a whole value.
    file.write_all(&[value, b"\n"].concat()).map_err(failed("write"))
}

fn saved_path(root: &Root, module: &ModuleName) -> PathBuf {
    root.join(SAVED).join(super::path(module.as_bytes()))
}

/// Returns the saved paths and values of `module`; none if nothing is saved.
///
/// # Errors
/// The file exists and cannot be read.
pub(crate) fn read_saved(root: &Root, module: &ModuleName) -> Result<Vec<(String, Vec<u8>)>> {
    let path = saved_path(root, module);
    match regular_file::read(&path, CONFIG_LIMIT) {
        Ok(bytes) => Ok(parse_saved(&bytes)),
        Err(error) if matches!(error.cause, Cause::Errno(Errno::NOENT | Errno::NOTDIR)) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Saves paths and values for `module` and replaces earlier ones.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn save(root: &Root, module: &ModuleName, values: &[(String, Vec<u8>)]) -> Result<()> {
    atomic_file::replace(&saved_path(root, module), &format_saved(values), true)
}
