//! Micro-benchmarks of the hot paths: `cargo bench --features qemu-tests --bench micro`.
//!
//! | function | work |
//! | --- | --- |
//! | `alias_match` | one modalias against every alias of Debian's full 6.1 kernel, one by one |
//! | `index_search` | the same modalias in modules.alias.bin |
//! | `lookup` | modaliases of a machine in the catalog, which is what a scan does for each device |
//! | `dependencies` | the modules.dep lines of these modules, of which a plan is made |
//! | `uevent` | messages of the kernel about devices |
//! | `decode` | xfs in each compression |
//! | `capture` | a captured machine, parsed |
//! | `record` | the record of a boot with sixty devices, read |
//! | `scan`, `plan` | the whole process: `coldplug scan` and `coldplug plan` with 160 network cards |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it ends with a message if it cannot go on"
)]
#![allow(missing_docs, reason = "the macro of divan makes functions without documentation")]

use coldplug::kmod::alias::{fnmatch, normalize, normalize_modalias};
use coldplug::kmod::catalog::{Catalog, IndexFiles};
use coldplug::kmod::compress;
use coldplug::kmod::conf::Config;
use coldplug::kmod::index::{Bytes, Index};
use coldplug::kmod::uevent::Uevent;
use coldplug::machine::capture::Capture;
use coldplug::report::Record;
use divan::{Bencher, black_box};
use harness::files::put;
use harness::kernel::{Kernel, Tree};
use harness::{paths, tool};
use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Modaliases of devices: found, found with a long list of candidates, and unknown.
const DEVICES: [&str; 5] = [
    "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00",
    "virtio:d00000002v00001AF4",
    "usb:v046DpC31Cd6400dc00dsc00dp00ic03isc01ip01in00",
    "acpi:PNP0A08:PNP0A03:",
    "of:NserialT(null)Cnothing,of-this-name",
];

const MESSAGE: &[u8] = b"add@/devices/pci0000:00/0000:00:03.0/virtio1\0ACTION=add\0\
    DEVPATH=/devices/pci0000:00/0000:00:03.0/virtio1\0SUBSYSTEM=virtio\0\
    MODALIAS=virtio:d00000002v00001AF4\0SEQNUM=1204\0";

/// Number of devices of the made-up machine.
const FAKE_DEVICES: usize = 160;

/// Limit of a decoded module.
const LIMIT: usize = 64 << 20;

fn main() {
    divan::main();
}

fn tree() -> Tree {
    Kernel::Full61.get()
}

/// The index files of a tree, each read once.
struct Files(PathBuf);

impl IndexFiles for Files {
    fn open(&self, name: &str) -> Result<Option<Bytes>, Box<dyn Error>> {
        Ok(fs::read(self.0.join(name)).ok().map(|bytes| Box::new(bytes) as Bytes))
    }
}

#[divan::bench]
fn alias_match(bencher: Bencher) {
    let text = fs::read_to_string(tree().modules().join("modules.alias")).unwrap();
    let aliases = text.lines().filter_map(|line| line.split(' ').nth(1));
    let aliases: Vec<Vec<u8>> = aliases.filter_map(|a| normalize(a.as_bytes()).ok()).collect();
    let name = normalize_modalias(DEVICES[0].as_bytes());
    bencher
        .counter(divan::counter::ItemsCount::new(aliases.len()))
        .bench_local(|| aliases.iter().filter(|alias| fnmatch(alias, black_box(&name))).count());
}

#[divan::bench]
fn index_search(bencher: Bencher) {
    let bytes = fs::read(tree().modules().join("modules.alias.bin")).unwrap();
    let index = Index::new(Box::new(bytes)).unwrap();
    let name = normalize_modalias(DEVICES[0].as_bytes());
    bencher.bench_local(|| index.search(black_box(&name)).unwrap());
}

#[divan::bench(args = DEVICES)]
fn lookup(bencher: Bencher, device: &str) {
    let catalog = Catalog::new(Arc::new(Files(tree().modules())));
    let (config, name) = (Config::default(), normalize_modalias(device.as_bytes()));
    bencher.bench_local(|| catalog.lookup_modalias(&config, black_box(&name)));
}

