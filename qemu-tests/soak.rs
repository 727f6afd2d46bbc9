//! `make soak`: boots the fleet machine many times, each with another number of parallel loads and
//! another order of ready modules. All boots must load the same modules and bind the same devices.
//! Names of disks and network interfaces may differ and are counted.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `SOAK` | number of boots (50) |
//! | `SOAK_SAME` | 1: every boot has the default settings and `SOAK_WORDS` |
//! | `SOAK_WORDS` | more words for every kernel command line |
//! | `SOAK_AT_ONCE` | machines that run in parallel (2) |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

use harness::kernel::{Kernel, Tree};
use harness::measured::Reached;
use harness::{image, measured};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Numbers of parallel loads, in turn; none is the default.
const JOBS: [Option<usize>; 8] =
    [Some(1), None, Some(2), Some(4), Some(8), Some(3), Some(16), Some(32)];

/// Result of one boot.
struct Row {
    number: usize,
    words: String,
    verdict: String,
    /// Time from the entry of /init to the verdict, in the guest.
    time_ms: u64,
    /// Time from the start of QEMU to its end.
    wall: Duration,
    /// State of the machine, if the verdict was ok.
    reached: Option<Reached>,
}

fn main() {
    let boots = number_of("SOAK", 50);
    let tree = Kernel::Full61.get();
    let image = image::coldplug(&tree, &["--all"]);
    if !measured::knows("coldplug.seed=1") {
        println!(
            "this coldplug does not know coldplug.seed=: only the number of loads at once differs"
        );
    }
    println!(
        "boot                                         modules  drivers  verdict    ms  wall s"
    );
    let mut first: Option<Reached> = None;
    let mut names = Names::new();
    let mut bad = 0;
    for row in run(boots, &tree, &image) {
        let difference = match (&first, &row.reached) {
            (Some(first), Some(reached)) => first.difference(reached),
            (None, Some(_)) => String::new(),
            (_, None) => "no report".to_owned(),
        };
        let (modules, drivers) =
            row.reached.as_ref().map_or((0, 0), |r| (r.modules.len(), r.drivers.len()));
        println!(
            "{:>4}  {:<37} {modules:>8} {drivers:>8} {:>8} {:>5} {:>7.1}  {difference}",
            row.number,
            row.words,
            row.verdict,
            row.time_ms,
            row.wall.as_secs_f64()
        );
        bad += usize::from(!difference.is_empty());
        for (place, called) in row.reached.iter().flat_map(|reached| &reached.names) {
            *names.entry(place.clone()).or_default().entry(called.clone()).or_default() += 1;
        }
        first = first.or(row.reached);
    }
    print_names(&names);
    println!("{boots} boots, {bad} of them different");
    assert_eq!(bad, 0);
}

/// How often each device had which names.
type Names = BTreeMap<String, BTreeMap<BTreeSet<String>, usize>>;

/// Prints the devices whose names differed between boots.
fn print_names(names: &Names) {
    let unsteady: Vec<_> = names.iter().filter(|(_, called)| called.len() > 1).collect();
    println!(
        "{} places of disks and network interfaces, {} of them with names that differ",
        names.len(),
        unsteady.len()
    );
    for (place, called) in unsteady {
        let counts = called.iter().map(|(names, count)| {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            format!("{} {count}", names.join("+"))
        });
        println!("{place}: {}", counts.collect::<Vec<_>>().join(", "));
    }
}

fn number_of(name: &str, default: usize) -> usize {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty());
    text.map_or(default, |text| text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

/// Runs the boots, some in parallel, and returns the results as they end.
fn run(boots: usize, tree: &Tree, image: &Path) -> mpsc::IntoIter<Row> {
    let (sender, rows) = mpsc::channel();
    let next = Arc::new(AtomicUsize::new(0));
    for _ in 0..number_of("SOAK_AT_ONCE", 2) {
        let (sender, next) = (sender.clone(), Arc::clone(&next));
        let (tree, image) = (tree.clone(), PathBuf::from(image));
        std::thread::spawn(move || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= boots || sender.send(boot(number, &tree, &image)).is_err() {
                    return;
                }
            }
        });
    }
    rows.into_iter()
}

fn boot(number: usize, tree: &Tree, image: &Path) -> Row {
    let order = match (number_of("SOAK_SAME", 0) == 1, JOBS[number % JOBS.len()]) {
        (true, _) => String::new(),
        (false, None) => format!("coldplug.seed={number}"),
        (false, Some(jobs)) => format!("coldplug.jobs={jobs} coldplug.seed={number}"),
    };
    let more = std::env::var("SOAK_WORDS").unwrap_or_default();
    let words = format!("{order} {more}").trim().to_owned();
    let vm = measured::fleet(tree, image).cmdline("root=/dev/vda").cmdline(&words);
    // A failed boot does not end the table; its message is printed to standard error.
    let done = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let boot = vm.run();
        let verdict = boot.verdict().to_owned();
        let time_ms = boot.figure("time").parse().unwrap_or(0);
        let reached = (verdict == "ok").then(|| Reached::new(&boot.facts()));
        (verdict, time_ms, boot.wall, reached)
    }));
    let lost = || ("lost".to_owned(), 0, Duration::ZERO, None);
    let (verdict, time_ms, wall, reached) = done.unwrap_or_else(|_| lost());
    Row { number, words, verdict, time_ms, wall, reached }
}
