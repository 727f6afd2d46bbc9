//! kmod 34 of Debian 13, whatever is installed on this machine: the oracle of depmod.
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
    let lib = home().join("usr/lib/x86_64-linux-gnu");
    let mut command = Command::new(lib.join("ld-linux-x86-64.so.2"));
    command
        .arg("--library-path")
        .arg(&lib)
        .args(["--argv0", tool])
        .arg(home().join("usr/bin/kmod"));
    command
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
