//! The contract with the harness of a virtual machine (docs/harness.md): exit statuses, the
//! console, and the examples of the document. Report ports and scripts have files of their own.

use harness::arch::Arch;
use harness::disk::{Disk, ROOT};
use harness::entry::Entry;
use harness::kernel::{Kernel, Tree};
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Need, QEMU, Test};
use harness::{disk, files, image, own_modules, paths, tests, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The runner of the example in Python.
const PYTEST: Need = Need::Command("pytest-3", "python3-pytest");

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    [QEMU, Need::Program("coldplug"), PYTEST] => the_example_in_python;
    BOOT =>
    the_example_in_shell,
    every_verdict_has_its_status,
    every_verdict_has_its_status_on_aarch64,
    a_boot_has_its_status_on_riscv64,
    a_kernel_that_panics_is_told_apart,
    a_kernel_that_panics_is_told_apart_on_aarch64,
    a_kernel_that_panics_is_told_apart_on_riscv64,
    without_an_exit_port_the_machine_is_powered_off,
    without_semihosting_the_machine_is_powered_off,
    the_console_shows_milestones_errors_or_everything,
];

/// An install line of the random number generator, and the script that it runs.
const INSTALL: &str = "install virtio_rng /bin/sh /script\n";
/// Executes coldplug as it does itself after a panic.
const PANIC: &str = "#!/bin/sh\nexec -a coldplug /init init --crashed=0,0,0,0,0\n";

/// A boot, and how it ends.
struct Case {
    /// More words of the kernel command line.
    words: &'static str,
    /// Files of the image.
    files: &'static [(&'static str, &'static str)],
    disk: Root,
    verdict: &'static str,
    status: i32,
}

/// The disk of the root.
#[derive(Clone, Copy)]
pub(crate) enum Root {
    /// A root with a shell.
    Shell,
    /// A root without programs.
    Bare,
    /// No filesystem.
    Zeros,
    /// The environment of slots without attempts.
    Slots,
}

const CASE: Case =
    Case { words: "root=/dev/vda", files: &[], disk: Root::Shell, verdict: "ok", status: 0 };

/// One boot for each verdict, and for each kind of exit status.
const CASES: [Case; 16] = [
    Case { words: "root=/dev/vda coldplug.exec=true", status: 33, ..CASE },
    Case { words: "root=/dev/vda \"coldplug.exec=exit 7\"", status: 47, ..CASE },
    Case { words: "root=/dev/vda \"coldplug.exec=exit 100\"", status: 233, ..CASE },
    Case { words: "root=/dev/vda coldplug.exec=/etc", status: 235, ..CASE },
    Case { words: "root=/dev/vda coldplug.exec=/none", status: 237, ..CASE },
    Case { words: "root=/dev/vda \"coldplug.exec=kill -9 $$\"", status: 239, ..CASE },
    Case { files: &[("sys", "")], verdict: "no-mounts", status: 3, ..CASE },
    Case {
        words: "coldplug.slots=A:LABEL=a;B:LABEL=b coldplug.slots_env=/dev/vda@0:0x2000",
        disk: Root::Slots,
        verdict: "no-slot",
        status: 5,
        ..CASE
    },
    Case { words: "root=LABEL=none coldplug.timeout=2", verdict: "no-root", status: 7, ..CASE },
    Case { disk: Root::Zeros, verdict: "mount-failed", status: 9, ..CASE },
    Case { disk: Root::Bare, verdict: "no-init", status: 11, ..CASE },
    Case {
        words: "root=/dev/vda coldplug.jobs=1",
        files: &[("etc/modprobe.d/x.conf", INSTALL), ("script", "umount -l /proc\n")],
        verdict: "switch-failed",
        status: 13,
        ..CASE
    },
    Case { words: "root=/dev/vda coldplug.exec=@none", verdict: "exec-failed", status: 15, ..CASE },
    Case {
        words: "root=/dev/vda \"coldplug.exec=kill -INT 1; sleep 99\"",
        verdict: "interrupted",
        status: 17,
        ..CASE
    },
    Case {
        words: "root=/dev/vda rdinit=/wrapper",
        files: &[("wrapper", PANIC)],
        verdict: "panic",
        status: 19,
        ..CASE
    },
    Case {
        words: "root=/dev/vda \"coldplug.exec=kill -SEGV 1; sleep 99\"",
        verdict: "crash",
        status: 21,
        ..CASE
    },
];

