//! The rescue prompt: its commands, several consoles, the password, and who may not have it.

use harness::disk::{DECOY, KEPT, LABEL, ROOT};
use harness::kernel::Kernel;
use harness::machine::{Boot, Bus, Machine, Running, Terminal};
use harness::run::{BOOT, Test};
use harness::{files, image, paths, tests, tool};
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    every_command_of_the_prompt_answers,
    what_a_person_types_by_mistake_is_harmless,
    a_retry_with_another_root_boots,
    a_root_that_was_mounted_by_hand_boots,
    a_prompt_in_the_middle_of_a_boot,
    a_boot_that_ends_at_a_breakpoint_has_a_verdict,
    a_shell_of_the_image_is_preferred,
    a_shell_that_does_not_work_is_not_used,
    every_console_has_a_prompt_and_its_keyboard,
    two_serial_consoles_have_the_verdict_and_a_prompt,
    an_led_shows_the_verdict,
    a_capture_and_a_record_come_over_the_serial_line,
    a_shell_may_be_refused,
    a_password_guards_the_shell,
];

/// What the prompt shows.
const PROMPT: &str = "coldplug> ";
/// A root that no machine has.
const NO_ROOT: &str = "root=LABEL=none coldplug.timeout=5 coldplug.onfail=shell";
/// The hash of `geheim`.
const HASH: &str = "$6$rounds=1000$coldplug$JQlkvh9ozbJvUJw2Pme6LZFJw9ukH7AO/BV6yvLdQlAq7XG8nWJknT\
                    HhrJtlNyJFIopa9mPU9S8UovHyPDUeZ0\n";

/// A person at the console of a running machine.
struct Person {
    machine: Running,
    terminal: Terminal,
    /// Number of bytes on the console that the person has read.
    read: usize,
}

impl Person {
    fn at(mut machine: Running) -> Self {
        machine.wait_for("Linux version");
        Self { terminal: machine.terminal(), machine, read: 0 }
    }

    /// Waits until the console shows `text` after what was read before.
    fn reads(&mut self, text: &str) {
        self.read = self.machine.wait_for_after(self.read, text);
    }

    /// Types `line` and waits for `answer` on another line.
    fn types(&mut self, line: &str, answer: &str) {
        self.terminal.line(line);
        self.reads("\n");
        self.reads(answer);
    }

    /// Types `line` at the prompt, and waits for `answer` and the next prompt.
    fn asks(&mut self, line: &str, answer: &str) {
        self.types(line, answer);
        self.reads(PROMPT);
    }

    /// Types the last line; the machine ends.
    fn leaves(mut self, line: &str) -> Boot {
        self.terminal.line(line);
        self.machine.finish()
    }
}

/// Starts a machine with the disks ROOT and DECOY, and waits for the prompt.
fn prompt(words: &str) -> Person {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline(words);
    let machine = vm.attach(Bus::VirtioBlk, ROOT).attach(Bus::VirtioBlk, DECOY).start();
    let mut person = Person::at(machine);
    person.reads(PROMPT);
    person
}

/// Returns the device that the init of `boot` found as its root.
fn root_device(boot: &Boot) -> String {
    boot.facts().mount("/").expect("a root").source.to_owned()
}

fn every_command_of_the_prompt_answers() {
    let mut person = prompt(NO_ROOT);
    let console = person.machine.console();
    let verdict = console.find("coldplug: verdict=no-root").expect("a verdict");
    assert!(verdict < console.find(PROMPT).unwrap(), "the verdict comes before the prompt");
    for (line, answer) in [
        ("help", "\n  poweroff"),
        ("devices", "vda ext4 UUID="),
        ("lsmod", "\nvirtio_blk "),
        ("modprobe -v loop", "insmod /lib/modules/"),
        ("scan", "virtio:d00000002v00001AF4"),
        ("plan", "hint: 'scan' shows devices"),
        ("cat /proc/version /proc/self/mounts", "\ndevtmpfs /dev "),
        ("cat /dev/zero", "/dev/zero: "),
        ("cat /nowhere", "/nowhere: No such file or directory"),
        ("record", "\nroot: LABEL=none not found; waited "),
        ("dmesg", "Linux version "),
        ("mount LABEL=nowhere", "LABEL=nowhere not found"),
        ("mount vda /mnt -o noatime", "/dev/vda is mounted at /mnt (ext4)"),
        ("cat /mnt/etc/keep", KEPT.trim_end()),
        ("frobnicate", "unknown command 'frobnicate'"),
    ] {
        person.asks(line, answer);
    }
    person.leaves("poweroff").expect("no-root");
}

