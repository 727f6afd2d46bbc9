//! Calls that load a module: with many processors a loader that does not remember what it has
//! loaded asks for one module many times, because each processor has a modalias.
//!
//! A probe in the kernel notes the file of each finit_module(2). So coldplug's image has its modules
//! as the package has them: it would decode compressed ones itself and pass them to init_module(2),
//! which knows no name.
//!
//! ```text
//! (udev-worker)-181   [003] .....  2.431: read: (kernel_read_file+0x0/0x300) name="aesni-intel.ko"
//! ```

use crate::boot::{self, count};
use crate::machine::{FLEET, Measured, VIRTIO};
use crate::number;
use crate::program::{ALL, Content, Program};
use harness::image;
use harness::kernel::{Tree, stem};
use harness::peer_images::{Builder, System};
use harness::results::{Results, Row};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Probe at the read of a file by the kernel: the name in the dentry of its first argument, a
/// `struct file` of Linux 6.1 on x86_64. No event may be lost.
const PROBE: &str =
    "kprobe_event=p:read,kernel_read_file,name=+0(+40(+24($arg1))):string trace_buf_size=16M";

/// The machines, with numbers of processors.
const MACHINES: [(&Measured, usize); 3] = [(&VIRTIO, 8), (&VIRTIO, 32), (&FLEET, 8)];

/// Images of the programs that are compared.
const COMPARED: [Content; 4] = [
    Content::AllModules,
    Content::Generic(System::Bookworm, Builder::InitramfsTools),
    Content::Generic(System::Bookworm, Builder::Dracut),
    Content::Generic(System::Sid, Builder::Dracut),
];

/// Counts the calls on each machine.
pub(crate) fn duplicates(results: &mut Results) {
    for (machine, processors) in MACHINES {
        table(machine, processors, results);
    }
}

fn table(machine: &Measured, processors: usize, results: &mut Results) {
    let tree = machine.kernel.get();
    let dir = tempfile::tempdir_in(harness::paths::scratch()).unwrap();
    let runs = number("BENCH_RUNS", 3);
    println!("\n{}, {processors} processors: calls of finit_module, {runs} runs", machine.name);
    println!("{:<26} {:>12} {:>12} {:>12}", "", "calls", "modules", "again");
    for program in ALL.iter().filter(|p| COMPARED.contains(&p.content) && p.is_wanted()) {
        let image = boot::with_entry(&image_of(program, &tree, machine), dir.path());
        let boots: Result<Vec<_>, String> = (0..runs)
            .map(|_| {
                let vm = (machine.make)(&tree, &image).processors(processors).cmdline(PROBE);
                Ok(calls(&boot::run(vm, program.words)?.lines("trace")))
            })
            .collect();
        match boots {
            Ok(boots) => {
                let group = format!("{}, {processors} processors", machine.name);
                print(program, &boots, &group, results);
            }
            Err(cause) => println!("{:<26} did not reach the real init: {cause}", program.name),
        }
    }
}

/// Returns the image of a program, without compressed modules.
fn image_of(program: &Program, tree: &Tree, machine: &Measured) -> PathBuf {
    match program.content {
        Content::AllModules => image::coldplug(tree, &["--all", "--modules-as", "stored"]),
        _ => program.image(tree, &[], machine.roots),
    }
}

/// Returns the number of calls for each module.
fn calls(trace: &[&str]) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for line in trace {
        let Some(name) = line.split_once(" name=\"").map(|(_, rest)| rest.trim_end_matches('"'))
        else {
            continue;
        };
        // The kernel reads firmware in the same way.
        if name.contains(".ko") {
            *calls.entry(stem(name)).or_default() += 1;
        }
    }
    calls
}

/// Prints the calls of a program, and adds them to the results.
fn print(program: &Program, boots: &[BTreeMap<String, usize>], group: &str, results: &mut Results) {
    let all = |calls: &BTreeMap<String, usize>| calls.values().sum::<usize>();
    let row = |what: &str, of: &dyn Fn(&BTreeMap<String, usize>) -> usize| Row {
        group: group.to_owned(),
        name: program.name.to_owned(),
        what: what.to_owned(),
        unit: "count",
        values: boots.iter().map(|calls| count(of(calls) as u64)).collect(),
        note: program.note.to_owned(),
        ..Row::default()
    };
    let rows = [
        row("calls of finit_module", &all),
        row("modules that they name", &BTreeMap::len),
        row("calls for a module again", &|calls| all(calls) - calls.len()),
    ];
    let shown = rows.each_ref().map(|row| {
        let (least, median, most) = row.spread();
        if least < most { format!("{median} ({least}–{most})") } else { median.to_string() }
    });
    println!("{:<26} {:>12} {:>12} {:>12}", program.name, shown[0], shown[1], shown[2]);
    let mut again: Vec<_> = boots[0].iter().filter(|(_, calls)| **calls > 1).collect();
    again.sort_by(|a, b| b.1.cmp(a.1));
    let worst = again.iter().take(8).map(|(name, calls)| format!("{name} {calls}"));
    println!("{:26}   {}", "", worst.collect::<Vec<_>>().join(", "));
    rows.into_iter().for_each(|row| results.add(row));
}
