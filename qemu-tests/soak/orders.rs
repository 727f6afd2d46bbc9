//! The fleet machine in random orders, each time with another number of parallel loads and another
//! order of ready modules. All boots must load the same modules and bind the same devices. Names of
//! disks and network interfaces may differ and are counted.

use crate::{in_parallel, number_of};
use harness::kernel::{Kernel, Tree};
use harness::measured::Reached;
use harness::{image, measured};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::path::Path;
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

/// Runs the boots and prints a line for each.
pub(crate) fn run(boots: usize) {
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
    for row in in_parallel((0..boots).collect(), move |number| boot(number, &tree, &image)) {
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

fn boot(number: usize, tree: &Tree, image: &Path) -> Row {
    let order = match (number_of("SOAK_SAME") == Some(1), JOBS[number % JOBS.len()]) {
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
