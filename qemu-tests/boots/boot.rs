//! From the entry of /init to the real init: kernels and buses, load methods, what is handed over,
//! damaged images, and boots that fail.

use harness::disk::{DECOY, Disk, LABEL, ROOT, UUID};
use harness::kernel::{Kernel, Tree};
use harness::machine::{Boot, Bus, Facts, Machine};
use harness::run::{BOOT, Test};
use harness::{disk, files, image, note, tests, tool};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    the_floor_boots,
    every_kernel_is_whole,
    virtio_blk_on_6_1_hands_over_a_clean_system,
    the_real_init_gets_a_clean_process,
    the_boot_record_agrees_with_the_kernel,
    words_for_init_reach_it,
    xz_on_6_12_by_the_kernels_road,
    xz_on_6_12_by_the_user_space_road,
    zst_on_6_1,
    gz_on_6_1,
    plain_on_6_1,
    virtio_scsi_root,
    ahci_root,
    nvme_root,
    usb_storage_root,
    root_by_uuid,
    root_by_label,
    a_root_that_never_comes,
    an_image_of_another_kernel,
    a_root_without_a_file_system,
    root_by_partition,
    a_delay_does_not_eat_the_time_to_wait,
    root_first_leaves_the_rest,
    a_command_in_the_place_of_init,
    a_size_that_lies_costs_one_module,
    corrupt_modules_among_good_ones,
    a_root_without_init,
    a_controller_that_is_plugged_in_late,
    a_damaged_index_falls_back_to_text,
    loads_what_kmod_loads,
];

/// Returns a kernel and an image that carries every module as the package of the kernel has it.
fn stored_image_of(kernel: Kernel) -> (Tree, PathBuf) {
    let tree = kernel.get();
    let image = image::coldplug(&tree, &["--all", "--modules-as", "stored"]);
    (tree, image)
}

/// Boots `kernel` from the root disk on `bus`, which `root` names, and expects the init of the root
/// to run.
#[track_caller]
fn boots(kernel: &(Tree, PathBuf), bus: Bus, root: &str) -> (Boot, Facts) {
    let vm = Machine::new(&kernel.0, &kernel.1).cmdline(&format!("root={root}"));
    vm.attach(bus, ROOT).run_ok()
}

/// Returns the entries of `modules` in the record with this outcome.
fn with_outcome<'a>(record: &'a Value, outcome: &str) -> Vec<&'a Value> {
    let modules = record["modules"].as_array().expect("`modules` in the boot record");
    modules.iter().filter(|m| m["outcome"] == outcome).collect()
}

/// The roads that the loaded modules came by.
fn roads(record: &Value) -> BTreeSet<&str> {
    with_outcome(record, "loaded").iter().filter_map(|m| m["road"].as_str()).collect()
}

/// Returns the entry for the module `name` in the record.
fn entry<'a>(record: &'a Value, name: &str) -> &'a Value {
    let modules = record["modules"].as_array().expect("`modules` in the boot record");
    modules
        .iter()
        .find(|m| m["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in the boot record: {record:#}"))
}

/// Returns whether one of the warnings in the record has all of `words`.
fn warns(record: &Value, words: &[&str]) -> bool {
    let warnings = record["warnings"].as_array().expect("`warnings` in the boot record");
    warnings.iter().filter_map(Value::as_str).any(|w| words.iter().all(|word| w.contains(word)))
}

/// Tests the harness itself, with an init that deletes nothing.
fn the_floor_boots() {
    let tree = Kernel::Cloud61.get();
    let modules = [
        "virtio_ring",
        "virtio",
        "virtio_pci_modern_dev",
        "virtio_pci_legacy_dev",
        "virtio_pci",
        "virtio_blk",
    ];
    let image = image::floor(&tree, &modules);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda");
    let ballast = vec![7; 4 << 20];
    let image = image::overlay(&image, &[("ballast", &ballast)], &vm.dir().join("image"));
    let boot = vm.image(&image).attach(Bus::VirtioBlk, ROOT).run();
    let facts = boot.facts();
    assert_eq!(facts.modules(), modules);
    assert_eq!(facts.mount("/").unwrap().kind, "ext4");
    let left = facts.meminfo_kib("Unevictable");
    assert!(left > 4096, "an initramfs of more than 4 MiB stays, {left} KiB are seen");
}