/// What a harness adds to a machine for its exit status.
#[derive(Clone, Copy)]
pub(crate) struct Harness {
    tree: fn() -> Tree,
    /// What the image holds.
    options: &'static [&'static str],
    arch: Arch,
    words: &'static str,
    args: &'static [&'static str],
}

pub(crate) const PC: Harness = Harness {
    tree: || Kernel::Cloud61.get(),
    options: &["--all"],
    arch: Arch::X86_64,
    words: "coldplug.exitport=0xf4",
    args: &["-device", "isa-debug-exit,iobase=0xf4,iosize=1"],
};
/// A small image, for tests that need no other modules.
pub(crate) const SMALL: Harness = Harness { options: &["--modules", "@virtio,ext4"], ..PC };
pub(crate) const ARM64: Harness = Harness {
    tree: || Kernel::CloudArm64.get(),
    options: &["--all"],
    arch: Arch::Aarch64,
    words: "coldplug.exitport=semihosting",
    args: &["-semihosting-config", "enable=on,userspace=on,target=native"],
};
const RISCV64: Harness = Harness {
    tree: || Kernel::Riscv612.get(),
    options: SMALL.options,
    arch: Arch::Riscv64,
    ..ARM64
};

impl Harness {
    /// Returns the machine with an image that holds a shell and `entries`, whose waits take no time
    /// on the host. There is no policy for failures, and no way for the kernel to restart.
    pub(crate) fn machine(&self, entries: &[(&str, &str)], disk: Root, words: &str) -> Machine {
        self.on_the_clock_of_the_host(entries, disk, words).guest_clock()
    }

    /// Returns the same machine for a test that acts while the machine waits.
    pub(crate) fn on_the_clock_of_the_host(
        &self,
        entries: &[(&str, &str)],
        disk: Root,
        words: &str,
    ) -> Machine {
        let tree = (self.tree)();
        let image = image::coldplug(&tree, self.options);
        let vm = Machine::new(&tree, &image).deadline(Duration::from_secs(300));
        let busybox = files::busybox_for(self.arch);
        let mut added = vec![("bin/sh".to_owned(), Entry::File(busybox))];
        let text = |text: &str| Entry::File(text.as_bytes().to_vec());
        added.extend(entries.iter().map(|(name, content)| ((*name).to_owned(), text(content))));
        let image = image::with_entries(&image, &added, &vm.dir().join("image"));
        let file = self.disk(disk, &vm.dir().join("root"));
        vm.replace_words("coldplug.onfail=poweroff", "")
            .image(&image)
            .cmdline(self.words)
            .cmdline(words)
            .args(self.args.iter().copied())
            .device("virtio-rng-pci")
            .disk(Bus::VirtioBlk, &file)
    }

    pub(crate) fn disk(&self, disk: Root, file: &Path) -> PathBuf {
        let dir = tempfile::tempdir().unwrap();
        match disk {
            Root::Zeros => return disk::empty(8, file),
            Root::Slots => return slots_without_attempts(file),
            Root::Bare => {}
            Root::Shell => {
                files::put(dir.path(), "bin/sh", &files::busybox_for(self.arch), 0o755);
                files::put(dir.path(), "sbin/init", b"#!/bin/sh\n", 0o755);
            }
        }
        Disk { init: None, ..ROOT }.make_of(dir.path(), "16M", file)
    }

    /// Runs those of the cases that `is_wanted` selects.
    fn run_cases(&self, is_wanted: impl Fn(&Case) -> bool) {
        for case in CASES.iter().filter(|case| is_wanted(case)) {
            let boot = self.machine(case.files, case.disk, case.words).run();
            boot.expect(case.verdict);
            let complaint = format!("{}: status {:?}", case.words, boot.status);
            boot.check(boot.status == Some(case.status), &complaint);
            let (_, after) = boot.console.rsplit_once("coldplug: verdict=").unwrap();
            boot.check(!after.contains("coldplug: "), "something of ours follows the verdict");
        }
    }

