//! `make bench BENCH=peers`: boots by coldplug and by other initramfs programs, on the same
//! machines, kernels and root disk.
//!
//! | option | boots |
//! | --- | --- |
//! | `--virtio` | the virtio machine: guest time, memory and modules |
//! | `--fleet` | the fleet machine, likewise |
//! | `--wall` | the virtio machine with two processors by the clock of the host, in pairs |
//! | `--duplicates` | both machines with eight and more processors: calls that load a module again |
//!
//! Without an option all run. Each image gets entry.rs as the program that the kernel starts, which
//! notes the time and becomes the /init of the image; the real init of the root is guest.rs for
//! all, and notes the time likewise. Guest time counts instructions (`-icount shift=0,sleep=off`).
//!
//! Variables: `BENCH_RUNS` is the number of runs for guest time (3), `BENCH_PAIRS` that of pairs
//! (10), `BENCH_ONLY=NAME;NAME…` measures only these programs, and `BENCH_QUICK=1` leaves most rows
//! out. The figures go to out/bench/boot.json too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

mod boot;
mod duplicates;
mod guest_time;
mod machine;
mod program;
mod wall;

use harness::compared::is_quick;
use harness::results::Results;
use std::process::ExitCode;

/// A part of the benchmark: adds its figures to the results.
type Part = fn(&mut Results);

fn main() -> ExitCode {
    let parts: [(&str, Part); 4] = [
        ("--virtio", guest_time::virtio),
        ("--fleet", guest_time::fleet),
        ("--wall", wall::wall),
        ("--duplicates", duplicates::duplicates),
    ];
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    for word in &words {
        assert!(parts.iter().any(|(name, _)| name == word), "no part '{word}'");
    }
    if let Some(reason) = program::lacking() {
        eprintln!("peers: {reason}");
        return ExitCode::FAILURE;
    }
    let mut results = Results::new("boot");
    program::note_versions(&mut results);
    for (name, part) in parts {
        let is_quick_part = !is_quick() || name == "--virtio";
        if words.contains(&name) || words.is_empty() && is_quick_part {
            part(&mut results);
        }
    }
    println!("\n{}", results.write().display());
    ExitCode::SUCCESS
}

/// Returns the number in the environment variable `name`, or `usual`; with `BENCH_QUICK=1` it is 1
/// unless it is set.
fn number(name: &str, usual: usize) -> usize {
    let usual = if is_quick() { 1 } else { usual };
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}