fn every_kernel_is_whole() {
    for (kernel, suffix) in [
        (Kernel::Cloud61, ".ko"),
        (Kernel::Cloud612, ".ko.xz"),
        (Kernel::Full61, ".ko"),
        (Kernel::Cloud61Zst, ".ko.zst"),
        (Kernel::Cloud61Gz, ".ko.gz"),
    ] {
        let tree = kernel.get();
        assert!(tree.vmlinuz().is_file(), "{kernel:?}");
        let blk = tree.module("virtio_blk").unwrap_or_else(|| panic!("{kernel:?}: no virtio_blk"));
        assert!(blk.ends_with(&format!("virtio_blk{suffix}")), "{kernel:?}: {blk}");
        assert!(tree.modules().join(blk).is_file(), "{kernel:?}");
    }
}

fn virtio_blk_on_6_1_hands_over_a_clean_system() {
    let (boot, facts) = boots(&image::all_of(Kernel::Cloud61), Bus::VirtioBlk, "/dev/vda");
    assert_eq!(facts.lines("argv"), ["/sbin/init"]);
    assert_eq!(facts.mount("/").unwrap().source, "/dev/vda");
    assert!(facts.mount("/").unwrap().options.contains(&"ro"), "{:?}", facts.mount("/"));
    for (point, kind) in
        [("/dev", "devtmpfs"), ("/proc", "proc"), ("/sys", "sysfs"), ("/run", "tmpfs")]
    {
        let mount = facts.mount(point).unwrap_or_else(|| panic!("{point} is not mounted"));
        assert_eq!(mount.kind, kind, "{point}");
    }
    assert_eq!(*facts.get("own_mounts"), json!([]), "mounts the guest had to make");
    assert_eq!(
        *facts.get("fds"),
        json!([0, 1, 2].map(|fd: u8| json!({ "fd": fd.to_string(), "target": "/dev/console" }))),
        "descriptors open in the real init"
    );
    // With root= the first root of the kernel is a ramfs, whose pages cannot be evicted: the size
    // of the image.
    let left = facts.meminfo_kib("Unevictable");
    boot.check(left < 1024, &format!("{left} KiB of the initramfs are still in memory"));
}

fn the_real_init_gets_a_clean_process() {
    let (_, facts) = boots(&image::all_of(Kernel::Cloud61), Bus::VirtioBlk, "/dev/vda");
    for (field, want) in
        [("Pid:", "1"), ("Threads:", "1"), ("Umask:", "0022"), ("SigBlk:", "0000000000000000")]
    {
        let status = facts.lines("status");
        let line = status.iter().find(|l| l.starts_with(field)).expect(field);
        assert_eq!(line.split_whitespace().last(), Some(want), "{field}");
    }
}

fn the_boot_record_agrees_with_the_kernel() {
    let (boot, facts) = boots(&image::all_of(Kernel::Cloud61), Bus::VirtioBlk, "/dev/vda");
    let record = facts.record();
    assert_eq!(record["verdict"], "ok");
    assert_eq!(record["root"]["device"], "/dev/vda");
    assert_eq!(boot.record()["modules"], record["modules"], "the port and /run differ");
    let entry_ns = record["init_boottime_ns"].as_i64().expect("init_boottime_ns");
    let guest_ns = facts.get("boottime_ns").as_i64().unwrap();
    assert!(entry_ns > 0 && entry_ns < guest_ns, "{entry_ns} {guest_ns}");
    assert_eq!(with_outcome(&record, "failed"), Vec::<&Value>::new());
    assert_eq!(boot.figure("failed"), "0");
    let loaded: Vec<_> = ["loaded", "already", "commanded"]
        .iter()
        .flat_map(|outcome| with_outcome(&record, outcome))
        .collect();
    assert_eq!(boot.figure("modules").split('/').next(), Some(&*loaded.len().to_string()));
    let live: BTreeSet<_> = facts.modules().into_iter().collect();
    for module in loaded {
        let name = module["name"].as_str().unwrap();
        assert!(live.contains(name), "{name} is recorded as loaded, /proc/modules lacks it");
    }
}