    /// Boots a kernel that panics after the switch, and before /init, on a machine with `args`. QEMU
    /// must end with `statuses`, none of which a verdict has.
    fn run_panics(&self, args: &[&str], statuses: [i32; 2]) {
        let command = "root=/dev/vda \"coldplug.exec=echo c > /proc/sysrq-trigger\"";
        let early = "root=/dev/vda rdinit=/none init=/none";
        for (words, status) in [command, early].into_iter().zip(statuses) {
            let vm = self.machine(&[], Root::Shell, words).may_panic();
            let boot = vm.args(args.iter().copied()).run();
            let complaint = format!("{words}: status {:?}", boot.status);
            boot.check(boot.status == Some(status), &complaint);
            boot.check(boot.console.contains("Kernel panic"), "no panic");
        }
    }

    /// Runs a command on a machine without what `self` adds to it: QEMU ends with status 0, because
    /// the machine is powered off.
    fn run_without(self) {
        let bare = Self { args: &[], ..self };
        for words in ["", self.words] {
            let bare = Self { words, ..bare };
            let boot = bare.machine(&[], Root::Shell, "root=/dev/vda coldplug.exec=true").run();
            boot.expect("ok");
            boot.check(boot.console.contains("reboot: Power down"), "it was not powered off");
            assert_eq!(boot.status, Some(0));
        }
    }
}

/// Writes an environment of U-Boot in which no slot has an attempt left.
fn slots_without_attempts(file: &Path) -> PathBuf {
    disk::empty(8, file);
    let places = format!("{}@0:0x2000", file.display());
    for words in [&["init"][..], &["bad", "A"], &["bad", "B"]] {
        let mut command = Command::new(paths::program("coldplug"));
        tool::run(command.arg("slot").args(words).args(["--slots=A,B", "--env", &places]));
    }
    file.to_owned()
}

fn every_verdict_has_its_status() {
    PC.run_cases(|_| true);
}

fn every_verdict_has_its_status_on_aarch64() {
    ARM64.run_cases(|_| true);
}

/// One case for each way to the end: a command, a signal, a failed boot, a crash.
fn a_boot_has_its_status_on_riscv64() {
    RISCV64.run_cases(|case| [33, 239, 7, 21].contains(&case.status));
}

fn a_kernel_that_panics_is_told_apart() {
    PC.run_panics(&["-device", "pvpanic", "-action", "panic=exit-failure"], [1, 0]);
}

fn a_kernel_that_panics_is_told_apart_on_aarch64() {
    // Debian's kernels for ARM64 have no driver of pvpanic.
    let args = ["-device", "pvpanic-pci", "-action", "panic=exit-failure"];
    ARM64.run_panics(&args, [0, 0]);
    Harness { tree: own_modules::arm64_tree, ..ARM64 }.run_panics(&args, [1, 0]);
}

/// A restart, which every panic is, writes what the device tree says.
fn a_kernel_that_panics_is_told_apart_on_riscv64() {
    let dir = tempfile::tempdir().unwrap();
    let blob = dir.path().join("virt.dtb");
    let blob = blob.to_str().unwrap();
    let mut qemu = tool::command("qemu-system-riscv64", "qemu-system-misc");
    tool::run(qemu.args(["-machine", &format!("virt,dumpdtb={blob}"), "-m", "1024", "-nographic"]));
    for property in [["-tx", "value", "f03333"], ["-ti", "priority", "255"]] {
        let mut fdtput = tool::command("fdtput", "device-tree-compiler");
        let [kind, name, value] = property;
        tool::run(fdtput.args([kind, blob, "/reboot", name, value]));
    }
    RISCV64.run_panics(&["-dtb", blob], [240, 240]);
}

fn without_semihosting_the_machine_is_powered_off() {
    ARM64.run_without();
    RISCV64.run_without();
}

