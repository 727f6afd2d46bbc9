//! `make bench`: the cost of a boot with discovery over one without, and where the time goes.
//!
//! | option | boots |
//! | --- | --- |
//! | `--virtio` | the virtio machine, by the floor (floor.rs) and by coldplug |
//! | `--fleet` | the fleet machine, likewise |
//! | `--image` | the virtio machine, from images of different sizes |
//! | `--board` | the virtio machine, from images that are made for it |
//! | `--lvm` | the virtio machine, from a disk and from a logical volume |
//! | `--record` | the virtio machine, with and without `coldplug.report=` |
//! | `--memory` | the virtio machine with ever less memory, until it no longer reaches the real init |
//! | `--wall` | both machines with two processors: two parallel loads against one, in pairs |
//!
//! Without an option all run but `--lvm`, `--memory` and `--record`; `make bench BENCH='--virtio --image'` runs two. The floor loads the
//! modules that coldplug loaded; a row of its own also loads those that coldplug tried and that
//! found no device. All times except those of `--wall` are guest time under `-icount
//! shift=0,sleep=off`, which counts instructions and repeats on a busy host; the minimum of
//! `BENCH_RUNS` (3) boots is printed. With `--wall` the guest's clock follows that of the host.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

use harness::kernel::{Kernel, Tree};
use harness::machine::{Bus, Facts, Machine, Running};
use harness::made_disk::made;
use harness::measured::{knows, millis};
use harness::record::phases;
use harness::{debian, image, measured};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Deadline of a boot whose instructions are counted, on a busy host.
const DEADLINE: Duration = Duration::from_secs(900);

/// Memory in MiB that is less than Debian's kernel needs to start.
const TOO_LITTLE: i64 = 40;

/// Words for the kernel command line instead of `quiet`: with too little memory nothing but the
/// early console shows that the machine has started, and a random place of the kernel is worth up
/// to 2 MiB.
const LITTLE_MEMORY: &str = "earlyprintk=ttyS0 nokaslr";

/// Function that makes a machine.
type MakeMachine = fn(&Tree, &Path) -> Machine;

fn main() {
    let parts: [(&str, fn()); 8] = [
        ("--virtio", || guest_time("virtio", measured::virtio, &Kernel::Cloud61.get(), &VIRTIO)),
        ("--fleet", || guest_time("fleet", measured::fleet, &Kernel::Full61.get(), &FLEET)),
        ("--image", images),
        ("--board", board_images),
        ("--lvm", volumes),
        ("--record", || guest_time("record", measured::virtio, &Kernel::Cloud61.get(), &RECORD)),
        ("--memory", memory),
        ("--wall", wall),
    ];
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for word in &words {
        assert!(parts.iter().any(|(name, _)| name == word), "no part '{word}'");
    }
    for (name, part) in parts {
        // Without a word, no disks are made by Debian's tools, no boot is to fail, and none is
        // measured twice.
        let is_usual = words.is_empty() && !["--lvm", "--memory", "--record"].contains(&name);
        if is_usual || words.iter().any(|word| word == name) {
            part();
        }
    }
}

fn runs() -> usize {
    std::env::var("BENCH_RUNS").map_or(3, |text| text.parse().expect("BENCH_RUNS is a number"))
}

/// Kind of a row, and what it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The floor, with the modules that are live at the end.
    Floor,
    /// The floor, with those that were tried and found no device as well.
    Tried,
    /// coldplug, compared with the rows of these names.
    Against(&'static [&'static str]),
}

/// Name, kind, and words for the kernel command line.
type Row = (&'static str, Kind, &'static str);

const VIRTIO: [Row; 8] = [
    ("floor", Kind::Floor, ""),
    ("floor, all tried", Kind::Tried, ""),
    ("floor, 8 threads", Kind::Floor, "floor.threads=8"),
    ("floor, async_probe", Kind::Floor, "floor.async_probe"),
    ("floor, both", Kind::Floor, "floor.threads=8 floor.async_probe"),
    ("coldplug", Kind::Against(&["floor", "floor, all tried"]), ""),
    ("coldplug, jobs=1", Kind::Against(&["floor", "floor, all tried"]), "coldplug.jobs=1"),
    ("coldplug, async=all", Kind::Against(&["floor, both"]), "coldplug.async=all"),
];

