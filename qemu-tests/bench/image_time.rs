//! `make bench`: `coldplug image build` against mkinitramfs of Debian 12, on its kernel for virtual
//! machines; whole processes, alternating.
//!
//! | build | goal: part of mkinitramfs's wall time, or wall ms |
//! | --- | --- |
//! | all modules, new cache | 0.1 |
//! | all modules, full cache | 0.02 |
//! | `@virtio,ext4`, no cache | 40 ms |
//!
//! The other rows show where the time goes: `stored` compresses nothing, so the rest is the
//! encoder's. mkinitramfs runs in its own system with MODULES=most and zstd, as installed, on a
//! tmpfs. Images of one set of modules must have the same bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

use harness::compared::{our_version, runs};
use harness::kernel::Tree;
use harness::results::{Results, Row as Figures};
use harness::{debian, paths, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

/// Runs mkinitramfs in the system `$1` for the kernel `$2`, with the zstd `$3`, and writes nothing
/// below `$1`. The times are those of the last command.
const MKINITRAMFS: &str = r#"
set -e
mount -t tmpfs none "$4"
mkdir "$4/upper" "$4/work" "$4/root"
mount -t overlay -o "lowerdir=$1,upperdir=$4/upper,workdir=$4/work" none "$4/root"
mount -t proc proc "$4/root/proc"
[ -e "$4/root/usr/bin/zstd" ] || cp "$3" "$4/root/usr/bin/zstd"
time -f '%e %U %S' -o "$5" chroot "$4/root" mkinitramfs -o /tmp/image "$2"
stat -c %s "$4/root/tmp/image"
"#;

/// Options of a row.
struct Row {
    name: &'static str,
    options: &'static [&'static str],
    cache: Cache,
    /// Whether only one processor is used.
    is_alone: bool,
}

/// The cache of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cache {
    None,
    New,
    Full,
}

const ROWS: [Row; 6] = [
    Row { name: "all, new cache", options: &["--all"], cache: Cache::New, is_alone: false },
    Row { name: "all, full cache", options: &["--all"], cache: Cache::Full, is_alone: false },
    Row { name: "all, no cache", options: &["--all"], cache: Cache::None, is_alone: false },
    Row { name: "all, one processor", options: &["--all"], cache: Cache::None, is_alone: true },
    Row {
        name: "all, stored",
        options: &["--all", "--modules-as", "stored"],
        cache: Cache::None,
        is_alone: false,
    },
    Row {
        name: "@virtio,ext4",
        options: &["-m", "@virtio,ext4"],
        cache: Cache::None,
        is_alone: false,
    },
];

/// Seconds of one run, and the size of its image in bytes.
#[derive(Debug, Clone, Copy)]
struct Run {
    wall: f64,
    /// Of all processors, user and system.
    cpu: f64,
    size: u64,
}

fn main() {
    let pairs = runs(5, 1);
    let tree = debian::system();
    let scratch = tempfile::tempdir_in(paths::scratch()).unwrap();
    let (mut peers, mut ours) = (Vec::new(), [const { Vec::new() }; ROWS.len()]);
    for _ in 0..pairs {
        peers.push(mkinitramfs(&tree, scratch.path()));
        for (row, runs) in ROWS.iter().zip(&mut ours) {
            runs.push(build(row, &tree, scratch.path()));
        }
    }
    println!("image build of {}, {pairs} pairs: ms; ratio of the medians", tree.release);
    println!("{:<20} wall: least  median  most     cpu   ratio: wall    cpu      bytes", "");
    let peer = print("mkinitramfs", &peers, None);
    for (row, runs) in ROWS.iter().zip(&ours) {
        print(row.name, runs, Some(peer));
    }
    let mut results = Results::new("image");
    results.version("coldplug", &our_version(&paths::program("coldplug")));
    results.version("mkinitramfs", &version(&debian::versions()));
    add(&mut results, "mkinitramfs", &peers);
    ROWS.iter().zip(&ours).for_each(|(row, runs)| add(&mut results, row.name, runs));
    println!("{}", results.write().display());
}

/// Returns the version of initramfs-tools in the text of dpkg's status file.
fn version(status: &str) -> String {
    let stanza =
        status.split("\n\n").find(|text| text.starts_with("Package: initramfs-tools-core"));
    let mut lines = stanza.into_iter().flat_map(str::lines);
    lines.find_map(|line| line.strip_prefix("Version: ")).unwrap_or("unknown").to_owned()
}

