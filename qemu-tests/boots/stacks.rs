//! What lies below and above a root filesystem: verity, images, overlays, flash.

use harness::disk::{DECOY, Disk, ROOT};
use harness::kernel::Kernel;
use harness::machine::{Bus, Facts, Machine};
use harness::run::{BOOT, Test};
use harness::{disk, filesystem, image, paths, tests, tool};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    an_overlay_in_memory_is_lost,
    an_overlay_on_a_disk_is_kept,
    an_upper_directory_without_a_filesystem,
    an_upper_directory_that_is_read_only,
    a_squashfs_in_a_file,
    an_ext4_in_a_file,
    an_erofs_in_a_file_below_an_overlay,
    a_missing_image_is_reported,
    a_verified_root,
    a_verified_btrfs,
    a_verified_root_with_parameters_of_systemd,
    a_verified_root_without_a_superblock,
    partitions_found_by_the_root_hash,
    a_flipped_bit_in_the_superblock,
    a_flipped_bit_in_init,
    a_flipped_bit_that_error_correction_repairs,
    a_wrong_root_hash,
    unknown_verity_options_are_an_error,
    a_hash_device_that_never_appears,
    a_hash_device_without_a_tree,
    ubi_volumes_by_their_names,
    a_block_device_of_a_ubi_volume,
    a_ubi_volume_that_is_not_there,
];

/// Makes a machine with this kernel and an image with the sets of modules.
fn machine(kernel: Kernel, line: &str) -> Machine {
    let tree = kernel.get();
    let image = image::coldplug(&tree, &["--modules", "@virtio,@storage,@filesystems"]);
    Machine::new(&tree, &image).cmdline(line)
}

/// Returns type and source of the mount at `point`.
#[track_caller]
fn mounted<'f>(facts: &'f Facts, point: &str) -> (&'f str, &'f str) {
    let mount = facts.mount(point).unwrap_or_else(|| panic!("{point}: not mounted"));
    (mount.kind, mount.source)
}

/// Checks that the record names these modules, below and above the root filesystem, and that each
/// was loaded.
#[track_caller]
fn root_needs(facts: &Facts, modules: &[&str]) {
    let record = facts.record();
    let way: Vec<_> =
        record["root"]["modules"].as_array().unwrap().iter().map(|m| m.as_str()).collect();
    for module in modules {
        assert!(way.contains(&Some(module)), "{module}: {way:?}");
        assert!(facts.modules().contains(module), "{module}: {:?}", facts.modules());
    }
}

/// The drivers of the disks.
const DRIVERS: [&str; 2] = ["virtio_blk", "virtio_pci"];

/// Makes a directory for disks that outlive a machine.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Boots twice from one root with `coldplug.overlay=OVER`; each boot writes a mark.
fn two_boots_over(over: &str, upper: Option<&Path>) -> (Facts, Facts) {
    let dir = scratch();
    let root = ROOT.make(&dir.path().join("root"));
    let before = fs::read(&root).unwrap();
    let boot = |mark: &str| {
        let line = format!("root=LABEL={} rw coldplug.overlay={over} {mark}", ROOT.label);
        let vm = machine(Kernel::Cloud61, &line).disk(Bus::VirtioBlk, &root);
        upper.into_iter().fold(vm, |vm, disk| vm.disk(Bus::VirtioBlk, disk)).run_clean().1
    };
    let facts = (boot("mark=first"), boot("mark=second"));
    assert!(before == fs::read(&root).unwrap(), "the root below was written to");
    facts
}

fn an_overlay_in_memory_is_lost() {
    let (first, second) = two_boots_over("tmpfs,size=8m", None);
    for facts in [&first, &second] {
        assert_eq!(mounted(facts, "/"), ("overlay", "overlay"));
        assert_eq!(mounted(facts, "/run/coldplug/lower"), ("ext4", "/dev/vda"));
        assert_eq!(mounted(facts, "/run/coldplug/upper"), ("tmpfs", "tmpfs"));
        assert_eq!((facts.get("mark"), facts.get("mark_error")), (&Value::Null, &Value::Null));
    }
    let layers = &second.record()["root"]["layers"];
    assert_eq!(*layers, json!(["coldplug.overlay=tmpfs"]));
    root_needs(&second, &["overlay"]);
    root_needs(&second, &DRIVERS);
}

fn an_overlay_on_a_disk_is_kept() {
    let dir = scratch();
    let upper = Disk { label: "writes", ..DECOY };
    let disk = upper.make(&dir.path().join("upper"));
    let (first, second) = two_boots_over("LABEL=writes", Some(&disk));
    assert_eq!((first.get("mark"), first.get("mark_error")), (&Value::Null, &Value::Null));
    assert_eq!(*second.get("mark"), "first");
    assert_eq!(mounted(&second, "/run/coldplug/upper"), ("ext4", "/dev/vdb"));
}