const BY_LABEL: &str = "root=LABEL=coldplug-root coldplug.settle=root";

const FLEET: [Row; 11] = [
    ("floor", Kind::Floor, ""),
    ("floor, all tried", Kind::Tried, ""),
    ("floor, 8 threads", Kind::Floor, "floor.threads=8"),
    ("floor, async_probe", Kind::Floor, "floor.async_probe"),
    ("floor, both", Kind::Floor, "floor.threads=8 floor.async_probe"),
    ("coldplug", Kind::Against(&["floor, 8 threads"]), ""),
    ("coldplug, jobs=1", Kind::Against(&["floor", "floor, all tried"]), "coldplug.jobs=1"),
    ("coldplug, async=storage", Kind::Against(&["floor, both"]), "coldplug.async=storage"),
    (
        "coldplug, async=all",
        Kind::Against(&["floor, async_probe", "floor, both"]),
        "coldplug.async=all",
    ),
    ("coldplug, settle=root", Kind::Against(&["floor, both"]), "coldplug.settle=root"),
    ("the same, root by label", Kind::Against(&["floor, both"]), BY_LABEL),
];

/// The record is always written to /run. A report is a second copy, with the times of the kernel log.
const RECORD: [Row; 3] = [
    ("coldplug", Kind::Against(&[]), ""),
    ("report to a file", Kind::Against(&["coldplug"]), "coldplug.report=/run/report.json"),
    ("report to a serial port", Kind::Against(&["coldplug"]), "coldplug.report=/dev/ttyS2"),
];

/// Prints one table of guest times.
fn guest_time(name: &str, machine: MakeMachine, tree: &Tree, rows: &[Row]) {
    let image = image::coldplug(tree, &["--all"]);
    let first = boot(machine, tree, &image, "");
    let modules = first.modules();
    let tried = tried(&first);
    let tried: Vec<&str> = tried.iter().map(String::as_str).collect();
    let [floor, tried] = [&modules, &tried].map(|modules| image::floor(tree, modules));
    println!("\n{name}: guest ms of {} modules, the least of {} runs", modules.len(), runs());
    println!("{:<26} {:>9} {:>9} {:>8} {:>7}", "", "to /init", "to root's", "modules", "ratio");
    let mut known: Vec<(&str, f64)> = Vec::new();
    for (row, kind, words) in rows {
        if let Some(word) = unknown(words) {
            println!("{row:<26} skipped: this coldplug does not know {word}");
            continue;
        }
        let image = match kind {
            Kind::Floor => &floor,
            Kind::Tried => &tried,
            Kind::Against(_) => &image,
        };
        let least = least((0..runs()).map(|_| Times::new(&boot(machine, tree, image, words))));
        let ratio = match kind {
            Kind::Floor | Kind::Tried => String::new(),
            Kind::Against(names) => {
                let ratios = names.iter().map(|name| {
                    let base = known.iter().find(|(floor, _)| floor == name).expect("its floor").1;
                    format!("{:.2} of {name}", least.init_ms / base)
                });
                ratios.collect::<Vec<_>>().join("; ")
            }
        };
        known.push((row, least.init_ms));
        least.print(row, &ratio);
    }
}

/// Returns the modules that a boot has tried to load, in order.
fn tried(facts: &Facts) -> Vec<String> {
    let record = facts.record();
    let modules = record["modules"].as_array().expect("modules").iter();
    let given = modules.filter(|m| m["outcome"] == "loaded" || m["outcome"] == "no-device");
    given.map(|m| m["name"].as_str().expect("a name").to_owned()).collect()
}

/// Returns a word of `words` that this coldplug does not know.
fn unknown(words: &str) -> Option<&str> {
    let mut words = words.split_ascii_whitespace();
    words.find(|word| word.starts_with("coldplug.") && !knows(word))
}

