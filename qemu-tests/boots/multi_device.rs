//! Roots on several devices: disks that appear late or never, copies of disks, seeds, and one name
//! for two filesystems.

use harness::disk;
use harness::kernel::Kernel;
use harness::machine::{Bus, Facts, Machine};
use harness::record::has_warning;
use harness::run::{BOOT, Test};
use harness::{filesystem, image, tests};
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    a_copy_is_not_the_second_disk,
    a_second_disk_that_never_appears,
    a_copy_does_not_shorten_the_wait_for_degraded,
    a_removed_disk_does_not_stand_in_for_its_successor,
    a_half_that_was_away_is_no_reason_to_wait,
    one_name_for_copies_and_for_two_filesystems,
    a_sprout_by_the_label_that_its_seed_has_too,
    a_sprout_whose_seed_the_options_name,
    a_sprout_whose_seed_never_appears,
    a_seed_alone,
    a_log_on_a_disk_that_appears_late,
];

/// Makes a machine with this kernel and an image with the sets of modules.
fn machine(kernel: Kernel, line: &str) -> Machine {
    let tree = kernel.get();
    let image = image::coldplug(&tree, &["--modules", "@virtio,@storage,@filesystems"]);
    Machine::new(&tree, &image).cmdline(line)
}

/// Adds disks to a machine, in this order.
fn with_disks(vm: Machine, disks: &[&PathBuf]) -> Machine {
    disks.iter().fold(vm, |vm, disk| vm.disk(Bus::VirtioBlk, disk))
}

/// Makes a btrfs of two mirrors, and a copy of the first one.
fn mirror(vm: &Machine) -> (PathBuf, PathBuf, PathBuf) {
    let [first, second, copy] = ["first", "second", "copy"].map(|name| vm.dir().join(name));
    filesystem::make_mirror(&first, &second);
    fs::copy(&first, &copy).unwrap();
    (first, second, copy)
}

/// Makes a seed, and a sprout of it.
fn sprout(vm: &Machine) -> (PathBuf, PathBuf) {
    let [seed, sprout] = ["seed", "sprout"].map(|name| vm.dir().join(name));
    filesystem::make_sprout(&seed, &sprout);
    (seed, sprout)
}

#[track_caller]
fn warns(facts: &Facts, words: &[&str]) -> bool {
    has_warning(&facts.record(), words)
}

/// Two kinds of disks hold the same half of a mirror. Until the other half appears, they are one.
fn a_copy_is_not_the_second_disk() {
    let line = "root=LABEL=pair rw rootflags=degraded coldplug.modules=nvme";
    let vm = machine(Kernel::Full61, line);
    let (first, second, copy) = mirror(&vm);
    let vm = with_disks(vm, &[&first, &copy]).disk(Bus::Unplugged, &second);
    let mut machine = vm.device("pcie-root-port,id=socket,chassis=1,slot=1").start();
    // The waiting step prints this, so the disks have been read by then.
    machine.wait_for("1 of 2 btrfs devices found: /dev/vda)");
    let late = json!({ "driver": "nvme", "serial": "late", "drive": "disk2", "bus": "socket" });
    machine.qmp().execute("device_add", late);
    let boot = machine.finish();
    boot.expect("ok");
    let facts = boot.facts();
    assert_eq!(facts.mount("/").unwrap().kind, "btrfs");
    assert_eq!(*facts.get("keep"), disk::KEPT);
    assert!(warns(&facts, &["btrfs device 1 is /dev/vda (used", "and /dev/vdb ("]));
    assert!(!warns(&facts, &["degraded"]) && !warns(&facts, &["matches"]), "{}", facts.record());
}

fn a_second_disk_that_never_appears() {
    let vm = machine(Kernel::Cloud61, "root=LABEL=pair coldplug.timeout=5");
    let (first, second) = (vm.dir().join("first"), vm.dir().join("second"));
    filesystem::make_pair(&first, &second);
    let found =
        "LABEL=pair (1 of 2 btrfs devices found: /dev/vda; mount /dev/vda on /sysroot as btrfs:";
    let words = [found, ") incomplete after"];
    vm.disk(Bus::VirtioBlk, &first).run_failed("no-root", &words);
}

