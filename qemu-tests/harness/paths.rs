//! Directories of the checkout and of the build.

use crate::arch::Arch;
use crate::run::unavailable;
use std::path::{Path, PathBuf};

/// Returns the root of the checkout.
pub fn checkout() -> PathBuf {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
    harness.ancestors().nth(2).expect("the harness is two levels below the checkout").to_owned()
}

/// Returns `qemu-tests/data/NAME`.
pub fn data(name: &str) -> PathBuf {
    checkout().join("qemu-tests/data").join(name)
}

/// Returns the target directory of the running program, which Cargo marks with CACHEDIR.TAG.
pub fn target() -> PathBuf {
    let program = std::env::current_exe().expect("the path of the running program");
    let marked = program.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    marked.expect("the program lies in a target directory").to_owned()
}

/// Returns the directory for files that tests make, below the target directory.
pub fn scratch() -> PathBuf {
    let dir = target().join("tmp");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Returns the path of `name` in the release build for musl.
pub fn release(name: &str) -> PathBuf {
    release_for(Arch::X86_64, name)
}

fn release_for(arch: Arch, name: &str) -> PathBuf {
    target().join(arch.target()).join("release").join(name)
}

/// Returns the path of a program of the release build for `arch`, such as `examples/guest`. The test
/// is ignored if it has not been built.
pub fn program_for(arch: Arch, name: &str) -> PathBuf {
    if arch == Arch::X86_64 {
        return program(name);
    }
    let path = release_for(arch, name);
    if !path.is_file() {
        unavailable(format!("{} is missing: run `make boards`", path.display()));
    }
    path
}

/// Returns the path of a program of the release build for musl, such as `examples/guest`. The test
/// is ignored if it has not been built.
pub fn program(name: &str) -> PathBuf {
    let path = match (name, std::env::var_os("COLDPLUG_BIN")) {
        ("coldplug", Some(path)) => PathBuf::from(path),
        // The builder takes them from its own directory.
        (_, Some(path)) if name.starts_with("coldplug-init") => {
            Path::new(&path).with_file_name(name)
        }
        _ => release(name),
    };
    if !path.is_file() {
        unavailable(format!("{} is missing: run `make binary guests`", path.display()));
    }
    path
}
