//! Roots on arrays of md, made by mdadm, and what does not start.

use harness::machine::{Boot, Bus, Facts, Machine, Running};
use harness::made_disk::{Made, made};
use harness::run::{BOOT, Test};
use harness::{debian, disk, image, tests};
use serde_json::json;
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    arrays_of_every_level_and_version,
    arrays_with_less_usual_members,
    arrays_have_the_names_that_mdadm_gives,
    partitions_of_an_array,
    an_array_is_chosen_by_its_uuid,
    a_late_member_is_awaited,
    an_array_starts_degraded_after_a_time,
    resume_waits_for_a_degraded_array,
    a_stale_member_is_left_out,
    a_dirty_degraded_array_needs_permission,
    an_array_is_read_only_until_the_first_write,
    two_halves_that_both_are_the_newest,
    firmware_arrays_are_named,
];

/// The root filesystem of all disks: `disk::UUID`.
const ROOT: &str = "root=UUID=c01d9106-0000-4000-8000-000000000001";
/// Deadline of a boot that waits for what is missing.
const DEADLINE: Duration = Duration::from_secs(300);
/// Long enough for the drivers of disks on an emulated processor.
const SOON: &str = "coldplug.timeout=20 coldplug.md_timeout=2";

/// Returns a machine whose host name is that of most arrays.
fn machine(line: &str) -> Machine {
    machine_of("coldplug", "", line)
}

/// Returns a machine with a host name and an mdadm.conf.
fn machine_of(host: &str, conf: &str, line: &str) -> Machine {
    let tree = debian::system();
    let options = ["--generic", "--modules", "@virtio,@storage,@filesystems,@raid"];
    let vm = Machine::new(&tree, &image::coldplug(&tree, &options)).cmdline(line);
    let files = [("etc/hostname", host.as_bytes()), ("etc/mdadm/mdadm.conf", conf.as_bytes())];
    let own = image::overlay(&image::coldplug(&tree, &options), &files, &vm.dir().join("image"));
    vm.image(&own).deadline(DEADLINE)
}

/// Boots from all disks of a recipe.
#[track_caller]
fn boots(recipe: &str, vm: Machine) -> (Boot, Facts) {
    made(recipe).attach(vm, Bus::VirtioBlk).run_clean()
}

/// Checks node and type of the root, and what the record says below it.
#[track_caller]
fn is_on(facts: &Facts, source: &str, layer: &str, row: &str) {
    let root = facts.mount("/").unwrap();
    assert_eq!((root.kind, root.source), ("ext4", source), "{row}");
    assert_eq!(facts.record()["root"]["layers"], json!([layer]), "{row}");
}

fn arrays_of_every_level_and_version() {
    for (level, kind) in [
        ("linear", "linear"),
        ("0", "raid0"),
        ("1", "raid1"),
        ("4", "raid4"),
        ("5", "raid5"),
        ("6", "raid6"),
        ("10", "raid10"),
    ] {
        for version in ["0.90", "1.0", "1.1", "1.2"] {
            // mdadm makes no RAID0 of version 0.90; the others are a matter of the superblock alone.
            let is_made = match level {
                "linear" => matches!(version, "0.90" | "1.2"),
                "0" => version != "0.90",
                "4" => version == "1.2",
                _ => true,
            };
            if !is_made {
                continue;
            }
            let recipe = format!("md-{level}-{version}");
            let (node, device) = match version {
                "0.90" => ("/dev/md0", "md0"),
                _ => ("/dev/md/root", "md127"),
            };
            let (_, facts) = boots(&recipe, machine(&format!("root={node}")));
            is_on(&facts, node, &format!("array /dev/{device} ({kind})"), &recipe);
        }
    }
}

fn arrays_with_less_usual_members() {
    for (recipe, kind) in [
        ("md-bitmap", "raid1"),
        ("md-spare", "raid1"),
        ("md-journal", "raid5"),
        ("md-failed-member", "raid5"),
        ("md-degraded-from-start", "raid5"),
        ("md-rebuilding", "raid1"),
    ] {
        let (_, facts) = boots(recipe, machine("root=/dev/md/root"));
        is_on(&facts, "/dev/md/root", &format!("array /dev/md127 ({kind})"), recipe);
    }
    let (_, facts) = boots("md-on-partitions", machine("root=/dev/md0"));
    is_on(&facts, "/dev/md0", "array /dev/md0 (raid1)", "partitions");
    // Both copies were taken while the array was being written.
    let vm = made("md-dirty").attach_one(2, machine("root=/dev/md/root"), Bus::VirtioBlk);
    let (_, facts) = made("md-dirty").attach_one(3, vm, Bus::VirtioBlk).run_clean();
    is_on(&facts, "/dev/md/root", "array /dev/md127 (raid1)", "dirty");
}