/// The options name the half that is there, a new disk in the place of the other, and no disk.
fn a_copy_does_not_shorten_the_wait_for_degraded() {
    let flags = "degraded,device=/dev/vda,device=/dev/vdc,device=LABEL=lost";
    let vm = machine(Kernel::Cloud612, &format!("root=LABEL=pair rw rootflags={flags}"));
    let (first, _, copy) = mirror(&vm);
    let blank = vm.dir().join("blank");
    fs::File::create(&blank).unwrap().set_len(1 << 20).unwrap();
    let (boot, facts) = with_disks(vm, &[&first, &copy, &blank]).run_clean();
    for word in ["device=/dev/vdc", "device=LABEL=lost"] {
        let text = format!("LABEL=pair: mounted without {word}: no btrfs found there");
        assert!(warns(&facts, &[&text]), "{}", facts.record());
    }
    assert!(warns(&facts, &["btrfs device 1 is /dev/vda (used", "and /dev/vdb ("]));
    assert!(warns(&facts, &["1 of 2 btrfs devices found: /dev/vda); mounting degraded"]));
    boot.check(boot.console.contains("still waiting for LABEL=pair (1 of 2"), "no wait");
    assert_eq!(facts.mount("/").unwrap().source, "/dev/vda");
}

/// A half of a mirror that was replaced counts no more, whatever it says itself.
fn a_removed_disk_does_not_stand_in_for_its_successor() {
    let line = "root=LABEL=pair rw rootflags=degraded coldplug.modules=nvme";
    let vm = machine(Kernel::Full61, line);
    let (first, removed, _) = mirror(&vm);
    let third = vm.dir().join("third");
    filesystem::replace_missing(&first, &third);
    let vm = with_disks(vm, &[&first, &removed]).disk(Bus::Unplugged, &third);
    let mut machine = vm.device("pcie-root-port,id=socket,chassis=1,slot=1").start();
    machine.wait_for("2 of 2 btrfs devices found: /dev/vda /dev/vdb)");
    let late = json!({ "driver": "nvme", "serial": "late", "drive": "disk2", "bus": "socket" });
    machine.qmp().execute("device_add", late);
    let boot = machine.finish();
    boot.expect("ok");
    let facts = boot.facts();
    assert!(!warns(&facts, &["degraded"]), "{}", facts.record());
}

fn a_half_that_was_away_is_no_reason_to_wait() {
    let vm = machine(Kernel::Cloud61, "root=LABEL=pair rw rootflags=degraded,noatime");
    let (first, second, _) = mirror(&vm);
    filesystem::touch_btrfs(&first);
    let (boot, facts) = with_disks(vm, &[&first, &second]).run_clean();
    boot.check(!boot.console.contains("still waiting"), "it waited");
    assert!(facts.mount("/").unwrap().options.contains(&"noatime"));
    assert_eq!(facts.record()["warnings"], json!([]));
}

/// The newer copy is used, although the name of its node is the later one.
fn one_name_for_copies_and_for_two_filesystems() {
    let vm = machine(Kernel::Cloud61, "root=LABEL=tree");
    let [old, new, other] = ["old", "new", "other"].map(|name| vm.dir().join(name));
    filesystem::make_btrfs("-L tree", &old);
    filesystem::make_btrfs("-L tree", &other);
    fs::copy(&old, &new).unwrap();
    filesystem::touch_btrfs(&new);
    let (_, facts) = with_disks(vm, &[&old, &new, &other]).run_clean();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/vdb");
    assert!(warns(&facts, &["btrfs device 1 is /dev/vdb (used", "and /dev/vda (generation"]));
    assert!(warns(&facts, &["LABEL=tree matches /dev/vdb (used) and /dev/vdc"]));
    assert!(!warns(&facts, &["matches", "/dev/vda"]), "{}", facts.record());
}

