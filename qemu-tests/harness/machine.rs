//! One run of QEMU: the devices of the machine, its end within a deadline, and what it reported.
//!
//! | port | chardev | carries |
//! | --- | --- | --- |
//! | ttyS0 | console | what a user would see; can be typed at |
//! | ttyS1 | facts | the report of guest.rs |
//! | ttyS2 | record | coldplug's boot record, by `coldplug.report=` |
//!
//! Machines that are no PC have other names for them ([`Arch`]), and the command line names that of
//! the facts, as `guest.facts=`.
//!
//! With `panic=-1`, `oops=panic` and `-no-reboot` the run ends if PID 1 exits or the kernel faults.
//! The accelerator is TCG unless the variable `ACCEL` names another.

use crate::arch::Arch;
use crate::disk::{Disk, KEPT, ROOT};
use crate::kernel::Tree;
use crate::qmp::Qmp;
use crate::swtpm::Swtpm;
use crate::{note, record_check, tool};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Deadline of a boot, unless the test sets another.
const DEADLINE: Duration = Duration::from_secs(120);

/// Arguments of the fleet machine.
const FLEET: &str = include_str!("../data/fleet/machine.args");
/// Deadline of a boot of the fleet machine, which takes half a minute on an idle host.
const FLEET_DEADLINE: Duration = Duration::from_secs(900);

/// How often a machine is restarted if its kernel panics before /init.
const MAX_RESTARTS: usize = 2;

/// Value of `-icount`: a nanosecond for each instruction, and none for a wait.
const COUNTED: &str = "shift=0,sleep=off";

/// Kernel command line of a measured boot; console output would take time.
const MEASURED: &str = "console=ttyS0 panic=-1 oops=panic quiet coldplug.onfail=poweroff";

/// Files of the console: a FIFO that QEMU reads, and what it has written.
const CONSOLE_INPUT: &str = "console.in";
const CONSOLE_OUTPUT: &str = "console.out";

/// Port of the facts that guest.rs uses unless the command line names another.
const FACTS: &str = "ttyS1";

/// Interval at which a running machine is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk: /dev/vdX
    VirtioBlk,
    /// virtio-blk without PCI: /dev/vdX
    VirtioMmio,
    /// A disk behind virtio-scsi: /dev/sdX
    VirtioScsi,
    /// The AHCI controller that q35 has: /dev/sdX
    Ahci,
    /// /dev/nvmeXn1
    Nvme,
    /// A USB stick behind xHCI: /dev/sdX
    UsbStorage,
    /// No device: the drive `diskN` can be plugged in by QMP.
    Unplugged,
}

impl Bus {
    /// Returns the `-device` arguments that put drive `id` on this bus.
    fn devices(self, id: &str) -> Vec<String> {
        match self {
            Self::VirtioBlk => vec![format!("virtio-blk-pci,drive={id}")],
            Self::VirtioMmio => vec![format!("virtio-blk-device,drive={id}")],
            Self::VirtioScsi => {
                vec!["virtio-scsi-pci,id=scsi".into(), format!("scsi-hd,drive={id},bus=scsi.0")]
            }
            Self::Ahci => vec![format!("ide-hd,drive={id},bus=ide.0")],
            Self::Nvme => vec![format!("nvme,serial={id},drive={id}")],
            Self::UsbStorage => {
                vec!["qemu-xhci,id=usb".into(), format!("usb-storage,drive={id},bus=usb.0")]
            }
            Self::Unplugged => Vec::new(),
        }
    }
}

/// A machine that has not been started; a builder.
#[derive(Debug)]
pub struct Machine {
    arch: Arch,
    dir: TempDir,
    image: PathBuf,
    accel: String,
    args: Vec<String>,
    cmdline: Vec<String>,
    /// The end of the command line.
    raw_words: Vec<u8>,
    disks: usize,
    deadline: Duration,
    may_panic: bool,
    /// State directory of its TPM.
    tpm: Option<PathBuf>,
}

impl Machine {
    /// Makes a q35 with three serial ports and no other device, which boots `kernel` and `image`.
    pub fn new(kernel: &Tree, image: &Path) -> Self {
        Self::with_defaults(kernel, image).args(["-nodefaults"])
    }