fn what_a_person_types_by_mistake_is_harmless() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline(NO_ROOT).attach(Bus::VirtioBlk, ROOT);
    let file = vm.dir().join("slow");
    fs::write(&file, vec![0; 1 << 20]).unwrap();
    let slow = "if=none,id=slow,format=raw,throttling.bps-total=100,file=";
    let vm = vm.args(["-drive", &format!("{slow}{}", file.display())]);
    let mut person = Person::at(vm.device("pcie-root-port,id=socket,chassis=1,slot=1").start());
    person.reads(PROMPT);
    person.terminal.bytes(b"\x03\x1a\x04\x04\x1c\n");
    person.reads("line ignored: it holds a control character");
    person.terminal.bytes(b"half a line\x03cat \xff\xfe\n");
    person.reads("No such file or directory");
    person.terminal.bytes(b"\x1b[A\n");
    person.reads("line ignored: it holds a control character");
    person.terminal.bytes(&b"x".repeat(10_000));
    person.terminal.bytes(b"\nrecord 'open\n");
    person.reads("unterminated quote or backslash");
    person.reads(PROMPT);
    // A disk that does not answer: 100 bytes per second.
    let disk = json!({ "driver": "virtio-blk-pci", "drive": "slow", "bus": "socket" });
    person.machine.qmp().execute("device_add", disk);
    person.reads("[vdb] ");
    person.terminal.line("devices");
    person.reads("devices");
    std::thread::sleep(Duration::from_secs(1));
    person.terminal.bytes(b"typed ahead\n\x03");
    person.asks("lsmod", "\nvirtio_blk ");
    let boot = person.leaves("poweroff");
    boot.expect("no-root");
    boot.check(!boot.console.contains("unknown command 'typed'"), "Ctrl-C kept what was typed");
}

fn a_retry_with_another_root_boots() {
    let mut person = prompt(&format!("{NO_ROOT} rootfstype=xfs"));
    person.asks(&format!("mount LABEL={LABEL}"), "is mounted at /sysroot (ext4)");
    // Another attempt may fail too.
    let line = "retry root='LABEL=my other' panic=9";
    person.types(line, "coldplug: retrying after the failed boot");
    person.reads("retry: panic= has no effect");
    person.reads("LABEL=my other not found");
    person.reads("coldplug: verdict=no-root");
    person.reads(PROMPT);
    person.types("cat /proc/mounts", "tmpfs /run ");
    person.reads(PROMPT);
    // Of the attempts that have failed nothing is left after a moment, not even a thread.
    std::thread::sleep(Duration::from_secs(2));
    person.asks("cat /proc/1/status", "\nThreads:\t1");
    let boot =
        person.leaves(&format!("retry root=LABEL={LABEL} rootfstype=ext4 coldplug.timeout=60"));
    boot.expect("ok");
    let mounts = boot.console.rsplit_once("cat /proc/mounts").map(|(_, text)| text);
    let mounts = mounts.and_then(|text| text.split_once(PROMPT)).map(|(mounts, _)| mounts);
    boot.check(!mounts.unwrap_or("/sysroot").contains("/sysroot"), "the mount by hand is left");
    assert_eq!(root_device(&boot), "/dev/vda");
    assert_eq!(boot.record()["root"]["spec"], format!("LABEL={LABEL}"));
    assert_eq!(boot.console.matches("coldplug: verdict=").count(), 3);
}

fn a_root_that_was_mounted_by_hand_boots() {
    let mut person = prompt(NO_ROOT);
    // Nothing is mounted yet.
    person.types("continue", "coldplug: continuing after the failed boot");
    person.reads("coldplug: verdict=");
    person.reads(PROMPT);
    person.asks(&format!("mount LABEL={LABEL} -o rw"), "is mounted at /sysroot (ext4)");
    let boot = person.leaves("continue");
    boot.expect("ok");
    assert_eq!(root_device(&boot), "/dev/vda");
}

