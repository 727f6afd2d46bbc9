//! The loader in QEMU: orders that repeat, loads that are finished after the switch, lost events.

use harness::disk::ROOT;
use harness::kernel::{Kernel, Tree};
use harness::machine::{Bus, Facts, Machine};
use harness::run::{BOOT, Test};
use harness::{disk, files, image, own_modules, paths, record, tests, tool};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    sequential_loading_repeats,
    any_order_loads_the_same_modules,
    a_recorded_order_is_replayed,
    a_buffer_that_overflows_loses_no_device,
    modules_that_the_root_does_not_need_are_loaded_by_finish,
    a_slow_module_does_not_delay_the_root,
    a_hidden_dependency_is_found_by_replay,
    a_boot_that_gives_up_during_a_scan_ends,
    modules_that_no_device_asks_for_are_listed,
];

/// Deadline of a boot whose instructions are counted, on a busy host.
const LONG: Duration = Duration::from_secs(300);

/// Makes a machine that loads some twenty modules, with its root on virtio-blk.
fn machine(tree: &Tree, image: &Path, words: &str) -> Machine {
    let vm = Machine::with_defaults(tree, image).cmdline(words).args([
        "-netdev",
        "user,id=n0,restrict=on",
        "-netdev",
        "user,id=n1,restrict=on",
    ]);
    let devices = [
        "virtio-net-pci,netdev=n0",
        "e1000e,netdev=n1",
        "virtio-rng-pci",
        "virtio-balloon-pci",
        "virtio-serial-pci",
        "virtio-scsi-pci",
    ];
    let vm = devices.into_iter().fold(vm, Machine::device);
    let file = ROOT.make(&vm.dir().join("root"));
    vm.disk(Bus::VirtioBlk, &file)
}

/// Returns name and outcome of each module that was tried, in the order of the record.
fn outcomes(facts: &Facts) -> Vec<String> {
    let record = facts.record();
    let modules = record["modules"].as_array().expect("`modules` in the boot record");
    let tried = modules.iter().filter(|m| m["end_us"].as_u64() > Some(0));
    tried.map(|m| format!("{}:{}", word(m, "name"), word(m, "outcome"))).collect()
}

fn word<'a>(module: &'a Value, key: &str) -> &'a str {
    module[key].as_str().unwrap_or_default()
}

fn set(facts: &Facts) -> BTreeSet<String> {
    facts.modules().into_iter().map(str::to_owned).collect()
}

fn sequential_loading_repeats() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let words = "root=/dev/vda coldplug.jobs=1";
    let boots = [(); 2].map(|()| machine(&tree, &image, words).run_ok().1);
    assert_eq!(outcomes(&boots[0]), outcomes(&boots[1]));
    let record = boots[0].record();
    let mut last = 0;
    for module in record["modules"].as_array().unwrap() {
        let start = module["start_us"].as_u64().unwrap();
        assert!(start == 0 || start >= last, "{module:#} began before the one before it ended");
        last = last.max(module["end_us"].as_u64().unwrap());
    }
}

fn any_order_loads_the_same_modules() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let plain = set(&machine(&tree, &image, "root=/dev/vda").run_ok().1);
    for words in ["coldplug.seed=1 coldplug.jobs=8", "coldplug.seed=2", "coldplug.async=all"] {
        let (_, facts) = machine(&tree, &image, &format!("root=/dev/vda {words}")).run_ok();
        assert_eq!(set(&facts), plain, "{words}");
    }
}

fn a_recorded_order_is_replayed() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let words = "root=/dev/vda coldplug.seed=7 coldplug.jobs=1";
    let (_, first) = machine(&tree, &image, words).run_ok();
    let record = first.record().to_string();
    let words = "root=/dev/vda coldplug.replay=/record.json coldplug.alone=virtio_net";
    let vm = machine(&tree, &image, words);
    let image = image::overlay(&image, &[("record.json", record.as_bytes())], &vm.dir().join("i"));
    let (_, again) = vm.image(&image).run_ok();
    assert_eq!(outcomes(&again), outcomes(&first));
}

fn a_buffer_that_overflows_loses_no_device() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let plain = set(&machine(&tree, &image, "root=/dev/vda").run_ok().1);
    let (boot, facts) =
        machine(&tree, &image, "root=/dev/vda coldplug.rcvbuf=2048 coldplug.jobs=8").run_ok();
    assert_eq!(set(&facts), plain);
    let counts = facts.record()["uevents"].clone();
    boot.check(counts["rescans"].as_u64() > Some(0), &format!("nothing was lost: {counts}"));
}

