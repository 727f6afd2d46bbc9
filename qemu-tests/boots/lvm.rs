//! Roots on logical volumes.

use harness::machine::{Bus, Facts, Machine};
use harness::made_disk::made;
use harness::run::{BOOT, Test};
use harness::{debian, image, tests};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    volumes_of_every_kind,
];

fn machine(line: &str) -> Machine {
    let tree = debian::system();
    let sets = "@virtio,@storage,@filesystems,@lvm";
    Machine::new(&tree, &image::coldplug(&tree, &["--modules", sets])).cmdline(line)
}

#[track_caller]
fn boots(recipe: &str, line: &str) -> Facts {
    let vm = made(recipe).attach(machine(line), Bus::VirtioBlk);
    vm.run_clean().1
}

fn volumes_of_every_kind() {
    for (recipe, line, source) in [
        ("lvm-linear", "root=/dev/vg0/root", "/dev/mapper/vg0-root"),
        ("lvm-linear", "root=LABEL=coldplug-root", "/dev/mapper/vg0-root"),
    ] {
        let facts = boots(recipe, line);
        let root = facts.mount("/").unwrap();
        assert_eq!((root.kind, root.source), ("ext4", source), "{recipe} {line}");
    }
}
