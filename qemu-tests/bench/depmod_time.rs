//! `make bench`: depmod against the depmod of kmod 34; whole processes, alternating.
//!
//! | tree | goal: part of kmod's wall time |
//! | --- | --- |
//! | 6.1 with all 4,023 modules, plain | 0.35 |
//! | 6.12 for virtual machines, `.ko.xz` | 0.5 |
//! | 6.1 for virtual machines, `.ko.zst` | 0.5 |
//!
//! The files of both are compared once, byte for byte. Peak memory is `ru_maxrss`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

use harness::kernel::{Kernel, Tree};
use harness::measured::spread;
use harness::{kmod34, paths, tool};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Number of runs of each program on each tree.
const PAIRS: usize = 15;

fn main() {
    println!("depmod, {PAIRS} pairs: wall ms, least and median; peak KB; ratio of the medians");
    for (kernel, goal) in
        [(Kernel::Full61, 0.35), (Kernel::Cloud612, 0.5), (Kernel::Cloud61Zst, 0.5)]
    {
        compare(kernel, goal);
    }
}

fn compare(kernel: Kernel, goal: f64) {
    let (tree, scratch) = (kernel.get(), tempfile::tempdir().unwrap());
    let (ours, kmods) = (scratch.path().join("ours"), scratch.path().join("kmods"));
    let (mut of_ours, mut of_kmod) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        of_ours.push(run(our_depmod(), &tree, &ours));
        of_kmod.push(run(kmod34::command("depmod"), &tree, &kmods));
    }
    for file in tool::files(&ours) {
        let other = kmods.join(file.strip_prefix(&ours).unwrap());
        assert!(std::fs::read(&file).unwrap() == std::fs::read(&other).unwrap(), "{file:?}");
    }
    let (ours, kmods) = (figures(&of_ours), figures(&of_kmod));
    println!(
        "{kernel:?}: ours {:.0} {:.0} ms, {} KB   kmod {:.0} {:.0} ms, {} KB   \
         ratio {:.2} (goal: {goal})",
        ours.0,
        ours.1,
        ours.2,
        kmods.0,
        kmods.1,
        kmods.2,
        ours.1 / kmods.1,
    );
}

fn our_depmod() -> Command {
    let mut command = Command::new(paths::program("coldplug"));
    command.arg("depmod");
    command
}

/// Returns the wall time of one run, and its peak memory in KB, as GNU time reports it.
fn run(command: Command, tree: &Tree, out: &Path) -> (Duration, u64) {
    let peak = out.with_extension("rss");
    let mut time = tool::command("time", "time");
    time.args(["-f", "%M", "-o"]).arg(&peak).arg(command.get_program()).args(command.get_args());
    time.arg("-b").arg(&tree.root).arg("-o").arg(out).arg(&tree.release);
    time.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    assert!(time.status().unwrap().success());
    let wall = start.elapsed();
    (wall, std::fs::read_to_string(&peak).unwrap().trim().parse().unwrap())
}

/// Returns the minimum and the median time in milliseconds, and the maximum of the memory.
fn figures(runs: &[(Duration, u64)]) -> (f64, f64, u64) {
    let (least, median) = spread(runs.iter().map(|run| run.0).collect());
    (least, median, runs.iter().map(|run| run.1).max().unwrap())
}
