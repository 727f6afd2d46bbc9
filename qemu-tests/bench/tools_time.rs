//! `make bench`: modprobe's look-ups against kmod's, on the 6.1 kernel with all its drivers.
//!
//! Both programs are run in turns, so that what the machine does meanwhile falls on both alike; the
//! least and the median of each are printed, and the ratio of the medians, which must not be above one. Where valgrind is installed,
//! the instructions of one run stand beside: they repeat on a noisy machine.

use harness::kernel::{Kernel, Tree};
use harness::{paths, tool};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs of each program for each line.
const PAIRS: usize = 101;

/// A network card, as the kernel asks for it.
const CARD: &str = "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00";

/// What is asked. The helper's own words are `-q -- NAME`; -n keeps it from the last step.
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

/// `program` by the name modprobe, in the new directory `dir`.
fn link(program: &Path, dir: &Path) -> PathBuf {
    std::fs::create_dir(dir).unwrap();
    let path = dir.join("modprobe");
    symlink(program, &path).unwrap();
    path
}

/// One line to be measured.
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

    /// `program`, or what runs it, with all arguments and the environment that the kernel's helper has.
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

    /// How it ends and what it prints; in a dry run only one of kmod 34 tells without -v.
    fn printed(&self, program: &Path) -> (Option<i32>, String) {
        let output = self.on(Command::new(program)).output().unwrap();
        let told = if self.words.contains(&"-n") { Vec::new() } else { output.stdout };
        (output.status.code(), String::from_utf8_lossy(&told).into_owned())
    }

    fn timed(&self, program: &Path) -> Duration {
        let mut command = self.on(Command::new(program));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        command.status().unwrap();
        start.elapsed()
    }

    /// The instructions of one run, by valgrind; "-" without it.
    fn instructions(&self, program: &Path) -> String {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        let Ok(output) = self.on(valgrind).output() else { return "-".to_owned() };
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find_map(|line| line.split_once("Collected : "));
        line.map_or("-", |(_, count)| count.trim()).to_owned()
    }
}

/// The least and the median, in milliseconds.
fn spread(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    (millis(times[0]), millis(times[times.len() / 2]))
}