    /// Makes the fleet machine: a q35 with the more than sixty devices of data/fleet/machine.args.
    pub fn fleet(kernel: &Tree, image: &Path) -> Self {
        let vm = Self::new(kernel, image).deadline(FLEET_DEADLINE);
        let args = fleet_args(FLEET, utf8(vm.dir()));
        vm.args(args.iter().map(String::as_str))
    }

    /// Makes the fleet machine with the devices that `is_kept` selects by their `-device` value.
    /// Bridges and what other devices need are kept; a device on a controller that is left out is
    /// left out too.
    pub fn part_of_fleet(kernel: &Tree, image: &Path, is_kept: impl FnMut(&str) -> bool) -> Self {
        let vm = Self::new(kernel, image).deadline(FLEET_DEADLINE);
        let args = part_of(&fleet_args(FLEET, utf8(vm.dir())), is_kept);
        vm.args(args.iter().map(String::as_str))
    }

    /// Makes a machine that also has the default devices of QEMU: VGA, PS/2, a CD drive.
    pub fn with_defaults(kernel: &Tree, image: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("coldplug-vm-").tempdir().unwrap();
        let arch = kernel.arch;
        let [console, facts, record] = arch.ports();
        let vm = Self {
            arch,
            dir,
            image: image.to_owned(),
            accel: std::env::var("ACCEL").unwrap_or_else(|_| "tcg".to_owned()),
            args: Vec::new(),
            cmdline: Vec::new(),
            raw_words: Vec::new(),
            disks: 0,
            deadline: DEADLINE,
            may_panic: false,
            tpm: None,
        };
        let vm = vm
            .args(arch.machine().iter().copied())
            .args(["-m", "1024", "-display", "none", "-no-user-config"])
            .args(["-no-reboot", "-kernel", utf8(&kernel.vmlinuz())])
            .cmdline(&format!("console={console} panic=-1 oops=panic printk.time=1"))
            .cmdline("coldplug.onfail=poweroff coldplug.timeout=60")
            .cmdline(&format!("coldplug.report=/dev/{record}"))
            .ports();
        let vm = if arch.is_pc() {
            // The kernel panics if a busy host delays the timer that it checks.
            vm.cmdline("no_timer_check")
        } else {
            vm
        };
        if facts == FACTS { vm } else { vm.cmdline(&format!("guest.facts=/dev/{facts}")) }
    }

    /// Replaces the image.
    pub fn image(mut self, image: &Path) -> Self {
        self.image = image.to_owned();
        self
    }

    fn ports(self) -> Self {
        let path = |name: &str| utf8(&self.dir.path().join(name)).to_owned();
        let args = [
            "-chardev".to_owned(),
            format!("pipe,id=console,path={}", path("console")),
            "-chardev".to_owned(),
            format!("file,id=facts,path={}", path("facts")),
            "-chardev".to_owned(),
            format!("file,id=record,path={}", path("record")),
            "-qmp".to_owned(),
            format!("unix:{},server=on,wait=off", path("qmp")),
        ];
        let serial_ports = self.arch.serial_ports().iter().copied();
        self.args(args.iter().map(String::as_str)).args(serial_ports)
    }

