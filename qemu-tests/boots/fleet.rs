//! The fleet machine: every order loads the same modules, the plan matches the boot, and what kmod,
//! busybox and udev miss.
//!
//! ```text
//! data/fleet/machine.args   the machine
//! data/fleet/kmod-init      an init that loads modules with kmod, in passes
//! data/fleet/udev-init      an init that leaves it to udev
//! ```

use harness::kernel::Kernel;
use harness::machine::Facts;
use harness::measured::Reached;
use harness::run::{BOOT, Test};
use harness::{image, kernel, measured, note, paths, tests, tool};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    every_order_loads_the_same_modules_and_drivers,
    all_modules_of_the_fleet_are_loaded,
    the_plan_matches_the_boot,
];
/// Those that `make boots` alone runs: mostly about what others do on this machine.
pub(crate) const EXTRA: &[Test] = tests![BOOT =>
    sequential_loading_repeats_its_order,
    kmod_loads_the_same_in_several_passes,
    udev_needs_the_kernels_helper,
];

/// Returns the facts of a sequential boot.
fn serial() -> &'static Facts {
    static BOOT: OnceLock<Facts> = OnceLock::new();
    shared(&BOOT, "coldplug.jobs=1")
}

/// Returns the facts of a boot with the default number of parallel loads, in another order.
fn parallel() -> &'static Facts {
    static BOOT: OnceLock<Facts> = OnceLock::new();
    shared(&BOOT, "coldplug.seed=7")
}