fn modules_that_the_root_does_not_need_are_loaded_by_finish() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let words =
        format!("root=LABEL={} coldplug.settle=root init=/bin/sh -- -c /finish", LARGE.label);
    let vm = machine(&tree, &image, &words);
    let root = tempfile::tempdir().unwrap();
    let busybox = files::busybox();
    files::put(root.path(), "bin/sh", &busybox, 0o755);
    files::put(root.path(), "bin/coldplug", &fs::read(paths::program("coldplug")).unwrap(), 0o755);
    let script = "#!/bin/sh\ncoldplug finish >/dev/console 2>&1\necho \"status $?\" >/dev/console\n\
                  coldplug report >/dev/console\n\
                  [ -e /run/coldplug/remaining ] || echo list-gone >/dev/console\n\
                  exec /sbin/init\n";
    files::put(root.path(), "finish", script.as_bytes(), 0o755);
    let guest = fs::read(paths::program("examples/guest")).unwrap();
    files::put(root.path(), "sbin/init", &guest, 0o755);
    let modules = root.path().join("lib/modules");
    fs::create_dir_all(&modules).unwrap();
    tool::run(tool::command("cp", "coreutils").arg("-a").args([&tree.modules(), &modules]));
    let file = vm.dir().join("large");
    let (boot, facts) =
        vm.disk(Bus::VirtioBlk, &LARGE.make_of(root.path(), "256M", &file)).run_ok();
    boot.check(boot.console.contains("status 0") && boot.console.contains("list-gone"), "finish");
    let record = boot.record();
    let left = record["modules"].as_array().unwrap();
    let left = left.iter().filter(|m| matches!(word(m, "outcome"), "waiting" | "loading"));
    assert!(left.count() > 3, "{record:#}");
    let way: Vec<_> =
        record["root"]["modules"].as_array().unwrap().iter().map(|m| m.as_str()).collect();
    assert!(way.contains(&Some("virtio_blk")) && way.contains(&Some("virtio_pci")), "{way:?}");
    let plain = set(&machine(&tree, &image, "root=/dev/vda").run_ok().1);
    assert_eq!(set(&facts), plain);
    let after = facts.record();
    let after = after["modules"].as_array().unwrap();
    let is_open = |m: &&Value| matches!(word(m, "outcome"), "waiting" | "loading");
    assert_eq!(after.iter().filter(is_open).count(), 0);
    for before in record["modules"].as_array().unwrap().iter().filter(is_open) {
        let same = after.iter().find(|m| word(m, "name") == word(before, "name")).unwrap();
        for key in ["why", "device", "modalias", "alias"] {
            assert_eq!(same[key], before[key], "{key} of {before:#}");
        }
    }
    let table = boot.console.lines().skip_while(|line| !line.starts_with("module "));
    let table: Vec<_> = table.take_while(|line| !line.starts_with("verdict: ok in ")).collect();
    let device = word(&record["root"], "device");
    let root = format!("root: LABEL={} is {device} (ext4)", LARGE.label);
    boot.check(table.last().map(|line| line.trim_end()) == Some(&*root), "the report's table");
    boot.check(!table.iter().any(|l| l.contains("\\n") || l.contains("\\x0a")), "line ends");
}

/// Returns a kernel with the modules of harness/own_modules.rs, and an image with all modules.
fn own_modules() -> (Tree, PathBuf) {
    let tree = own_modules::tree();
    let image = image::coldplug(&tree, &["--all"]);
    (tree, image)
}

fn outcome(facts: &Facts, module: &str) -> String {
    let record = facts.record();
    let modules = record["modules"].as_array().expect("`modules` in the boot record");
    let entry = modules.iter().find(|m| m["name"] == module);
    word(entry.unwrap_or_else(|| panic!("no {module}: {record:#}")), "outcome").to_owned()
}

fn a_slow_module_does_not_delay_the_root() {
    let (tree, image) = own_modules();
    // The delay lets every load start before the search for the root.
    let words = "root=/dev/vda coldplug.settle=root rootdelay=3 coldplug.jobs=8";
    let (boot, facts) = machine(&tree, &image, words).run_ok();
    let record = facts.record();
    boot.check(outcome(&facts, "coldplug_slow") == "loading", &format!("{:#}", record["modules"]));
    // The guest has waited for the processes that /init left running.
    assert!(facts.modules().contains(&"coldplug_slow"), "its load did not go on");
}