fn an_upper_directory_without_a_filesystem() {
    let vm = machine(Kernel::Cloud61, "root=/dev/vda coldplug.overlay=/dev/vdb");
    let root = ROOT.make(&vm.dir().join("root"));
    let empty = disk::empty(1, &vm.dir().join("empty"));
    let vm = vm.disk(Bus::VirtioBlk, &root).disk(Bus::VirtioBlk, &empty);
    vm.run_failed("mount-failed", &["coldplug.overlay=/dev/vdb: mount /dev/vdb"]);
}

fn an_upper_directory_that_is_read_only() {
    let vm = machine(Kernel::Cloud61, "root=/dev/vda coldplug.overlay=/dev/vdb");
    let root = ROOT.make(&vm.dir().join("root"));
    let upper = filesystem::make("squashfs", &vm.dir().join("upper"));
    let vm = vm.disk(Bus::VirtioBlk, &root).disk(Bus::VirtioBlk, &upper);
    vm.run_failed("mount-failed", &["coldplug.overlay=/dev/vdb: mkdir", "Read-only file system"]);
}

/// Makes an ext4 without an init that holds a filesystem of this type in the file /images/root.
fn medium(kind: &str, file: &Path) -> PathBuf {
    let dir = scratch();
    fs::create_dir(dir.path().join("images")).unwrap();
    filesystem::make(kind, &dir.path().join("images/root"));
    // On media the path of the image is often a symbolic link.
    std::os::unix::fs::symlink("/images/root", dir.path().join("current")).unwrap();
    Disk { init: None, label: "medium", ..ROOT }.make_of(dir.path(), "64M", file)
}

#[track_caller]
fn boots_an_image(kind: &str, more: &str) -> Facts {
    let line = format!("root=LABEL=medium coldplug.image=/current {more}");
    let vm = machine(Kernel::Cloud61, &line);
    let disk = medium(kind, &vm.dir().join("medium"));
    let (_, facts) = vm.disk(Bus::VirtioBlk, &disk).run_clean();
    assert_eq!(mounted(&facts, "/run/coldplug/medium"), ("ext4", "/dev/vda"));
    facts
}

fn a_squashfs_in_a_file() {
    let facts = boots_an_image("squashfs", "");
    assert_eq!(mounted(&facts, "/"), ("squashfs", "/dev/loop0"));
    root_needs(&facts, &["loop", "squashfs"]);
    root_needs(&facts, &DRIVERS);
}

fn an_ext4_in_a_file() {
    let facts = boots_an_image("ext4", "rw");
    assert_eq!(mounted(&facts, "/"), ("ext4", "/dev/loop0"));
    assert!(facts.mount("/").unwrap().options.contains(&"ro"));
}

fn an_erofs_in_a_file_below_an_overlay() {
    let facts = boots_an_image("erofs", "coldplug.overlay=tmpfs mark=x");
    assert_eq!(mounted(&facts, "/"), ("overlay", "overlay"));
    assert_eq!(mounted(&facts, "/run/coldplug/lower"), ("erofs", "/dev/loop0"));
    assert_eq!(*facts.get("mark_error"), Value::Null);
    let layers = &facts.record()["root"]["layers"];
    assert_eq!(*layers, json!(["/current on /dev/loop0", "coldplug.overlay=tmpfs"]));
}

fn a_missing_image_is_reported() {
    let vm = machine(Kernel::Cloud61, "root=LABEL=medium coldplug.image=/other");
    let disk = medium("squashfs", &vm.dir().join("medium"));
    let words = ["coldplug.image=/other", "No such file or directory"];
    vm.disk(Bus::VirtioBlk, &disk).run_failed("mount-failed", &words);
}

/// A root under dm-verity.
struct Verity {
    dir: tempfile::TempDir,
    data: PathBuf,
    hash: PathBuf,
    root_hash: String,
}

impl Verity {
    /// Makes the root with veritysetup(8) and `options`.
    fn new(options: &[&str]) -> Self {
        Self::of("ext4", options)
    }

    /// Makes a root of this filesystem type in the same way.
    fn of(kind: &str, options: &[&str]) -> Self {
        let dir = scratch();
        let data = filesystem::make(kind, &dir.path().join("data"));
        let hash = dir.path().join("hash");
        Self { root_hash: disk::verity(&data, &hash, options), data, hash, dir }
    }

    /// Makes a machine with both disks; HASH in `line` stands for the root hash.
    fn machine(&self, line: &str) -> Machine {
        machine(Kernel::Cloud61, &line.replace("HASH", &self.root_hash))
            .disk(Bus::VirtioBlk, &self.data)
            .disk(Bus::VirtioBlk, &self.hash)
    }