/// Content of an image.
enum Carries {
    /// Content that `coldplug image build` selects with these options.
    Built(&'static [&'static str]),
    /// The modules that a boot from an image with all modules has loaded.
    Needed,
    /// The same modules, with the floor as init.
    Floor,
    /// The modules of the root, and ballast that is never opened: size of a file in bytes, number
    /// of files.
    Ballast(usize, usize),
}

/// Options for the modules of the root on the virtio machine.
const ROOTS: &[&str] = &["--modules", "virtio_blk,virtio_pci,ext4"];

/// Boots images of the full kernel on the virtio machine: a module that is not loaded should cost
/// nothing.
fn images() {
    let tree = Kernel::Full61.get();
    let dir = tempfile::tempdir().unwrap();
    let all = boot(measured::virtio, &tree, &image::coldplug(&tree, &["--all"]), "");
    let loaded = all.modules();
    println!("\nimages of Debian's full kernel: guest ms, the least of {} runs", runs());
    println!("{:<26} {:>9} {:>9} {:>8} {:>9}", "", "to /init", "to root's", "modules", "together");
    let mut base = None;
    let rows = [
        ("the root's modules", Carries::Built(ROOTS), ""),
        ("all, zstd one by one", Carries::Built(&["--all"]), ""),
        ("the same, settle=root", Carries::Built(&["--all"]), "coldplug.settle=root"),
        ("the same, async=all", Carries::Built(&["--all"]), "coldplug.async=all"),
        ("what these have loaded", Carries::Needed, ""),
        ("the same, by the floor", Carries::Floor, ""),
        ("the same, 8 threads", Carries::Floor, "floor.threads=8"),
        ("the root's and 4,000 files", Carries::Ballast(0, 4000), ""),
        ("the root's and 95 MB", Carries::Ballast(95 << 20, 1), ""),
        (
            "all, the archive in zstd",
            Carries::Built(&["--all", "--modules-as", "plain", "--compress", "zstd"]),
            "",
        ),
    ];
    for (name, carries, words) in rows {
        let image = image_that(&carries, &tree, &loaded, dir.path());
        let least =
            least((0..runs()).map(|_| Times::new(&boot(measured::virtio, &tree, &image, words))));
        let whole = least.before_ms + least.init_ms;
        let base = *base.get_or_insert(whole);
        let size = std::fs::metadata(&image).unwrap().len();
        println!(
            "{name:<26} {:>9.1} {:>9.1} {:>8} {whole:>9.1}    {:.2} of the first, {:.1} MB",
            least.before_ms,
            least.init_ms,
            least.modules,
            whole / base,
            megabytes(size)
        );
        least.print_phases();
    }
}

fn image_that(carries: &Carries, tree: &Tree, loaded: &[&str], dir: &Path) -> PathBuf {
    match carries {
        Carries::Built(options) => image::coldplug(tree, options),
        Carries::Needed => image::coldplug(tree, &["--modules", &loaded.join(",")]),
        Carries::Floor => image::floor(tree, loaded),
        Carries::Ballast(bytes, files) => {
            let names: Vec<String> =
                (0..*files).map(|n| format!("ballast/{}/{n}", n / 100)).collect();
            let content = vec![7; *bytes];
            let ballast: Vec<_> = names.iter().map(|name| (name.as_str(), &content[..])).collect();
            let out = dir.join(format!("{bytes}-{files}.img"));
            image::overlay(&image::coldplug(tree, ROOTS), &ballast, &out)
        }
    }
}