fn arrays_have_the_names_that_mdadm_gives() {
    let named = "ARRAY /dev/md/sys name=coldplug:root\n";
    for (recipe, host, conf, line, root, device) in [
        ("md-1-1.2", "other", "", "", "/dev/md/coldplug:root", "md127"),
        ("md-1-0.90", "other", "", "", "/dev/md/0_0", "md127"),
        ("md-foreign", "coldplug", "", "", "/dev/md/other:root", "md127"),
        ("md-foreign", "other", "", "", "/dev/md/root", "md127"),
        ("md-no-host", "coldplug", "", "", "/dev/md0", "md0"),
        ("md-no-host", "other", "", "", "/dev/md/coldplug:0", "md127"),
        ("md-number", "coldplug", "", "", "/dev/md3", "md3"),
        ("md-1-1.2", "", named, "", "/dev/md/sys", "md127"),
        ("md-1-1.2", "coldplug", "", "md=5,/dev/vda,/dev/vdb", "/dev/md5", "md5"),
        ("md-1-1.2", "coldplug", "", "md=d1,vda,vdb", "/dev/md_d1", "md_d1"),
    ] {
        let vm = machine_of(host, conf, &format!("root={root} {line}"));
        let (_, facts) = boots(recipe, vm);
        is_on(&facts, root, &format!("array /dev/{device} (raid1)"), &format!("{recipe} {root}"));
    }
}

fn partitions_of_an_array() {
    let disks = made("md-partitions");
    let known = disks.text("blkid");
    let line = known.lines().find(|line| line.contains("coldplug-root")).unwrap();
    let (_, rest) = line.split_once("PARTUUID=\"").unwrap();
    let part = format!("PARTUUID={}", rest.split('"').next().unwrap());
    for (root, source) in [
        (part.as_str(), "/dev/md127p2"),
        ("LABEL=coldplug-root", "/dev/md127p2"),
        ("/dev/md127p2", "/dev/md127p2"),
    ] {
        let (_, facts) = boots("md-partitions", machine(&format!("root={root}")));
        is_on(&facts, source, "array /dev/md127 (raid1)", root);
    }
}

/// Returns the UUID of the array of a recipe, as mdadm prints it.
fn uuid(disks: &Made, device: &str) -> String {
    let text = disks.text(&format!("detail-{device}"));
    text.lines().find_map(|line| line.strip_prefix("MD_UUID=")).unwrap().to_owned()
}

fn an_array_is_chosen_by_its_uuid() {
    let (wanted, other) = (made("md-1-1.2"), made("md-foreign"));
    let line = format!("{ROOT} rd.md.uuid={}", uuid(&wanted, "md127"));
    let vm = other.attach(machine(&line), Bus::VirtioBlk);
    let (boot, facts) = wanted.attach(vm, Bus::VirtioBlk).run_clean();
    // The numbers are given in the order of the UUIDs, also to arrays that are not started.
    let node = facts.mount("/").unwrap().source.to_owned();
    is_on(&facts, &node, &format!("array {node} (raid1)"), "uuid");
    let started = boot.console.matches("coldplug: array /dev/md12").count();
    assert_eq!(started, 1, "{}", boot.tail());
    let line = format!("{ROOT} {SOON} rd.md.uuid=00");
    let vm = wanted.attach(machine(&line), Bus::VirtioBlk);
    vm.run_failed("no-root", &["array /dev/md/root: not started"]);
}

/// Starts a machine with the first disk of a recipe; the second one is not plugged in.
fn without_the_second(recipe: &str, line: &str) -> Running {
    let disks = made(recipe);
    let vm = disks.attach_one(0, machine(line), Bus::VirtioBlk);
    let vm = disks.attach_one(1, vm, Bus::Unplugged);
    vm.device("pcie-root-port,id=socket,chassis=1,slot=1").start()
}

