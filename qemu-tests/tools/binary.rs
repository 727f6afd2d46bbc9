//! The release binaries: both are static, and the one in images is small.
//!
//! They are the release build for musl; `make build` makes them.

use goblin::elf::Elf;
use goblin::elf::program_header::PT_INTERP;
use harness::run::{Need, Test};
use harness::{paths, tests};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    [Need::Program("coldplug"), Need::Program("coldplug-init")] =>
    the_binaries_are_static,
    the_binary_of_images_is_within_its_limit,
];

/// Size limit of the binary in images, in bytes.
const LIMIT: usize = 1_000_000;

fn binary(name: &str) -> Vec<u8> {
    let path = paths::release(name);
    std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{}: {e}: build it first with `make build`", path.display()))
}

fn the_binaries_are_static() {
    for name in ["coldplug", "coldplug-init"] {
        let bytes = binary(name);
        let elf = Elf::parse(&bytes).unwrap();
        let interpreters = elf.program_headers.iter().filter(|h| h.p_type == PT_INTERP).count();
        assert_eq!(interpreters, 0, "PT_INTERP in {name}");
        assert_eq!(elf.libraries, Vec::<&str>::new(), "DT_NEEDED in {name}");
    }
}

fn the_binary_of_images_is_within_its_limit() {
    let size = binary("coldplug-init").len();
    assert!(size < LIMIT, "{size} bytes, the limit is {LIMIT}");
}
