//! External commands. Each is looked up by name and Debian package, so that a missing one can be
//! named.

use crate::run::unavailable;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Returns the path of `name`, from PATH and the sbin directories that PATH may lack. The test is
/// ignored if there is no such command; the reason names the Debian package that holds it.
pub fn find(name: &str, package: &str) -> PathBuf {
    look(name).unwrap_or_else(|| unavailable(missing(name, package)))
}

/// Returns why the command `name` cannot run, if it is not there.
pub fn lacking(name: &str, package: &str) -> Option<String> {
    look(name).is_none().then(|| missing(name, package))
}

fn missing(name: &str, package: &str) -> String {
    format!("{name} is missing: install the Debian package {package}")
}

fn look(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Returns a command for the tool `name`, with an empty standard input.
pub fn command(name: &str, package: &str) -> Command {
    let mut command = Command::new(find(name, package));
    command.stdin(Stdio::null());
    command
}

/// Runs `command` to its end and returns its standard output.
///
/// # Panics
///
/// If it cannot be started or fails: the message holds the command and what it printed.
pub fn run(command: &mut Command) -> String {
    attempt(command).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs `command`, which needs the network, to its end and returns its standard output. The test is
/// ignored if that fails.
pub fn fetch(command: &mut Command) -> String {
    attempt(command).unwrap_or_else(|error| unavailable(error))
}

/// Runs `command` to its end and returns its standard output.
///
/// # Errors
///
/// It cannot be started or fails: the message holds the command and what it printed.
pub fn attempt(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", story(&output)))
}

/// Runs `command` to its end with `input` on its standard input.
///
/// # Panics
///
/// If it cannot be started or fails.
pub fn feed(command: &mut Command, input: &[u8]) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", story(&output));
}

fn story(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Returns every file below `dir`, sorted by path.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let entry = entry.unwrap();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found.sort();
    found
}