fn without_an_exit_port_the_machine_is_powered_off() {
    let locked = "root=/dev/vda coldplug.exec=true lockdown=integrity";
    let boot = PC.machine(&[], Root::Shell, locked).run();
    boot.expect("ok");
    let text = "coldplug.exitport: ioperm 244: Operation not permitted";
    boot.check(boot.console.contains(text), text);
    assert_eq!(boot.status, Some(0));
    // A port without a device.
    let words = "root=LABEL=none coldplug.timeout=2 coldplug.exitport=0xf5";
    let boot = PC.machine(&[], Root::Shell, words).run();
    boot.expect("no-root");
    assert_eq!(boot.status, Some(0));
    let words = "root=LABEL=none coldplug.timeout=2 coldplug.exitport=semihosting";
    let boot = PC.machine(&[], Root::Shell, words).run();
    boot.check(
        boot.console.contains("coldplug.exitport: use it: not on this architecture"),
        "no reason",
    );
    assert_eq!(boot.status, Some(0));
}

/// A milestone is one line, with its time; without a word, with `quiet`, and with `debug`.
fn the_console_shows_milestones_errors_or_everything() {
    for (word, milestones, details) in [("", 1, false), ("quiet", 0, false), ("debug", 1, true)] {
        let words = format!("root=/dev/vda \"coldplug.exec=exit 7\" {word}");
        let boot = PC.machine(&[], Root::Shell, &words).run();
        boot.expect("ok");
        for text in [
            "coldplug: version ",
            "coldplug: scan: ",
            "coldplug: root-found: /dev/vda, 16 MiB (",
            "coldplug: root-mounted: /dev/vda, ext4 (",
            "coldplug: loaded: ",
            "coldplug: switch: ",
            "coldplug: exec-start: ",
            "coldplug: exec-end: status 7 (",
        ] {
            let lines: Vec<_> = boot.console.lines().filter(|line| line.contains(text)).collect();
            let have_times = lines.iter().all(|line| line.ends_with(" s)"));
            let complaint = format!("{word}: {text} {lines:?}");
            boot.check(lines.len() == milestones && have_times, &complaint);
        }
        let has_details = boot.console.contains("coldplug: module virtio_blk ");
        boot.check(has_details == details, &format!("{word}: details: {has_details}"));
        if word == "quiet" {
            assert_eq!(boot.console.matches("coldplug: ").count(), 1, "{}", boot.tail());
        }
    }
}

/// Returns the command `name` of the examples, with its files in `dir`.
fn example(name: &str, dir: &Path) -> (Command, [PathBuf; 3]) {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let root = PC.disk(Root::Shell, &dir.join("root"));
    let mut command = Command::new(name);
    command.env("ACCEL", "tcg");
    (command, [tree.vmlinuz(), image, root])
}

/// Returns the path of a file of the examples.
fn example_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/harness").join(name)
}

fn the_example_in_shell() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    for (text, words, status, shows) in [
        ("echo out of the guest; exit 7", "", 7, "out of the guest"),
        ("exit 200", "", 248, "ended with exit status 200"),
        ("exit 127", "", 127, "not found"),
        ("kill -KILL $$", "", 249, "a signal has ended the script"),
        ("true", "root=LABEL=none coldplug.timeout=10", 250, "verdict=no-root"),
        ("echo c > /proc/sysrq-trigger", "", 251, "the kernel has panicked"),
    ] {
        fs::write(&script, text).unwrap();
        let (mut command, files) = example(example_file("boot.sh").to_str().unwrap(), dir.path());
        let output = command.args(files).arg(&script).env("WORDS", words).output().unwrap();
        let shown = [output.stdout, output.stderr].concat();
        let shown = String::from_utf8_lossy(&shown);
        assert_eq!(output.status.code(), Some(status), "{text}: {shown}");
        assert!(shown.contains(shows), "{text}: {shown}");
    }
}

fn the_example_in_python() {
    let dir = tempfile::tempdir().unwrap();
    let (mut command, files) = example("pytest-3", dir.path());
    for (name, file) in ["COLDPLUG_KERNEL", "COLDPLUG_INITRD", "COLDPLUG_ROOT"].iter().zip(files) {
        command.env(name, file);
    }
    let options = ["-q", "-p", "no:cacheprovider", "--basetemp"];
    command.args(options).arg(dir.path().join("scratch")).arg(example_file("test_guest.py"));
    let text = tool::run(command.env("PYTHONDONTWRITEBYTECODE", "1"));
    assert!(text.contains("4 passed"), "{text}");
}
