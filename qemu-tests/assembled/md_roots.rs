//! Roots on arrays of md, made by mdadm, and what does not start.

use harness::machine::{Bus, Machine};
use harness::made_disk::made;
use harness::run::{BOOT, Test};
use harness::{debian, image, tests};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    arrays_of_every_level_and_version,
    an_array_starts_degraded_after_a_time,
    a_stale_member_is_left_out,
    two_halves_that_both_are_the_newest,
];

/// The root filesystem of all disks: `disk::UUID`.
const ROOT: &str = "root=UUID=c01d9106-0000-4000-8000-000000000001";

fn machine(line: &str) -> Machine {
    let tree = debian::system();
    let options = ["--generic", "--modules", "@virtio,@storage,@filesystems,@raid"];
    Machine::new(&tree, &image::coldplug(&tree, &options)).cmdline(ROOT).cmdline(line)
}

fn arrays_of_every_level_and_version() {
    for recipe in [
        "md-linear-1.2",
        "md-0-0.90",
        "md-0-1.2",
        "md-1-0.90",
        "md-1-1.0",
        "md-1-1.1",
        "md-1-1.2",
        "md-4-1.2",
        "md-5-1.0",
        "md-6-1.1",
        "md-10-1.2",
    ] {
        let (_, facts) = made(recipe).attach(machine(""), Bus::VirtioBlk).run_clean();
        let root = facts.mount("/").unwrap();
        assert_eq!(root.kind, "ext4", "{recipe}");
        assert!(root.source.starts_with("/dev/md"), "{recipe}: {}", root.source);
    }
}

fn an_array_starts_degraded_after_a_time() {
    let vm = machine("coldplug.md_timeout=2");
    let vm = made("md-1-1.2").attach_one(0, vm, Bus::VirtioBlk);
    let (boot, _) = vm.run_clean();
    boot.check(boot.console.contains("started degraded after 2"), "the warning");
    boot.check(boot.console.contains("1 of 2 members missing"), "what is missing");
}

fn a_stale_member_is_left_out() {
    let vm = machine("coldplug.md_timeout=2");
    let (boot, _) = made("md-stale").attach(vm, Bus::VirtioBlk).run_clean();
    boot.check(boot.console.contains("left out: "), "the stale member");
}

fn two_halves_that_both_are_the_newest() {
    let vm = machine("coldplug.md_timeout=1 coldplug.timeout=4");
    let boot = made("md-halves").attach(vm, Bus::VirtioBlk).run();
    boot.expect("no-root");
    boot.check(boot.console.contains("array "), "the array");
}
