//! `make bench`: how the time of boots and tools grows with the work.
//!
//! | option | series |
//! | --- | --- |
//! | `--modules` | depmod, by modules: each module of the 6.1 kernel has N copies of its own name |
//! | `--aliases` | `modprobe -R` of a modalias, by aliases |
//! | `--devices` | a boot, by virtio devices behind PCI bridges, by coldplug and by the floor |
//! | `--carried` | a boot of the virtio machine, by modules in the image |
//!
//! `make bench BENCH='growth --devices'` measures one series. Without an option all run, but not
//! `--carried` with QUICK=1. Boots are measured in guest time, which counts instructions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "it ends with a message if it cannot go on, prints its results, and counts little"
)]

use harness::compared::{Comparison, is_quick, our_version, runs, version_of};
use harness::kernel::{Kernel, Tree, stem};
use harness::machine::Facts;
use harness::machine::Machine;
use harness::results::{Results, Row};
use harness::{image, kmod34, measured, paths, tool};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Deadline of a boot on a busy host.
const DEADLINE: Duration = Duration::from_secs(900);

/// Devices behind one PCI bridge, which has 32 slots.
const OF_BRIDGE: usize = 30;

/// Option, name of the results, and function of a series.
type Part = (&'static str, &'static str, fn(&mut Results));

fn main() {
    let parts: [Part; 4] = [
        ("--modules", "growth-modules", modules),
        ("--aliases", "growth-aliases", aliases),
        ("--devices", "growth-devices", devices),
        ("--carried", "growth-carried", carried),
    ];
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for word in &words {
        assert!(parts.iter().any(|(name, ..)| name == word), "no part '{word}'");
    }
    for (name, file, measure) in parts {
        // Boots of the full kernel take minutes.
        let is_usual = words.is_empty() && !(is_quick() && name == "--carried");
        if is_usual || words.iter().any(|word| word == name) {
            let mut results = Results::new(file);
            results.version("coldplug", &our_version(&paths::program("coldplug")));
            results.version("kmod 34", &version_of(kmod34::command("depmod").arg("-V")));
            measure(&mut results);
            println!("{}", results.write().display());
        }
    }
}

/// Returns `all`, or its first and its middle value for `make bench QUICK=1`.
fn series(all: &[usize]) -> Vec<usize> {
    if is_quick() { vec![all[0], all[all.len() / 2]] } else { all.to_vec() }
}

/// Adds a copy of each row with the size of the work.
fn add_at(results: &mut Results, rows: Vec<Row>, group: &str, at: usize) {
    for row in rows {
        results.add(Row { group: group.to_owned(), at: Some(at as f64), ..row });
    }
}

/// Measures depmod on trees of different sizes.
fn modules(results: &mut Results) {
    let tree = Kernel::Full61.get();
    for count in series(&[100, 500, 1000, 2000, 4000, 8000]) {
        let scratch = tempfile::tempdir_in(paths::scratch()).unwrap();
        let part = part_of(&tree, count, scratch.path());
        let [ours, theirs] = ["ours", "34"].map(|name| scratch.path().join(name));
        let on = |mut command: Command, out: &Path| {
            command.arg("-b").arg(&part.root).arg("-o").arg(out).arg(&part.release);
            command
        };
        let rows = Comparison::new(&format!("depmod of {count} modules"))
            .program("coldplug", || {
                let mut command = Command::new(paths::program("coldplug"));
                command.arg("depmod");
                on(command, &ours)
            })
            .program("kmod 34", || on(kmod34::command("depmod"), &theirs))
            .without_instructions()
            .measure(runs(7, 3), &mut Results::new("growth"));
        add_at(results, rows, "depmod, by modules", count);
    }
}

