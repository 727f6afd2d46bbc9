//! Parts of the fleet machine with random faults in the image, the disk and the real init. Every
//! boot must end with exactly one verdict within its deadline, and PID 1 must not exit.
//!
//! A line that differs is repeated alone with `SOAK_SEED=N SOAK_ONLY=I`.

use crate::random::Random;
use crate::{in_parallel, number_of};
use harness::disk::{self, LABEL, ROOT};
use harness::entry::Entry;
use harness::kernel::{Kernel, Tree};
use harness::machine::{Boot, Bus, Machine, Running};
use harness::paths::program;
use harness::{files, image};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for the root, of a boot.
const TIMEOUT_S: usize = 20;
/// Longest time from the entry of /init to the verdict, on a busy host.
const DEADLINE_S: u64 = 150;

/// Modules of the machine, which faults hit.
const MODULES: [(&str, &str); 8] = [
    ("virtio_rng", "drivers/char/hw_random/virtio-rng.ko"),
    ("virtio_balloon", "drivers/virtio/virtio_balloon.ko"),
    ("virtio_blk", "drivers/block/virtio_blk.ko"),
    ("e1000e", "drivers/net/ethernet/intel/e1000e/e1000e.ko"),
    ("xhci_pci", "drivers/usb/host/xhci-pci.ko"),
    ("nvme", "drivers/nvme/host/nvme.ko"),
    ("snd_hda_intel", "sound/pci/hda/snd-hda-intel.ko"),
    ("ext4", "fs/ext4/ext4.ko"),
];

const INDEXES: [&str; 7] = [
    "modules.alias.bin",
    "modules.dep.bin",
    "modules.builtin.bin",
    "modules.builtin.alias.bin",
    "modules.symbols.bin",
    "modules.softdep",
    "modules.order",
];

/// Scripts that install a module.
const SCRIPTS: [&str; 6] = [
    "echo >> /killed; [ $(wc -l < /killed) -gt 1 ] && exit 0; kill -9 $PPID",
    "kill -9 $PPID",
    "exit 3",
    "for s in 1 2 15 17; do kill -$s 1; done",
    "for f in /lib/modules/*/modules.*; do : > $f; done",
    "n=0; while [ $n -lt 50 ]; do (sleep 0 &) & n=$((n+1)); done",
];

/// One boot, as the seed chose it.
struct Plan {
    /// Words for the table, one for each fault.
    faults: Vec<String>,
    /// Entries of the image.
    entries: Vec<(String, Entry)>,
    words: Vec<String>,
    /// How many of a hundred devices are in the machine.
    devices: usize,
    memory_mb: usize,
    root: Root,
    /// Content of /sbin/init, if it is not guest.rs.
    init: Option<Vec<u8>>,
}

/// What happens to the disk of the root.
enum Root {
    Whole,
    Absent,
    Zeros,
    /// Its drive has these options.
    Drive(String),
    /// Reads of this sector fail.
    BadSector(usize),
    /// It is only so long.
    Cut(usize),
    /// It is pulled so long after the start.
    Pulled(Duration),
    /// It is plugged in so long after the start.
    Late(Duration),
}

/// Result of one boot.
struct Row {
    number: usize,
    state: u64,
    faults: String,
    verdict: String,
    time_ms: u64,
    wall: Duration,
    /// Why the boot counts as bad; empty if it does not.
    problem: String,
}

/// Runs the boots and prints a line for each.
pub(crate) fn run(seed: usize, boots: usize) {
    let tree = Kernel::Full61.get();
    let image = image::coldplug(&tree, &["--all"]);
    let numbers = number_of("SOAK_ONLY").map_or_else(|| (0..boots).collect(), |only| vec![only]);
    let boots = numbers.len();
    println!("SOAK_SEED={seed}: {boots} boots");
    println!("boot  sub-seed          verdict          ms  wall s  faults");
    let (mut bad, began) = (0, Instant::now());
    for row in in_parallel(numbers, move |number| boot(seed, number, &tree, &image)) {
        println!(
            "{:>4}  {:016x}  {:<13} {:>6} {:>7.1}  {}{}",
            row.number,
            row.state,
            row.verdict,
            row.time_ms,
            row.wall.as_secs_f64(),
            row.faults,
            if row.problem.is_empty() { String::new() } else { format!("  BAD: {}", row.problem) }
        );
        bad += usize::from(!row.problem.is_empty());
    }
    println!("{boots} boots in {} s, {bad} of them bad", began.elapsed().as_secs());
    assert_eq!(bad, 0, "a boot is repeated alone by SOAK_SEED={seed} SOAK_ONLY=NUMBER");
}

