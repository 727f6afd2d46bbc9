//! `make bench-check`: ratios that may not become worse, against the limits in gate.json.
//!
//! ```text
//! { "NAME": { "limit": 0.35, "reason": "…" }, … }   a row for each measurement below
//! ```
//!
//! Everything here repeats on a busy host: instructions under callgrind, peak memory, sizes, guest
//! time that counts instructions. A ratio above its limit fails, and so does a row without
//! measurement or a measurement without row. Words select measurements by a part of the name. No
//! test runs this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::exit,
    clippy::cast_precision_loss,
    reason = "it ends with a message and an exit code, prints its results, and counts little"
)]

use harness::compared::{instructions, is_valgrind_there, peak_kib};
use harness::kernel::{Kernel, Tree};
use harness::machine::Facts;
use harness::{debian, image, kmod34, measured, paths, tool};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Modalias of a network card.
const CARD: &str = "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00";

/// Size limit of the programs in images, with which their sizes are compared.
const SIZE_LIMITS: [(&str, f64); 3] = [
    ("coldplug-init-boot", 600_000.0),
    ("coldplug-init", 1_000_000.0),
    ("coldplug-init-stacks", 1_535_000.0),
];

/// Number of boots of which the least counts.
const BOOTS: usize = 3;

/// Measures one ratio.
type Measure = fn() -> f64;

/// Name and measurement of each ratio: ours divided by the other.
const MEASURES: [(&str, Measure); 13] = [
    ("size: coldplug-init-boot to its limit", || size(0)),
    ("size: coldplug-init to its limit", || size(1)),
    ("size: coldplug-init-stacks to its limit", || size(2)),
    ("size: image of all modules to the modules", image_size),
    ("instructions: modprobe -D amdgpu to kmod 34", || modprobe(&["-D", "amdgpu"])),
    ("instructions: modprobe -R MODALIAS to kmod 34", || modprobe(&["-R", CARD])),
    ("instructions: modprobe -q -n fs-xfs to kmod 34", || modprobe(&["-q", "-n", "fs-xfs"])),
    ("instructions: modinfo amdgpu to kmod 34", modinfo),
    ("instructions: depmod to kmod 34", || depmod(Kernel::Cloud61, instructions_of)),
    ("memory: depmod to kmod 34", || depmod(Kernel::Full61, peak_kib)),
    ("instructions: image list to 3cpio", list),
    ("guest time: virtio machine to the floor", floor),
    ("guest time: image of all modules to the root's", carried),
];

fn main() {
    let file = paths::checkout().join("qemu-tests/bench/gate.json");
    let gate: Value = serde_json::from_slice(&fs::read(&file).unwrap()).expect("gate.json");
    let gate = gate.as_object().expect("an object");
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let mut bad = Vec::new();
    for name in gate.keys().filter(|name| !MEASURES.iter().any(|(known, _)| known == name)) {
        bad.push(format!("{name}: gate.json has a limit, but nothing measures it"));
    }
    for (name, measure) in MEASURES {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let Some(limit) = gate.get(name).and_then(|row| row["limit"].as_f64()) else {
            bad.push(format!("{name}: gate.json has no limit"));
            continue;
        };
        if name.starts_with("instructions") && !is_valgrind_there() {
            bad.push(format!("{name}: not measured: install the Debian package valgrind"));
            continue;
        }
        let ratio = measure();
        println!("{name:<52} {ratio:.4}, limit {limit}");
        if ratio > limit || ratio.is_nan() {
            let reason = gate[name]["reason"].as_str().unwrap_or_default();
            bad.push(format!("{name}: {ratio:.4} is above its limit {limit} ({reason})"));
        }
    }
    if !bad.is_empty() {
        println!("\nbench-check: {} of the ratios are worse:\n{}", bad.len(), bad.join("\n"));
        std::process::exit(1);
    }
}

fn size(number: usize) -> f64 {
    let (name, limit) = SIZE_LIMITS[number];
    bytes(&paths::program(name)) / limit
}

fn bytes(path: &Path) -> f64 {
    fs::metadata(path).unwrap().len() as f64
}

fn image_size() -> f64 {
    let tree = Kernel::Cloud61.get();
    let files = tool::files(&tree.modules()).into_iter();
    let modules = files.filter(|file| file.extension().is_some_and(|suffix| suffix == "ko"));
    bytes(&image::coldplug(&tree, &["--all"])) / modules.map(|file| bytes(&file)).sum::<f64>()
}

