//! `make bench`: the time to derive a volume key of LUKS against that of cryptsetup.
//!
//! `cryptsetup open --test-passphrase` does the same work on the same header. The runs alternate, so
//! that other load affects both alike; the ratio is that of the medians.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

use harness::measured::spread;
use harness::{paths, tool};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Number of runs of each program for each header.
const PAIRS: usize = 11;
const PASSPHRASE: &str = "correct horse";

/// Iterations of PBKDF2, and passes of Argon2.
const PBKDF2: &str = "--pbkdf-force-iterations=1000000";
const ARGON2: &str = "--pbkdf-force-iterations=4";

/// Name of a header, and the options of cryptsetup that make it. Its costs are set, not measured, so
/// that all runs have the same.
const HEADERS: &[(&str, &[&str])] = &[
    ("argon2id, 4 lanes, 256 MiB", &[ARGON2, "--pbkdf-memory=262144", "--pbkdf-parallel=4"]),
    ("argon2id, 1 lane, 256 MiB", &[ARGON2, "--pbkdf-memory=262144", "--pbkdf-parallel=1"]),
    ("argon2i, 4 lanes, 64 MiB", &[ARGON2, "--pbkdf=argon2i", "--pbkdf-memory=65536"]),
    ("pbkdf2, sha256", &[PBKDF2, "--pbkdf=pbkdf2", "--hash=sha256"]),
    ("pbkdf2, sha512", &[PBKDF2, "--pbkdf=pbkdf2", "--hash=sha512"]),
    ("LUKS1, sha1", &[PBKDF2, "--type=luks1", "--hash=sha1"]),
];

fn main() {
    println!("LUKS, {PAIRS} pairs: ms, least and median, and ratio of the medians");
    println!("{:>6} {:>6}   {:>6} {:>6}   ratio", "ours", "", "crypt-", "setup");
    for (name, options) in HEADERS {
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("device");
        std::fs::File::create(&device).unwrap().set_len(20 << 20).unwrap();
        format(&device, options);
        compare(name, &device);
    }
}

fn format(device: &Path, options: &[&str]) {
    let mut cryptsetup = cryptsetup();
    cryptsetup.args(["luksFormat", "--batch-mode", "--key-file=-"]).args(options).arg(device);
    assert!(run(cryptsetup), "{options:?}");
}

fn compare(name: &str, device: &Path) {
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let mut ours = Command::new(paths::program("examples/luks_key"));
        ours.arg(device);
        of_ours.push(timed(ours));
        let mut theirs = cryptsetup();
        theirs.args(["open", "--test-passphrase", "--key-file=-"]).arg(device);
        of_theirs.push(timed(theirs));
    }
    let (ours, theirs) = (spread(of_ours), spread(of_theirs));
    let ratio = ours.1 / theirs.1;
    let (a, b, c, d) = (ours.0, ours.1, theirs.0, theirs.1);
    println!("{a:>6.0} {b:>6.0}   {c:>6.0} {d:>6.0}   {ratio:>5.2}   {name}");
}

fn cryptsetup() -> Command {
    tool::command("cryptsetup", "cryptsetup-bin")
}

fn timed(command: Command) -> Duration {
    let start = Instant::now();
    assert!(run(command), "the passphrase unlocks nothing");
    start.elapsed()
}

/// Runs a program that reads the passphrase. Returns whether it succeeds.
fn run(mut command: Command) -> bool {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(PASSPHRASE.as_bytes()).unwrap();
    child.wait().unwrap().success()
}