fn boot(seed: usize, number: usize, tree: &Tree, image: &Path) -> Row {
    let mut random = Random::of_boot(seed, number);
    let state = random.state();
    let started = Instant::now();
    let plan = Plan::new(&mut random, tree);
    let faults = plan.faults.join(" ");
    let done = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let has_init = plan.init.is_none();
        let boot = plan.run(&mut random, tree, image);
        let problem = judge(&boot, has_init);
        if !problem.is_empty() {
            println!("boot {number}: {problem}{}", boot.tail());
        }
        let has_verdict = !boot.verdicts().is_empty();
        let time_ms = has_verdict.then(|| boot.figure("time").parse().ok()).flatten();
        let verdict = if has_verdict { boot.verdict().to_owned() } else { "none".to_owned() };
        (verdict, time_ms.unwrap_or(0), problem)
    }));
    let lost = |_| ("lost".to_owned(), 0, "did not end, or the kernel panicked".to_owned());
    let (verdict, time_ms, problem) = done.unwrap_or_else(lost);
    Row { number, state, faults, verdict, time_ms, wall: started.elapsed(), problem }
}

/// Returns what is wrong with a boot, empty if nothing is.
fn judge(boot: &Boot, has_init: bool) -> String {
    let verdicts = boot.verdicts().len();
    if boot.console.contains("Attempted to kill init") {
        return "PID 1 exited".to_owned();
    }
    if verdicts != 1 {
        return format!("{verdicts} verdicts");
    }
    let time_ms: u64 = boot.figure("time").parse().unwrap_or(u64::MAX);
    let has_report = boot.facts_text.contains("{\"end\":true}");
    match boot.verdict() {
        _ if time_ms > DEADLINE_S * 1000 => "past the deadline".to_owned(),
        "ok" if has_init && !has_report => "the init did not report".to_owned(),
        "ok" => String::new(),
        "crash" | "panic" => "coldplug crashed".to_owned(),
        _ if has_report => "an init ran after a failure".to_owned(),
        _ => String::new(),
    }
}

impl Plan {
    fn new(random: &mut Random, tree: &Tree) -> Self {
        let mut plan = Self {
            faults: Vec::new(),
            entries: vec![("bin/sh".to_owned(), Entry::File(files::busybox()))],
            words: vec![format!("coldplug.timeout={TIMEOUT_S}")],
            devices: random.pick(&[5, 20, 50, 80]),
            memory_mb: random.pick(&[384, 512, 1024]),
            root: Root::Whole,
            init: None,
        };
        plan.faults.push(format!("devices={}% -m {}", plan.devices, plan.memory_mb));
        plan.choose_words(random);
        for _ in 0..1 + random.below(4) {
            match random.below(6) {
                0 => plan.damage_index(random, tree),
                1 => plan.damage_module(random, tree),
                2 => plan.add_script(random),
                3 => plan.damage_configuration(random),
                4 => plan.damage_init(random),
                _ => plan.damage_root(random),
            }
        }
        plan
    }

    fn choose_words(&mut self, random: &mut Random) {
        let root = random.pick(&["root=/dev/vda", "root=LABEL="]);
        let label = if root.ends_with('=') { LABEL } else { "" };
        self.words.push(format!("{root}{label}"));
        for (percent, word, values) in [
            (60, "coldplug.jobs", ["1", "2", "8", "32"].as_slice()),
            (40, "coldplug.async", &["none", "storage", "all"]),
            (50, "coldplug.settle", &["root", "all"]),
            (50, "coldplug.seed", &["1", "2", "3", "4", "5"]),
            (20, "coldplug.rcvbuf", &["2048", "65536"]),
            (20, "coldplug.decode", &["user"]),
            (20, "coldplug.alone", &["virtio_blk", "xhci_pci,nvme"]),
            (10, "coldplug.replay", &["/dev/zero", "/no/such"]),
        ] {
            if random.chance(percent) {
                let word = format!("{word}={}", random.pick(values));
                self.faults.push(word.trim_start_matches("coldplug.").to_owned());
                self.words.push(word);
            }
        }
    }

    fn damage_index(&mut self, random: &mut Random, tree: &Tree) {
        let name = random.pick(&INDEXES);
        let bytes = fs::read(tree.modules().join(name)).unwrap_or_default();
        let (what, entry) = damaged(random, bytes);
        self.faults.push(format!("{name}:{what}"));
        self.entries.push((format!("lib/modules/{}/{name}", tree.release), entry));
    }

    fn damage_module(&mut self, random: &mut Random, tree: &Tree) {
        let (module, file) = random.pick(&MODULES);
        let noise = random.bytes(20_000);
        let (what, entry) = damaged(random, noise);
        self.faults.push(format!("{module}:{what}"));
        self.entries.push((format!("lib/modules/{}/kernel/{file}.zst", tree.release), entry));
    }

    fn add_script(&mut self, random: &mut Random) {
        let (module, _) = random.pick(&MODULES);
        let number = random.below(SCRIPTS.len());
        self.faults.push(format!("{module}:script{number}"));
        let line = format!("install {module} {}\n", SCRIPTS[number]);
        let name = format!("etc/modprobe.d/script{number}.conf");
        self.entries.push((name, Entry::File(line.into_bytes())));
    }

    fn damage_configuration(&mut self, random: &mut Random) {
        let name = random.pick(&["etc/modprobe.d/odd.conf", "etc/coldplug/record.json"]);
        let (what, entry) = damaged(random, b"blacklist virtio_rng\noptions ext4 x=1\n".to_vec());
        self.faults.push(format!("{}:{what}", name.rsplit('/').next().unwrap_or(name)));
        self.entries.push((name.to_owned(), entry));
    }

