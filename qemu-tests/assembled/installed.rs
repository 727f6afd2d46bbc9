//! Debian 12 as its installer lays it out: LUKS and LVM, on a disk and on a mirror of two.
//!
//! The recipes of data/made/installed make the disks; the service in them reports, and with the word
//! `grow` on the kernel command line extends the root.

use harness::debian;
use harness::kernel::Tree;
use harness::machine::{Boot, Bus, Machine};
use harness::made_disk::{Made, PASSPHRASE, made};
use harness::run::{BOOT, Test};
use harness::{files, image, note, tests, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    an_installation_on_lvm_in_luks,
    an_installation_on_a_mirror,
];

/// Start of the question for a passphrase.
const QUESTION: &str = "assphrase for ";

/// Time that systemd needs on an emulated processor.
const DEADLINE: Duration = Duration::from_secs(1800);
/// Guest time that counts instructions: systemd waits 90 seconds for a device, which would pass on a
/// busy machine.
const GUEST_TIME: [&str; 2] = ["-icount", "shift=0,sleep=off"];

/// An installation, and the image that coldplug builds from it.
struct Installation {
    scratch: tempfile::TempDir,
    tree: Tree,
    image: PathBuf,
    disks: Vec<PathBuf>,
}

impl Installation {
    /// Copies the disks of the recipe `name`.
    fn new(name: &str) -> Self {
        let (made, tree) = (made(name), debian::system());
        let scratch = tempfile::tempdir().unwrap();
        let root = configured(&tree, &made, &scratch.path().join("root"));
        let image = image::coldplug(&root, &[]);
        let disks = made.copy(scratch.path());
        Self { scratch, tree, image, disks }
    }

    /// Boots from `disks`; the passphrase is typed.
    fn boot(&self, disks: &[PathBuf], words: &str) -> Boot {
        let vm = Machine::new(&self.tree, &self.image)
            .args(["-cpu", "max"])
            .args(GUEST_TIME)
            .cmdline("root=/dev/mapper/debian--vg-root ro systemd.log_color=no")
            .cmdline(words)
            .deadline(DEADLINE);
        let vm = disks.iter().fold(vm, |vm, disk| vm.disk(Bus::VirtioBlk, disk));
        let boot = vm.run_with_answers(QUESTION, &[PASSPHRASE]);
        note!("{:?} {:?}", boot.wall, reported(&boot, "time"));
        boot.check(boot.facts_text.trim_end().ends_with("end"), "a whole report");
        boot
    }
}

/// Returns a tree with the kernel of `system` and the files of the installation that the builder of
/// the image reads.
fn configured(system: &Tree, made: &Made, dir: &Path) -> Tree {
    for (from, to) in [
        ("crypttab", "etc/crypttab"),
        ("fstab", "etc/fstab"),
        ("mdadm.conf", "etc/mdadm/mdadm.conf"),
    ] {
        if let Ok(bytes) = fs::read(made.output(from)) {
            files::put(dir, to, &bytes, 0o600);
        }
    }
    let modules = dir.join("lib/modules");
    fs::create_dir_all(&modules).unwrap();
    tool::run(tool::command("cp", "coreutils").arg("-a").args([&system.modules(), &modules]));
    Tree { root: dir.to_owned(), ..system.clone() }
}

/// Returns the rest of the lines of the report that start with `word`.
fn reported<'b>(boot: &'b Boot, word: &str) -> Vec<&'b str> {
    let rest = |line: &'b str| line.strip_prefix(word)?.strip_prefix(' ');
    boot.facts_text.lines().filter_map(rest).map(str::trim_end).collect()
}

/// Checks what every boot of an installation reports.
#[track_caller]
fn is_whole(boot: &Boot, crypt: &str) {
    let report = |word| reported(boot, word);
    assert_eq!(report("failed"), [""], "{}", boot.facts_text);
    assert_eq!(report("state"), ["running"], "{}", boot.facts_text);
    let status = report("crypt").join("\n");
    assert!(status.contains(&format!("/dev/mapper/{crypt} is active and is in use")), "{status}");
    assert!(status.contains("type:    LUKS2") && status.contains("keyring"), "{status}");
    assert!(report("root").concat().starts_with("/dev/mapper/debian--vg-root ext4"));
    assert_eq!(report("home"), ["/dev/mapper/debian--vg-home"]);
    assert_eq!(report("swap").len(), 1, "{}", boot.facts_text);
    let volumes = report("lvs");
    assert!(volumes.len() == 3 && volumes.iter().all(|line| line.contains("active")));
    assert_eq!(report("active"), ["3 logical volume(s) in volume group \"debian-vg\" now active"]);
    assert_eq!(report("clean"), [""], "filesystems and arrays were left clean");
}

/// Returns the size of the root filesystem in KiB.
fn root_size(boot: &Boot) -> u64 {
    let size = reported(boot, "size").last().and_then(|size| size.trim().parse().ok());
    size.unwrap_or_else(|| panic!("no size: {}", boot.facts_text))
}

/// Boots twice; the first boot extends the root.
#[track_caller]
fn grows(system: &Installation, crypt: &str) {
    let first = system.boot(&system.disks, "grow");
    is_whole(&first, crypt);
    assert_eq!(reported(&first, "extend-exit"), ["0"], "{}", first.facts_text);
    let second = system.boot(&system.disks, "");
    is_whole(&second, crypt);
    assert_eq!(root_size(&second), root_size(&first), "the size after lvextend stays");
    let sizes = reported(&second, "lvs").join("\n");
    assert!(sizes.contains("464.00"), "{sizes}");
}

fn an_installation_on_lvm_in_luks() {
    grows(&Installation::new("installed-luks"), "vda5_crypt");
}

fn an_installation_on_a_mirror() {
    let system = Installation::new("installed-on-raid");
    grows(&system, "md1_crypt");
    let boot = system.boot(&system.disks[..1], "rd.timeout=10");
    is_whole(&boot, "md1_crypt");
    let arrays = reported(&boot, "mdstat").join("\n");
    assert!(arrays.contains("[2/1] [U_]"), "{arrays}");
    drop(system.scratch);
}
