//! The contract with the harness of a virtual machine (docs/harness.md): exit statuses, milestones,
//! scripts, and the examples of the document.

use harness::arch::Arch;
use harness::disk::{Disk, ROOT};
use harness::entry::Entry;
use harness::kernel::{Kernel, Tree};
use harness::machine::{Boot, Bus, Machine};
use harness::qmp::Qmp;
use harness::run::{BOOT, Need, QEMU, Test};
use harness::{disk, files, image, own_modules, paths, tests, tool};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::pipe::fcntl_setpipe_size;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

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
    milestones_reach_a_port_by_its_name,
    a_port_whose_reader_is_late_gets_all_milestones,
    a_port_that_appears_during_the_wait_gets_milestones_at_once,
    a_port_that_appears_after_the_switch_gets_all_milestones,
    a_port_that_never_appears_is_a_warning,
    a_reader_that_stops_does_not_stop_the_boot,
    a_reader_that_goes_away_does_not_stop_the_boot,
    a_writer_of_milestones_that_dies_is_replaced,
    a_console_that_is_stopped_within_the_record_does_not_stop_the_boot,
    scripts_come_from_every_place,
    scripts_of_five_mebibytes_are_fast,
    a_script_that_is_larger_than_the_memory_is_refused,
    a_script_that_is_nowhere_is_reported,
    ctrl_alt_del_ends_the_wait_for_a_script,
];

/// Tests that take five minutes or more.
pub(crate) const EXTRA: &[Test] = tests![BOOT => a_script_of_five_mebibytes_in_fw_cfg];

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
enum Root {
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
struct Harness {
    tree: fn() -> Tree,
    /// What the image holds.
    options: &'static [&'static str],
    arch: Arch,
    words: &'static str,
    args: &'static [&'static str],
}