#[divan::bench]
fn dependencies(bencher: Bencher) {
    let catalog = Catalog::new(Arc::new(Files(tree().modules())));
    let config = Config::default();
    let found: Vec<_> = DEVICES.iter().flat_map(|name| catalog.lookup(&config, name)).collect();
    bencher.bench_local(|| {
        found.iter().filter_map(|found| catalog.dep(black_box(&found.module))).count()
    });
}

#[divan::bench]
fn uevent() -> Option<u64> {
    Uevent::parse(black_box(MESSAGE)).and_then(|event| event.seqnum())
}

#[divan::bench(args = ["zstd", "xz", "gzip"])]
fn decode(bencher: Bencher, program: &str) {
    let tree = tree();
    let module = tree.modules().join(tree.module("xfs").expect("xfs"));
    let package = if program == "xz" { "xz-utils" } else { program };
    let mut command = tool::command(program, package);
    command.args(["-q", "-c"]).arg(module);
    if program == "xz" {
        command.arg("--check=crc32");
    }
    let file = command.output().unwrap().stdout;
    let length = compress::decode(&file, LIMIT).unwrap().len();
    bencher
        .counter(divan::counter::BytesCount::new(length))
        .bench_local(|| compress::decode(black_box(&file), LIMIT).unwrap());
}

#[divan::bench]
fn capture(bencher: Bencher) {
    let machine = Fake::new();
    let mut save = Command::new(paths::program("coldplug"));
    save.arg("scan").arg("--root").arg(machine.root.path()).arg("--save=-");
    let output = save.output().unwrap();
    Capture::parse(&output.stdout).unwrap();
    bencher.bench_local(|| Capture::parse(black_box(&output.stdout)).is_ok());
}

#[divan::bench]
fn record(bencher: Bencher) {
    let json = fs::read_to_string(paths::data("records/fleet.json")).unwrap();
    bencher.counter(divan::counter::BytesCount::new(json.len())).bench_local(|| {
        (Record::root_modules(black_box(&json)), Record::table(black_box(&json)).is_some())
    });
}

#[divan::bench]
fn scan(bencher: Bencher) {
    whole("scan", bencher);
}

#[divan::bench]
fn plan(bencher: Bencher) {
    whole("plan", bencher);
}

/// Measures a whole process on the made-up machine.
fn whole(command: &str, bencher: Bencher) {
    let machine = Fake::new();
    bencher.counter(divan::counter::ItemsCount::new(FAKE_DEVICES)).bench_local(|| {
        assert!(machine.command(command).stdout(Stdio::null()).status().unwrap().success());
    });
}

/// A root with /sys and /proc of a made-up machine, each of whose network cards has a module.
struct Fake {
    root: tempfile::TempDir,
    release: String,
}

impl Fake {
    fn new() -> Self {
        let (tree, root) = (tree(), tempfile::tempdir().unwrap());
        let modules = root.path().join("lib/modules").join(&tree.release);
        fs::create_dir_all(&modules).unwrap();
        for entry in fs::read_dir(tree.modules()).unwrap() {
            let path = entry.unwrap().path();
            symlink(&path, modules.join(path.file_name().unwrap())).unwrap();
        }
        put(root.path(), "proc/cmdline", b"quiet", 0o444);
        let text = fs::read_to_string(tree.modules().join("modules.alias")).unwrap();
        let aliases = text.lines().filter_map(|line| line.split(' ').nth(1));
        let cards: Vec<&str> = aliases
            .filter_map(|alias| alias.strip_suffix("sv*sd*bc*sc*i*"))
            .filter(|alias| alias.starts_with("pci:v0000"))
            .collect();
        for number in 0..FAKE_DEVICES {
            let modalias = cards[number * cards.len() / FAKE_DEVICES];
            let modalias = format!("{modalias}sv00001AF4sd00000001bc02sc00i00");
            let device = format!("sys/devices/pci0000:00/0000:{number:02x}:00.0");
            let uevent = format!("MODALIAS={modalias}\n");
            put(root.path(), &format!("{device}/uevent"), uevent.as_bytes(), 0o444);
            let modalias = format!("{modalias}\n");
            put(root.path(), &format!("{device}/modalias"), modalias.as_bytes(), 0o444);
        }
        Self { root, release: tree.release }
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(paths::program("coldplug"));
        command.arg(name).arg("--root").arg(self.root.path()).args(["-k", &self.release]);
        command
    }
}
