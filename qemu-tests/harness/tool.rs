//! External tools: each is asked for by name and Debian package, so that a missing one is named.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The path of `name`, from PATH and the sbin directories that PATH may lack.
///
/// # Panics
///
/// When there is no such tool: the message names the Debian package that holds it.
pub(crate) fn find(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is missing: install the Debian package {package}"))
}

/// A command for the tool `name`, which reads nothing from the terminal.
pub(crate) fn command(name: &str, package: &str) -> Command {
    let mut command = Command::new(find(name, package));
    command.stdin(Stdio::null());
    command
}

/// Runs `command` to its end and gives its standard output.
///
/// # Panics
///
/// When it cannot be started or fails: the message holds the command and what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", story(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `command` to its end with `input` on its standard input.
///
/// # Panics
///
/// When it cannot be started or fails.
#[allow(dead_code, reason = "boot.rs calls it")]
pub(crate) fn feed(command: &mut Command, input: &[u8]) {
    let mut child =
        command.stdin(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

fn story(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Every file below `dir`, in the order of their names.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
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