fn words_for_init_reach_it() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm =
        Machine::new(&tree, &image).cmdline("root=/dev/vda rw init=/opt/first wish=2 -- 3 four");
    let (_, facts) = vm.attach(Bus::VirtioBlk, Disk { init: Some("opt/first"), ..ROOT }).run_ok();
    assert_eq!(facts.lines("argv"), ["/opt/first", "3", "four"]);
    assert_eq!(facts.get("env")["wish"], "2");
    assert!(facts.mount("/").unwrap().options.contains(&"rw"), "{:?}", facts.mount("/"));
}

fn xz_on_6_12_by_the_kernels_road() {
    let (_, facts) = boots(&stored_image_of(Kernel::Cloud612), Bus::VirtioBlk, "/dev/vda");
    assert_eq!(roads(&facts.record()), ["kernel-decompress"].into());
}

fn xz_on_6_12_by_the_user_space_road() {
    let (tree, image) = stored_image_of(Kernel::Cloud612);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda coldplug.decode=user");
    let (_, facts) = vm.attach(Bus::VirtioBlk, ROOT).run_ok();
    assert_eq!(roads(&facts.record()), ["image"].into());
}

fn zst_on_6_1() {
    let (_, facts) = boots(&stored_image_of(Kernel::Cloud61Zst), Bus::VirtioBlk, "/dev/vda");
    assert_eq!(roads(&facts.record()), ["image"].into());
}

fn gz_on_6_1() {
    let (_, facts) = boots(&stored_image_of(Kernel::Cloud61Gz), Bus::VirtioBlk, "/dev/vda");
    assert_eq!(roads(&facts.record()), ["image"].into());
}

fn plain_on_6_1() {
    let (_, facts) = boots(&stored_image_of(Kernel::Cloud61), Bus::VirtioBlk, "/dev/vda");
    assert_eq!(roads(&facts.record()), ["file"].into());
}

fn virtio_scsi_root() {
    let (_, facts) = boots(&image::all_of(Kernel::Cloud61), Bus::VirtioScsi, "/dev/sda");
    assert_eq!(facts.mount("/").unwrap().source, "/dev/sda");
}

fn ahci_root() {
    let (_, facts) = boots(&image::all_of(Kernel::Full61), Bus::Ahci, "/dev/sda");
    assert!(facts.modules().contains(&"ahci"));
}

fn nvme_root() {
    let (_, facts) = boots(&image::all_of(Kernel::Full61), Bus::Nvme, "/dev/nvme0n1");
    assert_eq!(facts.mount("/").unwrap().source, "/dev/nvme0n1");
}

fn usb_storage_root() {
    let (_, facts) = boots(&image::all_of(Kernel::Full61), Bus::UsbStorage, "/dev/sda");
    assert!(facts.modules().contains(&"usb_storage"));
}

/// Boots from the second of two disks, so that the first one to appear is the wrong one.
fn root_is_second(spec: &str) {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline(&format!("root={spec}"));
    let vm = vm.attach(Bus::VirtioBlk, DECOY).attach(Bus::VirtioBlk, ROOT);
    let (_, facts) = vm.run_ok();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/vdb");
    assert_eq!(facts.record()["root"]["spec"], spec);
}

fn root_by_uuid() {
    root_is_second(&format!("UUID={UUID}"));
}

fn root_by_label() {
    root_is_second(&format!("LABEL={LABEL}"));
}

fn a_root_that_never_comes() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline("root=UUID=00000000-dead coldplug.timeout=3");
    let boot = vm.attach(Bus::VirtioBlk, DECOY).deadline(Duration::from_secs(60)).run();
    boot.expect("no-root");
    assert_eq!(boot.record()["verdict"], "no-root");
    boot.check(boot.facts_text.is_empty(), "an init ran without a root");
}