/// Makes a tree of `count` modules of `tree`: links to files, the second time under other names.
fn part_of(tree: &Tree, count: usize, scratch: &Path) -> Tree {
    let part = Tree { root: scratch.join("tree"), ..tree.clone() };
    fs::create_dir_all(part.modules()).unwrap();
    for file in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        let _ = fs::copy(tree.modules().join(file), part.modules().join(file));
    }
    let is_module = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "ko");
    let mut files: Vec<_> = tool::files(&tree.modules()).into_iter().filter(is_module).collect();
    // Any part of the tree has modules of all kinds.
    files.sort_by_key(|path| harness::kernel::hash(&stem(&path.to_string_lossy())));
    for number in 0..count {
        let from = &files[number % files.len()];
        let copy = number / files.len();
        let name = stem(&from.to_string_lossy());
        let dir = part.modules().join(format!("kernel/{}", number % 100));
        fs::create_dir_all(&dir).unwrap();
        let name = if copy == 0 { format!("{name}.ko") } else { format!("{name}_{copy}.ko") };
        link_or_copy(from, &dir.join(name));
    }
    part
}

fn link_or_copy(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}

/// Measures the lookup of a modalias in indexes of different sizes.
fn aliases(results: &mut Results) {
    const CARD: &str = "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00";
    let tree = Kernel::Full61.get();
    let text = fs::read_to_string(tree.modules().join("modules.alias")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("alias ")).collect();
    for count in series(&[1000, 5000, 10_000, 20_000, 40_000]) {
        let scratch = tempfile::tempdir().unwrap();
        let part = Tree { root: scratch.path().to_owned(), ..tree.clone() };
        fs::create_dir_all(part.modules()).unwrap();
        for file in ["modules.dep", "modules.dep.bin", "modules.symbols.bin", "modules.softdep"] {
            let _ = fs::copy(tree.modules().join(file), part.modules().join(file));
        }
        let bytes = index(&lines, count);
        fs::write(part.modules().join("modules.alias.bin"), bytes).unwrap();
        let on = |mut command: Command| {
            command.env_clear().arg("-d").arg(&part.root).args(["-S", &part.release, "-R", CARD]);
            command
        };
        let ours = || {
            let mut command = Command::new(paths::program("coldplug"));
            command.arg("modprobe");
            on(command)
        };
        assert_eq!(tool::run(&mut ours()), "e1000e\n");
        let rows = Comparison::new(&format!("modprobe -R among {count} aliases"))
            .program("coldplug", ours)
            .program("kmod 34", || on(kmod34::command("modprobe")))
            .measure(runs(31, 5), &mut Results::new("growth"));
        add_at(results, rows, "modprobe -R, by aliases", count);
    }
}

/// Returns an index of `count` aliases: that of the card first, the others from the whole list;
/// after its end with other vendors.
fn index(lines: &[&str], count: usize) -> Vec<u8> {
    let mut writer = coldplug::kmod::index::Writer::default();
    let mut add = |line: &str, suffix: &str, priority: usize| {
        let mut words = line.split(' ').skip(1);
        let (alias, module) = (words.next().unwrap(), words.next().unwrap());
        let key = coldplug::kmod::alias::normalize(alias.as_bytes()).unwrap();
        let key = [&key, suffix.as_bytes()].concat();
        writer.insert(&key, module.as_bytes(), u32::try_from(priority).unwrap()).unwrap();
    };
    let is_card = |line: &&str| line.contains("v00008086d000010D3sv");
    add(lines.iter().copied().find(is_card).expect("the alias of the card"), "", 0);
    let lines: Vec<&str> = lines.iter().copied().filter(|line| !is_card(line)).collect();
    let step = (lines.len() / count).max(1);
    for number in 1..count {
        let at = number * step;
        let suffix = if at < lines.len() { String::new() } else { format!("x{number}") };
        add(lines[at % lines.len()], &suffix, number);
    }
    writer.finish().unwrap()
}

