//! Slots of an A/B system: attempts that are counted, and the next slot in the same boot.

use harness::disk::{Disk, ROOT};
use harness::kernel::Kernel;
use harness::machine::{Boot, Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{disk, files, image, paths, tests, tool};
use std::fs;
use std::path::Path;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    the_next_slot_boots_and_is_marked_good,
    attempts_run_out,
    without_an_environment_nothing_is_counted,
];

/// The parameters of the slots. The disks are the environment, A and B.
const WORDS: &str = "coldplug.slots=A:LABEL=root-a;B:LABEL=root-b rw \
                     coldplug.slots_env=/dev/vda@0x1000:0x2000,/dev/vda@-0x2000:0x2000";
/// An init that marks its slot as good.
const MARKER: &str = "#!/bin/busybox sh
/bin/coldplug slot status > /dev/ttyS0 2>&1
/bin/coldplug slot good > /dev/ttyS0 2>&1
/bin/busybox poweroff -f
";
/// An init that does not.
const SILENT: &str = "#!/bin/busybox sh\n/bin/busybox poweroff -f\n";

/// Runs `coldplug slot` on the environment of the file `env`. Returns what it prints.
fn slot(env: &Path, words: &str) -> String {
    let env = env.display();
    let places = format!("{env}@0x1000:0x2000,{env}@-0x2000:0x2000");
    let mut command = std::process::Command::new(paths::program("coldplug"));
    command.arg("slot").args(words.split_whitespace());
    tool::run(command.args(["--slots=A,B", "--env", &places]))
}

/// Returns the attempts of both slots in their order: `A=3 B=3`.
fn attempts(env: &Path) -> String {
    let text = slot(env, "status");
    let rows = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.map(|words| format!("{}={}", words[0], words[2])).collect::<Vec<_>>().join(" ")
}

/// Makes the root of a slot; `init` is its init, if it has one.
fn root(label: &'static str, init: Option<&str>, file: &Path) {
    let tree = tempfile::tempdir().unwrap();
    files::put(tree.path(), "bin/busybox", &files::busybox(), 0o755);
    if let Some(init) = init {
        let program = fs::read(paths::program("coldplug")).unwrap();
        files::put(tree.path(), "bin/coldplug", &program, 0o755);
        files::put(tree.path(), "sbin/init", init.as_bytes(), 0o755);
    }
    Disk { label, init: None, ..ROOT }.make_of(tree.path(), "32M", file);
}

/// Boots with the disks `env`, `a` and `b` of `dir`.
fn boot(dir: &Path) -> Boot {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline(WORDS);
    ["env", "a", "b"].iter().fold(vm, |vm, name| vm.disk(Bus::VirtioBlk, &dir.join(name))).run()
}

fn the_next_slot_boots_and_is_marked_good() {
    let dir = tempfile::tempdir().unwrap();
    let env = disk::empty(1, &dir.path().join("env"));
    slot(&env, "init");
    root("root-a", None, &dir.path().join("a"));
    root("root-b", Some(MARKER), &dir.path().join("b"));
    let boot = boot(dir.path());
    boot.expect("ok");
    for text in [
        "slot A: attempts left after this one: 2",
        "root LABEL=root-a failed, trying the next slot: ",
        "slot B: attempts left after this one: 2",
        "LABEL=root-b (booted)",
    ] {
        boot.check(boot.console.contains(text), text);
    }
    assert_eq!(boot.record()["root"]["slot"], "B");
    assert_eq!(attempts(&env), "A=2 B=3");
}

fn attempts_run_out() {
    let dir = tempfile::tempdir().unwrap();
    let env = disk::empty(1, &dir.path().join("env"));
    slot(&env, "init");
    root("root-a", Some(SILENT), &dir.path().join("a"));
    root("root-b", None, &dir.path().join("b"));
    for left in ["A=2 B=3", "A=1 B=3", "A=0 B=3"] {
        boot(dir.path()).expect("ok");
        assert_eq!(attempts(&env), left);
    }
    slot(&env, "bad B");
    let failed = boot(dir.path());
    failed.expect("no-slot");
    let text = "no slot is left to try; attempts left: A 0, B 0";
    failed.check(failed.console.contains(text), text);
    assert_eq!(attempts(&env), "A=0 B=0");
    // B fails, and then none is left.
    slot(&env, "activate B");
    let failed = boot(dir.path());
    failed.expect("no-slot");
    let text = "no slot is left to try; attempts left: A 0, B 2";
    failed.check(failed.console.contains(text), text);
}

fn without_an_environment_nothing_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let env = disk::empty(1, &dir.path().join("env"));
    let before = fs::read(&env).unwrap();
    root("root-a", None, &dir.path().join("a"));
    root("root-b", Some(SILENT), &dir.path().join("b"));
    let boot = boot(dir.path());
    boot.expect("ok");
    let text = "coldplug.slots_env: no valid environment; the slots are tried in the order of \
                coldplug.slots=, without a count";
    boot.check(boot.console.contains(text), text);
    boot.check(fs::read(&env).unwrap() == before, "the place has changed");
    assert!(boot.record()["root"]["slot"].is_null());
}