/// Boots once for all tests that use `facts`.
fn shared(facts: &'static OnceLock<Facts>, words: &str) -> &'static Facts {
    // Without the kernel each test is ignored, not only the first.
    Kernel::Full61.get();
    facts.get_or_init(|| boot(words))
}

fn boot(words: &str) -> Facts {
    let tree = Kernel::Full61.get();
    let image = image::coldplug(&tree, &["--all"]);
    let boot = measured::fleet(&tree, &image).cmdline("root=/dev/vda").cmdline(words).run();
    boot.expect("ok");
    boot.facts()
}

/// Boots the init of a peer and returns the lists that it reports, by name.
fn peer(image: &Path, words: &str) -> BTreeMap<String, BTreeSet<String>> {
    let boot = measured::fleet(&Kernel::Full61.get(), image).cmdline(words).run();
    let lines = boot.facts_text.lines().filter_map(|line| line.split_once(' '));
    let lists: BTreeMap<_, _> =
        lines.map(|(name, list)| (name.to_owned(), set(list.split(' ')))).collect();
    boot.check(lists.contains_key("root"), "the peer's report is not whole");
    lists
}

fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// Returns the names of `modules`, in their order.
fn names(modules: &Value) -> Vec<&str> {
    modules.as_array().unwrap().iter().filter_map(|m| m["name"].as_str()).collect()
}

/// Modules that the kernel, or a driver, requests through /sbin/modprobe, and those that they need.
/// No device has an alias for them.
const ASKED_BY_THE_KERNEL: [&str; 4] =
    ["acpi_ipmi", "crc64_rocksoft_generic", "ledtrig_audio", "snd_hda_codec_generic"];

/// Modules whose init returns ENODEV: an alias matches, but the processor is not supported.
const NO_DEVICE: [&str; 5] =
    ["acpi_cpufreq", "amd64_edac", "edac_mce_amd", "pcc_cpufreq", "powernow_k8"];

#[track_caller]
fn lacks(whole: &BTreeSet<String>, names: &[&str], who: &str) {
    for name in names {
        assert!(!whole.contains(*name), "{who} has {name}");
    }
}

#[track_caller]
fn has(whole: &BTreeSet<String>, names: &[&str], who: &str) {
    for name in names {
        assert!(whole.contains(*name), "{who} lacks {name}");
    }
}

fn every_order_loads_the_same_modules_and_drivers() {
    let (serial, parallel) = (Reached::new(serial()), Reached::new(parallel()));
    note!("{} modules, {} devices with a driver", serial.modules.len(), serial.drivers.len());
    assert_eq!(serial.difference(&parallel), "");
}

/// This includes devices on slow buses, which appear late.
fn sequential_loading_repeats_its_order() {
    let order = |facts: &Facts| -> Vec<String> {
        names(&facts.record()["modules"]).into_iter().map(str::to_owned).collect()
    };
    let again = boot("coldplug.jobs=1");
    assert_eq!(order(serial()), order(&again));
}

fn all_modules_of_the_fleet_are_loaded() {
    let ours = set(serial().modules());
    let late_usb =
        ["usbnet", "cdc_ether", "ftdi_sio", "hid_generic", "wacom", "joydev", "snd_usb_audio"];
    for names in [&late_usb[..], &ASKED_BY_THE_KERNEL, &["mmc_block", "aesni_intel", "kvm_amd"]] {
        has(&ours, names, "the fleet");
    }
    for facts in [serial(), parallel()] {
        let record = facts.record();
        let modules = record["modules"].as_array().unwrap();
        let with = |outcome: &str| -> BTreeSet<String> {
            let all = modules.iter().filter(|m| m["outcome"] == outcome);
            all.map(|m| m["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(with("no-device"), set(NO_DEVICE));
        let live: BTreeSet<String> = with("loaded").union(&with("already")).cloned().collect();
        let unrecorded: BTreeSet<String> = ours.difference(&live).cloned().collect();
        // One of them may have been loaded for a device before the kernel requested it.
        has(
            &set(ASKED_BY_THE_KERNEL),
            &unrecorded.iter().map(String::as_str).collect::<Vec<_>>(),
            "the kernel",
        );
        assert_eq!(live.len() + NO_DEVICE.len(), modules.len(), "all else is loaded: {record:#}");
    }
}

fn kmod_loads_the_same_in_several_passes() {
    let tree = Kernel::Full61.get();
    let lists = peer(&image::kmod(&tree, include_str!("../data/fleet/kmod-init")), "");
    for (name, list) in &lists {
        note!("kmod, {name}: {}", list.len());
    }
    let ours = set(serial().modules());
    let missing: Vec<_> = lists["root"].difference(&ours).collect();
    let more: Vec<_> = ours.difference(&lists["root"]).collect();
    assert!(missing.is_empty() && more.is_empty(), "we lack {missing:?}, kmod lacks {more:?}");
    // Children of a device appear once its driver is loaded, not before.
    let second =
        ["virtio_blk", "sd_mod", "usbhid", "usb_storage", "joydev", "hid_generic", "wacom"];
    lacks(&lists["pass1"], &second, "one pass");
    lacks(&lists["pass2"], &["hid_generic", "wacom"], "a second pass");
    // The modalias of a memory card is only in its uevent file.
    lacks(&lists["files"], &["mmc_block"], "a reader of modalias files");
    has(&lists["uevents"], &["mmc_block"], "a reader of uevents");
    lacks(&lists["uevents"], &["ext4"], "kmod, before the root is mounted");
    note!("the kernel asked for {:?}", lists["asked"]);
    // Modules that the kernel requests from its helper are not loaded otherwise.
    has(&lists["asked"], &["acpi_ipmi"], "the kernel's helper");
    // busybox ends an alias at a comma, and ignores softdeps.
    lacks(
        &lists["busybox"],
        &["aesni_intel", "crc32c_intel", "kvm_amd", "ipmi_devintf"],
        "busybox",
    );
    has(&lists["busybox"], &["ipmi_si", "virtio_blk", "mmc_block"], "busybox");
}

fn udev_needs_the_kernels_helper() {
    let tree = Kernel::Full61.get();
    let image = image::udev(&tree, include_str!("../data/fleet/udev-init"));
    let lists = peer(&image, "nohelper");
    for (name, list) in &lists {
        note!("udev without a helper, {name}: {}", list.len());
    }
    let ours = set(serial().modules());
    let without: BTreeSet<String> = ours.difference(&lists["root"]).cloned().collect();
    // The kernel requests a filesystem from its helper as well.
    let ext4 = ["crc16", "crc32c_generic", "ext4", "jbd2", "mbcache"];
    assert_eq!(without, set(ASKED_BY_THE_KERNEL.into_iter().chain(ext4)));
    // A rule of udev loads ppdev with every parport_pc; it has no alias.
    let more: BTreeSet<String> = lists["root"].difference(&ours).cloned().collect();
    assert_eq!(more, set(["ppdev"]));
}

/// Compares the plan for a captured machine with its boot under `coldplug.jobs=1`:
///
/// - the sets of modules in the record and in the plan must be equal;
/// - the sets of live and of planned modules differ by modules that find no hardware, which aliases
///   do not say, and by modules that the kernel requests;
/// - modules for devices that exist at the start, or appear with the load of a module, must come in
///   the same order;
/// - every module must come after those that it needs.
///
/// A capture does not say when a bus that scans asynchronously (USB, SCSI, ATA, MMC) finds its
/// devices.
fn the_plan_matches_the_boot() {
    let tree = Kernel::Full61.get();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serial().get("capture").as_str().expect("a capture")).unwrap();
    let mut command = std::process::Command::new(paths::program("coldplug"));
    command.args(["plan", "--json", "--root"]).arg(&tree.root).arg("--from").arg(file.path());
    let plan: Value = serde_json::from_str(&tool::run(&mut command)).unwrap();
    let record = serial().record();
    let (planned, booted) = (names(&plan["modules"]), names(&record["modules"]));
    assert_eq!(set(planned.iter().copied()), set(booted.iter().copied()));

    let live = set(serial().modules());
    let expected: BTreeSet<String> = set(planned.iter().copied());
    let by_kernel: BTreeSet<String> = live.difference(&expected).cloned().collect();
    let in_vain: BTreeSet<String> = expected.difference(&live).cloned().collect();
    assert_eq!((by_kernel, in_vain), (set(ASKED_BY_THE_KERNEL), set(NO_DEVICE)));

    let (planned_first, booted_first) =
        (at_once(&plan["modules"], &plan), at_once(&record["modules"], &plan));
    note!("{} of {} modules are for devices that come at once", planned_first.len(), planned.len());
    assert!(planned_first.len() > 50, "{planned_first:?}");
    assert_eq!(booted_first, planned_first);
    for order in [&booted, &planned] {
        check_order(order, &tree);
    }
}

/// Returns the names of `modules`, in their order, that `plan` has for devices which exist at the
/// start or appear with the load of a module. Others appear when their bus has found them.
fn at_once<'a>(modules: &'a Value, plan: &Value) -> Vec<&'a str> {
    let in_its_own_time =
        |name: &str| ["usb", "host", "ata", "mmc_host"].iter().any(|bus| name.starts_with(bus));
    let devices: BTreeMap<&str, &str> = plan["modules"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|m| Some((m["name"].as_str()?, m["device"].as_str()?)))
        .collect();
    let comes_at_once =
        |name: &&str| devices.get(name).is_some_and(|path| !path.split('/').any(in_its_own_time));
    names(modules).into_iter().filter(comes_at_once).collect()
}

/// Checks that every module of `order` comes after those on its modules.dep line.
fn check_order(order: &[&str], tree: &kernel::Tree) {
    let dep = std::fs::read_to_string(tree.modules().join("modules.dep")).unwrap();
    let place = |path: &str| {
        let name = kernel::stem(path);
        order.iter().position(|module| *module == name)
    };
    for (path, needs) in dep.lines().filter_map(|line| line.split_once(':')) {
        for need in needs.split_whitespace() {
            if let (Some(user), Some(need_at)) = (place(path), place(need)) {
                assert!(need_at < user, "{path} before {need}");
            }
        }
    }
}