fn a_late_member_is_awaited() {
    for recipe in ["md-1-1.2", "md-0-1.0"] {
        let mut machine = without_the_second(recipe, "root=/dev/md/root coldplug.timeout=100");
        machine.wait_for("array /dev/md/root: 1 of 2 members missing");
        let late = json!({ "driver": "virtio-blk-pci", "drive": "disk1", "bus": "socket" });
        machine.qmp().execute("device_add", late);
        let boot = machine.finish();
        boot.expect("ok");
        boot.check(!boot.console.contains("degraded"), "the array is whole");
    }
}

fn an_array_starts_degraded_after_a_time() {
    for (recipe, kind) in [("md-1-1.2", "raid1"), ("md-5-1.0", "raid5"), ("md-10-0.90", "raid10")] {
        let vm = machine(&format!("{ROOT} coldplug.md_timeout=2"));
        let disks = made(recipe);
        let last = disks.disks().len() - 1;
        let vm = (0..last).fold(vm, |vm, number| disks.attach_one(number, vm, Bus::VirtioBlk));
        let (boot, facts) = vm.run_clean();
        boot.check(boot.console.contains(" started degraded after "), "the warning");
        let missing = format!("1 of {} members missing", last + 1);
        boot.check(boot.console.contains(&missing), &missing);
        assert!(facts.record()["root"]["layers"].to_string().contains(kind), "{recipe}");
    }
    let vm = made("md-0-1.0").attach_one(0, machine(&format!("{ROOT} {SOON}")), Bus::VirtioBlk);
    vm.run_failed("no-root", &["array /dev/md/root: 1 of 2 members missing"]);
}

/// A hibernated system that is not resumed now would be resumed later, over what has changed.
fn resume_waits_for_a_degraded_array() {
    let vm = machine("root=/dev/vda resume=/dev/md127 coldplug.md_timeout=45");
    let vm = made("md-1-1.2").attach_one(0, vm.attach(Bus::VirtioBlk, disk::ROOT), Bus::VirtioBlk);
    let boot = vm.run();
    boot.expect("ok");
    boot.check(boot.console.contains(" started degraded after "), "the array is awaited");
    boot.check(!boot.console.contains("booting without resume"), "its device is found");
}

fn a_stale_member_is_left_out() {
    for (recipe, words) in [
        ("md-stale", "/dev/vdb left out: stale: event count "),
        ("md-stale-0.90", "/dev/vdb left out: stale: event count "),
        ("md-two-stale", "/dev/vdb left out: stale: event count "),
    ] {
        let (boot, facts) = boots(recipe, machine(ROOT));
        boot.check(boot.console.contains(words), words);
        let warnings = facts.record()["warnings"].to_string();
        assert!(warnings.contains(words), "{recipe}: {warnings}");
    }
}

fn a_dirty_degraded_array_needs_permission() {
    let disks = made("md-dirty-degraded");
    let with = |line: &str| {
        let vm = disks.attach_one(3, machine(&format!("{ROOT} {SOON} {line}")), Bus::VirtioBlk);
        disks.attach_one(4, vm, Bus::VirtioBlk)
    };
    let words = "1 of 3 members missing; not shut down cleanly, so that parity may be wrong";
    with("").run_failed("no-root", &[words]);
    let (boot, _) = with("coldplug.md=dirty").run_clean();
    boot.check(boot.console.contains(" started degraded after "), "the warning");
}

fn an_array_is_read_only_until_the_first_write() {
    let vm = machine("root=/dev/md/root coldplug.break=switch");
    let mut machine = made("md-1-1.2").attach(vm, Bus::VirtioBlk).start();
    machine.wait_for("coldplug> ");
    let mut terminal = machine.terminal();
    terminal.line("cat /proc/mdstat");
    machine.wait_for("md127 : active (auto-read-only) raid1 vd");
    terminal.line("exit");
    machine.finish().expect("ok");
}

fn two_halves_that_both_are_the_newest() {
    let vm = made("md-halves").attach(machine(&format!("{ROOT} {SOON}")), Bus::VirtioBlk);
    let words = ["array /dev/md/root: two halves claim to be the newest: /dev/vd", "(event count "];
    vm.run_failed("no-root", &words);
}

fn firmware_arrays_are_named() {
    for (recipe, words) in [
        ("md-imsm", "/dev/vda and /dev/vdb are in a firmware RAID (isw_raid_member)"),
        ("md-ddf", "/dev/vda and /dev/vdb are in a firmware RAID (ddf_raid_member)"),
    ] {
        let vm = made(recipe).attach(machine(&format!("{ROOT} {SOON}")), Bus::VirtioBlk);
        vm.run_failed("no-root", &[words]);
    }
}
