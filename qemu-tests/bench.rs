//! `make bench`: what a boot with discovery costs over one without.
//!
//! The virtio machine is booted with the floor (floor.rs) and with coldplug, each of which loads
//! the same modules in the same order; guest time from the entry of /init to the entry of the
//! real init, the least of a few runs. Under `-icount shift=0,sleep=off` guest time counts
//! instructions: it repeats on a noisy machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark ends with a message where it can't go on, and prints its figures"
)]
#![allow(
    dead_code,
    unused_imports,
    reason = "the parts are shared with boot.rs, which uses all of them and runs their tests"
)]

mod apt;
mod image;
mod kernel;
mod qmp;
mod tool;
mod vm;

use image::ROOT;
use kernel::{Kernel, Tree};
use std::path::Path;
use vm::{Bus, Facts, Vm};

/// Boots of each kind.
const RUNS: usize = 3;

/// What the project allows itself: the figure it is judged by, printed and not asserted.
const GOAL: f64 = 1.5;

fn main() {
    let tree = Kernel::Cloud61.get();
    let image = image::coldplug(&tree, &["--all"]);
    let first = boot(&tree, &image);
    let modules = first.modules();
    let floor = image::floor(&tree, &modules);
    let ours = least((0..RUNS).map(|_| Times::of_coldplug(&boot(&tree, &image))));
    let least_floor = least((0..RUNS).map(|_| Times::of_floor(&boot(&tree, &floor), &modules)));
    println!("{} modules: {}", modules.len(), modules.join(" "));
    println!("                    to /init   /init to the real init   (guest ms)");
    println!("floor              {:>9.1}   {:>9.1}", least_floor.before_ms, least_floor.init_ms);
    println!("coldplug           {:>9.1}   {:>9.1}", ours.before_ms, ours.init_ms);
    println!(
        "ratio                          {:>9.2}   (goal: {GOAL})",
        ours.init_ms / least_floor.init_ms
    );
}

/// One timed boot of the virtio machine.
fn boot(tree: &Tree, image: &Path) -> Facts {
    let vm = Vm::new(tree, image)
        .timed()
        .cmdline("root=/dev/vda")
        .args(["-netdev", "user,id=n0,restrict=on"])
        .device("virtio-net-pci,netdev=n0")
        .device("virtio-rng-pci");
    let file = ROOT.make(&vm.dir().join("root"));
    vm.disk(Bus::VirtioBlk, &file).run().facts()
}

/// Guest time of one boot.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// From the kernel's start to the entry of /init.
    before_ms: f64,
    /// From the entry of /init to that of the real init.
    init_ms: f64,
}

impl Times {
    fn new(entry_ns: i64, facts: &Facts) -> Self {
        let real_ns = facts.get("boottime_ns").as_i64().expect("boottime_ns");
        Self { before_ms: millis(entry_ns), init_ms: millis(real_ns - entry_ns) }
    }

    fn of_coldplug(facts: &Facts) -> Self {
        let entry = facts.record()["init_boottime_ns"].as_i64().expect("init_boottime_ns");
        Self::new(entry, facts)
    }

    fn of_floor(facts: &Facts, modules: &[&str]) -> Self {
        assert_eq!(facts.modules(), modules, "the floor loads what coldplug loaded");
        let entry =
            facts.get("env")["COLDPLUG_INIT_BOOTTIME_NS"].as_str().expect("a time of entry");
        Self::new(entry.parse().unwrap(), facts)
    }
}

#[allow(clippy::cast_precision_loss, reason = "a boot takes less than 2^53 ns")]
fn millis(ns: i64) -> f64 {
    ns as f64 / 1e6
}

fn least(times: impl Iterator<Item = Times>) -> Times {
    times.min_by(|a, b| a.init_ms.total_cmp(&b.init_ms)).expect("at least one run")
}
