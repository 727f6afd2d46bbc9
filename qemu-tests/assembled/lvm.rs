//! Roots on logical volumes, made by lvm2.

use harness::machine::{Boot, Bus, Machine};
use harness::made_disk::made;
use harness::run::{BOOT, Test};
use harness::{debian, image, tests};
use serde_json::json;
use std::fs;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    volumes_of_every_kind,
    a_volume_is_found_by_the_names_of_what_it_holds,
    near_misses_name_the_volumes_of_a_group,
    a_late_physical_volume_is_awaited,
    a_missing_physical_volume_is_named,
    a_volume_is_used_in_part_only_if_redundancy_covers_it,
    a_group_without_any_physical_volume,
    of_two_groups_with_one_name_none_is_used_unless_chosen,
    groups_that_lvm2_would_not_use,
    volumes_of_types_that_are_not_supported,
    one_physical_volume_on_two_disks,
    the_newest_metadata_are_used,
    damaged_metadata,
];

/// Deadline of a boot that waits for what is missing.
const DEADLINE: Duration = Duration::from_secs(300);
/// Long enough for the drivers of disks on an emulated processor.
const SOON: &str = "coldplug.timeout=20";

fn machine(line: &str) -> Machine {
    let tree = debian::system();
    let options = ["--generic", "--modules", "@virtio,@storage,@filesystems,@lvm"];
    let vm = Machine::new(&tree, &image::coldplug(&tree, &options)).cmdline(line);
    vm.deadline(DEADLINE)
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
        ("lvm-linear", "root=UUID=c01d9106-0000-4000-8000-000000000001 rd.lvm.vg=vg0"),
        ("lvm-names", "root=/dev/mapper/my--vg.0-root----1_a"),
        ("lvm-names", "root=/dev/my-vg.0/root--1_a"),
    ] {
        let (_, facts) = made(recipe).attach(machine(line), Bus::VirtioBlk).run_clean();
        assert_eq!(facts.mount("/").unwrap().kind, "ext4", "{recipe} {line}");
    }
}

fn near_misses_name_the_volumes_of_a_group() {
    for (root, words) in [
        ("/dev/vg0/root2", "vg0 has no volume root2: did you mean root?"),
        ("/dev/mapper/vg0-other", "vg0 has no volume other, only"),
        ("LABEL=none", "volume group vg0 holds root (active), swap_1 (active), home (active)"),
        ("LABEL=coldplug-rot", "vg0/root has LABEL=coldplug-root: one character differs"),
        ("LABEL=hone", "vg0/home has LABEL=home: one character differs"),
    ] {
        let vm = machine(&format!("root={root} {SOON}"));
        made("lvm-linear").attach(vm, Bus::VirtioBlk).run_failed("no-root", &[words]);
    }
}

fn a_late_physical_volume_is_awaited() {
    let disks = made("lvm-two-pvs");
    let vm =
        disks.attach_one(0, machine("root=/dev/vg0/root coldplug.timeout=100"), Bus::VirtioBlk);
    let vm = disks.attach_one(1, vm, Bus::Unplugged);
    let mut machine = vm.device("pcie-root-port,id=socket,chassis=1,slot=1").start();
    machine.wait_for("volume group vg0: physical volume ");
    let late = json!({ "driver": "virtio-blk-pci", "drive": "disk1", "bus": "socket" });
    machine.qmp().execute("device_add", late);
    let boot = machine.finish();
    boot.expect("ok");
    let layers = boot.facts().record()["root"]["layers"].clone();
    assert_eq!(layers, json!(["logical volume vg0/root"]));
}

fn a_volume_is_used_in_part_only_if_redundancy_covers_it() {
    let boot = |recipe: &str, line: &str| -> Boot {
        let vm = machine(&format!("root=/dev/vg0/root coldplug.timeout=60 {line}"));
        made(recipe).attach_one(0, vm, Bus::VirtioBlk).run()
    };
    boot("lvm-raid1", "coldplug.lvm=degraded").expect("ok");
    for (recipe, line) in [("lvm-raid1", ""), ("lvm-two-pvs", "coldplug.lvm=degraded")] {
        let boot = boot(recipe, line);
        boot.expect("no-root");
        let words = "volume root of vg0: physical volume ";
        boot.check(boot.console.contains(words), &format!("{recipe}: {words}"));
    }
}

fn a_group_without_any_physical_volume() {
    for root in ["/dev/vg0/root", "/dev/mapper/vg0-root"] {
        let vm = machine(&format!("root={root} {SOON}"));
        vm.run_failed("no-root", &["no LVM physical volume found"]);
    }
}

