//! Small x86_64 kernels that are built from Debian's source package, each with some options changed.
//!
//! ```text
//! source/linux-6.1/      the unpacked source, in the cache of kernel.rs
//! source/build-6.1/      the build tree: one for all kernels, so that only files are compiled that
//!                        the changed options concern
//! source/build-6.1.lock  held while a kernel is built
//! kernels/small-…        the kernels
//! ```
//!
//! The base is data/kernels/base.config on top of `make allnoconfig`. A kernel is built again if
//! its options have changed, and not for a newer source.

use crate::kernel::{self, Tree};
use crate::{paths, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SUITE: &str = "bookworm";
const PACKAGE: &str = "linux-source-6.1";

/// Returns the kernel `name`: the base with `options`, lines of a kernel configuration such as
/// `CONFIG_NET=n`, which replace lines of the base. It is built if the cache does not hold it.
///
/// # Panics
///
/// If it cannot be built, or an option does not have its value in the configuration that results.
/// Without a tool or the network the test is ignored.
pub fn get(name: &str, options: &[&str]) -> Tree {
    let base = fs::read_to_string(paths::data("kernels/base.config")).unwrap();
    let options: Vec<String> = options.iter().map(|option| format!("CONFIG_{option}")).collect();
    let version = kernel::hash(&(&base, &options));
    kernel::kept_indexed(&format!("small-6_1-{name}-{version:016x}"), |root| {
        let _lock = kernel::lock(&build_dir().with_extension("lock"));
        let source = source();
        configure(&source, &base, &options);
        build(&source, root, &options);
    })
}

/// Compiles usr/gen_init_cpio.c of the source into the directory `dir`, and returns the program.
///
/// # Panics
///
/// If it cannot be compiled. Without a compiler or the network the test is ignored.
pub fn gen_init_cpio(dir: &Path) -> PathBuf {
    let _lock = kernel::lock(&build_dir().with_extension("lock"));
    let program = dir.join("gen_init_cpio");
    let mut cc = tool::command("cc", "gcc");
    tool::run(cc.arg("-o").arg(&program).arg(source().join("usr/gen_init_cpio.c")));
    program
}

fn build_dir() -> PathBuf {
    kernel::cache().join("source/build-6.1")
}

/// Returns the directory of the source, which is first downloaded and unpacked if need be.
fn source() -> PathBuf {
    let home = kernel::cache().join("source/linux-6.1");
    if !home.exists() {
        let parent = home.parent().unwrap();
        let aside = tempfile::Builder::new().prefix(".new-").tempdir_in(parent).unwrap();
        let (apt, _lock) = kernel::apt(SUITE, "amd64");
        let deb = apt.download(PACKAGE, aside.path());
        let files = aside.path().join("files");
        tool::run(tool::command("dpkg-deb", "dpkg").arg("-x").args([&deb, &files]));
        let tree = aside.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let archive = files.join("usr/src").join(format!("{PACKAGE}.tar.xz"));
        let mut tar = tool::command("tar", "tar");
        tar.arg("-xJf").arg(archive).arg("--strip-components=1").arg("-C").arg(&tree);
        tool::run(&mut tar);
        fs::rename(&tree, &home).unwrap();
    }
    home
}

/// Returns a make in the build tree that prints errors alone.
fn make(source: &Path) -> Command {
    for (name, package) in [("flex", "flex"), ("bison", "bison"), ("bc", "bc"), ("gcc", "gcc")] {
        tool::find(name, package);
    }
    let mut make = tool::command("make", "make");
    make.arg("-s").arg("-j2").arg("-C").arg(source).arg(format!("O={}", build_dir().display()));
    make
}

/// Writes the configuration. It stays untouched if it is the same as before, so that nothing is
/// compiled again.
fn configure(source: &Path, base: &str, options: &[String]) {
    let all = build_dir().with_extension("config");
    fs::create_dir_all(build_dir()).unwrap();
    let is_replaced = |line: &&str| {
        options.iter().any(|option| line.split('=').next() == option.split('=').next())
    };
    let kept = base.lines().filter(|line| !is_replaced(line));
    let lines: Vec<&str> = kept.chain(options.iter().map(String::as_str)).collect();
    fs::write(&all, lines.join("\n") + "\n").unwrap();
    tool::run(make(source).arg(format!("KCONFIG_ALLCONFIG={}", all.display())).arg("allnoconfig"));
    let config = fs::read_to_string(build_dir().join(".config")).unwrap();
    for line in lines.iter().filter(|line| line.starts_with("CONFIG_")) {
        let (name, value) = line.split_once('=').expect("an option has a value");
        let set = config.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        assert_eq!(set.unwrap_or("n"), value, "{name}");
    }
}

/// Builds the configured kernel as a [`Tree`] at `root`, whose modules are indexed.
fn build(source: &Path, root: &Path, options: &[String]) {
    let has_modules = !options.iter().any(|option| option == "CONFIG_MODULES=n");
    let targets: &[&str] = if has_modules { &["bzImage", "modules"] } else { &["bzImage"] };
    tool::run(make(source).args(targets));
    let release = tool::run(make(source).arg("kernelrelease"));
    let modules = root.join("lib/modules").join(release.trim());
    fs::create_dir_all(&modules).unwrap();
    fs::copy(build_dir().join("arch/x86/boot/bzImage"), root.join("vmlinuz")).unwrap();
    if has_modules {
        let path = format!("INSTALL_MOD_PATH={}", root.display());
        // Debian's depmod, which would run here, ignores `.ko.gz`.
        tool::run(make(source).args([&path, "DEPMOD=true", "modules_install"]));
        for link in ["build", "source"] {
            let _ = fs::remove_file(modules.join(link));
        }
    } else {
        // What a package of such a kernel holds, and depmod needs.
        fs::copy(build_dir().join("modules.builtin"), modules.join("modules.builtin")).unwrap();
        fs::write(modules.join("modules.order"), "").unwrap();
    }
    kernel::index(root);
}
