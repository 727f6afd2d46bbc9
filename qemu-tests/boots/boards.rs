//! Machines that are no 64-bit PC, and newer kernels: a boot to the root on each bus, with the
//! modules that kmod 34 would load for the same modaliases.

use harness::disk::ROOT;
use harness::kernel::{Kernel, Tree, stem};
use harness::machine::{Boot, Bus, Facts, Machine};
use harness::run::{BOOT, Test};
use harness::{image, kmod34, note, record, tests, tool};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    aarch64_cloud_virtio_mmio,
    aarch64_cloud_virtio_pci,
    aarch64_full_nvme,
    aarch64_with_a_device_tree_of_its_own,
    arm_virtio_mmio,
    arm_virtio_pci,
    arm_with_64_megabytes,
    i686_virtio_pci,
    linux_7_nvme,
    linux_7_virtio_pci,
    linux_7_virtio_scsi,
    riscv64_virtio_mmio,
];

/// Devices that a board may have besides its disk. None appears late, as those on USB do.
const DEVICES: [&str; 3] = ["virtio-rng-pci", "virtio-net-pci", "qemu-xhci"];

/// What a board has that QEMU's does not: the regulator of its disks, and an LED.
const BOARD_NODES: &str = r#"
    disk-supply {
        compatible = "regulator-fixed";
        regulator-name = "disk";
        regulator-min-microvolt = <3300000>;
        regulator-max-microvolt = <3300000>;
        gpios = <GPIO 5 0>;
        enable-active-high;
        phandle = <0x9001>;
    };
    leds {
        compatible = "gpio-leds";
        status { label = "board:status"; gpios = <GPIO 6 0>; };
    };
"#;

/// Boots `kernel` from a root on `bus`, and compares the modules with those of kmod.
fn boot(kernel: Kernel, bus: Bus) -> (Boot, Facts) {
    let tree = kernel.get();
    let image = image::coldplug(&tree, &["--all", "--modules-as", "stored"]);
    let vm = Machine::new(&tree, &image)
        .cmdline(&format!("root=LABEL={} coldplug.settle=all", ROOT.label))
        .args(["-m", "2047"])
        .guest_clock()
        .deadline(Duration::from_secs(400))
        .attach(bus, ROOT);
    let vm = DEVICES.into_iter().fold(vm, Machine::device);
    let (boot, facts) = vm.run_clean();
    compare_with_kmod(&tree, &facts);
    (boot, facts)
}

/// Fails if coldplug did not load what kmod would for the modaliases of the machine and for the
/// filesystem of its root, or more. The kernel requests some modules itself, which are live before
/// coldplug comes to them.
fn compare_with_kmod(tree: &Tree, facts: &Facts) {
    let wanted = wanted_by_kmod(tree, &[facts.lines("modaliases"), vec!["ext4"]].concat());
    let record = facts.record();
    let names = record::modules(&record).iter().filter_map(|module| module["name"].as_str());
    let ours: BTreeSet<String> = names.map(str::to_owned).collect();
    let live: BTreeSet<String> = facts.modules().into_iter().map(str::to_owned).collect();
    let missing: Vec<_> = wanted.difference(&ours).filter(|name| !live.contains(*name)).collect();
    let extra: Vec<_> = ours.difference(&wanted).collect();
    note!("{} modules by kmod, {} by coldplug", wanted.len(), ours.len());
    assert!(
        missing.is_empty() && extra.is_empty(),
        "missing {missing:?}, more {extra:?} in {:#}",
        record["modules"]
    );
}

/// Returns the modules that kmod 34 loads for `modaliases`.
fn wanted_by_kmod(tree: &Tree, modaliases: &[&str]) -> BTreeSet<String> {
    let mut modprobe = kmod34::command("modprobe");
    modprobe.arg("-d").arg(&tree.root).args(["-S", &tree.release, "-a", "-b", "-q", "-D"]);
    let output = modprobe.args(modaliases).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let files = text.lines().filter_map(|line| line.strip_prefix("insmod "));
    files.map(|line| stem(line.split(' ').next().unwrap_or_default())).collect()
}

fn aarch64_cloud_virtio_mmio() {
    let (_, facts) = boot(Kernel::CloudArm64, Bus::VirtioMmio);
    assert!(facts.modules().contains(&"virtio_mmio"), "{:?}", facts.modules());
}

fn aarch64_cloud_virtio_pci() {
    boot(Kernel::CloudArm64, Bus::VirtioBlk);
}