fn of_two_groups_with_one_name_none_is_used_unless_chosen() {
    let disks = made("lvm-one-name-twice");
    let known = disks.text("vgs-of-both");
    let uuids = known.split("\"vg_uuid\":\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let mut uuids: Vec<&str> = uuids.collect();
    uuids.sort_unstable();
    let with = |line: &str| {
        let line = format!("{line} coldplug.timeout=20");
        disks.attach(machine(&line), Bus::VirtioBlk)
    };
    let words = format!("several volume groups vg0: {} and {}", uuids[0], uuids[1]);
    with("root=/dev/vg0/root").run_failed("no-root", &[&words]);
    // The volumes have different names.
    with("root=UUID=c01d9106-0000-4000-8000-000000000001").run_clean();
    let chosen =
        uuids.iter().map(|uuid| with(&format!("root=/dev/vg0/root rd.lvm.vg={uuid}")).run());
    let mut verdicts: Vec<String> = chosen.map(|boot| boot.verdict().to_owned()).collect();
    verdicts.sort_unstable();
    assert_eq!(verdicts, ["no-root", "ok"]);
}

fn a_missing_physical_volume_is_named() {
    let vm = machine(&format!("root=/dev/vg0/root {SOON}"));
    let vm = made("lvm-two-pvs").attach_one(0, vm, Bus::VirtioBlk);
    vm.run_failed("no-root", &["volume group vg0: physical volume ", " is missing"]);
}

fn groups_that_lvm2_would_not_use() {
    for (recipe, words) in [
        ("lvm-exported", "volume group vg0: is exported"),
        (
            "lvm-foreign",
            "volume group vg0: belongs to the system other-host, and this one has no name for LVM",
        ),
    ] {
        let vm = machine(&format!("root=/dev/vg0/root {SOON}"));
        made(recipe).attach(vm, Bus::VirtioBlk).run_failed("no-root", &[words]);
    }
}

fn volumes_of_types_that_are_not_supported() {
    for (recipe, kind) in [("lvm-cache", "cache"), ("lvm-writecache", "writecache")] {
        let words = format!("volume root of vg0: root has segments of type {kind}: not supported");
        let vm = machine(&format!("root=/dev/vg0/root {SOON}"));
        made(recipe).attach(vm, Bus::VirtioBlk).run_failed("no-root", &[&words]);
    }
}

/// A copy of a disk, which lvm2 does not use either unless a device of it is in use.
fn one_physical_volume_on_two_disks() {
    let disks = made("lvm-duplicate");
    let vm = machine(&format!("root=/dev/vg0/root {SOON}"));
    let words = "volume group vg0: the same physical volume is on /dev/vda and /dev/vdb";
    disks.attach(vm, Bus::VirtioBlk).run_failed("no-root", &[words]);
    let vm = machine("root=/dev/vg0/root");
    let (_, facts) = disks.attach_one(1, vm, Bus::VirtioBlk).run_clean();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/mapper/vg0-root");
}

/// The second disk has metadata from before a volume was made: whichever is found first.
fn the_newest_metadata_are_used() {
    let disks = made("lvm-old-copy");
    for order in [[0, 1], [1, 0]] {
        let stale = if order == [0, 1] { "/dev/vdb" } else { "/dev/vda" };
        let with = |root: &str| {
            let vm = machine(&format!("root={root} {SOON}"));
            order.iter().fold(vm, |vm, disk| disks.attach_one(*disk, vm, Bus::VirtioBlk))
        };
        let (boot, _) = with("/dev/vg0/root").run_clean();
        let words = format!("volume group vg0: {stale}: stale metadata 2 ignored, 3 is used");
        boot.check(boot.console.contains(&words), &words);
        let words = "vg0 has no volume latter: did you mean later?";
        with("/dev/vg0/latter").run_failed("no-root", &[words]);
    }
}

/// The second area of the device, or another device of the group, has the metadata too.
fn damaged_metadata() {
    const WORDS: &str = "/dev/vda: the header of the metadata area is damaged";
    for recipe in ["lvm-two-copies", "lvm-two-pvs"] {
        let vm = machine("root=/dev/vg0/root");
        let files = made(recipe).copy(vm.dir());
        let disk = fs::OpenOptions::new().write(true).open(&files[0]).unwrap();
        disk.write_all_at(&[0; 512], 4096).unwrap();
        let vm = files.iter().fold(vm, |vm, file| vm.disk(Bus::VirtioBlk, file));
        let (boot, facts) = vm.run_clean();
        assert_eq!(facts.mount("/").unwrap().source, "/dev/mapper/vg0-root", "{recipe}");
        boot.check(boot.console.contains(WORDS), &format!("{recipe}: {WORDS}"));
    }
    let vm = machine(&format!("root=/dev/vg0/root {SOON}"));
    made("lvm-damaged-metadata").attach(vm, Bus::VirtioBlk).run_failed("no-root", &[WORDS]);
}