fn a_sprout_by_the_label_that_its_seed_has_too() {
    let vm = machine(Kernel::Cloud61, "root=LABEL=tree rw");
    let (seed, sprout) = sprout(&vm);
    let (_, facts) = with_disks(vm, &[&seed, &sprout]).run_clean();
    let root = facts.mount("/").unwrap();
    assert_eq!((root.kind, root.source), ("btrfs", "/dev/vdb"));
    assert!(root.options.contains(&"rw"), "{root:?}");
    assert_eq!(facts.record()["warnings"], json!([]));
}

fn a_sprout_whose_seed_the_options_name() {
    let line = format!("root=/dev/vda rw rootflags=noatime,device=UUID={}", filesystem::SEED_UUID);
    let vm = machine(Kernel::Cloud612, &line);
    let (seed, sprout) = sprout(&vm);
    let (_, facts) = with_disks(vm, &[&sprout, &seed]).run_clean();
    let root = facts.mount("/").unwrap();
    assert_eq!((root.kind, root.source), ("btrfs", "/dev/vda"));
    assert!(root.options.contains(&"noatime"), "{root:?}");
    assert_eq!(facts.record()["warnings"], json!([]));
}

/// For all that the superblocks say, a sprout whose seed is there, but not the subvolume, looks the
/// same. The kernel's error is part of the message and of the record.
fn a_sprout_whose_seed_never_appears() {
    let line = "root=LABEL=tree coldplug.timeout=8";
    let vm = machine(Kernel::Cloud61, line);
    let other = machine(Kernel::Cloud61, &format!("{line} rootflags=subvol=lost"));
    let (seed, sprout) = sprout(&other);
    let found = "LABEL=tree (1 of 2 btrfs devices found: /dev/vda";
    for (vm, cause) in [
        (vm.disk(Bus::VirtioBlk, &sprout), "Invalid argument"),
        (with_disks(other, &[&sprout, &seed]), "No such file or directory"),
    ] {
        let error = format!("mount /dev/vda on /sysroot as btrfs: {cause}");
        let words = [format!("{found}): {error}"), format!("{found}; {error}) incomplete after")];
        let boot = vm.run_failed("no-root", &words.each_ref().map(String::as_str));
        let name = &boot.record()["root"]["awaited"]["name"];
        assert_eq!(*name, format!("{found}; {error})"));
    }
}

fn a_seed_alone() {
    let vm = machine(Kernel::Cloud61, "root=LABEL=tree rw");
    let (seed, _) = sprout(&vm);
    let (_, facts) = vm.disk(Bus::VirtioBlk, &seed).run_clean();
    let root = facts.mount("/").unwrap();
    assert_eq!((root.kind, root.source), ("btrfs", "/dev/vda"));
    assert!(root.options.contains(&"ro"), "{root:?}");
}

/// The kernel knows no udev link, so the options of the mount name the node that the link means.
fn a_log_on_a_disk_that_appears_late() {
    let log = "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_late";
    let line = format!("root=LABEL=logged rw rootflags=logdev={log},noatime coldplug.modules=nvme");
    let vm = machine(Kernel::Full61, &line);
    let (data, journal) = (vm.dir().join("data"), vm.dir().join("log"));
    filesystem::make_xfs_with_log(&data, &journal);
    let vm = vm.disk(Bus::VirtioBlk, &data).disk(Bus::Unplugged, &journal);
    let mut machine = vm.device("pcie-root-port,id=socket,chassis=1,slot=1").start();
    machine.wait_for(&format!("still waiting for LABEL=logged (logdev={log})"));
    let late = json!({ "driver": "nvme", "serial": "late", "drive": "disk1", "bus": "socket" });
    machine.qmp().execute("device_add", late);
    let boot = machine.finish();
    boot.expect("ok");
    let facts = boot.facts();
    let root = facts.mount("/").unwrap();
    assert_eq!((root.kind, root.source), ("xfs", "/dev/vda"));
    assert!(root.options.contains(&"noatime"), "{root:?}");
    let mounts = facts.lines("mountinfo").join("\n");
    assert!(mounts.contains(" - xfs /dev/vda rw,"), "{mounts}");
    assert!(mounts.contains(",logdev=/dev/nvme0n1"), "{mounts}");
    assert_eq!(*facts.get("keep"), disk::KEPT);
}
