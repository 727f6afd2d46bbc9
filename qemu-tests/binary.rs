//! What the shipped binary must be: static, and small.
//!
//! The binary is `COLDPLUG_BIN`, else the release build for musl; `make build` makes it.
#![allow(clippy::panic, reason = "a helper of a test fails it, with a message")]

use goblin::elf::Elf;
use goblin::elf::program_header::PT_INTERP;
use std::path::PathBuf;

/// The bound on the release binary, in bytes.
const LIMIT: usize = 1_000_000;

fn binary() -> Vec<u8> {
    let path = std::env::var_os("COLDPLUG_BIN").map_or_else(
        || {
            PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
                .with_file_name("x86_64-unknown-linux-musl/release/coldplug")
        },
        PathBuf::from,
    );
    std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{}: {e}: build it first with `make build`", path.display()))
}

#[test]
fn needs_no_interpreter_and_no_library() {
    let bytes = binary();
    let elf = Elf::parse(&bytes).unwrap();
    let interpreters = elf.program_headers.iter().filter(|h| h.p_type == PT_INTERP).count();
    assert_eq!(interpreters, 0, "PT_INTERP in a static binary");
    assert_eq!(elf.libraries, Vec::<&str>::new(), "DT_NEEDED in a static binary");
}

#[test]
fn stays_below_its_size() {
    let size = binary().len();
    assert!(size < LIMIT, "{size} bytes, the limit is {LIMIT}");
}