fn an_image_of_another_kernel() {
    let (_, image) = image::all_of(Kernel::Cloud612);
    let vm =
        Machine::new(&Kernel::Cloud61.get(), &image).cmdline("root=/dev/vda coldplug.timeout=3");
    vm.attach(Bus::VirtioBlk, ROOT).run().expect("no-root");
}

fn a_root_without_a_file_system() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda coldplug.timeout=3");
    let file = vm.dir().join("blank");
    fs::write(&file, vec![0; 1 << 20]).unwrap();
    let boot = vm.disk(Bus::VirtioBlk, &file).run();
    boot.expect("mount-failed");
    boot.check(boot.console.contains("no known filesystem"), "the cause is not told");
    let (_, after) = boot.console.rsplit_once("coldplug: verdict=").unwrap();
    boot.check(!after.contains("coldplug: "), "something of ours follows the verdict");
}

fn root_by_partition() {
    const TABLE: &str = "label: gpt\nstart=2048, size=32768, uuid=C01D9106-0000-4000-8000-0000000000AA, name=cold-part\n";
    for root in ["PARTUUID=c01d9106-0000-4000-8000-0000000000aa", "PARTLABEL=cold-part"] {
        let (tree, image) = image::all_of(Kernel::Cloud61);
        let vm = Machine::new(&tree, &image).cmdline(&format!("root={root}"));
        let (file, part) = (vm.dir().join("disk"), vm.dir().join("part"));
        let content = fs::read(ROOT.make(&part)).unwrap();
        let disk = [vec![0; 1 << 20], content, vec![0; 1 << 20]].concat();
        fs::write(&file, disk).unwrap();
        tool::feed(tool::command("sfdisk", "fdisk").arg("-q").arg(&file), TABLE.as_bytes());
        let (_, facts) = vm.disk(Bus::VirtioBlk, &file).run_ok();
        assert_eq!(facts.mount("/").unwrap().source, "/dev/vda1", "{root}");
    }
}

fn a_delay_does_not_eat_the_time_to_wait() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda rootdelay=4 coldplug.timeout=3");
    let (boot, _) = vm.attach(Bus::VirtioBlk, ROOT).run_ok();
    assert!(boot.figure("time").parse::<u64>().unwrap() >= 4000);
}

fn root_first_leaves_the_rest() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let words = "root=/dev/vda coldplug.settle=root coldplug.jobs=1 coldplug.modules=virtio_blk";
    let vm = Machine::with_defaults(&tree, &image).cmdline(words);
    let (_, facts) = vm.attach(Bus::VirtioBlk, ROOT).run_ok();
    let record = facts.record();
    let left = with_outcome(&record, "waiting");
    assert!(!left.is_empty(), "one after the other, and nothing is left: {:#}", record["modules"]);
}

fn a_command_in_the_place_of_init() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda \"coldplug.exec=exit 7\"");
    let dir = tempfile::tempdir().unwrap();
    let busybox = files::busybox();
    files::put(dir.path(), "bin/sh", &busybox, 0o755);
    files::put(dir.path(), "sbin/init", b"#!/bin/sh\n", 0o755);
    let file = vm.dir().join("root");
    let boot = vm.disk(Bus::VirtioBlk, &ROOT.make_of(dir.path(), "16M", &file)).run();
    boot.expect("ok");
    assert_eq!(boot.figure("exit"), "7");
}

