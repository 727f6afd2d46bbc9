//! kmod 34 of Debian 13, whatever is installed on this machine: the oracle of the tools.
//!
//! Its packages and those of its libraries are unpacked in the cache, and run by their own dynamic
//! loader:
//!
//! ```text
//! kmod-34/usr/bin/kmod
//! kmod-34/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2, libkmod.so.2, libc.so.6…
//! ```

use crate::{kernel, tool};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const PACKAGES: [&str; 7] =
    ["kmod", "libkmod2", "libc6", "liblzma5", "libzstd1", "libssl3t64", "zlib1g"];

/// Returns a command that runs kmod 34 as `tool`.
///
/// # Panics
///
/// If it cannot be unpacked. Without the network the test is ignored.
pub fn command(tool: &str) -> Command {
    let mut command = Command::new(loader());
    command.arg("--library-path").arg(lib()).args(["--argv0", tool]).arg(program());
    command
}

/// Returns the path of the program.
pub fn program() -> PathBuf {
    home().join("usr/bin/kmod")
}

/// Returns its dynamic loader and the shared libraries that it needs, each with its place in a root.
pub fn libraries() -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(lib()).unwrap().map(|entry| entry.unwrap().path());
    let place = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (path, format!("lib/x86_64-linux-gnu/{name}"))
    };
    let libraries = entries.filter(|path| path.is_file()).map(place);
    let loader = (loader(), "lib64/ld-linux-x86-64.so.2".to_owned());
    libraries.filter(|(_, place)| place.contains(".so.")).chain([loader]).collect()
}

fn loader() -> PathBuf {
    lib().join("ld-linux-x86-64.so.2")
}

fn lib() -> PathBuf {
    home().join("usr/lib/x86_64-linux-gnu")
}

fn home() -> PathBuf {
    let home = kernel::cache().join("kmod-34");
    if !home.exists() {
        let _lock = kernel::lock(&home.with_extension("lock"));
        if !home.exists() {
            unpack(&home);
        }
    }
    home
}

fn unpack(home: &PathBuf) {
    let (apt, _lock) = kernel::apt("trixie", "amd64");
    let aside = tempfile::tempdir_in(home.parent().unwrap()).unwrap();
    let root = aside.path().join("root");
    for package in PACKAGES {
        let dir = aside.path().join(package);
        fs::create_dir(&dir).unwrap();
        let deb = apt.download(package, &dir);
        tool::run(tool::command("dpkg-deb", "dpkg").arg("-x").arg(&deb).arg(&root));
    }
    fs::rename(&root, home).unwrap();
}
