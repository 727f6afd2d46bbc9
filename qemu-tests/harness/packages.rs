//! The packages of Debian that `make deb` builds, with the release build for musl.

use crate::{paths, tool};
use std::path::{Path, PathBuf};

/// Builds the packages for amd64 in the directory `out`, and returns their paths, sorted by name.
/// The test is ignored if dpkg-buildpackage(1) or debhelper is missing.
///
/// # Panics
///
/// If the build fails.
pub fn build(out: &Path) -> Vec<PathBuf> {
    tool::find("dh", "debhelper");
    tool::find("dpkg-buildpackage", "dpkg-dev");
    let source = paths::checkout();
    let mut build = tool::command("sh", "dash");
    build.arg(source.join("initramfs/debian/build")).arg("amd64").arg(out);
    build.env("SOURCE", &source).env("TARGET", "x86_64-unknown-linux-musl");
    build.env("CARGO_TARGET_DIR", paths::target());
    tool::run(&mut build);
    let is_package = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "deb");
    tool::files(out).into_iter().filter(is_package).collect()
}