    /// Adds arguments of QEMU.
    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(str::to_owned));
        self
    }

    /// Adds `-device SPEC`.
    pub fn device(self, spec: &str) -> Self {
        self.args(["-device", spec])
    }

    /// Adds words to the kernel command line.
    pub fn cmdline(mut self, words: &str) -> Self {
        self.cmdline.push(words.to_owned());
        self
    }

    /// Replaces text in the words of the kernel command line so far.
    pub fn replace_words(mut self, from: &str, to: &str) -> Self {
        for words in &mut self.cmdline {
            *words = words.replace(from, to);
        }
        self
    }

    /// Adds words to the end of the kernel command line that need not be UTF-8.
    pub fn raw_words(mut self, words: &[u8]) -> Self {
        self.raw_words = [b" ", words].concat();
        self
    }

    /// Makes guest time count instructions like [`Self::guest_clock`], and silences the console.
    pub fn timed(mut self) -> Self {
        self.cmdline = vec![MEASURED.to_owned()];
        self.guest_clock()
    }

    /// Makes guest time count instructions, which only TCG can do: a busy host does not use up the
    /// deadlines of the guest, and its waits take no time on the host.
    pub fn guest_clock(mut self) -> Self {
        self.accel = "tcg".to_owned();
        self.args(["-icount", COUNTED])
    }

    /// Makes guest time that of the host again, for a guest that waits for a program of the host.
    pub fn host_clock(mut self) -> Self {
        self.args.retain(|arg| arg != "-icount" && arg != COUNTED);
        self
    }

    /// Sets two processors, each emulated by its own thread, and silences the console.
    pub fn two_processors(self) -> Self {
        self.processors(2)
    }

    /// Sets the number of processors, each emulated by its own thread, and silences the console.
    pub fn processors(mut self, count: usize) -> Self {
        self.accel = "tcg,thread=multi".to_owned();
        self.cmdline = vec![MEASURED.to_owned()];
        self.args(["-smp", &count.to_string()])
    }

    /// Sets the deadline of the boot.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = limit;
        self
    }

    /// Lets a panic of the kernel be the end of the boot: the test looks at the console.
    pub fn may_panic(mut self) -> Self {
        self.may_panic = true;
        self
    }

    /// Attaches the raw image `file` as drive `diskN`, counted from 0.
    pub fn disk(self, bus: Bus, file: &Path) -> Self {
        let drive = format!("file={}", utf8(file));
        self.drive(bus, &drive)
    }

    /// Attaches a raw image as drive `diskN`, counted from 0; `options` of `-drive` name the file
    /// and its faults.
    pub fn drive(mut self, bus: Bus, options: &str) -> Self {
        let id = format!("disk{}", self.disks);
        self.disks += 1;
        let drive = format!("if=none,id={id},format=raw,{options}");
        let vm = self.args(["-drive", &drive]);
        bus.devices(&id).iter().fold(vm, |vm, device| vm.device(device))
    }

    /// Attaches `disk`, which is made in the directory of the machine.
    pub fn attach(self, bus: Bus, disk: Disk) -> Self {
        let file = self.dir().join(disk.label);
        disk.make_for(self.arch, &file);
        self.disk(bus, &file)
    }

    /// Adds a TPM 2.0 as `device`, `tpm-tis` or `tpm-crb`, whose state is in the directory `state`.
    pub fn tpm(mut self, device: &str, state: &Path) -> Self {
        self.tpm = Some(state.to_owned());
        let chardev = format!("socket,id=swtpm,path={}", utf8(&self.tpm_socket()));
        self.args(["-chardev", &chardev, "-tpmdev", "emulator,id=tpm,chardev=swtpm"])
            .device(&format!("{device},tpmdev=tpm"))
    }

    fn tpm_socket(&self) -> PathBuf {
        self.dir().join("swtpm")
    }

    /// Returns the directory for the disks of the machine, which is removed with it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the machine.
    pub fn start(self) -> Running {
        let mut command = self.command();
        make_console(self.dir.path());
        let tpm = self.tpm.as_ref().map(|state| Swtpm::start(state, &self.tpm_socket()));
        let child = command.spawn().expect("QEMU starts");
        Running {
            child,
            command,
            tpm,
            dir: self.dir,
            started: Instant::now(),
            deadline: self.deadline,
            may_panic: self.may_panic,
        }
    }

    /// Runs the machine to its end.
    ///
    /// In one of some dozens of boots a 6.12 kernel faults under QEMU 7.2 before it starts /init
    /// (seen in `kmalloc`, with impossible processor flags). None of our code has run by then, so
    /// the machine is restarted and the restart noted. A kernel that panics after it has started
    /// /init fails the test. With `quiet` the console does not show whether /init has started, so
    /// there is no restart.
    ///
    /// # Panics
    ///
    /// If the machine does not end within its deadline, or its kernel panics.
    pub fn run(self) -> Boot {
        let is_quiet = self.cmdline.iter().any(|words| words.contains("quiet"));
        let faults = if is_quiet || self.may_panic { 0 } else { MAX_RESTARTS };
        let mut running = self.start();
        for _ in 0..faults {
            running.wait();
            let console = running.console();
            if !console.contains("Kernel panic") || console.contains("Run /init") {
                break;
            }
            note!("the kernel panicked before it started /init; restarted");
            running.restart();
        }
        running.finish()
    }

    /// Runs the machine, which must reach the init of its root with the verdict ok.
    #[track_caller]
    pub fn run_ok(self) -> (Boot, Facts) {
        let boot = self.run();
        boot.expect("ok");
        let facts = boot.facts();
        let root = facts.mount("/").expect("a root in mountinfo");
        boot.check(
            !["rootfs", "ramfs", "tmpfs"].contains(&root.kind),
            &format!("the root is {root:?}"),
        );
        (boot, facts)
    }

    /// Runs the machine, which must reach /sbin/init of a root that [`disk`](crate::disk) made, and
    /// free the memory of the initramfs.
    #[track_caller]
    pub fn run_clean(self) -> (Boot, Facts) {
        let (boot, facts) = self.run_ok();
        assert_eq!(*facts.get("keep"), KEPT);
        assert_eq!(facts.lines("argv"), ["/sbin/init"]);
        let left = facts.meminfo_kib("Unevictable");
        boot.check(left < 1024, &format!("{left} KiB of the initramfs are still in memory"));
        (boot, facts)
    }

    /// Runs the machine, whose boot must end with `verdict` and all of `texts` on the console, and
    /// reach no init.
    #[track_caller]
    pub fn run_failed(self, verdict: &str, texts: &[&str]) -> Boot {
        let boot = self.run();
        boot.expect(verdict);
        boot.check(boot.facts_text.is_empty(), "an init ran");
        for text in texts {
            boot.check(boot.console.contains(text), &format!("{text:?} is not on the console"));
        }
        boot
    }

    /// Runs the machine to its end. Each time the console shows `question`, the next of `answers` is
    /// typed.
    pub fn run_with_answers(self, question: &str, answers: &[&str]) -> Boot {
        let mut running = self.start();
        let mut read = running.wait_for_after(0, "Linux version");
        let mut terminal = running.terminal();
        for answer in answers {
            read = running.wait_for_after(read, question);
            terminal.line(answer);
        }
        running.finish()
    }

    fn command(&self) -> Command {
        let (name, package) = self.arch.emulator();
        let mut command = tool::command(name, package);
        let stderr = File::create(self.dir.path().join("stderr")).unwrap();
        command
            .args(["-accel", &self.accel])
            .args(&self.args)
            .arg("-initrd")
            .arg(&self.image)
            .arg("-append")
            .arg(OsString::from_vec([self.cmdline.join(" ").as_bytes(), &self.raw_words].concat()))
            .stdout(Stdio::null())
            .stderr(stderr);
        command
    }
}