/// Boots images of `image build --board` on the virtio machine, and images with the modules of its
/// root, named by hand.
fn board_images() {
    let tree = Kernel::Cloud61.get();
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("board");
    let facts = boot(measured::virtio, &tree, &image::coldplug(&tree, &["--all"]), "");
    std::fs::write(&capture, facts.get("capture").as_str().expect("a capture")).unwrap();
    let board = ["--board", capture.to_str().unwrap()];
    let small = ["--trim-indexes", "--modules-as", "plain", "--compress", "zstd:19"];
    let for_root = "coldplug.settle=root";
    println!("\nimages for the virtio machine: guest ms, the least of {} runs", runs());
    println!("{:<26} {:>9} {:>9} {:>8} {:>9}", "", "to /init", "to root's", "modules", "together");
    let mut base = None;
    for (name, options, words) in [
        ("by hand", ROOTS.to_vec(), ""),
        ("by hand, small", [ROOTS, &small].concat(), ""),
        ("for the board", board.to_vec(), for_root),
        ("for the board, small", [&board[..], &small].concat(), for_root),
        ("the same, settle=all", [&board[..], &small].concat(), ""),
        ("all modules", vec!["--all"], for_root),
    ] {
        let image = image::coldplug(&tree, &options);
        let times = |_| Times::new(&boot(measured::virtio, &tree, &image, words));
        let least = least((0..runs()).map(times));
        let whole = least.before_ms + least.init_ms;
        let base = *base.get_or_insert(whole);
        let size = std::fs::metadata(&image).unwrap().len();
        println!(
            "{name:<26} {:>9.1} {:>9.1} {:>8} {whole:>9.1}    {:.3} of the first, {size} bytes",
            least.before_ms,
            least.init_ms,
            least.modules,
            whole / base
        );
        least.print_phases();
    }
}

/// Compares a root on a logical volume with one on a disk: the same machine and image.
fn volumes() {
    let tree = debian::system();
    let image = image::coldplug(&tree, &["--generic", "--modules", "@virtio,@filesystems,@lvm"]);
    let machine = |tree: &Tree, image: &Path| {
        made("lvm-linear").attach(measured::virtio(tree, image), Bus::VirtioBlk)
    };
    println!("\nlogical volume: guest ms, the least of {} runs", runs());
    println!("{:<26} {:>9} {:>9} {:>8}", "", "to /init", "to root's", "modules");
    let mut disk = None;
    for (row, words) in [("disk", "root=/dev/vda"), ("logical volume", "root=/dev/vg0/root")] {
        let least = least((0..runs()).map(|_| Times::new(&boot(machine, &tree, &image, words))));
        let base = *disk.get_or_insert(least.init_ms);
        least.print(row, &format!("{:+.1} ms", least.init_ms - base));
    }
}

/// Prints the least memory with which the real init is reached with all modules. The floor has the
/// same image, with itself as init.
fn memory() {
    let tree = Kernel::Cloud61.get();
    println!("\nleast memory in MiB with which the real init is reached with all modules");
    println!("{:<26} {:>9} {:>9}", "image", "floor", "coldplug");
    for (name, options) in [("all modules", &["--all"][..]), ("the root's modules", ROOTS)] {
        let image = image::coldplug(&tree, options);
        let facts = boot(measured::virtio, &tree, &image, "");
        let modules = facts.modules();
        let floor = image::floor_in_place(&tree, options, &modules);
        let [floor, ours] = [&floor, &image].map(|image| least_memory(&tree, image, &modules));
        println!("{name:<26} {floor:>9} {ours:>9} {:+}", ours - floor);
    }
}

/// Returns the least memory in MiB with which the virtio machine reaches the real init with
/// `modules` loaded and no process killed.
fn least_memory(tree: &Tree, image: &Path, modules: &[&str]) -> i64 {
    let want: BTreeSet<_> = modules.iter().map(|name| (*name).to_owned()).collect();
    let suffices = |mib: i64| {
        let vm = measured::virtio(tree, image).timed().replace_words("quiet", LITTLE_MEMORY);
        let vm = vm.cmdline("root=/dev/vda").may_panic().deadline(DEADLINE);
        let mut running = vm.args(["-m", &mib.to_string()]).start();
        if hangs(&mut running) {
            return false;
        }
        let boot = running.finish();
        let has_all = boot.early_modules().is_some_and(|found| want.is_subset(&found));
        has_all && !boot.console.contains("Out of memory")
    };
    let (mut too_little, mut enough) = (TOO_LITTLE, 256);
    assert!(suffices(enough), "{enough} MiB are not enough");
    while enough - too_little > 1 {
        let middle = too_little.midpoint(enough);
        if suffices(middle) { enough = middle } else { too_little = middle }
    }
    enough
}

