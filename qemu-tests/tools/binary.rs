//! What the shipped binaries must be: static, and the one that images carry small.
//!
//! They are the release builds for musl; `make build` makes them.
#![allow(clippy::panic, reason = "a helper of a test fails it, with a message")]

use goblin::elf::Elf;
use goblin::elf::program_header::PT_INTERP;
use std::path::Path;

/// The bound on the binary that images carry, in bytes.
const LIMIT: usize = 1_000_000;

fn binary(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .with_file_name("x86_64-unknown-linux-musl/release")
        .join(name);
    std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{}: {e}: build it first with `make build`", path.display()))
}

#[test]
fn needs_no_interpreter_and_no_library() {
    for name in ["coldplug", "coldplug-init"] {
        let bytes = binary(name);
        let elf = Elf::parse(&bytes).unwrap();
        let interpreters = elf.program_headers.iter().filter(|h| h.p_type == PT_INTERP).count();
        assert_eq!(interpreters, 0, "PT_INTERP in {name}");
        assert_eq!(elf.libraries, Vec::<&str>::new(), "DT_NEEDED in {name}");
    }
}

#[test]
fn the_program_of_images_stays_below_its_size() {
    let size = binary("coldplug-init").len();
    assert!(size < LIMIT, "{size} bytes, the limit is {LIMIT}");
}