/// Boots a kernel and its image from the root disk on `bus`, which `root` names. The init of the
/// root must run.
#[track_caller]
pub fn boot_from((tree, image): &(Tree, PathBuf), bus: Bus, root: &str) -> (Boot, Facts) {
    Machine::new(tree, image).cmdline(&format!("root={root}")).attach(bus, ROOT).run_ok()
}

/// Returns the words of a file of arguments, which has one option with its value per line; `DIR` is
/// replaced by `dir`.
fn fleet_args(text: &str, dir: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let words = lines.flat_map(|line| line.split_ascii_whitespace());
    words.map(|word| word.replace("=DIR,", &format!("={dir},"))).collect()
}

/// Devices that others need without naming them by ID.
const NEEDED: [&str; 4] = ["pcie-pci-bridge", "pci-bridge", "pcie-root-port", "sdhci-pci"];

/// Returns the options of `args` without the devices that `is_kept` rejects, and without those that
/// name one of them.
fn part_of(args: &[String], mut is_kept: impl FnMut(&str) -> bool) -> Vec<String> {
    let mut left_out: Vec<&str> = Vec::new();
    let mut kept = Vec::new();
    for pair in args.chunks(2).filter(|pair| pair.len() == 2) {
        let value = pair[1].as_str();
        let mut words = value.split(',');
        let name = words.next().unwrap_or_default();
        let named: Vec<_> = words.filter_map(|word| word.split_once('=')).collect();
        let is_orphan =
            named.iter().any(|(_, of)| left_out.iter().any(|id| of.split('.').next() == Some(*id)));
        if pair[0] == "-device" && (is_orphan || !NEEDED.contains(&name) && !is_kept(value)) {
            left_out.extend(named.iter().find(|(key, _)| *key == "id").map(|(_, id)| *id));
        } else {
            kept.extend_from_slice(pair);
        }
    }
    kept
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("paths of the tests are UTF-8")
}

/// A running machine, which is killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    command: Command,
    tpm: Option<Swtpm>,
    dir: TempDir,
    started: Instant,
    deadline: Duration,
    may_panic: bool,
}

impl Running {
    /// Connects to QEMU's control socket.
    pub fn qmp(&self) -> Qmp {
        Qmp::connect(&self.path("qmp"))
    }

