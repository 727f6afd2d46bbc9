//! Devices whose probe is deferred, in a real kernel: on a board that a module of
//! harness/own_modules.rs makes.
//!
//! ```text
//! coldplug_clock      has a driver in a module of its own
//! └ coldplug_eth      is linked to the clock, as by `clocks =` in a device tree
//! coldplug_mmc        has a driver that waits for /board/regulator, which does not exist
//! ```

use harness::disk::ROOT;
use harness::machine::{Boot, Bus, Facts, Machine};
use harness::run::{BOOT, Test};
use harness::{image, own_modules, tests};
use serde_json::Value;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    a_deferred_device_is_reported_with_its_supplier,
    a_device_with_its_supplier_is_not_reported,
    a_deferred_probe_timeout_that_is_too_short_is_reported,
];

/// Boots the board, with `devices` added.
fn boot(words: &str, devices: &[&str]) -> (Boot, Facts) {
    let tree = own_modules::tree();
    let image = image::coldplug(&tree, &["--all"]);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda").cmdline(words);
    let vm = devices.iter().fold(vm.device("virtio-keyboard-pci"), |vm, device| vm.device(device));
    let file = ROOT.make(&vm.dir().join("root"));
    vm.disk(Bus::VirtioBlk, &file).run_ok()
}

/// Returns device and supplier of each entry in the record, with `-` for an unknown supplier.
fn waiting(facts: &Facts) -> Vec<(String, String)> {
    let record = facts.record();
    let list = record["deferred"].as_array().expect("`deferred` in the boot record");
    let word = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("-").to_owned();
    let mut all: Vec<_> = list.iter().map(|d| (word(d, "device"), word(d, "supplier"))).collect();
    all.sort();
    all
}

fn pair(device: &str, supplier: &str) -> (String, String) {
    (device.to_owned(), supplier.to_owned())
}

fn a_deferred_device_is_reported_with_its_supplier() {
    // The driver of the clock is blacklisted.
    let words = "modprobe.blacklist=coldplug_clock deferred_probe_timeout=-1";
    let (boot, facts) = boot(words, &[]);
    let want = [pair("coldplug_eth", "coldplug_clock"), pair("coldplug_mmc", "/board/regulator")];
    boot.check(waiting(&facts) == want, &format!("{:?}", waiting(&facts)));
    for line in [
        "device coldplug_eth waits for coldplug_clock",
        "device coldplug_mmc waits for /board/regulator",
    ] {
        boot.check(boot.console.contains(line), line);
    }
    assert!(!bound(&facts, "coldplug_eth") && !bound(&facts, "coldplug_mmc"));
    boot.check(!boot.console.contains("deferred_probe_timeout is"), "it never ends");
}

fn a_device_with_its_supplier_is_not_reported() {
    let (boot, facts) = boot("deferred_probe_timeout=-1", &[]);
    boot.check(
        waiting(&facts) == [pair("coldplug_mmc", "/board/regulator")],
        "the card slot alone",
    );
    assert!(bound(&facts, "coldplug_clock") && bound(&facts, "coldplug_eth"));
}

fn a_deferred_probe_timeout_that_is_too_short_is_reported() {
    // One module that takes five seconds stands for many that take as long together.
    let slow = ["virtio-serial-pci"];
    let (boot, facts) = boot("deferred_probe_timeout=2", &slow);
    boot.check(facts.modules().contains(&"coldplug_slow"), "the load takes long");
    let text = "deferred_probe_timeout is 2 s, and modules were loaded until";
    boot.check(boot.console.contains(text), text);
    let record = facts.record();
    let warnings = record["warnings"].as_array().expect("`warnings` in the boot record");
    assert!(warnings.iter().any(|w| w.as_str().is_some_and(|w| w.contains(text))), "{warnings:?}");
}

/// Returns whether a device is bound to the driver.
fn bound(facts: &Facts, driver: &str) -> bool {
    let head = format!("platform/{driver} ");
    facts.lines("drivers").iter().any(|line| line.starts_with(&head))
}
