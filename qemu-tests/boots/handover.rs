//! The system that the real init gets: mounts, descriptors, process state, arguments, boot record.

use harness::disk::{Disk, ROOT};
use harness::kernel::Kernel;
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{files, image, machine, record, tests};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    the_real_init_gets_a_clean_system,
    the_real_init_gets_a_clean_process,
    the_boot_record_agrees_with_the_kernel,
    the_real_init_gets_its_arguments,
    a_command_runs_instead_of_init,
    rootdelay_does_not_shorten_the_timeout,
    settle_root_leaves_other_modules,
];

fn the_real_init_gets_a_clean_system() {
    let (boot, facts) =
        machine::boot_from(&image::all_of(Kernel::Cloud61), Bus::VirtioBlk, "/dev/vda");
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
    let (_, facts) =
        machine::boot_from(&image::all_of(Kernel::Cloud61), Bus::VirtioBlk, "/dev/vda");
    for (field, want) in
        [("Pid:", "1"), ("Threads:", "1"), ("Umask:", "0022"), ("SigBlk:", "0000000000000000")]
    {
        let status = facts.lines("status");
        let line = status.iter().find(|l| l.starts_with(field)).expect(field);
        assert_eq!(line.split_whitespace().last(), Some(want), "{field}");
    }
}

fn the_boot_record_agrees_with_the_kernel() {
    let (boot, facts) =
        machine::boot_from(&image::all_of(Kernel::Cloud61), Bus::VirtioBlk, "/dev/vda");
    let record = facts.record();
    assert_eq!(record["verdict"], "ok");
    assert_eq!(record["root"]["device"], "/dev/vda");
    assert_eq!(boot.record()["modules"], record["modules"], "the port and /run differ");
    let entry_ns = record["init_boottime_ns"].as_i64().expect("init_boottime_ns");
    let guest_ns = facts.get("boottime_ns").as_i64().unwrap();
    assert!(entry_ns > 0 && entry_ns < guest_ns, "{entry_ns} {guest_ns}");
    assert_eq!(record::modules_with(&record, "failed"), Vec::<&Value>::new());
    assert_eq!(boot.figure("failed"), "0");
    let loaded: Vec<_> = ["loaded", "already", "commanded"]
        .iter()
        .flat_map(|outcome| record::modules_with(&record, outcome))
        .collect();
    assert_eq!(boot.figure("modules").split('/').next(), Some(&*loaded.len().to_string()));
    let live: BTreeSet<_> = facts.modules().into_iter().collect();
    for module in loaded {
        let name = module["name"].as_str().unwrap();
        assert!(live.contains(name), "{name} is recorded as loaded, /proc/modules lacks it");
    }
}

fn the_real_init_gets_its_arguments() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image)
        .cmdline("root=/dev/vda rw init=/opt/first wish=2 coldplug.modules=scsi_mod")
        .raw_words(b"latin=M\xf6b scsi_mod.scan=M\xe4b -- 3 four \xff");
    let (_, facts) = vm.attach(Bus::VirtioBlk, Disk { init: Some("opt/first"), ..ROOT }).run_ok();
    assert_eq!(facts.lines("argv"), ["/opt/first", "3", "four", "\\xff"]);
    assert_eq!(facts.get("env")["wish"], "2");
    assert_eq!(facts.get("env")["latin"], "M\\xf6b");
    assert_eq!(*facts.get("scsi_scan"), "M\\xe4b");
    let options = record::module(&facts.record(), "scsi_mod")["options"].clone();
    assert_eq!(options, "scan=M\\xe4b");
    assert!(facts.mount("/").unwrap().options.contains(&"rw"), "{:?}", facts.mount("/"));
}

fn a_command_runs_instead_of_init() {
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

fn rootdelay_does_not_shorten_the_timeout() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda rootdelay=4 coldplug.timeout=3");
    let (boot, _) = vm.attach(Bus::VirtioBlk, ROOT).run_ok();
    assert!(boot.figure("time").parse::<u64>().unwrap() >= 4000);
}

fn settle_root_leaves_other_modules() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let words = "root=/dev/vda coldplug.settle=root coldplug.jobs=1 coldplug.modules=virtio_blk";
    let vm = Machine::with_defaults(&tree, &image).cmdline(words);
    let (_, facts) = vm.attach(Bus::VirtioBlk, ROOT).run_ok();
    let record = facts.record();
    let left = record::modules_with(&record, "waiting");
    assert!(!left.is_empty(), "one after the other, and nothing is left: {:#}", record["modules"]);
}