    /// Waits until the console shows `text`.
    pub fn wait_for(&mut self, text: &str) {
        while !self.console().contains(text) {
            self.poll(&format!("{text:?} did not appear"));
            let gone = self.child.try_wait().unwrap();
            assert!(gone.is_none(), "the machine ended before {text:?} appeared{}", self.tail());
        }
    }

    /// Returns whether the machine has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Has the TPM answer no command any more.
    ///
    /// # Panics
    ///
    /// If the machine has none.
    pub fn kill_tpm(&mut self) {
        self.tpm.as_mut().expect("a TPM").kill();
    }

    /// Waits until the console shows `text` after its first `from` bytes. Returns the number of
    /// bytes up to the end of `text`.
    pub fn wait_for_after(&mut self, from: usize, text: &str) -> usize {
        loop {
            let console = self.console();
            let after = console.get(from..).and_then(|rest| Some(rest.find(text)? + text.len()));
            if let Some(end) = after {
                return from + end;
            }
            self.poll(&format!("{text:?} did not appear"));
            let gone = self.child.try_wait().unwrap();
            assert!(gone.is_none(), "the machine ended before {text:?} appeared{}", self.tail());
        }
    }

    /// Connects to the input of the console.
    pub fn terminal(&self) -> Terminal {
        // Also open for reading: so a write is no error if QEMU has ended.
        let input = File::options().read(true).write(true).open(self.path(CONSOLE_INPUT)).unwrap();
        Terminal { input }
    }

    /// Returns the output of the console so far.
    pub fn console(&self) -> String {
        lossy(&self.path(CONSOLE_OUTPUT))
    }

    /// Returns the milestones and the record that have been reported so far.
    pub fn milestones(&self) -> String {
        lossy(&self.path("record"))
    }

    /// Waits until the machine ends and returns what it reported.
    pub fn finish(mut self) -> Boot {
        self.wait();
        let boot = Boot {
            console: self.console(),
            facts_text: lossy(&self.path("facts")),
            record_text: lossy(&self.path("record")),
            status: self.child.try_wait().unwrap().and_then(|status| status.code()),
            wall: self.started.elapsed(),
        };
        assert!(!boot.console.is_empty(), "QEMU did not boot{}", self.tail());
        let has_panicked = boot.console.contains("Kernel panic");
        assert!(self.may_panic || !has_panicked, "the kernel panicked{}", boot.tail());
        boot.check_records();
        boot
    }

    /// Waits until the machine ends.
    fn wait(&mut self) {
        while self.child.try_wait().unwrap().is_none() {
            self.poll("the machine did not end");
        }
    }

    /// Restarts the machine, which has ended.
    fn restart(&mut self) {
        self.tpm = self.tpm.take().map(Swtpm::restarted);
        make_console(self.dir.path());
        self.child = self.command.spawn().expect("QEMU starts");
        self.started = Instant::now();
    }

    /// Checks the deadline, then sleeps briefly.
    fn poll(&mut self, complaint: &str) {
        if self.started.elapsed() > self.deadline {
            let _ = self.child.kill();
            panic!("{complaint} within {:?}{}", self.deadline, self.tail());
        }
        std::thread::sleep(POLL_INTERVAL);
    }