fn a_prompt_in_the_middle_of_a_boot() {
    for (place, command) in [("scan", "exit"), ("mount", "continue"), ("switch", "exit")] {
        let mut person = prompt(&format!("root=/dev/vda coldplug.break={place}"));
        person.types("retry", "this boot has not failed");
        person.reads(PROMPT);
        let mounted = if place == "switch" { "/dev/vda /sysroot ext4" } else { "devtmpfs /dev " };
        person.asks("cat /proc/mounts", mounted);
        person.leaves(command).expect("ok");
    }
}

fn a_boot_that_ends_at_a_breakpoint_has_a_verdict() {
    for (place, command, cause) in [
        ("scan", "reboot", "reboot requested at coldplug.break="),
        ("mount", "poweroff", "poweroff requested at coldplug.break="),
        ("switch", "", "Ctrl-Alt-Del was pressed"),
    ] {
        let (tree, image) = image::all_of(Kernel::Cloud61);
        let words = format!("root=/dev/vda coldplug.break={place}");
        let vm = Machine::new(&tree, &image).cmdline(&words).device("virtio-keyboard-pci");
        let mut person = Person::at(vm.attach(Bus::VirtioBlk, ROOT).start());
        person.reads(PROMPT);
        let boot = if command.is_empty() {
            let keys = ["ctrl", "alt", "delete"].map(|key| json!({ "type": "qcode", "data": key }));
            person.machine.qmp().execute("send-key", json!({ "keys": keys }));
            person.machine.finish()
        } else {
            person.leaves(command)
        };
        boot.expect("interrupted");
        boot.check(boot.console.contains(cause), "the cause is not reported");
        assert_eq!(boot.record()["verdict"], "interrupted");
    }
}

fn a_shell_of_the_image_is_preferred() {
    let tree = Kernel::Cloud61.get();
    let busybox = format!("--shell={}", tool::find("busybox", "busybox-static").display());
    let image = image::coldplug(&tree, &["--all", &busybox]);
    let vm = Machine::new(&tree, &image).cmdline(NO_ROOT);
    let mut person = Person::at(vm.attach(Bus::VirtioBlk, ROOT).start());
    person.reads("'coldplug rescue help' lists the commands");
    for (line, answer) in [
        ("echo alive-$((40+2)); ls -d /lib/modules/*/modules.dep", "alive-42"),
        ("grep -c sysfs /proc/mounts; echo $((4+2))-found", "6-found"),
        ("coldplug rescue devices", "vda ext4 UUID="),
    ] {
        person.types(line, answer);
    }
    person.terminal.line("echo sleeps-$((40+2)); sleep 1000");
    person.reads("sleeps-42");
    person.terminal.bytes(b"\x03");
    person.types("echo after-$((40+2))", "after-42");
    let boot = person.leaves(&format!("coldplug rescue retry root=LABEL={LABEL}"));
    boot.expect("ok");
}

fn a_shell_that_does_not_work_is_not_used() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline(NO_ROOT);
    let bad = [("bin/sh", &b"#!/bin/nowhere\n"[..]), ("bin/busybox", b"\x7fELF")];
    let image = image::overlay(&image, &bad, &vm.dir().join("image"));
    let mut person = Person::at(vm.image(&image).start());
    person.reads(PROMPT);
    let boot = person.leaves("exit");
    boot.expect("no-root");
    boot.check(boot.console.contains("coldplug: shell exited; rebooting"), "no reboot");
}