fn a_size_that_lies_costs_one_module() {
    let tree = Kernel::Cloud61Zst.get();
    let image =
        image::coldplug(&tree, &["--modules", "@virtio,virtio_net", "--modules-as", "stored"]);
    let vm = Machine::new(&tree, &image).args(["-m", "160"]).cmdline("root=/dev/vda");
    let vm = vm.args(["-netdev", "user,id=n0,restrict=on"]).device("virtio-net-pci,netdev=n0");
    let path = format!("lib/modules/{}/{}", tree.release, tree.module("virtio_net").unwrap());
    let mut bytes = fs::read(tree.root.join(&path)).unwrap();
    // RFC 8878: a frame header with a content size of four bytes ends here; this is the highest
    // byte.
    assert_eq!(bytes[4] >> 6, 2, "the frame states its size in four bytes");
    let highest = if bytes[4] & 0x20 == 0 { 9 } else { 8 };
    bytes[highest] = 0x0f;
    let image = image::overlay(&image, &[(&*path, &bytes)], &vm.dir().join("image"));
    let (boot, facts) = vm.image(&image).attach(Bus::VirtioBlk, ROOT).run_ok();
    assert_eq!(boot.figure("failed"), "1");
    let record = facts.record();
    assert!(
        entry(&record, "virtio_net")["error"].as_str().unwrap().contains("no memory"),
        "{record:#}"
    );
}

fn corrupt_modules_among_good_ones() {
    let (tree, image) = stored_image_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda");
    let vm = vm.device("virtio-rng-pci").device("virtio-balloon-pci").device("virtio-serial-pci");
    let path = |name| format!("lib/modules/{}/{}", tree.release, tree.module(name).unwrap());
    let half = fs::read(tree.root.join(path("virtio_rng"))).unwrap();
    let bad = [
        (&*path("virtio_rng"), &half[..half.len() / 2]),
        (&*path("virtio_balloon"), b"\x7fELF and then nothing of the kind".as_slice()),
        (&*path("virtio_console"), b"".as_slice()),
    ];
    let image = image::overlay(&image, &bad, &vm.dir().join("image"));
    let vm = vm.image(&image).attach(Bus::VirtioBlk, ROOT);
    let (boot, facts) = vm.run_ok();
    assert_eq!(boot.figure("failed"), "3");
    for name in ["virtio_rng", "virtio_balloon", "virtio_console"] {
        let record = facts.record();
        assert_eq!(entry(&record, name)["outcome"], "failed", "{name}");
        assert!(entry(&record, name)["error"].is_string(), "{name}");
    }
    assert!(facts.modules().contains(&"virtio_blk"));
}

fn a_root_without_init() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let busybox = files::busybox();
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda rw coldplug.onfail=shell");
    let image = image::overlay(&image, &[("bin/sh", &busybox)], &vm.dir().join("image"));
    let disks = tempfile::tempdir().unwrap();
    let root = disks.path().join("root.img");
    Disk { init: None, ..ROOT }.make(&root);
    let mut machine = vm.image(&image).disk(Bus::VirtioBlk, &root).start();
    machine.wait_for("coldplug: verdict=no-init");
    let mut terminal = machine.terminal();
    terminal.line("echo alive-$((40+2)); ls -d /init /lib/modules/*/modules.dep");
    machine.wait_for("alive-42");
    machine.wait_for(&format!("\n/lib/modules/{}/modules.dep", tree.release));
    terminal.line("sync; echo o > /proc/sysrq-trigger");
    machine.finish();
    let mut look = tool::command("debugfs", "e2fsprogs");
    let kept = tool::run(look.args(["-R", "cat /etc/keep"]).arg(&root));
    assert_eq!(kept, disk::KEPT);
}

fn a_controller_that_is_plugged_in_late() {
    let (tree, image) = image::all_of(Kernel::Full61);
    let vm = Machine::new(&tree, &image).cmdline(&format!("root=UUID={UUID}"));
    let vm = vm.attach(Bus::VirtioBlk, DECOY).device("pcie-root-port,id=socket,chassis=1,slot=1");
    let mut machine = vm.attach(Bus::Unplugged, ROOT).start();
    machine.wait_for("[vda]");
    // The first disk has appeared and is not the root. After three seconds all other devices have
    // settled.
    std::thread::sleep(Duration::from_secs(3));
    machine.wait_for("[vda]");
    assert!(!machine.console().contains("nvme0"), "an NVMe controller before it was plugged in");
    let late = json!({ "driver": "nvme", "serial": "late", "drive": "disk1", "bus": "socket" });
    machine.qmp().execute("device_add", late);
    let boot = machine.finish();
    boot.expect("ok");
    assert_eq!(boot.facts().mount("/").unwrap().source, "/dev/nvme0n1");
}