    fn tail(&self) -> String {
        tail(&self.console()) + &lossy(&self.path("stderr"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The input of a console.
#[derive(Debug)]
pub struct Terminal {
    input: File,
}

impl Terminal {
    /// Sends one line.
    pub fn line(&mut self, text: &str) {
        self.bytes(format!("{text}\n").as_bytes());
    }

    /// Sends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).unwrap();
    }
}

/// Makes the two files of the console in `dir`. The output is a file and no socket: a write to it
/// never has to be repeated, and QEMU 7.2 logs a byte once for each attempt.
fn make_console(dir: &Path) {
    let input = dir.join(CONSOLE_INPUT);
    let _ = fs::remove_file(&input);
    mknodat(CWD, &input, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    fs::write(dir.join(CONSOLE_OUTPUT), "").unwrap();
}

fn lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).replace('\r', "")
}

/// Returns the last lines of a console, for the message of a failed test.
fn tail(console: &str) -> String {
    let lines: Vec<_> = console.lines().collect();
    let last = &lines[lines.len().saturating_sub(60)..];
    format!("; the console ends with:\n{}\n", last.join("\n"))
}

/// What a machine reported before it ended.
#[derive(Debug)]
pub struct Boot {
    /// Output of the console, without carriage returns.
    pub console: String,
    /// Output of the second serial port.
    pub facts_text: String,
    record_text: String,
    /// Exit status of QEMU.
    pub status: Option<i32>,
    /// Time from the start of QEMU to its end.
    pub wall: Duration,
}

impl Boot {
    /// Returns the facts that guest.rs reported.
    ///
    /// # Panics
    ///
    /// If the report is missing or incomplete.
    pub fn facts(&self) -> Facts {
        let mut facts = Map::new();
        for line in self.facts_text.lines() {
            match serde_json::from_str(line) {
                Ok(Value::Object(fact)) => facts.extend(fact),
                other => panic!("not a fact: {line:?}: {other:?}{}", self.tail()),
            }
        }
        assert_eq!(facts.get("end"), Some(&Value::Bool(true)), "no whole report{}", self.tail());
        Facts(facts)
    }

    /// Returns the loaded modules of a report that may lack its end; `None` if no init of the root
    /// has reported them.
    pub fn early_modules(&self) -> Option<BTreeSet<String>> {
        let facts = self.facts_text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let facts: Map<_, _> =
            facts.filter_map(|fact: Value| fact.as_object().cloned()).flatten().collect();
        facts
            .contains_key("modules")
            .then(|| Facts(facts).modules().into_iter().map(str::to_owned).collect())
    }

    /// Returns the milestones on the third serial port, before the record.
    pub fn milestones(&self) -> Vec<Value> {
        let mut values = self.values();
        values.retain(|value| value.get("milestone").is_some());
        values
    }

    /// Returns the objects on the third serial port: milestones, and the record.
    fn values(&self) -> Vec<Value> {
        let values: Result<Vec<_>, _> = self.sent().collect();
        values.unwrap_or_else(|e| panic!("report: {e}: {}", self.record_text))
    }

    /// Returns the boot record from the third serial port, which is its last line; the last one, if
    /// there are several.
    ///
    /// # Panics
    ///
    /// If the last line is none.
    pub fn record(&self) -> Value {
        let last = self.values().pop().filter(|value| value.get("milestone").is_none());
        checked(last.unwrap_or_else(|| panic!("no boot record{}", self.tail())))
    }

    fn sent(&self) -> impl Iterator<Item = serde_json::Result<Value>> {
        serde_json::Deserializer::from_str(&self.record_text).into_iter()
    }

    /// Checks every whole record that the machine has sent, whatever its test looks at.
    fn check_records(&self) {
        // The last record may lack its end, and a test may send something else to the port.
        let sent = self.sent().map_while(Result::ok);
        let facts = self.facts_text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let kept =
            facts.filter_map(|fact: Value| serde_json::from_str(fact["record"].as_str()?).ok());
        let records = sent.chain(kept).filter(|record| record["modules"].is_array());
        records.for_each(|record| drop(checked(record)));
    }

    /// Returns `ok` of `coldplug: verdict=ok modules=…`, from the last such line of the console.
    pub fn verdict(&self) -> &str {
        self.last_line().split_ascii_whitespace().next().unwrap_or_default()
    }

    /// Returns the lines of the console that begin as a verdict does.
    pub fn verdicts(&self) -> Vec<&str> {
        self.console.lines().filter(|line| line.starts_with("coldplug: verdict=")).collect()
    }

    /// Returns VALUE of `name=VALUE` in the verdict line.
    pub fn figure(&self, name: &str) -> &str {
        self.last_line()
            .split_ascii_whitespace()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("no {name}= in the verdict{}", self.tail()))
    }

    /// Fails with the console if the verdict is not `want`.
    #[track_caller]
    pub fn expect(&self, want: &str) {
        assert_eq!(self.verdict(), want, "verdict{}", self.tail());
    }

    /// Fails with the console if `condition` does not hold.
    #[track_caller]
    pub fn check(&self, condition: bool, complaint: &str) {
        assert!(condition, "{complaint}{}", self.tail());
    }

    fn last_line(&self) -> &str {
        self.console
            .rsplit_once("coldplug: verdict=")
            .map(|(_, rest)| rest.lines().next().unwrap_or_default())
            .unwrap_or_else(|| panic!("no verdict{}", self.tail()))
    }

    /// Returns the last lines of the console, for messages.
    pub fn tail(&self) -> String {
        tail(&self.console)
    }
}

/// The facts that guest.rs reported, by key.
#[derive(Debug)]
pub struct Facts(Map<String, Value>);

impl Facts {
    /// Returns one fact, null if there is none of that name.
    pub fn get(&self, key: &str) -> &Value {
        self.0.get(key).unwrap_or(&Value::Null)
    }

