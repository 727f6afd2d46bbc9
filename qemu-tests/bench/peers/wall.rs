//! Boots by the clock of the host with two processors. All programs boot once in each round, so
//! that a busy minute of the host meets all of them; ratios are those within a round.

use crate::boot::{self, Figures};
use crate::machine::VIRTIO;
use crate::number;
use crate::program::{ALL, Content, Program};
use harness::kernel::Tree;
use harness::peer_images::{Builder, System};
use harness::results::{Results, Row};
use std::path::PathBuf;

/// Images of the programs that are compared; with more the rounds take too long.
const COMPARED: [Content; 5] = [
    Content::AllModules,
    Content::Floor,
    Content::Generic(System::Bookworm, Builder::InitramfsTools),
    Content::Generic(System::Bookworm, Builder::Dracut),
    Content::Generic(System::Sid, Builder::Dracut),
];

/// The boots of one program, one of each round.
struct Column {
    program: &'static Program,
    image: PathBuf,
    boots: Vec<Figures>,
}

/// Measures the rounds, and prints their percentiles.
pub(crate) fn wall(results: &mut Results) {
    let tree = VIRTIO.kernel.get();
    let dir = tempfile::tempdir_in(harness::paths::scratch()).unwrap();
    let programs = || ALL.iter().filter(|p| COMPARED.contains(&p.content) && p.is_wanted());
    let loaded = if programs().any(Program::is_floor) {
        crate::guest_time::loaded(&VIRTIO, &tree, dir.path())
    } else {
        Vec::new()
    };
    let mut columns: Vec<Column> = programs()
        .map(|program| {
            let image = program.image(&tree, &loaded, VIRTIO.roots);
            let image = boot::with_entry(&image, dir.path());
            Column { program, image, boots: Vec::new() }
        })
        .collect();
    if columns.is_empty() {
        println!("\nvirtio, two processors: BENCH_ONLY names no program of this part");
        return;
    }
    let rounds = number("BENCH_PAIRS", 10);
    for _ in 0..rounds {
        for column in &mut columns {
            match boot_once(&tree, column) {
                Ok(figures) => column.boots.push(figures),
                Err(cause) => {
                    panic!("{} did not reach the real init: {cause}", column.program.name)
                }
            }
        }
    }
    println!("\nvirtio, two processors: ms by the clock of the host, {rounds} rounds");
    print(&columns, "/init to the real init", |boot| boot.init_ms, results);
    print(&columns, "kernel start to the real init", |boot| boot.before_ms + boot.init_ms, results);
}

fn boot_once(tree: &Tree, column: &Column) -> Result<Figures, String> {
    let vm = (VIRTIO.make)(tree, &column.image).two_processors();
    Figures::new(&boot::run(vm, column.program.words)?)
}

/// Prints what was measured of each program, and adds it to the results. The ratios are to coldplug,
/// if it was measured.
fn print(columns: &[Column], what: &str, of: fn(&Figures) -> f64, results: &mut Results) {
    println!("{what:<34} {:>9} {:>9} {:>22}", "p50", "p95", "of coldplug, in a round");
    let ours = columns.iter().find(|column| column.program.is_first());
    let ours: Option<Vec<f64>> = ours.map(|column| column.boots.iter().map(of).collect());
    for column in columns {
        let values: Vec<f64> = column.boots.iter().map(of).collect();
        let ratio = match &ours {
            Some(ours) => {
                let ratios = values.iter().zip(ours).map(|(value, base)| value / base).collect();
                format!("{:.2}", percentile(ratios, 50))
            }
            None => "-".to_owned(),
        };
        println!(
            "{:<34} {:>9.1} {:>9.1} {ratio:>22}",
            column.program.name,
            percentile(values.clone(), 50),
            percentile(values.clone(), 95),
        );
        results.add(Row {
            group: "virtio, two processors".to_owned(),
            name: column.program.name.to_owned(),
            what: what.to_owned(),
            unit: "ms",
            values,
            note: column.program.note.to_owned(),
            ..Row::default()
        });
    }
}

/// Returns the value below or at which `percent` of the values are.
fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * percent).div_ceil(100) - 1]
}
