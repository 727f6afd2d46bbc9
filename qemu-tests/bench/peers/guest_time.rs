//! Guest time from the start of the kernel to /init and from there to the real init, with the
//! memory and the modules at the real init.

use crate::boot::{self, Figures, count};
use crate::machine::{FLEET, Measured, VIRTIO};
use crate::number;
use crate::program::{ALL, Program};
use harness::image;
use harness::kernel::Tree;
use harness::results::{Results, Row};
use std::fs;
use std::path::Path;

/// Number of modules up to which their names are printed.
const FEW: usize = 24;
/// Number of the longest loads that are printed.
const LONGEST: usize = 6;

/// Measures all programs on the virtio machine.
pub(crate) fn virtio(results: &mut Results) {
    table(&VIRTIO, &|_| true, results);
}

/// Measures the programs with generic images on the fleet machine.
pub(crate) fn fleet(results: &mut Results) {
    table(&FLEET, &|program| !program.is_host_only(), results);
}

/// Prints the table of a machine, and adds its figures to the results.
fn table(machine: &Measured, is_wanted: &dyn Fn(&Program) -> bool, results: &mut Results) {
    let tree = machine.kernel.get();
    let dir = tempfile::tempdir_in(harness::paths::scratch()).unwrap();
    let mut known: Option<Vec<String>> = None;
    let runs = number("BENCH_RUNS", 3);
    println!("\n{}: guest time in ms, median of {runs} runs (least to most)", machine.name);
    println!(
        "{:<34} {:>9} {:>25} {:>9} {:>7} {:>9} {:>8} {:>8}",
        "", "to /init", "to the real init", "together", "ratio", "image MB", "KiB used", "modules"
    );
    let mut base = None;
    for program in ALL.iter().filter(|p| is_wanted(p) && p.is_wanted()) {
        if program.is_floor() && known.is_none() {
            known = Some(loaded(machine, &tree, dir.path()));
        }
        let image = program.image(&tree, known.as_deref().unwrap_or_default(), machine.roots);
        let carried = boot::with_entry(&image, dir.path());
        let boots: Result<Vec<Figures>, String> =
            (0..runs).map(|_| boot::timed(machine.make, &tree, &carried, program.words)).collect();
        fs::remove_file(&carried).unwrap();
        match boots {
            Ok(boots) => {
                if program.is_first() {
                    known = Some(boots[0].modules.clone());
                }
                let bytes = fs::metadata(&image).unwrap().len();
                let rows = rows(machine.name, program, &boots, count(bytes));
                let base = *base.get_or_insert_with(|| rows[1].spread().1);
                print(program, &boots, &rows, base);
                rows.into_iter().for_each(|row| results.add(row));
            }
            Err(cause) => println!("{:<34} did not reach the real init: {cause}", program.name),
        }
    }
}

/// Returns the modules that coldplug loads on a machine, in order.
pub(crate) fn loaded(machine: &Measured, tree: &Tree, dir: &Path) -> Vec<String> {
    let image = boot::with_entry(&image::coldplug(tree, &["--all"]), dir);
    boot::timed(machine.make, tree, &image, "").unwrap_or_else(|cause| panic!("{cause}")).modules
}

/// Returns the rows of a program for the results.
fn rows(machine: &str, program: &Program, boots: &[Figures], bytes: f64) -> [Row; 6] {
    let row = |what: &str, unit, of: &dyn Fn(&Figures) -> f64| Row {
        group: machine.to_owned(),
        name: program.name.to_owned(),
        what: what.to_owned(),
        unit,
        at: None,
        values: boots.iter().map(of).collect(),
        note: program.note.to_owned(),
    };
    [
        row("kernel start to /init", "ms", &|boot| boot.before_ms),
        row("/init to the real init", "ms", &|boot| boot.init_ms),
        row("kernel start to the real init", "ms", &|boot| boot.before_ms + boot.init_ms),
        row("image", "bytes", &|_| bytes),
        row("memory in use at the real init", "KiB", &|boot| boot.used_kib),
        row("modules loaded", "count", &|boot| count(boot.modules.len() as u64)),
    ]
}

/// Prints the line of a program. The ratio is to the first row.
fn print(program: &Program, boots: &[Figures], rows: &[Row; 6], base: f64) {
    let [before, init, together, bytes, used, modules] = rows.each_ref().map(Row::spread);
    let spread = format!("{:.1} ({:.1} to {:.1})", init.1, init.0, init.2);
    println!(
        "{:<34} {:>9.1} {spread:>25} {:>9.1} {:>7.2} {:>9.1} {:>8.0} {:>8}",
        program.name,
        before.1,
        together.1,
        init.1 / base,
        bytes.1 / 1e6,
        used.1,
        modules.1
    );
    let first = &boots[0];
    if first.modules.len() <= FEW {
        println!("{:34}   {}", "", first.modules.join(" "));
    }
    if !first.phases.is_empty() {
        println!("{:34}   phases: {}", "", listed(&first.phases, usize::MAX));
        println!("{:34}   longest loads: {}", "", listed(&first.loads, LONGEST));
    }
}

/// Returns the first `most` names with their times.
fn listed(times: &[(String, f64)], most: usize) -> String {
    let texts = times.iter().take(most).map(|(name, ms)| format!("{name} {ms:.1}"));
    texts.collect::<Vec<_>>().join(", ")
}