/// Waits until a machine ends, or its kernel reports that a task has hung: without enough memory it
/// may wait for more forever. Returns whether it hangs. The deadline is that of the machine.
fn hangs(running: &mut Running) -> bool {
    let start = Instant::now();
    while running.is_running() && start.elapsed() < DEADLINE {
        if running.console().contains("blocked for more than") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}

/// Compares two parallel loads with one, on two processors.
fn wall() {
    let machines: [(&str, MakeMachine, Kernel); 2] =
        [("virtio", measured::virtio, Kernel::Cloud61), ("fleet", measured::fleet, Kernel::Full61)];
    for (name, machine, kernel) in machines {
        let tree = kernel.get();
        let image = image::coldplug(&tree, &["--all"]);
        println!("\n{name}, two processors: ms from /init to the root's, in pairs");
        println!("{:>9} {:>9} {:>7}", "jobs=2", "jobs=1", "ratio");
        let mut ratios = Vec::new();
        for _ in 0..runs().max(3) {
            let [two, one] = ["coldplug.jobs=2", "coldplug.jobs=1"].map(|words| {
                let vm = machine(&tree, &image).two_processors().cmdline("root=/dev/vda");
                Times::new(&vm.cmdline(words).run().facts()).init_ms
            });
            println!("{two:>9.1} {one:>9.1} {:>7.2}", two / one);
            ratios.push(two / one);
        }
        ratios.sort_by(f64::total_cmp);
        println!("median ratio {:.2}", ratios[ratios.len() / 2]);
    }
}

/// Boots with counted instructions; the root is the virtio disk unless `words` name one.
fn boot(machine: MakeMachine, tree: &Tree, image: &Path, words: &str) -> Facts {
    let named = words.split(' ').any(|word| word.starts_with("root="));
    let root = if named { "" } else { "root=/dev/vda" };
    let vm = machine(tree, image).timed().deadline(DEADLINE);
    vm.cmdline(root).cmdline(words).run().facts()
}

/// Guest time of one boot.
#[derive(Debug, Clone)]
struct Times {
    /// From the start of the kernel to the entry of /init.
    before_ms: f64,
    /// From the entry of /init to the entry of the real init.
    init_ms: f64,
    /// Loaded modules.
    modules: usize,
    /// Name and length in ms of each phase in the record.
    phases: Vec<(String, f64)>,
    /// Peak memory of PID 1 and of the worker process in bytes, if recorded.
    peak: [Option<u64>; 2],
}

impl Times {
    /// Reads the times from the facts of a boot by coldplug, or by the floor.
    fn new(facts: &Facts) -> Self {
        let by_floor = facts.get("env")["COLDPLUG_INIT_BOOTTIME_NS"].as_str();
        let record = if by_floor.is_some() { Value::Null } else { facts.record() };
        let entry_ns = match by_floor {
            Some(text) => text.parse().unwrap(),
            None => record["init_boottime_ns"].as_i64().expect("init_boottime_ns"),
        };
        let real_ns = facts.get("boottime_ns").as_i64().expect("boottime_ns");
        Self {
            before_ms: millis(entry_ns),
            init_ms: millis(real_ns - entry_ns),
            modules: facts.modules().len(),
            phases: phases(&record),
            peak: ["init", "worker"].map(|who| record["memory"][who].as_u64()),
        }
    }

    fn print(&self, row: &str, ratio: &str) {
        println!(
            "{row:<26} {:>9.1} {:>9.1} {:>8}    {ratio}",
            self.before_ms, self.init_ms, self.modules
        );
        self.print_phases();
        if let [Some(init), Some(worker)] = self.peak.map(|bytes| bytes.map(megabytes)) {
            println!("{:26}   memory: init {init:.1} MB, worker process {worker:.1} MB", "");
        }
    }

    fn print_phases(&self) {
        if !self.phases.is_empty() {
            let phases = self.phases.iter().map(|(name, ms)| format!("{name} {ms:.1}"));
            println!("{:26}   {}", "", phases.collect::<Vec<_>>().join(", "));
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "an image has less than 2^53 bytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn least(times: impl Iterator<Item = Times>) -> Times {
    let whole = |times: &Times| times.before_ms + times.init_ms;
    times.min_by(|a, b| whole(a).total_cmp(&whole(b))).expect("at least one run")
}