    /// Flips one bit at `offset` of the data.
    fn flip(&self, offset: usize) {
        let mut bytes = fs::read(&self.data).unwrap();
        bytes[offset] ^= 1;
        fs::write(&self.data, bytes).unwrap();
    }

    /// Returns the offset of a block of init in the data.
    fn init_block(&self) -> usize {
        let init = fs::read(paths::program("examples/guest")).unwrap();
        let data = fs::read(&self.data).unwrap();
        let block = &init[64 << 10..][..4096];
        data.chunks(4096).position(|b| b == block).expect("init in the data") * 4096
    }
}

const OWN_WORDS: &str = "coldplug.verity=roothash=HASH,data=/dev/vda,hash=/dev/vdb";

#[track_caller]
fn is_verified(facts: &Facts) {
    assert_eq!(mounted(facts, "/"), ("ext4", "/dev/mapper/root"));
    assert!(facts.mount("/").unwrap().options.contains(&"ro"), "{:?}", facts.mount("/"));
    let layers = &facts.record()["root"]["layers"];
    assert!(layers[0].as_str().unwrap().starts_with("verity of /dev/vda"), "{layers}");
    root_needs(facts, &["dm_mod", "dm_verity"]);
    root_needs(facts, &DRIVERS);
}

fn a_verified_root() {
    let verity = Verity::new(&[]);
    is_verified(&verity.machine(&format!("{OWN_WORDS} rw")).run_clean().1);
}

/// The superblock of a btrfs under verity is seen on its disk too, which is no copy.
fn a_verified_btrfs() {
    let (_, facts) = Verity::of("btrfs", &[]).machine(OWN_WORDS).run_clean();
    assert_eq!(mounted(&facts, "/").0, "btrfs");
    assert_eq!(facts.record()["warnings"], json!([]));
}

fn a_verified_root_with_parameters_of_systemd() {
    let verity = Verity::new(&["--hash=sha512", "--data-block-size=1024", "--salt=-"]);
    let line = "roothash=HASH systemd.verity_root_data=/dev/vda systemd.verity_root_hash=/dev/vdb \
                systemd.verity_root_options=panic-on-corruption,check-at-most-once";
    is_verified(&verity.machine(line).run_clean().1);
}

fn a_verified_root_without_a_superblock() {
    let verity = Verity::new(&["--no-superblock", "--salt=beef"]);
    let line = format!("{OWN_WORDS},superblock=no,salt=beef,datablocks=4096");
    is_verified(&verity.machine(&line).run_clean().1);
}

fn partitions_found_by_the_root_hash() {
    let verity = Verity::new(&[]);
    let uuid =
        |d: &str| format!("{}-{}-{}-{}-{}", &d[..8], &d[8..12], &d[12..16], &d[16..20], &d[20..]);
    let (first, last) = verity.root_hash.split_at(32);
    let table = format!(
        "label: gpt\nstart=2048, size=32768, uuid={}\nstart=34816, size=2048, uuid={}\n",
        uuid(first),
        uuid(last)
    );
    let (data, mut hash) = (fs::read(&verity.data).unwrap(), fs::read(&verity.hash).unwrap());
    hash.resize(2 << 20, 0);
    let disk = verity.dir.path().join("disk");
    fs::write(&disk, [vec![0; 1 << 20], data, hash].concat()).unwrap();
    tool::feed(tool::command("sfdisk", "fdisk").arg("-q").arg(&disk), table.as_bytes());
    let line = format!("roothash={}", verity.root_hash);
    is_verified(&machine(Kernel::Cloud61, &line).disk(Bus::VirtioBlk, &disk).run_clean().1);
}

const FAILED: &str = "verification of /dev/vda failed";

fn a_flipped_bit_in_the_superblock() {
    let verity = Verity::new(&[]);
    verity.flip(1024 + 0x68);
    verity.machine(OWN_WORDS).run_failed("mount-failed", &[FAILED]);
}

fn a_flipped_bit_in_init() {
    let verity = Verity::new(&[]);
    verity.flip(verity.init_block() + 77);
    verity
        .machine(OWN_WORDS)
        .run_failed("mount-failed", &[FAILED, "/sbin/init: Input/output error"]);
}

fn a_flipped_bit_that_error_correction_repairs() {
    let fec = scratch();
    let fec = fec.path().join("fec");
    let verity = Verity::new(&["--fec-device", fec.to_str().unwrap(), "--fec-roots", "4"]);
    verity.flip(verity.init_block() + 77);
    let line = format!("{OWN_WORDS},fecdevice=/dev/vdc,fecroots=4");
    let (boot, facts) = verity.machine(&line).disk(Bus::VirtioBlk, &fec).run_clean();
    is_verified(&facts);
    boot.check(boot.console.contains("corrected"), "nothing was corrected");
}

