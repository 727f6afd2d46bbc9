//! Views of the record of a real boot, by `coldplug report`.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::kernel::Kernel;
use harness::machine::{Facts, Machine, Running};
use harness::record::modules;
use harness::run::{BOOT, Test};
use harness::{image, measured, note, paths, tests, tool};
use serde_json::Value;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    the_critical_path_of_the_fleet_is_the_whole_boot,
    the_critical_path_of_a_small_machine_is_the_whole_boot,
    a_clock_of_the_host_agrees_with_the_critical_path,
];

/// Deadline of a boot whose instructions are counted, on a busy host.
const DEADLINE: Duration = Duration::from_secs(900);

/// Greatest difference between the sum of the critical path and the time that the init of the root
/// has measured, as a part of the latter.
const MAX_DIFFERENCE: f64 = 0.05;

/// Greatest difference between the sum of the critical path and the time on the clock of the host,
/// as a part of the latter.
const MAX_HOST_DIFFERENCE: f64 = 0.05;
/// Number of boots of which one must agree with the clock of the host.
const MAX_HOST_BOOTS: usize = 5;
/// Interval at which the host reads the console and the port of the milestones.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

fn the_critical_path_of_a_small_machine_is_the_whole_boot() {
    let tree = Kernel::Cloud61.get();
    check(measured::virtio(&tree, &image::coldplug(&tree, &["--all"])));
}

fn the_critical_path_of_the_fleet_is_the_whole_boot() {
    let tree = Kernel::Full61.get();
    check(measured::fleet(&tree, &image::coldplug(&tree, &["--all"])));
}

/// A host that stalls between two milestones is no fault of the boot: one boot of several must agree.
fn a_clock_of_the_host_agrees_with_the_critical_path() {
    let mut texts = Vec::new();
    for _ in 0..MAX_HOST_BOOTS {
        let (sum, outside, critical) = boot_on_the_clock_of_the_host();
        texts.push(format!("sum {sum} ms, host {outside:.1} ms"));
        note!("{}", texts[texts.len() - 1]);
        if (sum - outside).abs() / outside <= MAX_HOST_DIFFERENCE {
            return;
        }
        texts.push(critical);
    }
    panic!("{}", texts.join("\n"));
}

/// Boots a machine whose time is that of the host. Returns the sum of its critical path and the time
/// on the clock of the host, both in ms, and the path. The time begins when the kernel says that it
/// starts /init, and ends with the milestone `switch`.
fn boot_on_the_clock_of_the_host() -> (f64, f64, String) {
    let tree = Kernel::Cloud61.get();
    let machine = measured::virtio(&tree, &image::coldplug(&tree, &["--all"]));
    let mut running = machine.deadline(DEADLINE).cmdline("root=/dev/vda").start();
    let entry = seen_at(&mut running, Running::console, "Run /init as init process");
    let switch = seen_at(&mut running, Running::milestones, "{\"milestone\":\"switch\"");
    let boot = running.finish();
    boot.expect("ok");
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("record.json");
    std::fs::write(&file, boot.record().to_string()).unwrap();
    let critical = report(&["--critical"], &file);
    (sum_ms(&critical), (switch - entry).as_secs_f64() * 1e3, critical)
}

/// Returns when the host saw `text` in the output of a machine, or when that has ended.
fn seen_at(running: &mut Running, output: fn(&Running) -> String, text: &str) -> Instant {
    let started = Instant::now();
    while !output(running).contains(text) && running.is_running() && started.elapsed() < DEADLINE {
        std::thread::sleep(POLL_INTERVAL);
    }
    Instant::now()
}

/// Boots a machine, and compares the sum of its critical path with the time from the entry of /init
/// to that of the real init. The init of the root has measured when it started; the entry of /init
/// is that of the record. So this checks that the path covers the whole boot, not the clock of the
/// record. Then shows the boot in every other way.
fn check(machine: Machine) {
    let boot = machine.timed().deadline(DEADLINE).cmdline("root=/dev/vda").run();
    boot.expect("ok");
    let facts = boot.facts();
    let record = facts.record();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("record.json");
    std::fs::write(&file, record.to_string()).unwrap();
    let report = |options: &[&str]| report(options, &file);
    let critical = report(&["--critical"]);
    note!("{critical}");
    let (sum, measured) = (sum_ms(&critical), until_real_init_ms(&facts, &record));
    let difference = (sum - measured).abs() / measured;
    assert!(difference <= MAX_DIFFERENCE, "sum {sum} ms, measured {measured} ms:\n{critical}");
    let page = report(&["--html", "-"]);
    for module in modules(&record) {
        let name = module["name"].as_str().unwrap();
        for view in [&report(&["--tree", "--module", name]), &page] {
            assert!(view.contains(name), "{name}: {view}");
        }
    }
    let json: Value = serde_json::from_str(&report(&["--json"])).unwrap();
    assert_eq!(json, record);
}

/// Returns what `coldplug report` prints of the record in `file`.
fn report(options: &[&str], file: &Path) -> String {
    let mut command = Command::new(paths::program("coldplug"));
    tool::run(command.arg("report").args(options).arg(file))
}

/// Returns the sum of the path to the verdict, in ms.
fn sum_ms(critical: &str) -> f64 {
    let mut sums = critical.lines().filter_map(|line| line.trim_start().strip_prefix("sum "));
    let sum = sums.next_back().expect("a sum").split_whitespace().next().unwrap();
    sum.parse().unwrap()
}

/// Returns the time from the entry of /init, by the record, to the start of the real init, by its
/// own clock, in ms.
fn until_real_init_ms(facts: &Facts, record: &Value) -> f64 {
    let real_ns = facts.get("boottime_ns").as_i64().expect("boottime_ns");
    let entry_ns = record["init_boottime_ns"].as_i64().expect("init_boottime_ns");
    (real_ns - entry_ns) as f64 / 1e6
}
