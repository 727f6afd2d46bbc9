//! Failed boots that are stored, and the boots after them.

use harness::disk::{Disk, ROOT};
use harness::kernel::Kernel;
use harness::machine::{Boot, Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{disk, image, paths, tests, tool};
use std::fs;
use std::path::Path;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    a_failed_boot_is_reported_by_the_next_one,
    a_failed_boot_is_stored_in_a_file,
    the_data_of_others_are_not_overwritten,
];

/// Boots with `store` as /dev/vda, and the root as /dev/vdb if it is wanted.
fn boot(store: &Path, persist: &str, has_root: bool) -> Boot {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).disk(Bus::VirtioBlk, store);
    let vm = vm.cmdline(&format!("coldplug.timeout=20 root=LABEL=coldplug-root {persist}"));
    if has_root { vm.attach(Bus::VirtioBlk, ROOT).run() } else { vm.run() }
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
    let store = dir.path().join("data");
    Disk { label: "data", init: None, ..ROOT }.make(&store);
    let before = fs::read(&store).unwrap();
    let failed = boot(&store, "coldplug.persist=LABEL=data", false);
    failed.expect("no-root");
    failed
        .check(failed.console.contains("LABEL=data: holds something else"), "not refused");
    assert!(fs::read(&store).unwrap() == before, "the disk has changed");
    let missing = boot(&store, "coldplug.persist=PARTLABEL=none", true);
    missing.expect("ok");
    missing.check(missing.console.contains("PARTLABEL=none not found"), "not reported");
}