fn a_wrong_root_hash() {
    let mut verity = Verity::new(&[]);
    let last = if verity.root_hash.ends_with('0') { '1' } else { '0' };
    verity.root_hash.pop();
    verity.root_hash.push(last);
    verity.machine(OWN_WORDS).run_failed("mount-failed", &[FAILED]);
}

fn unknown_verity_options_are_an_error() {
    let verity = Verity::new(&[]);
    let line =
        "root=/dev/vda coldplug.verity=roothash=HASH,data=/dev/vda,hash=/dev/vdb,hashofset=0";
    verity.machine(line).run_failed("mount-failed", &["'hashofset=0' is not a known option"]);
}

fn a_hash_device_that_never_appears() {
    let verity = Verity::new(&[]);
    let line = OWN_WORDS.replace("hash=/dev/vdb", "hash=LABEL=tree") + " coldplug.timeout=10";
    let words = ["hash device LABEL=tree of roothash="];
    verity.machine(&line).run_failed("no-root", &words);
}

fn a_hash_device_without_a_tree() {
    let verity = Verity::new(&[]);
    let line = OWN_WORDS.replace("hash=/dev/vdb", "hash=/dev/vda");
    let words = ["roothash of /dev/vda: hash device /dev/vda: no verity superblock at offset 0"];
    verity.machine(&line).deadline(Duration::from_secs(60)).run_failed("mount-failed", &words);
}

/// Writes an image of flash with 128 KiB blocks and a UBI volume that holds `content`.
fn flash(content: &Path, kind: &str, file: &Path) -> PathBuf {
    let dir = scratch();
    let plan = dir.path().join("plan");
    let size = if kind == "dynamic" { "vol_flags=autoresize\n" } else { "" };
    let volume = format!("mode=ubi\nvol_id=0\nvol_type={kind}\nvol_name=rootfs\n{size}");
    fs::write(&plan, format!("[v]\n{volume}image={}\n", content.display())).unwrap();
    let mut ubinize = tool::command("ubinize", "mtd-utils");
    tool::run(ubinize.args(["-m", "1", "-p", "128KiB", "-o"]).args([file, &plan]));
    let mut bytes = fs::read(file).unwrap();
    // The rest is erased flash.
    bytes.resize(32 << 20, 0xff);
    fs::write(file, bytes).unwrap();
    file.to_owned()
}

/// Makes the root as UBIFS.
fn ubifs(file: &Path) -> PathBuf {
    let mut mkfs = tool::command("mkfs.ubifs", "mtd-utils");
    mkfs.args(["-m", "8", "-e", "130944", "-c", "200", "-r"]);
    tool::run(mkfs.arg(filesystem::content().path()).arg("-o").arg(file));
    file.to_owned()
}

/// Makes a machine with that flash, which the kernel emulates on a disk; no device requests the
/// emulation.
fn machine_with_flash(disk: &Path, line: &str) -> Machine {
    let tree = Kernel::Full61.get();
    let sets = "@virtio,@storage,@filesystems,block2mtd";
    Machine::new(&tree, &image::coldplug(&tree, &["--modules", sets]))
        .cmdline("coldplug.modules=virtio_pci,virtio_blk,block2mtd")
        .cmdline("block2mtd.block2mtd=/dev/vda,131072 ubi.mtd=0")
        .cmdline(line)
        .disk(Bus::VirtioBlk, disk)
}

fn ubi_volumes_by_their_names() {
    let dir = scratch();
    let content = ubifs(&dir.path().join("ubifs"));
    for root in ["ubi0:rootfs", "ubi0_0", "/dev/ubi0_0"] {
        let disk = flash(&content, "dynamic", &dir.path().join("flash"));
        let (_, facts) = machine_with_flash(&disk, &format!("root={root}")).run_clean();
        assert_eq!(mounted(&facts, "/"), ("ubifs", root));
        root_needs(&facts, &["ubi", "ubifs"]);
    }
}

fn a_block_device_of_a_ubi_volume() {
    let dir = scratch();
    let content = filesystem::make("squashfs", &dir.path().join("squashfs"));
    let disk = flash(&content, "static", &dir.path().join("flash"));
    let (_, facts) = machine_with_flash(&disk, "root=/dev/ubiblock0_0 ubi.block=0,0").run_clean();
    assert_eq!(mounted(&facts, "/"), ("squashfs", "/dev/ubiblock0_0"));
}

fn a_ubi_volume_that_is_not_there() {
    let vm = machine(Kernel::Full61, "root=ubi:rootfs coldplug.timeout=20");
    vm.run_failed("no-root", &["root device ubi:rootfs not found after"]);
}