/// A quantity: its name, its unit, and the figure of a run.
type Figure = (&'static str, &'static str, fn(&Run) -> f64);

/// Adds the figures of a row to the results.
#[allow(clippy::cast_precision_loss, reason = "an image has less than 2^53 bytes")]
fn add(results: &mut Results, name: &str, runs: &[Run]) {
    let figures: [Figure; 3] = [
        ("wall time", "ms", |run| run.wall * 1e3),
        ("processor time", "ms", |run| run.cpu * 1e3),
        ("size", "bytes", |run| run.size as f64),
    ];
    for (what, unit, figure) in figures {
        results.add(Figures {
            group: "image build".to_owned(),
            name: name.to_owned(),
            what: what.to_owned(),
            unit,
            values: runs.iter().map(figure).collect(),
            ..Figures::default()
        });
    }
}

/// Prints a row. Returns the medians of wall and processor time.
fn print(name: &str, runs: &[Run], peer: Option<(f64, f64)>) -> (f64, f64) {
    let sorted = |time: fn(&Run) -> f64| {
        let mut times: Vec<f64> = runs.iter().map(|run| time(run) * 1e3).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (wall, cpu) = (sorted(|run| run.wall), sorted(|run| run.cpu));
    let (least, most) = (wall[0], wall[wall.len() - 1]);
    let medians = (wall[wall.len() / 2], cpu[cpu.len() / 2]);
    let ratio = peer.map_or(String::new(), |peer| {
        format!("{:>8.3} {:>8.3}", medians.0 / peer.0, medians.1 / peer.1)
    });
    println!(
        "{name:<20} {least:>11.0} {:>7.0} {most:>6.0} {:>7.0}   {ratio:>17} {:>10}",
        medians.0, medians.1, runs[0].size
    );
    medians
}

fn mkinitramfs(tree: &Tree, scratch: &Path) -> Run {
    let mount_point = scratch.join("mkinitramfs");
    fs::create_dir_all(&mount_point).unwrap();
    let times = scratch.join("times");
    let mut command = tool::command("unshare", "util-linux");
    command.args(["--mount", "sh", "-c", MKINITRAMFS, "sh"]).arg(&tree.root).arg(&tree.release);
    command.arg(tool::find("zstd", "zstd")).arg(&mount_point).arg(&times);
    let size = tool::run(&mut command);
    let text = fs::read_to_string(&times).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let size = size.trim().parse().unwrap();
    Run { wall: numbers[0], cpu: numbers[1] + numbers[2], size }
}

fn build(row: &Row, tree: &Tree, scratch: &Path) -> Run {
    let (image, times, cache) =
        (scratch.join("image"), scratch.join("times"), scratch.join("cache"));
    if row.cache == Cache::New {
        let _ = fs::remove_dir_all(&cache);
    }
    let mut command = tool::command("time", "time");
    command.args(["-f", "%U %S", "-o"]).arg(&times);
    if row.is_alone {
        command.arg(tool::find("taskset", "util-linux")).args(["-c", "0"]);
    }
    command.arg(paths::program("coldplug")).args(["image", "build", "-q", "-k", &tree.release]);
    command.arg("-r").arg(&tree.root).arg("-o").arg(&image).args(row.options);
    match row.cache {
        Cache::None => command.arg("--no-cache"),
        _ => command.arg("--cache").arg(&cache),
    };
    let _ = fs::remove_file(&image);
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let wall = start.elapsed().as_secs_f64();
    assert!(status.unwrap().success(), "{}", row.name);
    let text = fs::read_to_string(&times).unwrap();
    let cpu = text.split_whitespace().map(|word| word.parse::<f64>().unwrap()).sum();
    compare(row, &image, scratch);
    Run { wall, cpu, size: fs::metadata(&image).unwrap().len() }
}

/// Compares the image with that of the first row that has the same modules.
fn compare(row: &Row, image: &Path, scratch: &Path) {
    let first: PathBuf = scratch.join(row.options.join(" ").replace('/', "_"));
    if !first.exists() {
        fs::rename(image, &first).unwrap();
        fs::copy(&first, image).unwrap();
    }
    assert!(fs::read(image).unwrap() == fs::read(&first).unwrap(), "{}", row.name);
}
