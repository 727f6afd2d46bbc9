//! Environments of U-Boot, against fw_printenv and fw_setenv of libubootenv.

use harness::run::Test;
use harness::{paths, tests, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[] =>
    fw_printenv_reads_what_slot_init_writes,
    slot_status_reads_what_fw_setenv_writes,
    both_choose_the_same_copy,
];

/// Size of each copy.
const SIZE: usize = 0x2000;
/// Offsets of the copies.
const OFFSETS: [usize; 2] = [0x4000, 0x8000];

/// An image of a disk with an environment of one or two copies.
struct Disk {
    dir: tempfile::TempDir,
    copies: usize,
}

impl Disk {
    fn new(copies: usize) -> Self {
        let disk = Self { dir: tempfile::tempdir().unwrap(), copies };
        fs::write(disk.image(), vec![0; 1 << 16]).unwrap();
        let place = |at: &usize| format!("{} {at:#x} {SIZE:#x}\n", disk.image().display());
        let config: String = OFFSETS[..copies].iter().map(place).collect();
        fs::write(disk.config(), config).unwrap();
        disk
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("fw_env.config")
    }

    /// Runs `coldplug slot` with `words`. Returns what it prints.
    fn slot(&self, words: &str) -> String {
        let place = |at: &usize| format!("{}@{at:#x}:{SIZE:#x}", self.image().display());
        let places: Vec<_> = OFFSETS[..self.copies].iter().map(place).collect();
        let mut command = Command::new(paths::program("coldplug"));
        command.arg("slot").args(words.split_whitespace());
        tool::run(command.args(["--slots=A,B", "--env", &places.join(",")]))
    }

    /// Returns the attempts of both slots in their order: `A=3 B=3`.
    fn status(&self) -> String {
        let text = self.slot("status");
        let rows = text.lines().skip(1).map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            format!("{}={}", words[0], words[2])
        });
        rows.collect::<Vec<_>>().join(" ")
    }

    fn fw(&self, program: &str) -> Command {
        let mut command = tool::command(program, "libubootenv-tool");
        command.arg("-c").arg(self.config());
        // The default environment, for a place that holds none.
        command.arg("-f").arg(Path::new("/dev/null"));
        command
    }

    fn print(&self) -> Vec<String> {
        let text = tool::run(&mut self.fw("fw_printenv"));
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }

    fn set(&self, name: &str, value: &str) {
        tool::run(self.fw("fw_setenv").args([name, value]));
    }
}

fn fw_printenv_reads_what_slot_init_writes() {
    for copies in [1, 2] {
        let disk = Disk::new(copies);
        disk.slot("init");
        assert_eq!(disk.print(), ["BOOT_A_LEFT=3", "BOOT_B_LEFT=3", "BOOT_ORDER=A B"]);
        disk.slot("bad A");
        assert_eq!(disk.print(), ["BOOT_A_LEFT=0", "BOOT_B_LEFT=3", "BOOT_ORDER=B"]);
        disk.slot("activate A");
        assert_eq!(disk.print(), ["BOOT_A_LEFT=3", "BOOT_B_LEFT=3", "BOOT_ORDER=A B"]);
    }
}

fn slot_status_reads_what_fw_setenv_writes() {
    for copies in [1, 2] {
        let disk = Disk::new(copies);
        disk.set("bootcmd", "run x; run y");
        assert_eq!(disk.status(), "A=3 B=3", "defaults");
        disk.set("BOOT_ORDER", "B A");
        disk.set("BOOT_B_LEFT", "a");
        assert_eq!(disk.status(), "B=10 A=3");
        disk.slot("good B");
        disk.set("BOOT_A_LEFT", "1");
        assert_eq!(disk.status(), "B=3 A=1");
        let want = ["BOOT_A_LEFT=1", "BOOT_B_LEFT=3", "BOOT_ORDER=B A", "bootcmd=run x; run y"];
        assert_eq!(disk.print(), want);
    }
}

/// The serial numbers wrap, and each program writes over the copy that the other one does not read.
fn both_choose_the_same_copy() {
    let disk = Disk::new(2);
    disk.slot("init");
    for round in 0..300 {
        let left = format!("{:x}", round % 16);
        if round % 3 == 0 {
            disk.set("BOOT_A_LEFT", &left);
        } else {
            // Two writes of our own.
            disk.slot("bad A");
            disk.slot("activate A");
        }
        let want = if round % 3 == 0 { round % 16 } else { 3 };
        assert_eq!(disk.status(), format!("A={want} B=3"), "{round}");
        assert!(disk.print().contains(&format!("BOOT_A_LEFT={want:x}")), "{round}");
    }
    // One damaged copy.
    for damaged in OFFSETS {
        let mut bytes = fs::read(disk.image()).unwrap();
        bytes[damaged + 100] ^= 1;
        fs::write(disk.image(), bytes).unwrap();
        let status = disk.status();
        let (_, left) = status.split_once("A=").unwrap();
        assert!(disk.print().contains(&format!("BOOT_A_LEFT={}", &left[..1])), "{status}");
        disk.slot("bad A");
        assert_eq!(disk.print(), ["BOOT_A_LEFT=0", "BOOT_B_LEFT=3", "BOOT_ORDER=B"]);
        disk.slot("activate A");
    }
}
