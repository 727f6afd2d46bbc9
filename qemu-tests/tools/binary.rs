//! The release binaries: all are static, and those in images are small.
//!
//! They are the release build for musl; `make build` makes them.

use goblin::elf::Elf;
use goblin::elf::program_header::PT_INTERP;
use harness::run::{Need, Test};
use harness::{paths, tests, tool};
use std::os::unix::fs::symlink;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    [
        Need::Program("coldplug"),
        Need::Program("coldplug-init"),
        Need::Program("coldplug-init-stacks"),
        Need::Program("coldplug-init-boot"),
    ] =>
    the_binaries_are_static,
    the_binaries_of_images_are_within_their_limits;
    [
        Need::Root("a PID namespace"),
        Need::Command("unshare", "util-linux"),
        Need::Program("coldplug"),
    ] =>
    process_1_of_a_container_is_the_command_it_is_called_by,
];

/// The binaries in images, and their size limits in bytes, as in the Makefile.
const LIMITS: [(&str, usize); 3] = [
    ("coldplug-init-boot", 600_000),
    ("coldplug-init", 1_000_000),
    ("coldplug-init-stacks", 1_535_000),
];

fn binary(name: &str) -> Vec<u8> {
    let path = paths::release(name);
    std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{}: {e}: build it first with `make build`", path.display()))
}

fn the_binaries_are_static() {
    for name in LIMITS.map(|(name, _)| name).into_iter().chain(["coldplug"]) {
        let bytes = binary(name);
        let elf = Elf::parse(&bytes).unwrap();
        let interpreters = elf.program_headers.iter().filter(|h| h.p_type == PT_INTERP).count();
        assert_eq!(interpreters, 0, "PT_INTERP in {name}");
        assert_eq!(elf.libraries, Vec::<&str>::new(), "DT_NEEDED in {name}");
    }
}

fn process_1_of_a_container_is_the_command_it_is_called_by() {
    for (words, text) in [
        (&["coldplug", "--version"][..], "coldplug 0."),
        (&["coldplug", "lsmod", "--help"][..], "Usage:\n\tlsmod "),
        (&["lsmod", "--help"][..], "Usage:\n\tlsmod "),
        (&["coldplug"][..], "usage: coldplug COMMAND"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join(words[0]);
        symlink(paths::release("coldplug"), &link).unwrap();
        let mut container = tool::command("unshare", "util-linux");
        container.args(["--fork", "--pid", "--mount"]).arg(link).args(&words[1..]);
        let out = tool::run(&mut container);
        assert!(out.starts_with(text), "{words:?}: {out}");
    }
}

fn the_binaries_of_images_are_within_their_limits() {
    for (name, limit) in LIMITS {
        let size = binary(name).len();
        assert!(size < limit, "{name}: {size} bytes, the limit is {limit}");
    }
}