fn a_damaged_index_falls_back_to_text() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda");
    let path = |name| format!("lib/modules/{}/{name}", tree.release);
    let text = fs::read_to_string(tree.modules().join("modules.alias")).unwrap();
    let torn = text.replacen('\n', "\nalias torn\n", 1);
    let bad = [
        (&*path("modules.alias.bin"), b"not an index".as_slice()),
        (&*path("modules.alias"), torn.as_bytes()),
    ];
    let image = image::overlay(&image, &bad, &vm.dir().join("image"));
    let (_, facts) = vm.image(&image).attach(Bus::VirtioBlk, ROOT).run_ok();
    let record = facts.record();
    assert!(warns(&record, &["modules.alias.bin"]), "{:#}", record["warnings"]);
    assert!(warns(&record, &["modules.alias line 2"]), "{:#}", record["warnings"]);
}

/// What kmod's modprobe would do: load all modaliases until no new one appears, then mount the
/// root.
const KMOD_INIT: &str = r#"#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
modaliases() {
    {
        $bb find /sys/devices -name modalias -exec $bb cat {} +
        $bb find /sys/devices -name uevent -exec $bb sed -n 's/^MODALIAS=//p' {} +
    } 2>/dev/null | $bb sort -u
}
live() { $bb cut -d ' ' -f 1 /proc/modules | $bb sort; }
# The same twice, a second apart: what hangs behind USB takes that long to come.
before=
same=0
while [ $same -lt 2 ]; do
    set --
    while read -r alias; do set -- "$@" "$alias"; done <<EOF
$(modaliases)
EOF
    /sbin/modprobe -a -b "$@" 2>/dev/null
    $bb sleep 1
    now=$(modaliases; live)
    if [ "$now" = "$before" ]; then same=$((same + 1)); else same=0; fi
    before=$now
done
$bb mount -t ext4 -o ro /dev/vda /root || echo "the root cannot be mounted"
$bb cat /proc/modules > /dev/ttyS1
$bb poweroff -f
"#;

/// Makes the machine of the comparison, with the default devices of QEMU.
fn comparison(tree: &Tree, image: &std::path::Path) -> Machine {
    let vm = Machine::with_defaults(tree, image)
        .args(["-m", "2048", "-cpu", "max", "-netdev", "user,id=n0,restrict=on", "-netdev"])
        .args(["user,id=n1,restrict=on", "-device", "qemu-xhci,id=usb"])
        .cmdline("root=/dev/vda")
        .deadline(Duration::from_secs(240));
    let vm =
        ["virtio-net-pci,netdev=n0", "e1000e,netdev=n1", "virtio-rng-pci", "usb-kbd,bus=usb.0"]
            .into_iter()
            .fold(vm, Machine::device);
    vm.attach(Bus::VirtioBlk, ROOT).attach(Bus::Nvme, DECOY)
}

fn loads_what_kmod_loads() {
    let tree = Kernel::Full61.get();
    let kmod = comparison(&tree, &image::kmod(&tree, KMOD_INIT)).run();
    let theirs: BTreeSet<_> =
        kmod.facts_text.lines().filter_map(|line| line.split(' ').next()).collect();
    kmod.check(
        theirs.contains("virtio_blk") && theirs.contains("ext4"),
        "kmod's side is not whole",
    );
    let (tree, image) = image::all_of(Kernel::Full61);
    let (_, facts) = comparison(&tree, &image).run_ok();
    let ours: BTreeSet<_> = facts.modules().into_iter().collect();
    let missing: Vec<_> = theirs.difference(&ours).collect();
    let extra: Vec<_> = ours.difference(&theirs).collect();
    note!("{} modules by kmod, {} by coldplug", theirs.len(), ours.len());
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:?}, more {extra:?}");
}