fn instructions_of(command: &Command) -> f64 {
    instructions(command, 0).unwrap_or(f64::NAN)
}

fn ours(words: &[&str]) -> Command {
    let mut command = Command::new(paths::program("coldplug"));
    command.args(words);
    command
}

fn modprobe(words: &[&str]) -> f64 {
    let tree = Kernel::Full61.get();
    let on = |mut command: Command| {
        command.env_clear().arg("-d").arg(&tree.root).args(["-S", &tree.release]).args(words);
        instructions_of(&command)
    };
    on(ours(&["modprobe"])) / on(kmod34::command("modprobe"))
}

fn modinfo() -> f64 {
    let tree = Kernel::Full61.get();
    let on = |mut command: Command| {
        command.env_clear().arg("-b").arg(&tree.root).args(["-k", &tree.release, "amdgpu"]);
        instructions_of(&command)
    };
    on(ours(&["modinfo"])) / on(kmod34::command("modinfo"))
}

fn depmod(kernel: Kernel, measure: fn(&Command) -> f64) -> f64 {
    let (tree, scratch) = (kernel.get(), tempfile::tempdir().unwrap());
    let on = |mut command: Command| {
        command.arg("-b").arg(&tree.root).arg("-o").arg(scratch.path()).arg(&tree.release);
        measure(&command)
    };
    on(ours(&["depmod"])) / on(kmod34::command("depmod"))
}

fn list() -> f64 {
    let image = image::coldplug(&Kernel::Cloud61.get(), &["--all"]);
    let sid = debian::sid().root;
    let lib = sid.join("usr/lib/x86_64-linux-gnu");
    let mut theirs = Command::new(lib.join("ld-linux-x86-64.so.2"));
    theirs.arg("--library-path").arg(&lib).arg(sid.join("usr/bin/3cpio")).arg("-t").arg(&image);
    let mut list = ours(&["image", "list", "--names"]);
    list.arg(&image);
    instructions_of(&list) / instructions_of(&theirs)
}

fn floor() -> f64 {
    let tree = Kernel::Cloud61.get();
    let image = image::coldplug(&tree, &["--all"]);
    let record = boot(&tree, &image, "").record();
    let modules = record["modules"].as_array().expect("modules").iter();
    let tried = modules.filter(|m| m["outcome"] == "loaded" || m["outcome"] == "no-device");
    let tried: Vec<&str> = tried.map(|module| module["name"].as_str().unwrap()).collect();
    let floor = image::floor(&tree, &tried);
    let [ours, floor] = [&image, &floor].map(|image| least(|| init_ms(&boot(&tree, image, ""))));
    ours / floor
}

fn carried() -> f64 {
    let tree = Kernel::Cloud61.get();
    let whole = |options: &[&str]| {
        let image = image::coldplug(&tree, options);
        least(|| {
            let facts = boot(&tree, &image, "coldplug.settle=root");
            facts.get("boottime_ns").as_i64().unwrap() as f64
        })
    };
    let names = "virtio_blk,virtio_pci,virtio_net,virtio_rng,ext4";
    whole(&["--all"]) / whole(&["--modules", names])
}

/// Returns the least of some boots: the clock of a guest that waits for the disk of a busy host runs
/// on.
fn least(boot: impl Fn() -> f64) -> f64 {
    (0..BOOTS).map(|_| boot()).fold(f64::INFINITY, f64::min)
}

fn boot(tree: &Tree, image: &Path, words: &str) -> Facts {
    let vm = measured::virtio(tree, image).timed().deadline(Duration::from_secs(900));
    vm.cmdline("root=/dev/vda").cmdline(words).run().facts()
}

/// Returns the guest time from the entry of /init to that of the real init, in ms.
fn init_ms(facts: &Facts) -> f64 {
    let entry_ns = match facts.get("env")["COLDPLUG_INIT_BOOTTIME_NS"].as_str() {
        Some(text) => text.parse().unwrap(),
        None => facts.record()["init_boottime_ns"].as_i64().expect("init_boottime_ns"),
    };
    (facts.get("boottime_ns").as_i64().expect("boottime_ns") - entry_ns) as f64 / 1e6
}