    fn damage_init(&mut self, random: &mut Random) {
        let inits = ["", "#!/no/such\n", "text\n", "\x7fELF\x02\x01\x01"];
        let number = random.below(inits.len());
        self.faults.push(format!("init{number}"));
        self.init = Some(inits[number].into());
    }

    fn damage_root(&mut self, random: &mut Random) {
        let delay = Duration::from_millis(u64::try_from(random.below(15_000)).unwrap());
        let (what, root) = match random.below(8) {
            0 => ("absent", Root::Absent),
            1 => ("zeros", Root::Zeros),
            2 => ("read-only", Root::Drive(",readonly=on".to_owned())),
            3 => {
                let rate = random.pick(&["100", "10000", "1000000"]);
                ("throttled", Root::Drive(format!(",throttling.bps-total={rate}")))
            }
            4 => ("bad-sector", Root::BadSector(random.below(200))),
            5 => ("cut", Root::Cut(random.below(16 << 20))),
            6 => ("pulled", Root::Pulled(delay)),
            _ => ("late", Root::Late(delay)),
        };
        self.faults.push(format!("root:{what}"));
        self.root = root;
    }

    fn run(self, random: &mut Random, tree: &Tree, image: &Path) -> Boot {
        let vm = Machine::part_of_fleet(tree, image, |_| random.chance(self.devices));
        let file = vm.dir().join("image");
        let vm = vm.image(&image::with_entries(image, &self.entries, &file));
        let memory = self.memory_mb.to_string();
        let vm = vm.args(["-m", &memory]).deadline(Duration::from_secs(DEADLINE_S + 120));
        let vm = vm.cmdline(&self.words.join(" "));
        let vm = vm.device("pcie-root-port,id=socket,chassis=20,slot=20,addr=0x1c");
        let (mut machine, act) = (self.with_root(vm).start(), &self.root);
        act.perform(&mut machine);
        machine.finish()
    }

    fn with_root(&self, vm: Machine) -> Machine {
        let (file, errors) = (vm.dir().join("root"), vm.dir().join("errors"));
        let dir = tempfile::tempdir().unwrap();
        let guest = || fs::read(program("examples/guest")).unwrap();
        let init = self.init.clone().unwrap_or_else(guest);
        files::put(dir.path(), "sbin/init", &init, 0o755);
        ROOT.make_of(dir.path(), "16M", &file);
        let name = file.display();
        let drive = match &self.root {
            Root::Absent => return vm,
            Root::Pulled(_) | Root::Late(_) => {
                let drive = format!("if=none,id=moved,format=raw,file={name}");
                let vm = vm.args(["-drive", &drive]);
                let is_there = matches!(self.root, Root::Pulled(_));
                let device = "virtio-blk-pci,id=moved,drive=moved,bus=socket";
                return if is_there { vm.device(device) } else { vm };
            }
            Root::Whole => format!("file={name}"),
            Root::Zeros => format!("file={}", disk::empty(16, &file).display()),
            Root::Drive(options) => format!("file={name}{options}"),
            Root::Cut(size) => {
                let file = OpenOptions::new().write(true).open(&file).unwrap();
                file.set_len(*size as u64 & !511).unwrap();
                format!("file={name}")
            }
            Root::BadSector(sector) => {
                let rule = "[inject-error]\nevent = \"read_aio\"\nerrno = \"5\"\n";
                fs::write(&errors, format!("{rule}sector = \"{sector}\"\n")).unwrap();
                format!("file=blkdebug:{}:{name}", errors.display())
            }
        };
        vm.drive(Bus::VirtioBlk, &drive)
    }
}

impl Root {
    /// Pulls the disk or plugs it in, after the delay.
    fn perform(&self, machine: &mut Running) {
        let (delay, command, arguments) = match self {
            Self::Pulled(delay) => (delay, "device_del", json!({ "id": "moved" })),
            Self::Late(delay) => (
                delay,
                "device_add",
                json!({ "driver": "virtio-blk-pci", "drive": "moved", "bus": "socket" }),
            ),
            _ => return,
        };
        std::thread::sleep(*delay);
        if machine.is_running() {
            machine.qmp().execute(command, arguments);
        }
    }
}

/// Returns a word for a random damage, and the damaged file.
fn damaged(random: &mut Random, mut bytes: Vec<u8>) -> (&'static str, Entry) {
    match random.below(7) {
        0 => {
            bytes.truncate(random.below(bytes.len()));
            ("cut", Entry::File(bytes))
        }
        1 => {
            let step = 1 + random.below(500);
            bytes.iter_mut().step_by(step).for_each(|byte| *byte = !*byte);
            ("flipped", Entry::File(bytes))
        }
        2 => ("zeros", Entry::File(vec![0; bytes.len()])),
        3 => ("fifo", Entry::Fifo),
        4 => ("directory", Entry::Directory),
        5 => ("endless", Entry::Device(1, 5)),
        _ => ("link", Entry::Link("/no/such".to_owned())),
    }
}