    /// Returns a fact that is a list of texts.
    pub fn lines(&self, key: &str) -> Vec<&str> {
        self.get(key).as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Returns the names in /proc/modules, in the order in which they were loaded.
    pub fn modules(&self) -> Vec<&str> {
        let mut names: Vec<_> =
            self.lines("modules").into_iter().filter_map(|l| l.split(' ').next()).collect();
        names.reverse();
        names
    }

    /// Returns one value of /proc/meminfo, in KiB.
    pub fn meminfo_kib(&self, name: &str) -> u64 {
        self.lines("meminfo")
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or_else(|| panic!("no {name} in /proc/meminfo"))
    }

    /// Returns the mount at `point`, the topmost if there are several.
    pub fn mount(&self, point: &str) -> Option<Mount<'_>> {
        self.lines("mountinfo")
            .into_iter()
            .rev()
            .filter_map(Mount::parse)
            .find(|m| m.point == point)
    }

    /// Returns the record of /run/coldplug/record.json.
    pub fn record(&self) -> Value {
        let text = self.get("record").as_str().expect("/run/coldplug/record.json in the guest");
        checked(serde_json::from_str(text).unwrap_or_else(|e| panic!("record.json: {e}: {text}")))
    }
}

/// Returns a boot record after its check.
fn checked(record: Value) -> Value {
    let problems = record_check::problems(&record);
    assert!(problems.is_empty(), "boot record: {}\n{record:#}", problems.join("\n"));
    record
}

/// One line of mountinfo, proc_pid_mountinfo(5).
#[derive(Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// Mount point.
    pub point: &'a str,
    /// Mount options.
    pub options: Vec<&'a str>,
    /// Filesystem type.
    pub kind: &'a str,
    /// Device, or what the filesystem has instead.
    pub source: &'a str,
}

impl<'a> Mount<'a> {
    /// Parses `ID PARENT DEV ROOT POINT OPTIONS TAG… - TYPE SOURCE SUPEROPTIONS`.
    fn parse(line: &'a str) -> Option<Self> {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(4);
        let mut back = back.split(' ');
        Some(Self {
            point: front.next()?,
            options: front.next()?.split(',').collect(),
            kind: back.next()?,
            source: back.next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_fleet_is_an_option_with_its_value() {
        let args = fleet_args(FLEET, "/own");
        assert!(args.chunks(2).all(|pair| pair.len() == 2 && pair[0].starts_with('-')), "{args:?}");
        assert!(args.iter().any(|arg| arg.contains("path=/own,")) && args.len() > 200);
    }

    #[test]
    fn a_controller_that_is_left_out_takes_its_disks_with_it() {
        let args = fleet_args(FLEET, "/own");
        let part = part_of(&args, |device| !device.starts_with("virtio-scsi-pci"));
        assert!(!part.iter().any(|arg| arg.contains("=vscsi")));
        assert_eq!(part.len() + 4, args.len());
        let least = part_of(&args, |_| false);
        let devices = least.chunks(2).filter(|pair| pair[0] == "-device");
        assert_eq!(devices.count(), 7, "bridges and the SD controller");
    }

    #[test]
    fn mountinfo_lines() {
        let line = "22 1 254:0 / / ro,relatime shared:1 - ext4 /dev/vda ro";
        let want =
            Mount { point: "/", options: vec!["ro", "relatime"], kind: "ext4", source: "/dev/vda" };
        assert_eq!(Mount::parse(line), Some(want));
        assert_eq!(Mount::parse("22 1 254:0 / /"), None);
    }

    #[test]
    fn the_last_verdict_counts() {
        let boot = Boot {
            console:
                "coldplug: verdict=early\n[ 1.0] coldplug: verdict=ok modules=5/6 failed=1 time=9\n"
                    .into(),
            facts_text: String::new(),
            record_text: String::new(),
            status: Some(0),
            wall: Duration::ZERO,
        };
        assert_eq!((boot.verdict(), boot.figure("modules")), ("ok", "5/6"));
    }
}