const PC: Harness = Harness {
    tree: || Kernel::Cloud61.get(),
    options: &["--all"],
    arch: Arch::X86_64,
    words: "coldplug.exitport=0xf4",
    args: &["-device", "isa-debug-exit,iobase=0xf4,iosize=1"],
};
/// A small image, for tests that need no other modules.
const SMALL: Harness = Harness { options: &["--modules", "@virtio,ext4"], ..PC };
const ARM64: Harness = Harness {
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
    fn machine(&self, entries: &[(&str, &str)], disk: Root, words: &str) -> Machine {
        self.on_the_clock_of_the_host(entries, disk, words).guest_clock()
    }

    /// Returns the same machine for a test that acts while the machine waits.
    fn on_the_clock_of_the_host(
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

    fn disk(&self, disk: Root, file: &Path) -> PathBuf {
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
    for property in [["-tx", "value", "173333"], ["-ti", "priority", "255"]] {
        let mut fdtput = tool::command("fdtput", "device-tree-compiler");
        let [kind, name, value] = property;
        tool::run(fdtput.args([kind, blob, "/reboot", name, value]));
    }
    RISCV64.run_panics(&["-dtb", blob], [23, 23]);
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

/// Returns the machine with a virtio port called `name`, whose other end is `chardev`.
fn with_port(vm: Machine, name: &str, chardev: &str) -> Machine {
    vm.device("virtio-serial-pci")
        .args(["-chardev", &format!("{chardev},id=port")])
        .device(&format!("virtserialport,chardev=port,name={name}"))
}

/// Returns the objects of a report, one a line.
fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Returns the names of the milestones among `objects`.
fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().filter_map(|object| object["milestone"].as_str()).collect()
}

/// The milestones of a boot that runs a command.
const ALL: [&str; 8] =
    ["init", "scan", "root-found", "root-mounted", "loaded", "switch", "exec-start", "exec-end"];

fn milestones_reach_a_port_by_its_name() {
    let words = "root=/dev/vda \"coldplug.exec=exit 7\" coldplug.report=/dev/virtio-ports/report";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("port");
    let chardev = format!("file,path={}", file.display());
    let boot = with_port(PC.machine(&[], Root::Shell, words), "report", &chardev).run();
    let text = fs::read_to_string(file).unwrap();
    let objects = objects(&text);
    assert_eq!(names(&objects), ALL, "{text}{}", boot.tail());
    let found = &objects[2];
    assert_eq!((&found["device"], &found["size"]), (&json!("/dev/vda"), &json!(16 << 20)));
    assert_eq!(objects[3]["text"], "ext4");
    assert_eq!(objects[7]["exit"], 7);
    let times: Vec<_> = objects[..8].iter().map(|object| object["at_us"].as_u64()).collect();
    assert!(times.is_sorted() && times[0].is_some(), "{times:?}");
    assert_eq!((objects.len(), &objects[8]["verdict"]), (9, &json!("ok")));
    // The same on the console, in words.
    for words in ["coldplug: root-found: /dev/vda, 16 MiB (", "coldplug: exec-end: status 7 ("] {
        boot.check(boot.console.contains(words), words);
    }
    assert_eq!(boot.status, Some(47));
}

/// A serial port gets them too, and one that nobody reads at first gets all at the end.
fn a_port_whose_reader_is_late_gets_all_milestones() {
    let words = "root=LABEL=none coldplug.timeout=2";
    let boot = PC.machine(&[], Root::Shell, words).run();
    assert_eq!(names(&boot.milestones()), ["init", "scan", "loaded", "rescue"]);
    assert_eq!(boot.record()["verdict"], "no-root");
    let words = "root=/dev/vda coldplug.report=/dev/virtio-ports/late quiet \
                 \"coldplug.exec=echo now; sleep 4; true\"";
    let vm = PC.machine(&[], Root::Shell, words);
    let socket = vm.dir().join("late");
    let chardev = format!("socket,path={},server=on,wait=off", socket.display());
    let mut running = with_port(vm, "late", &chardev).start();
    running.wait_for("now");
    let mut reader = UnixStream::connect(&socket).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let boot = running.finish();
    assert_eq!(names(&objects(&text)), ALL, "{text}{}", boot.tail());
    boot.check(!boot.console.contains("coldplug: root-found"), "a milestone in spite of quiet");
}

/// A command that waits until the virtio port `go` is plugged in.
const UNTIL_GO: &str = "until grep -qs go /sys/class/virtio-ports/*/name; do sleep 0.1; done";

/// Plugs in a virtio port called `name`, whose other end is the chardev with this name.
fn plug_in(qmp: &mut Qmp, name: &str) {
    let port = json!({ "driver": "virtserialport", "chardev": name, "name": name });
    qmp.execute("device_add", port);
}

/// Adds virtio ports that [`plug_in`] plugs in: `late` with this chardev, and `go`.
fn with_late_ports(vm: Machine, late: &str) -> Machine {
    let late = format!("{late},id=late");
    vm.device("virtio-serial-pci").args(["-chardev", &late, "-chardev", "null,id=go"])
}

/// Returns the words of a boot whose report goes to the port `late`, and that runs `command`.
fn late_report(command: &str) -> String {
    format!("root=/dev/vda coldplug.report=/dev/virtio-ports/late \"coldplug.exec={command}\"")
}

/// Waits until `file` contains `text`.
fn wait_for_text(file: &Path, text: &str) {
    let start = Instant::now();
    while !fs::read_to_string(file).is_ok_and(|content| content.contains(text)) {
        assert!(start.elapsed() < Duration::from_secs(120), "no {text}: {}", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn a_port_that_appears_during_the_wait_gets_milestones_at_once() {
    let words = "root=/dev/vdb rootwait coldplug.exec=true coldplug.report=/dev/virtio-ports/late";
    let vm = PC.on_the_clock_of_the_host(&[], Root::Shell, words);
    let dir = tempfile::tempdir().unwrap();
    let (port, root) = (dir.path().join("port"), PC.disk(Root::Shell, &dir.path().join("root")));
    let vm = with_late_ports(vm, &format!("file,path={}", port.display()));
    let vm = vm.device("pcie-root-port,id=socket,chassis=1,slot=1").disk(Bus::Unplugged, &root);
    let mut running = vm.start();
    running.wait_for("coldplug: scan: ");
    let mut qmp = running.qmp();
    plug_in(&mut qmp, "late");
    wait_for_text(&port, "{\"milestone\":\"scan\"");
    let root = json!({ "driver": "virtio-blk-pci", "drive": "disk1", "bus": "socket" });
    qmp.execute("device_add", root);
    let boot = running.finish();
    let text = fs::read_to_string(port).unwrap();
    assert_eq!(names(&objects(&text)), ALL, "{text}{}", boot.tail());
    assert_eq!(boot.status, Some(33));
}

/// The child that has kept the milestones cannot open the port any more.
fn a_port_that_appears_after_the_switch_gets_all_milestones() {
    let command = format!("echo now; {}", UNTIL_GO.replace("go", "late"));
    let vm = PC.on_the_clock_of_the_host(&[], Root::Shell, &late_report(&command));
    let dir = tempfile::tempdir().unwrap();
    let port = dir.path().join("port");
    let mut running = with_late_ports(vm, &format!("file,path={}", port.display())).start();
    running.wait_for("now");
    plug_in(&mut running.qmp(), "late");
    let boot = running.finish();
    let text = fs::read_to_string(port).unwrap();
    let objects = objects(&text);
    assert_eq!(names(&objects), ALL, "{text}{}", boot.tail());
    assert_eq!((objects.len(), &objects[8]["verdict"]), (9, &json!("ok")));
    boot.check(!boot.console.contains("coldplug.report: "), "a warning");
    assert_eq!(boot.status, Some(33));
}

fn a_port_that_never_appears_is_a_warning() {
    let boot = PC.machine(&[], Root::Shell, &late_report("exit 7")).run();
    boot.expect("ok");
    let text = "coldplug.report: write /dev/virtio-ports/late: No such file or directory";
    boot.check(boot.console.contains(text), text);
    assert_eq!(boot.status, Some(47));
}

/// The port accepts a part of the record, and then nothing, while its other end stays open.
fn a_reader_that_stops_does_not_stop_the_boot() {
    let command = format!("{UNTIL_GO}; exit 7");
    let vm = PC.on_the_clock_of_the_host(&[], Root::Shell, &late_report(&command));
    let dir = tempfile::tempdir().unwrap();
    let [sent, received] = ["port.out", "port.in"].map(|name| dir.path().join(name));
    for path in [&sent, &received] {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }
    let mut reader = File::options().read(true).write(true).open(&sent).unwrap();
    let capacity = fcntl_setpipe_size(&reader, 4096).unwrap();
    let pipe = format!("pipe,path={}", dir.path().join("port").display());
    let mut running = with_late_ports(vm, &pipe).start();
    let mut qmp = running.qmp();
    plug_in(&mut qmp, "late");
    running.wait_for("coldplug: exec-start: ");
    plug_in(&mut qmp, "go");
    let boot = running.finish();
    boot.expect("ok");
    // The queue of the port has room for the record, so that nothing looks wrong to the guest.
    assert_eq!(boot.status, Some(47));
    let mut sent = vec![0; capacity];
    let count = reader.read(&mut sent).unwrap();
    let text = String::from_utf8_lossy(&sent[..count]);
    // The last line lacks its end.
    let whole = text.rsplit_once('\n').unwrap().0;
    assert_eq!(names(&objects(whole)), ALL, "{text}");
}

/// The other end of the port is closed after the milestones.
fn a_reader_that_goes_away_does_not_stop_the_boot() {
    let command = format!("{UNTIL_GO}; exit 7");
    let vm = PC.on_the_clock_of_the_host(&[], Root::Shell, &late_report(&command));
    let socket = vm.dir().join("port");
    let chardev = format!("socket,path={},server=on,wait=off", socket.display());
    let running = with_late_ports(vm, &chardev).start();
    let mut qmp = running.qmp();
    let mut reader = BufReader::new(UnixStream::connect(&socket).unwrap());
    plug_in(&mut qmp, "late");
    let mut text = String::new();
    while !text.contains("exec-start") {
        assert_ne!(reader.read_line(&mut text).unwrap(), 0, "{text}");
    }
    drop(reader);
    plug_in(&mut qmp, "go");
    let boot = running.finish();
    boot.expect("ok");
    boot.check(boot.console.contains("coldplug.report: write /dev/vport"), "no warning");
    boot.check(boot.console.contains(": Broken pipe"), "no reason");
    assert_eq!(boot.status, Some(47));
}

/// Kills the process that writes milestones.
const KILL_WRITER: &str = "for p in /proc/[0-9]*; do \
                           grep -qs report-write[r] $p/cmdline && kill -9 ${p#/proc/}; done; exit 7";

/// Nobody knows which lines the first one has written, so the second one writes all.
fn a_writer_of_milestones_that_dies_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("port");
    let chardev = format!("file,path={}", file.display());
    let report = "coldplug.report=/dev/virtio-ports/report";
    let words = format!("root=/dev/vda {report} \"coldplug.exec={KILL_WRITER}\"");
    let boot = with_port(PC.machine(&[], Root::Shell, &words), "report", &chardev).run();
    boot.expect("ok");
    assert_eq!(boot.status, Some(47));
    let text = fs::read_to_string(file).unwrap();
    let (first, again) = text.split_at(text.rfind("{\"milestone\":\"init\"").unwrap());
    assert_eq!(names(&objects(first)), ALL[..7], "{text}");
    let objects = objects(again);
    assert_eq!(names(&objects), ALL, "{text}{}", boot.tail());
    assert_eq!((objects.len(), &objects[8]["verdict"]), (9, &json!("ok")));
    boot.check(!boot.console.contains("coldplug.report: "), "a warning");
}

/// A terminal stops the output (XOFF) when the record has begun, and nobody lets it go on.
fn a_console_that_is_stopped_within_the_record_does_not_stop_the_boot() {
    let words = "root=/dev/vda \"coldplug.exec=exit 7\" coldplug.report=/dev/ttyS0";
    let mut running = PC.on_the_clock_of_the_host(&[], Root::Shell, words).start();
    running.wait_for("@cpR ");
    running.terminal().bytes(b"\x13");
    let started = Instant::now();
    let boot = running.finish();
    let took = started.elapsed();
    assert_eq!(boot.status, Some(47), "{}", boot.tail());
    boot.check(boot.verdicts().is_empty(), "the output was not stopped");
    // The report is given up after 30 s in the guest.
    boot.check(took < Duration::from_secs(90), &format!("{took:?}"));
}

/// A script without a first line, with an argument, and longer than a page.
fn script(word: &str) -> String {
    format!("{}[ \"$1\" = {word} ] && exit 5\nexit 6\n", ": a line of the script\n".repeat(1000))
}

/// Runs a machine whose script must get the right word.
#[track_caller]
fn run_script(vm: Machine) -> Boot {
    let boot = vm.run();
    boot.expect("ok");
    assert_eq!(boot.figure("exit"), "5", "{}", boot.tail());
    assert_eq!(boot.status, Some((16 + 5) * 2 + 1));
    boot
}

/// Returns the words that run the script `name` with an argument.
fn script_words(name: &str) -> String {
    format!("root=/dev/vda \"coldplug.exec=@{name} here\"")
}

/// Returns the machine with the script `name` in fw_cfg.
fn with_fw_cfg(vm: Machine, name: &str, text: &str) -> Machine {
    let file = vm.dir().join("script");
    fs::write(&file, text).unwrap();
    vm.args(["-fw_cfg", &format!("name=opt/{name},file={}", file.display())])
}

/// Connects to a socket that QEMU is about to make.
fn connect(socket: &Path) -> UnixStream {
    for _ in 0..6000 {
        match UnixStream::connect(socket) {
            Ok(stream) => return stream,
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    panic!("{} does not accept a connection", socket.display());
}

/// Runs a machine whose script `test` comes from a virtio port.
#[track_caller]
fn run_script_of_a_port(vm: Machine, text: String) -> Boot {
    let socket = vm.dir().join("script");
    let chardev = format!("socket,path={},server=on,wait=off", socket.display());
    let sender = std::thread::spawn(move || {
        let mut stream = connect(&socket);
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // Until QEMU ends.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let boot = run_script(with_port(vm, "test", &chardev));
    sender.join().unwrap();
    boot
}

fn scripts_come_from_every_place() {
    // The image has priority.
    let (right, wrong) = (script("here"), script("there"));
    let in_image = [("etc/coldplug/exec/a", &*right)];
    let in_image = PC.machine(&in_image, Root::Shell, &script_words("a"));
    run_script(with_fw_cfg(in_image, "a", &wrong));
    let words = script_words("org.example/test") + " coldplug.settle=root";
    let vm = PC.machine(&[], Root::Shell, &words);
    run_script(with_fw_cfg(vm, "org.example/test", &format!("#!/bin/sh -e\n{right}")));
    run_script_of_a_port(PC.machine(&[], Root::Shell, &script_words("test")), right.clone());
    let vm = ARM64.machine(&[], Root::Shell, &script_words("test"));
    run_script(with_fw_cfg(vm, "test", &right));
}

/// Returns a script of more than 5 MiB.
fn long_script() -> String {
    let text = "# a comment of the script\n".repeat((5 << 20) / 26) + &script("here");
    assert!(text.len() > 5 << 20);
    text
}

/// The kernel reads three billion bytes.
fn a_script_of_five_mebibytes_in_fw_cfg() {
    let vm = SMALL.machine(&[], Root::Shell, &script_words("test"));
    run_script(with_fw_cfg(vm.deadline(Duration::from_secs(3000)), "test", &long_script()));
}

fn scripts_of_five_mebibytes_are_fast() {
    let text = long_script();
    let machine =
        |entries: &[(&str, &str)]| SMALL.machine(entries, Root::Shell, &script_words("test"));
    let in_image = run_script(machine(&[("etc/coldplug/exec/test", &text)]));
    let of_a_port = run_script_of_a_port(machine(&[]).host_clock(), text);
    for boot in [in_image, of_a_port] {
        let record = boot.record();
        let mut waits = record["waits"].as_array().unwrap().iter();
        let wait = waits.find(|wait| wait["for"] == "script 'test'").unwrap();
        let took = wait["to_us"].as_u64().unwrap() - wait["from_us"].as_u64().unwrap();
        boot.check(took < 20_000_000, &format!("the script took {took} us"));
    }
}

fn a_script_that_is_larger_than_the_memory_is_refused() {
    let words = "root=/dev/vda coldplug.exec=@test";
    let vm = SMALL.machine(&[], Root::Shell, words).args(["-m", "256"]).host_clock();
    let socket = vm.dir().join("script");
    let chardev = format!("socket,path={},server=on,wait=off", socket.display());
    let running = with_port(vm, "test", &chardev).start();
    let mut stream = connect(&socket);
    stream.set_write_timeout(Some(Duration::from_secs(300))).unwrap();
    // Until the other end is closed.
    while stream.write_all(&[b'#'; 64 << 10]).is_ok() {}
    let boot = running.finish();
    boot.expect("exec-failed");
    let text = " MiB, half of the available memory";
    boot.check(boot.console.contains(text), text);
}

fn a_script_that_is_nowhere_is_reported() {
    let boot = PC.machine(&[], Root::Shell, "root=/dev/vda coldplug.exec=@none").run();
    boot.expect("exec-failed");
    let text = "coldplug: coldplug.exec: script 'none': not found in the image, in fw_cfg \
                or at a virtio port";
    boot.check(boot.console.contains(text), text);
}

/// The other end of the port sends a part of the script and leaves the rest open.
fn ctrl_alt_del_ends_the_wait_for_a_script() {
    let words = "root=/dev/vda coldplug.exec=@test";
    let vm = PC.on_the_clock_of_the_host(&[], Root::Shell, words).device("virtio-keyboard-pci");
    let socket = vm.dir().join("script");
    let chardev = format!("socket,path={},server=on,wait=off", socket.display());
    let running = with_port(vm, "test", &chardev).start();
    let mut qmp = running.qmp();
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"echo the script runs\n").unwrap();
    let reads = |qmp: &mut Qmp| {
        let all = qmp.execute("query-chardev", json!({}));
        let port = all.as_array().unwrap().iter().find(|one| one["label"] == "port").cloned();
        port.unwrap()["frontend-open"] == true
    };
    let start = Instant::now();
    while !reads(&mut qmp) {
        assert!(start.elapsed() < Duration::from_secs(120), "{}", running.console());
        std::thread::sleep(Duration::from_millis(20));
    }
    let keys = ["ctrl", "alt", "delete"].map(|key| json!({ "type": "qcode", "data": key }));
    qmp.execute("send-key", json!({ "keys": keys }));
    let pressed = Instant::now();
    let boot = running.finish();
    let took = pressed.elapsed();
    boot.expect("interrupted");
    assert_eq!(boot.status, Some(17), "{}", boot.tail());
    boot.check(boot.console.contains("Ctrl-Alt-Del was pressed"), "no cause");
    for text in ["the script runs", "coldplug.exec: "] {
        boot.check(!boot.console.contains(text), text);
    }
    boot.check(took < Duration::from_secs(25), &format!("{took:?}"));
    let record = boot.record();
    let waits = record["waits"].as_array().unwrap();
    assert!(waits.iter().any(|wait| wait["for"] == "script 'test'"), "{record:#}");
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