fn a_hidden_dependency_is_found_by_replay() {
    let (tree, image) = own_modules();
    let order = |words: &str, record: Option<&Value>| {
        let vm = machine(&tree, &image, &format!("root=/dev/vda {words}"));
        let Some(record) = record else { return vm.run_ok().1 };
        let text = record.to_string();
        let with = image::overlay(&image, &[("r.json", text.as_bytes())], &vm.dir().join("i"));
        vm.image(&with).run_ok().1
    };
    let mut seen = BTreeSet::new();
    for seed in 1..20 {
        let facts = order(&format!("coldplug.jobs=1 coldplug.seed={seed}"), None);
        let came = outcome(&facts, "coldplug_needy");
        if seen.insert(came.clone()) {
            let again = order("coldplug.replay=/r.json", Some(&facts.record()));
            assert_eq!(outcome(&again, "coldplug_needy"), came, "seed {seed}, replayed");
        }
        if seen.len() == 2 {
            return;
        }
    }
    panic!("every order gave {seen:?}");
}

/// A boot gives up during the scan of a parallel SCSI bus, which reboot(2) would wait for. Guest
/// time counts instructions, so that this happens in every run.
fn a_boot_that_gives_up_during_a_scan_ends() {
    let (tree, image) = image::all_of(Kernel::Full61);
    for words in ["", "coldplug.async=all"] {
        let vm = Machine::new(&tree, &image)
            .args(["-blockdev", "driver=null-co,node-name=none0,size=33554432,read-zeroes=on"])
            .device("lsi53c895a,id=lsi")
            .device("scsi-hd,drive=none0,bus=lsi.0")
            .timed()
            .deadline(LONG)
            .cmdline("root=/dev/vda coldplug.timeout=1")
            .cmdline(words);
        let boot = vm.run();
        boot.expect("no-root");
    }
}

/// The root that holds its modules; the small disk beside it has another label.
const LARGE: disk::Disk =
    disk::Disk { uuid: "c01d9106-0000-4000-8000-00000000000e", label: "large", init: None };

fn modules_that_no_device_asks_for_are_listed() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let words = "root=/dev/vda rd.driver.pre=loop rd.driver.pre=ifb,no-such-module \
                 modules_load=tun,bonding rd.modules_load=fs-xfs \
                 modprobe.blacklist=nbd,bonding coldplug.jobs=1";
    let vm = machine(&tree, &image, words);
    let lists: [(&str, &[u8]); 4] = [
        ("etc/modules", b"# Debian's list\nbrd rd_nr=2 rd_size=64\n"),
        ("usr/lib/modules-load.d/a.conf", b"hidden\n"),
        ("etc/modules-load.d/a.conf", b"; of the administrator\n dm-mod\nnbd\n"),
        ("usr/local/lib/modules-load.d/z.conf", b"no-such-thing\n"),
    ];
    let image = image::overlay(&image, &lists, &vm.dir().join("i"));
    let (boot, facts) = vm.image(&image).run_ok();
    let loaded = facts.modules();
    for name in ["loop", "ifb", "tun", "xfs", "brd", "dm_mod"] {
        boot.check(loaded.contains(&name), &format!("{name} is not loaded: {loaded:?}"));
    }
    for name in ["nbd", "bonding"] {
        boot.check(!loaded.contains(&name), &format!("{name} is blacklisted and loaded"));
    }
    let record = facts.record();
    let first = record::modules(&record).first().map(|module| word(module, "name"));
    boot.check(first == Some("loop"), &format!("the first module is {first:?}"));
    let brd = record::module(&record, "brd").to_string();
    boot.check(brd.contains("rd_nr=2 rd_size=64"), &brd);
    let unknown = |place: &str, name: &str| {
        let words = [place, &format!("no module or alias '{name}'")];
        boot.check(record::has_warning(&record, &words), &format!("no warning about {name}"));
    };
    unknown("rd.driver.pre", "no-such-module");
    unknown("usr/local/lib/modules-load.d/z.conf", "no-such-thing");
    boot.check(!record::has_warning(&record, &["hidden"]), "a hidden list was read");
}