fn every_console_has_a_prompt_and_its_keyboard() {
    let (tree, image) = image::all_of(Kernel::Full61);
    for devices in [&[][..], &["qemu-xhci,id=usb", "usb-kbd,bus=usb.0"]] {
        // No module has been loaded by then.
        let words = "root=/dev/vda coldplug.break=scan console=tty0 console=ttyS0";
        let vm = Machine::with_defaults(&tree, &image).cmdline(words);
        let vm = devices.iter().fold(vm, |vm, device| vm.device(device));
        let mut machine = vm.attach(Bus::VirtioBlk, ROOT).start();
        // One serial port alone can be a console. The prompt on the screen starts with that on the
        // port; what is typed there counts.
        machine.wait_for(PROMPT);
        let mut qmp = machine.qmp();
        // On a busy host the keyboard may appear after the prompt.
        let end = Instant::now() + Duration::from_secs(60);
        while !machine.console().contains("coldplug: verdict=") && Instant::now() < end {
            std::thread::sleep(Duration::from_secs(2));
            for key in ["ret", "e", "x", "i", "t", "ret"] {
                let keys = json!({ "keys": [{ "type": "qcode", "data": key }] });
                if machine.is_running() {
                    qmp.execute("send-key", keys);
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        machine.finish().expect("ok");
    }
}

fn two_serial_consoles_have_the_verdict_and_a_prompt() {
    // The driver of the ports of the PC has one console, whatever console= says.
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline(NO_ROOT).cmdline("console=hvc0 console=ttyS0");
    let file = vm.dir().join("hvc");
    let chardev = format!("file,id=hvc,path={}", file.display());
    let vm = vm.device("virtio-serial-pci").args(["-chardev", &chardev]);
    let mut person = Person::at(vm.device("virtconsole,chardev=hvc").start());
    person.reads("coldplug: verdict=no-root ");
    person.reads(PROMPT);
    let end = Instant::now() + Duration::from_secs(60);
    let other = loop {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        if text.contains(PROMPT) {
            break text;
        }
        assert!(Instant::now() < end, "no prompt: {text}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let lines = ["warning: root device LABEL=none not found", "verdict: no-root in ", PROMPT];
    let places = lines.map(|line| other.find(line).unwrap_or_else(|| panic!("{line}: {other}")));
    assert!(places.is_sorted(), "{other}");
    let boot = person.leaves("poweroff");
    boot.expect("no-root");
    boot.check(!boot.console.contains("verdict: no-root"), "two verdicts on /dev/console");
}

fn an_led_shows_the_verdict() {
    const LED: &str = "/sys/class/leds/input0::capslock";
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    files::put(&root, "bin/busybox", &files::busybox(), 0o755);
    let init = format!(
        "#!/bin/busybox sh\n/bin/busybox cat {LED}/trigger > /dev/ttyS0\n\
         /bin/busybox poweroff -f\n"
    );
    files::put(&root, "sbin/init", init.as_bytes(), 0o755);
    let disk = ROOT.make_of(&root, "16M", &dir.path().join("root"));
    let vm = Machine::new(&tree, &image).disk(Bus::VirtioBlk, &disk);
    let words = format!("{NO_ROOT} coldplug.led=input0::capslock");
    let mut person = Person::at(vm.cmdline(&words).start());
    person.reads(PROMPT);
    person.asks(&format!("cat {LED}/trigger"), "[pattern]");
    let twice = "1 200 1 0 0 300 0 0 ".repeat(2);
    person.asks(&format!("cat {LED}/pattern"), &format!("{twice}0 1500 0 0"));
    // The trigger that the kernel has set for this LED.
    let boot = person.leaves("retry root=LABEL=coldplug-root coldplug.timeout=60");
    boot.expect("ok");
    boot.check(boot.console.contains("[kbd-capslock]"), "the trigger is not given back");
    boot.check(!boot.console.contains("coldplug.led: "), "a warning");
    let vm = Machine::new(&tree, &image).disk(Bus::VirtioBlk, &disk);
    let boot = vm.cmdline("root=LABEL=coldplug-root coldplug.led=green:status").run();
    boot.expect("ok");
    let text = "coldplug.led: green:status not found in /sys/class/leds: input0::capslock, ";
    boot.check(boot.console.contains(text), text);
}

fn a_capture_and_a_record_come_over_the_serial_line() {
    let mut person = prompt(NO_ROOT);
    person.asks("scan --serial", "@cpC ");
    person.asks("record --serial", "@cpR ");
    person.leaves("poweroff");
    // QEMU logs a byte twice if a person who is connected reads slowly: nobody is.
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let ports = "coldplug.report=/dev/console coldplug.capture=/dev/ttyS0";
    let vm = Machine::new(&tree, &image).cmdline("root=LABEL=none coldplug.timeout=5");
    let boot = vm.cmdline(ports).attach(Bus::VirtioBlk, DECOY).run();
    let dir = tempfile::tempdir().unwrap();
    let (log, capture) = (dir.path().join("log"), dir.path().join("capture"));
    fs::write(&log, boot.console.replace('\n', "\r\n")).unwrap();
    let coldplug = |words: &[&str]| {
        let mut command = std::process::Command::new(paths::program("coldplug"));
        tool::run(command.args(words).arg("--from").arg(&log).arg("--root").arg(&tree.root))
    };
    let plan = coldplug(&["plan"]);
    boot.check(plan.contains("virtio_pci"), &plan);
    coldplug(&["scan", "--save", capture.to_str().unwrap()]);
    assert!(fs::read_to_string(&capture).unwrap().ends_with("\nend\n"));
    let mut command = std::process::Command::new(paths::program("coldplug"));
    let report = tool::run(command.arg("report").arg(&log));
    boot.check(report.contains("verdict: no-root"), &report);
}

fn a_shell_may_be_refused() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    for (words, reason) in [
        ("coldplug.shell=0", "coldplug.shell=0"),
        ("lockdown=confidentiality", "lockdown=confidentiality"),
    ] {
        // panic=-1 restarts the machine, which ends it.
        let boot = Machine::new(&tree, &image).cmdline(NO_ROOT).cmdline(words).run();
        boot.expect("no-root");
        let text = format!("coldplug: shell refused: {reason}");
        boot.check(boot.console.contains(&text), "the refusal is not reported");
        boot.check(!boot.console.contains(PROMPT), "there is a prompt");
        let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda coldplug.break=switch");
        let (boot, _) = vm.cmdline(words).attach(Bus::VirtioBlk, ROOT).run_ok();
        let text = format!("coldplug.break=switch ignored: shell refused: {reason}");
        boot.check(boot.console.contains(&text), "the refusal is not reported");
        boot.check(!boot.console.contains(PROMPT), "there is a prompt");
    }
}

fn a_password_guards_the_shell() {
    const ASKS: &str = "coldplug: password for a shell: ";
    const FILE: &str = "etc/coldplug/shell-password";
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let shell = format!("--shell={}", tool::find("busybox", "busybox-static").display());
    let options = ["--modules", "virtio_balloon", &shell, "--shell-password-hash", HASH];
    let guarded = image::coldplug(&tree, &options);
    let mut person = Person::at(Machine::new(&tree, &guarded).cmdline(NO_ROOT).start());
    person.reads(ASKS);
    for key in [&b"\x03"[..], b"\x04", b"wrong\n"] {
        person.terminal.bytes(key);
        person.reads("coldplug: wrong password");
    }
    person.reads("next attempt in 10 s");
    person.reads(ASKS);
    person.terminal.line("geheim");
    person.reads("'coldplug rescue help' lists the commands");
    assert!(!person.machine.console().contains("geheim"), "the password is echoed");
    a_set_user_id_program_has_no_environment(&mut person);
    person.leaves("exit").expect("no-root");

    let vm = Machine::new(&tree, &image).cmdline(NO_ROOT);
    let busybox = files::busybox();
    let files = [(FILE, &b"$6$damaged\n"[..]), ("bin/sh", &busybox)];
    let damaged = image::overlay(&image, &files, &vm.dir().join("image"));
    let boot = vm.image(&damaged).run();
    boot.expect("no-root");
    boot.check(boot.console.contains("shell refused: /etc/coldplug/shell-password"), "no refusal");
}

/// Runs coldplug as another user, at the shell of the image: once as it is, once set-user-ID.
fn a_set_user_id_program_has_no_environment(person: &mut Person) {
    person.types("echo 'other:x:65534:65534::/:/bin/sh' > /etc/passwd; echo made-$?", "made-0");
    person.types("cp /init /own && chmod 4755 /own; echo copied-$?", "copied-0");
    for (program, answer) in [("/init", "coldplug "), ("/own", "insmod /lib/modules/")] {
        let command = format!("MODPROBE_OPTIONS=-V {program} modprobe -D virtio_balloon");
        person.types(&format!("su other -c '{command}'"), answer);
    }
}
