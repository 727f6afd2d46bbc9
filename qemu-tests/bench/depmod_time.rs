//! `make bench`: depmod against the depmod of kmod 34 and of busybox. That of kmod 30 has
//! no option for the directory of its files.
//!
//! | tree | goal: part of kmod's wall time |
//! | --- | --- |
//! | 6.1 with all 4,023 modules, plain | 0.35 |
//! | 6.12 for virtual machines, `.ko.xz` | 0.5 |
//! | 6.1 for virtual machines, `.ko.zst` | 0.5 |
//!
//! The files of both are compared once, byte for byte. busybox prints modules.dep, modules.alias and
//! modules.symbols, as text only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

use harness::compared::{Comparison, is_quick, our_version, runs, version_of};
use harness::kernel::{Kernel, Tree};
use harness::results::Results;
use harness::{kmod34, paths, tool};
use std::path::Path;
use std::process::Command;

fn main() {
    let mut results = Results::new("depmod");
    results.version("coldplug", &our_version(&paths::program("coldplug")));
    results.version("kmod 34", &version_of(kmod34::command("depmod").arg("-V")));
    results.version("busybox", &version_of(&mut tool::command("busybox", "busybox-static")));
    let trees = [(Kernel::Full61, 0.35), (Kernel::Cloud612, 0.5), (Kernel::Cloud61Zst, 0.5)];
    let count = if is_quick() { 1 } else { trees.len() };
    for (kernel, goal) in &trees[..count] {
        compare(*kernel, *goal, &mut results);
    }
    println!("{}", results.write().display());
}

fn compare(kernel: Kernel, goal: f64, results: &mut Results) {
    let (tree, scratch) = (kernel.get(), tempfile::tempdir().unwrap());
    let [ours, of34] = ["ours", "34"].map(|name| scratch.path().join(name));
    let group = format!("depmod {kernel:?}");
    let mut all = Comparison::new(&group)
        .program("coldplug", || on(our_depmod(), &tree, &ours))
        .program("kmod 34", || on(kmod34::command("depmod"), &tree, &of34));
    // The decoders take minutes under valgrind.
    if is_quick() || kernel != Kernel::Full61 {
        all = all.without_instructions();
    }
    let rows = all.measure(runs(15, 3), results);
    for file in tool::files(&ours) {
        let other = of34.join(file.strip_prefix(&ours).unwrap());
        assert!(std::fs::read(&file).unwrap() == std::fs::read(&other).unwrap(), "{file:?}");
    }
    let wall: Vec<f64> = rows[..2].iter().map(|row| row.spread().1).collect();
    println!("{group}: {:.3} of kmod 34 (goal: {goal})", wall[0] / wall[1]);
    // busybox reads no compressed modules here.
    if kernel == Kernel::Full61 && !is_quick() {
        Comparison::new("depmod Full61, text files only by busybox")
            .program("coldplug", || on(our_depmod(), &tree, &ours))
            .program("busybox", || {
                let mut command = tool::command("busybox", "busybox-static");
                command.args(["depmod", "-n", "-b"]).arg(&tree.root).arg(&tree.release);
                command
            })
            .without_instructions()
            .measure(runs(5, 1), results);
    }
}

fn our_depmod() -> Command {
    let mut command = Command::new(paths::program("coldplug"));
    command.arg("depmod");
    command
}

fn on(mut command: Command, tree: &Tree, out: &Path) -> Command {
    command.arg("-b").arg(&tree.root).arg("-o").arg(out).arg(&tree.release);
    command
}