fn aarch64_full_nvme() {
    let (_, facts) = boot(Kernel::FullArm64, Bus::Nvme);
    assert!(facts.modules().contains(&"nvme"), "{:?}", facts.modules());
}

/// The disks of this board wait for a regulator, which waits for nothing, and it has an LED. The set
/// of modules for boards suffices.
fn aarch64_with_a_device_tree_of_its_own() {
    let tree = Kernel::FullArm64.get();
    let modules = "@soc,virtio_mmio,virtio_blk,ext4,leds_gpio";
    let image = image::coldplug(&tree, &["--modules", modules]);
    let vm = Machine::new(&tree, &image)
        .cmdline(&format!("root=LABEL={} coldplug.led=board:status", ROOT.label))
        .guest_clock()
        .deadline(Duration::from_secs(400))
        .attach(Bus::VirtioMmio, ROOT);
    let blob = board_device_tree(vm.dir());
    let (_, facts) = vm.args(["-dtb", blob.to_str().unwrap()]).run_clean();
    let record = facts.record();
    let start = |name: &str| record::module(&record, name)["start_us"].as_u64().unwrap();
    let regulator = record::module(&record, "fixed");
    assert!(start("fixed") <= start("virtio_mmio"), "{:#}", record["modules"]);
    assert!(regulator["supplier_of"].as_str().unwrap().contains("virtio_mmio"), "{regulator:#}");
    assert_eq!(record["warnings"], serde_json::json!([]));
    let led = facts.lines("leds").into_iter().find(|line| line.starts_with("board:status "));
    assert!(led.is_some_and(|line| line.starts_with("board:status 1 [none]")), "{led:?}");
}

/// Writes the device tree of the machine, with a regulator of the disks and an LED, into `dir`.
fn board_device_tree(dir: &Path) -> PathBuf {
    let [of_qemu, source, blob] = ["qemu.dtb", "board.dts", "board.dtb"].map(|name| dir.join(name));
    let dump = format!("virt,dumpdtb={}", of_qemu.display());
    let mut qemu = tool::command("qemu-system-aarch64", "qemu-system-arm");
    tool::run(qemu.args(["-machine", &dump, "-cpu", "cortex-a72", "-m", "1024", "-nographic"]));
    let dtc = || tool::command("dtc", "device-tree-compiler");
    let text = tool::run(dtc().args(["-q", "-I", "dtb", "-O", "dts"]).arg(&of_qemu));
    let gpio = text.split("pl061@").nth(1).and_then(|node| node.split("phandle = <").nth(1));
    let gpio = gpio.and_then(|rest| rest.split('>').next()).expect("the handle of the GPIOs");
    let (front, end) = text.rsplit_once("};").expect("the end of the root node");
    let front = front.replace(
        "compatible = \"virtio,mmio\";",
        "compatible = \"virtio,mmio\"; vdd-supply = <0x9001>;",
    );
    let nodes = BOARD_NODES.replace("GPIO", gpio);
    fs::write(&source, format!("{front}{nodes}}};{end}")).unwrap();
    tool::run(dtc().args(["-q", "-I", "dts", "-O", "dtb", "-o"]).args([&blob, &source]));
    blob
}

fn arm_virtio_mmio() {
    boot(Kernel::ArmMp61, Bus::VirtioMmio);
}

fn arm_virtio_pci() {
    boot(Kernel::ArmMp61, Bus::VirtioBlk);
}

fn arm_with_64_megabytes() {
    let tree = Kernel::ArmMp61.get();
    let image = image::coldplug(&tree, &["--modules", "virtio_mmio,virtio_blk,ext4"]);
    // Debian's kernel reserves a quarter of this memory for devices, and needs half of it.
    let vm = Machine::new(&tree, &image).args(["-m", "64"]).cmdline("root=/dev/vda cma=0");
    let (boot, _) = vm.guest_clock().attach(Bus::VirtioMmio, ROOT).run_clean();
    note!("{} ms from /init to the real init", boot.figure("time"));
}

fn i686_virtio_pci() {
    boot(Kernel::I686, Bus::VirtioBlk);
}

fn riscv64_virtio_mmio() {
    boot(Kernel::Riscv612, Bus::VirtioMmio);
}

fn linux_7_virtio_pci() {
    boot(Kernel::Cloud7, Bus::VirtioBlk);
}

fn linux_7_virtio_scsi() {
    boot(Kernel::Cloud7, Bus::VirtioScsi);
}

fn linux_7_nvme() {
    boot(Kernel::Cloud7, Bus::Nvme);
}
