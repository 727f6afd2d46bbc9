//! Failed boots that are stored, and the boots after them.

use harness::disk::{Disk, ROOT};
use harness::kernel::Kernel;
use harness::machine::{Boot, Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{disk, files, image, paths, tests, tool};
use std::fs;
use std::path::Path;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    a_failed_boot_is_reported_by_the_next_one,
    a_failed_boot_is_stored_in_a_file,
    the_data_of_others_are_not_overwritten,
    a_partition_label_names_the_place,
    a_stored_text_forges_no_verdict,
    a_boot_that_nobody_has_seen_is_not_lost,
    a_retry_that_succeeds_marks_its_own_failure,
    a_file_on_the_filesystem_of_the_root,
    reading_a_file_writes_nothing,
    no_file_is_touched_before_the_end_of_resume,
    the_verdict_survives_in_ramoops,
];

/// An init that prints what pstore has kept.
const PSTORE_READER: &str = "#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t sysfs sysfs /sys 2>/dev/null
$bb mount -t pstore pstore /tmp
for file in /tmp/*; do
    echo \"pstore: $file\" > /dev/ttyS0
    $bb cat $file > /dev/ttyS0
done
$bb poweroff -f
";

/// Boots with `store` as /dev/vda, and the root as /dev/vdb if it is wanted.
fn boot(store: &Path, persist: &str, has_root: bool) -> Boot {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).disk(Bus::VirtioBlk, store);
    let vm = vm.cmdline(&format!("coldplug.timeout=20 root=LABEL=coldplug-root {persist}"));
    if has_root { vm.attach(Bus::VirtioBlk, ROOT).run() } else { vm.run() }
}

/// Boots with `store` as /dev/vda. Without `root=` the boot fails as soon as all devices are known.
fn boot_without_root(store: &Path, persist: &str) -> Boot {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let failed = Machine::new(&tree, &image).disk(Bus::VirtioBlk, store).cmdline(persist).run();
    failed.expect("no-root");
    failed
}

/// Returns what `coldplug report --persist` prints.
fn report(store: &Path) -> String {
    let mut command = std::process::Command::new(paths::program("coldplug"));
    tool::run(command.args(["report", "--persist"]).arg(store))
}

fn a_failed_boot_is_reported_by_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = disk::empty(2, &dir.path().join("store"));
    let persist = "coldplug.persist=/dev/vda";
    const DIED: &str = "last boot: verdict=no-root: root device LABEL=coldplug-root not";
    for number in 1..=2 {
        let failed = boot(&store, persist, false);
        failed.expect("no-root");
        let text = format!("stored as number {number} at /dev/vda");
        failed.check(failed.console.contains(&text), "the boot is not stored");
        failed.check(failed.console.contains(DIED) == (number == 2), "what the last boot died of");
        let report = report(&store);
        assert!(report.starts_with(&format!("boot {number}\nverdict=no-root: ")), "{report}");
        assert!(report.contains("verdict: no-root in "), "{report}");
        assert!(report.contains("] coldplug: root device LABEL=coldplug-root not"), "{report}");
    }
    let next = boot(&store, persist, true);
    next.expect("ok");
    next.check(next.console.contains(DIED), "the next boot is silent");
    let previous = next.record()["previous"].as_str().unwrap().to_owned();
    assert!(previous.starts_with("verdict=no-root: "), "{previous}");
    assert!(report(&store).starts_with("boot 2, reported by a later boot\n"));
    let later = boot(&store, persist, true);
    later.check(!later.console.contains("last boot"), "it is reported twice");
    assert!(later.record()["previous"].is_null());
}

fn a_failed_boot_is_stored_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("data");
    Disk { label: "data", init: None, ..ROOT }.make(&store);
    let persist = "coldplug.persist=LABEL=data:/died";
    let failed = boot(&store, persist, false);
    failed.check(failed.console.contains("stored as number 1 at LABEL=data:/died"), "not stored");
    let next = boot(&store, persist, true);
    next.expect("ok");
    next.check(next.console.contains("last boot: verdict=no-root: "), "not reported");
    let mut look = tool::command("debugfs", "e2fsprogs");
    let copy = dir.path().join("died");
    tool::run(look.args(["-R", &format!("dump died {}", copy.display())]).arg(&store));
    assert!(report(&copy).starts_with("boot 1, reported by a later boot\n"));
}

fn the_data_of_others_are_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (ext4, btrfs, md) =
        (dir.path().join("ext4"), dir.path().join("btrfs"), dir.path().join("md"));
    Disk { label: "data", init: None, ..ROOT }.make(&ext4);
    disk::empty(128, &btrfs);
    tool::run(tool::command("mkfs.btrfs", "btrfs-progs").arg("-q").arg(&btrfs));
    make_md_member(&md);
    for (store, name, kind) in [
        (&ext4, "LABEL=data", "ext4"),
        (&btrfs, "/dev/vda", "btrfs"),
        (&md, "/dev/vda", "linux_raid_member"),
    ] {
        let before = fs::read(store).unwrap();
        assert!(kind == "ext4" || before[..4096].iter().all(|byte| *byte == 0), "{kind}");
        let failed = boot_without_root(store, &format!("coldplug.persist={name}"));
        let text = format!("coldplug.persist: {name}: holds {kind}\n");
        failed.check(failed.console.contains(&text), "not refused");
        let hint = "hint: name a partition or a file that holds nothing else";
        failed.check(failed.console.contains(hint), "no hint");
        failed.check(fs::read(store).unwrap() == before, &format!("the {kind} has changed"));
    }
    let missing = boot(&ext4, "coldplug.persist=PARTLABEL=none", true);
    missing.expect("ok");
    missing.check(missing.console.contains("PARTLABEL=none not found"), "not reported");
}

/// Writes a member of an array with metadata 1.2, whose superblock is at 4 KiB, and its data.
/// mdadm(8) needs block devices.
fn make_md_member(file: &Path) {
    let mut bytes = vec![0; 16 << 20];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(4096, b"\xfc\x4e\x2b\xa9\x01\0\0\0");
    put(4096 + 16, b"0123456789abcdef");
    put(4096 + 32, b"host:array");
    // Its own sector.
    put(4096 + 144, &8_u64.to_le_bytes());
    put(2 << 20, b"data of the array");
    fs::write(file, bytes).unwrap();
}

fn a_partition_label_names_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk::empty(8, &dir.path().join("disk"));
    let table =
        "label: gpt\nstart=2048, size=4096, name=first\nstart=6144, size=4096, name=crash\n";
    tool::feed(tool::command("sfdisk", "fdisk").arg("-q").arg(&disk), table.as_bytes());
    let partition = 6144 * 512..10240 * 512;
    let before = fs::read(&disk).unwrap();
    let persist = "coldplug.persist=PARTLABEL=crash";
    let failed = boot_without_root(&disk, persist);
    failed.check(failed.console.contains("stored as number 1 at PARTLABEL=crash"), "not stored");
    let mut after = fs::read(&disk).unwrap();
    after[partition.clone()].copy_from_slice(&before[partition.clone()]);
    failed.check(after == before, "something else on the disk has changed");
    let next = boot(&disk, persist, true);
    next.expect("ok");
    next.check(next.console.contains("last boot: verdict=no-root: "), "not reported");
    let copy = dir.path().join("partition");
    fs::write(&copy, &fs::read(&disk).unwrap()[partition]).unwrap();
    assert!(report(&copy).starts_with("boot 1, reported by a later boot\nverdict=no-root: "));
}

fn a_stored_text_forges_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let summary = "verdict=no-root: a\nverdict=ok forged\r\x1b[2Jcoldplug: verdict=ok forged";
    let mut bytes = stored_boot(summary);
    bytes.resize(2 << 20, 0);
    fs::write(&store, bytes).unwrap();
    let next = boot(&store, "coldplug.persist=/dev/vda", true);
    next.expect("ok");
    let forged = || next.console.lines().filter(|line| line.contains("forged"));
    next.check(forged().count() > 0, "the last boot is not reported");
    let says_so = |line: &str| line.contains("coldplug: last boot: verdict=ok forged\\x0d\\x1b[2J");
    next.check(forged().all(says_so), "a line does not say that it is about the last boot");
    let verdicts = next.console.lines().filter(|line| line.starts_with("coldplug: verdict="));
    next.check(verdicts.count() == 1, "not one verdict");
}

/// Returns a stored boot without record and log. src/report/stored_boot.rs has the format.
fn stored_boot(summary: &str) -> Vec<u8> {
    let checksum = |bytes: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum().to_le_bytes()
    };
    let mut bytes = b"coldplug\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0".to_vec();
    bytes.extend(u32::try_from(summary.len()).unwrap().to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(checksum(summary.as_bytes()));
    bytes.extend(checksum(&bytes));
    bytes.extend(summary.as_bytes());
    bytes.resize(4096, 0);
    bytes
}

fn a_boot_that_nobody_has_seen_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut bytes = stored_boot("verdict=no-root: unseen");
    bytes.resize(2 << 20, 0);
    fs::write(&store, bytes).unwrap();
    // Nothing is read before the end of resume=, which this boot does not reach.
    let words = "coldplug.persist=/dev/vda resume=LABEL=none coldplug.timeout=8";
    let failed = boot(&store, words, false);
    failed.expect("no-root");
    failed.check(failed.console.contains("stored as number 2 at /dev/vda"), "not stored");
    const UNSEEN: &str = "last boot: verdict=no-root: unseen";
    failed.check(failed.console.contains(UNSEEN), "the boot before is not reported");
    let report = report(&store);
    assert!(report.starts_with("boot 2\n") && report.contains(UNSEEN), "{report}");
}

fn a_retry_that_succeeds_marks_its_own_failure() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let dir = tempfile::tempdir().unwrap();
    let store = disk::empty(2, &dir.path().join("store"));
    let vm = Machine::new(&tree, &image)
        .cmdline("root=LABEL=none coldplug.timeout=5 coldplug.onfail=shell")
        .cmdline("coldplug.persist=/dev/vda")
        .disk(Bus::VirtioBlk, &store)
        .attach(Bus::VirtioBlk, ROOT);
    let mut machine = vm.start();
    machine.wait_for("coldplug> ");
    assert!(report(&store).starts_with("boot 1\n"));
    machine.terminal().line("retry root=LABEL=coldplug-root coldplug.timeout=60");
    let boot = machine.finish();
    boot.expect("ok");
    boot.check(!boot.console.contains("last boot"), "it is reported as the last boot");
    assert!(report(&store).starts_with("boot 1, reported by a later boot\n"));
}

fn a_file_on_the_filesystem_of_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let store = ROOT.make(&dir.path().join("root"));
    let persist = "coldplug.persist=LABEL=coldplug-root:/died";
    boot_without_root(&store, persist);
    let (tree, image) = image::all_of(Kernel::Cloud61);
    for (flag, is_read) in [("ro", true), ("rw", false)] {
        let vm = Machine::new(&tree, &image).disk(Bus::VirtioBlk, &store);
        let next = vm.cmdline(&format!("root=/dev/vda {flag} {persist}")).run();
        next.expect("ok");
        let reported = next.console.contains("last boot: verdict=no-root: ");
        next.check(reported == is_read, flag);
        let busy =
            "coldplug.persist: LABEL=coldplug-root:/died: fsmount /dev/vda: Device or resource";
        next.check(next.console.contains(busy), "no warning");
    }
}

fn reading_a_file_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (program, package, kernel) in [
        ("mkfs.btrfs", "btrfs-progs", Kernel::Cloud61),
        ("mkfs.ext4", "e2fsprogs", Kernel::Cloud61),
        ("mkfs.f2fs", "f2fs-tools", Kernel::Full61),
        ("mkfs.xfs", "xfsprogs", Kernel::Cloud61),
    ] {
        let store = disk::empty(320, &dir.path().join(program));
        tool::run(tool::command(program, package).arg("-q").arg(&store));
        let before = fs::read(&store).unwrap();
        let (tree, image) = image::all_of(kernel);
        let vm = Machine::new(&tree, &image).disk(Bus::VirtioBlk, &store);
        let vm = vm.cmdline("root=LABEL=coldplug-root coldplug.persist=/dev/vda:/died");
        let boot = vm.attach(Bus::VirtioBlk, ROOT).run();
        boot.expect("ok");
        let text = format!("{program}: it cannot be read");
        boot.check(!boot.console.contains("coldplug.persist: "), &text);
        let text = format!("{program}: it has changed");
        boot.check(fs::read(&store).unwrap() == before, &text);
    }
}

fn no_file_is_touched_before_the_end_of_resume() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("data");
    Disk { label: "data", init: None, ..ROOT }.make(&store);
    let before = fs::read(&store).unwrap();
    let persist = "coldplug.persist=LABEL=data:/died";
    let mounts = |boot: &Boot| boot.console.contains("EXT4-fs (vda): mounted");
    // The time of the root is over before that of the device of resume=.
    let failed = boot(&store, &format!("{persist} resume=LABEL=none coldplug.timeout=8"), false);
    failed.expect("no-root");
    let text = "LABEL=data:/died: not stored: resume= has not ended";
    failed.check(failed.console.contains(text), "stored");
    failed.check(!mounts(&failed), "mounted");
    failed.check(fs::read(&store).unwrap() == before, "the filesystem has changed");
    let stored = boot_without_root(&store, persist);
    stored.check(stored.console.contains("stored as number 1 at LABEL=data:/died"), "not stored");
    stored.check(mounts(&stored), "a mount is not in the log");
    // The wait for the device ends after 30 seconds.
    let next = boot(&store, &format!("{persist} resume=LABEL=none coldplug.timeout=60"), true);
    next.expect("ok");
    let at = |text: &str| {
        next.console.find(text).unwrap_or_else(|| panic!("no {text:?}{}", next.tail()))
    };
    let over = at("resume=LABEL=none not found after 30 s; booting without resume");
    next.check(over < at("EXT4-fs (vda): mounted"), "mounted before the end of resume=");
    next.check(over < at("last boot: verdict=no-root: "), "read before the end of resume=");
}

fn the_verdict_survives_in_ramoops() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let dir = tempfile::tempdir().unwrap();
    let memory = dir.path().join("memory");
    let root = dir.path().join("tree");
    files::put(&root, "bin/busybox", &files::busybox(), 0o755);
    files::put(&root, "sbin/init", PSTORE_READER.as_bytes(), 0o755);
    let disk = ROOT.make_of(&root, "16M", &dir.path().join("root"));
    // The memory of the machine survives the end of QEMU, which a reset is with -no-reboot.
    let object =
        format!("memory-backend-file,id=memory,size=1G,share=on,mem-path={}", memory.display());
    let machine = || {
        Machine::new(&tree, &image)
            .args(["-object", &object, "-machine", "memory-backend=memory"])
            .cmdline("memmap=1M$0x20000000 coldplug.modules=ramoops ramoops.mem_address=0x20000000")
            .cmdline("ramoops.mem_size=0x100000 ramoops.record_size=0x20000 ramoops.max_reason=4")
    };
    let failed = machine().replace_words("onfail=poweroff", "onfail=reboot").run();
    failed.expect("no-root");
    let next = machine().cmdline("root=/dev/vda").disk(Bus::VirtioBlk, &disk).run();
    let (own, kept) = next.console.split_once("pstore: /tmp/dmesg-ramoops-0").unwrap_or_default();
    next.check(own.contains("coldplug: verdict=ok "), "the next boot has failed");
    next.check(kept.contains("coldplug: verdict=no-root "), "pstore has no verdict");
}
