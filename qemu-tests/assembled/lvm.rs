//! Roots on logical volumes, made by lvm2.

use harness::machine::{Bus, Machine};
use harness::made_disk::made;
use harness::run::{BOOT, Test};
use harness::{debian, image, tests};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    volumes_of_every_kind,
    a_volume_is_found_by_the_names_of_what_it_holds,
    near_misses_name_the_volumes_of_a_group,
    a_missing_physical_volume_is_named,
    groups_that_lvm2_would_not_use,
];

fn machine(line: &str) -> Machine {
    let tree = debian::system();
    let options = ["--generic", "--modules", "@virtio,@storage,@filesystems,@lvm"];
    Machine::new(&tree, &image::coldplug(&tree, &options)).cmdline(line)
}

/// Boots from the disks of a recipe.
fn volumes_of_every_kind() {
    for recipe in [
        "lvm-linear",
        "lvm-two-pvs",
        "lvm-partition",
        "lvm-striped",
        "lvm-raid0",
        "lvm-raid1",
        "lvm-raid4",
        "lvm-raid5",
        "lvm-raid6",
        "lvm-raid10",
        "lvm-mirror",
        "lvm-thin",
        "lvm-snapshot",
    ] {
        let vm = machine("root=/dev/vg0/root");
        let (_, facts) = made(recipe).attach(vm, Bus::VirtioBlk).run_clean();
        let root = facts.mount("/").unwrap();
        assert_eq!((root.kind, root.source), ("ext4", "/dev/mapper/vg0-root"), "{recipe}");
        let layers = facts.record()["root"]["layers"].to_string();
        assert!(layers.contains("logical volume vg0/root\""), "{recipe}: {layers}");
    }
}

fn a_volume_is_found_by_the_names_of_what_it_holds() {
    for (recipe, line) in [
        ("lvm-linear", "root=LABEL=coldplug-root"),
        ("lvm-linear", "root=UUID=c01d9106-0000-4000-8000-000000000001 rd.lvm.lv=vg0/root"),
        ("lvm-linear", "root=/dev/mapper/vg0-root"),
        ("lvm-names", "root=/dev/mapper/my--vg.0-root----1_a"),
        ("lvm-names", "root=/dev/my-vg.0/root--1_a"),
    ] {
        let (_, facts) = made(recipe).attach(machine(line), Bus::VirtioBlk).run_clean();
        assert_eq!(facts.mount("/").unwrap().kind, "ext4", "{recipe} {line}");
    }
}

fn near_misses_name_the_volumes_of_a_group() {
    for (root, words) in [
        ("/dev/vg0/rot", "vg0 has no volume rot: did you mean root?"),
        ("/dev/mapper/vg0-other", "vg0 has no volume other, only"),
        ("LABEL=none", "volume group vg0 holds"),
    ] {
        let vm = machine(&format!("root={root} coldplug.timeout=4"));
        made("lvm-linear").attach(vm, Bus::VirtioBlk).run_failed("no-root", &[words]);
    }
}

fn a_missing_physical_volume_is_named() {
    let vm = machine("root=/dev/vg0/root coldplug.timeout=4");
    let vm = made("lvm-two-pvs").attach_one(0, vm, Bus::VirtioBlk);
    vm.run_failed("no-root", &["volume group vg0: physical volume ", " is missing"]);
}

fn groups_that_lvm2_would_not_use() {
    for (recipe, words) in [
        ("lvm-exported", "volume group vg0: "),
        ("lvm-foreign", "volume group vg0: "),
        ("lvm-cache", "volume root of vg0: "),
    ] {
        let vm = machine("root=/dev/vg0/root coldplug.timeout=4");
        let boot = made(recipe).attach(vm, Bus::VirtioBlk).run();
        boot.expect("no-root");
        boot.check(boot.console.contains(words), &format!("{recipe}: {words}"));
    }
}
