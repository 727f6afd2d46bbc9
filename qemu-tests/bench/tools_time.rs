//! `make bench`: lookups of modprobe against those of kmod, on the 6.1 kernel with all drivers.
//!
//! The runs of both programs alternate, so that other load affects both alike. The minimum and the
//! median of each are printed, and the ratio of the medians, which must not exceed 1. If valgrind
//! is installed, the instructions of one run are printed as well: they repeat on a busy host.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

use harness::kernel::{Kernel, Tree};
use harness::measured::spread;
use harness::{paths, tool};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Number of runs of each program for each command line.
const PAIRS: usize = 101;

/// Modalias of a network card.
const CARD: &str = "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00";

/// Arguments that are measured. The kernel runs its helper with `-q -- NAME`; -n omits the load.
const LINES: &[&[&str]] = &[
    &["-D", "xfs"],
    &["-D", "amdgpu"],
    &["-D", CARD],
    &["-R", "fs-xfs"],
    &["-R", CARD],
    &["-q", "-n", "--", "fs-xfs"],
    &["-q", "-n", "--", "net-pf-40"],
    &["-q", "-n", "--", CARD],
    &["-q", "-n", "--", "nothing-of-this-name"],
];

fn main() {
    let tree = Kernel::Full61.get();
    let links = tempfile::tempdir().unwrap();
    let ours = link(&paths::program("coldplug"), &links.path().join("ours"));
    let kmod = link(&tool::find("modprobe", "kmod"), &links.path().join("kmod"));
    println!("modprobe, {PAIRS} pairs: ms, least and median; ratio of the medians; instructions");
    println!(
        "{:>6} {:>6}   {:>6} {:>6}   ratio   {:>10} {:>10}",
        "ours", "", "kmod", "", "ours", "kmod"
    );
    for words in LINES {
        let arguments = Arguments { tree: &tree, words };
        arguments.compare(&ours, &kmod);
    }
}

/// Makes a link named modprobe to `program` in the new directory `dir`.
fn link(program: &Path, dir: &Path) -> PathBuf {
    std::fs::create_dir(dir).unwrap();
    let path = dir.join("modprobe");
    symlink(program, &path).unwrap();
    path
}

/// One command line.
struct Arguments<'a> {
    tree: &'a Tree,
    words: &'a [&'a str],
}

impl Arguments<'_> {
    fn compare(&self, ours: &Path, kmod: &Path) {
        assert_eq!(self.printed(ours), self.printed(kmod), "{:?}", self.words);
        let (mut of_ours, mut of_kmod) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            of_ours.push(self.timed(ours));
            of_kmod.push(self.timed(kmod));
        }
        let (ours_ms, kmod_ms) = (spread(of_ours), spread(of_kmod));
        println!(
            "{:>6.2} {:>6.2}   {:>6.2} {:>6.2}   {:>5.2}   {:>10} {:>10}   {}",
            ours_ms.0,
            ours_ms.1,
            kmod_ms.0,
            kmod_ms.1,
            ours_ms.1 / kmod_ms.1,
            self.instructions(ours),
            self.instructions(kmod),
            self.words.join(" "),
        );
        assert!(ours_ms.1 <= kmod_ms.1, "slower than kmod: {:?}", self.words);
    }

    /// Adds all arguments to `command`, and gives it the environment of the kernel's helper.
    fn on(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .arg("-d")
            .arg(&self.tree.root)
            .args(["-S", &self.tree.release])
            .args(self.words)
            .stdin(Stdio::null());
        command
    }

    /// Returns exit code and output; in a dry run kmod prints nothing without -v before version 35.
    fn printed(&self, program: &Path) -> (Option<i32>, String) {
        let output = self.on(Command::new(program)).output().unwrap();
        let printed = if self.words.contains(&"-n") { Vec::new() } else { output.stdout };
        (output.status.code(), String::from_utf8_lossy(&printed).into_owned())
    }

    fn timed(&self, program: &Path) -> Duration {
        let mut command = self.on(Command::new(program));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        command.status().unwrap();
        start.elapsed()
    }

    /// Returns the instructions of one run, counted by valgrind; "-" without it.
    fn instructions(&self, program: &Path) -> String {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        let Ok(output) = self.on(valgrind).output() else { return "-".to_owned() };
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find_map(|line| line.split_once("Collected : "));
        line.map_or("-", |(_, count)| count.trim()).to_owned()
    }
}