/// Measures boots of machines with virtio devices behind bridges.
fn devices(results: &mut Results) {
    let tree = Kernel::Cloud61.get();
    let image = image::coldplug(&tree, &["--all"]);
    let mut floor = None;
    for count in series(&[10, 50, 100, 200, 300]) {
        let machine = |image: &Path| with_devices(measured::virtio(&tree, image), count);
        let first = boot(machine(&image));
        let modules = first.modules();
        let floor = floor.get_or_insert_with(|| image::floor(&tree, &modules));
        let record = first.record();
        let ours: Vec<Facts> =
            std::iter::once(first).chain((1..runs(3, 1)).map(|_| boot(machine(&image)))).collect();
        let theirs: Vec<f64> = (0..runs(3, 1)).map(|_| init_ms(&boot(machine(floor)))).collect();
        let found = record["modaliases"].as_u64().unwrap_or(0);
        println!("{count} virtio devices, {found} modaliases");
        for (name, values) in [("coldplug", ours.iter().map(init_ms).collect()), ("floor", theirs)]
        {
            let row = Row {
                name: name.to_owned(),
                what: "/init to the real init".to_owned(),
                unit: "ms",
                values,
                ..Row::default()
            };
            let (least, median, most) = row.spread();
            println!("    {name:<10} {least:.1} {median:.1} {most:.1} ms");
            add_at(results, vec![row], "boot, by virtio devices", count);
        }
    }
}

/// Adds `count` random number generators behind bridges.
fn with_devices(mut vm: Machine, count: usize) -> Machine {
    for bridge in 0..count.div_ceil(OF_BRIDGE) {
        let mut spec = String::new();
        write!(spec, "pci-bridge,id=many{bridge},chassis_nr={},shpc=off", bridge + 1).unwrap();
        vm = vm.device(&spec);
    }
    for number in 0..count {
        vm = vm.device(&format!(
            "virtio-rng-pci,bus=many{},addr={:#x},disable-legacy=on,vectors=0",
            number / OF_BRIDGE,
            number % OF_BRIDGE + 1
        ));
    }
    vm
}

fn boot(vm: Machine) -> Facts {
    vm.timed().deadline(DEADLINE).cmdline("root=/dev/vda").run().facts()
}

/// Returns the guest time from the entry of /init to that of the real init, in ms.
fn init_ms(facts: &Facts) -> f64 {
    let entry_ns = match facts.get("env")["COLDPLUG_INIT_BOOTTIME_NS"].as_str() {
        Some(text) => text.parse().unwrap(),
        None => facts.record()["init_boottime_ns"].as_i64().expect("init_boottime_ns"),
    };
    (facts.get("boottime_ns").as_i64().expect("boottime_ns") - entry_ns) as f64 / 1e6
}

/// Measures boots of the virtio machine by images that carry the root's modules and others.
fn carried(results: &mut Results) {
    const ROOTS: &str = "virtio_blk,virtio_pci,virtio_net,virtio_rng,ext4";
    let tree = Kernel::Full61.get();
    let dep = fs::read_to_string(tree.modules().join("modules.dep")).unwrap();
    let mut names: Vec<String> =
        dep.lines().filter_map(|line| Some(stem(line.split_once(':')?.0))).collect();
    names.sort_by_key(harness::kernel::hash);
    for count in series(&[6, 100, 500, 1000, 2000, 4000]) {
        let image = if count >= names.len() - 100 {
            image::coldplug(&tree, &["--all"])
        } else {
            let list = [&[ROOTS.to_owned()], &names[..count - 6]].concat().join(",");
            image::coldplug(&tree, &["--modules", &list])
        };
        let boots: Vec<Facts> =
            (0..runs(3, 1)).map(|_| boot(measured::virtio(&tree, &image))).collect();
        let whole = |facts: &Facts| facts.get("boottime_ns").as_i64().unwrap() as f64 / 1e6;
        let rows: [(&str, Vec<f64>); 2] = [
            ("/init to the real init", boots.iter().map(init_ms).collect()),
            ("kernel start to the real init", boots.iter().map(whole).collect()),
        ];
        for (what, values) in rows {
            let row = Row {
                name: "coldplug".to_owned(),
                what: what.to_owned(),
                unit: "ms",
                values,
                note: format!("{} bytes", fs::metadata(&image).unwrap().len()),
                ..Row::default()
            };
            println!("{count} modules carried: {what} {:.1} ms", row.spread().1);
            add_at(results, vec![row], "boot, by modules in the image", count);
        }
    }
}
