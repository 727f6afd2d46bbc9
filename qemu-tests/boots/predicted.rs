//! Images for captured machines: `image check` passes them, and a boot loads exactly what `plan`
//! lists.

use harness::captured::Captured;
use harness::disk::ROOT;
use harness::entry::Entry;
use harness::kernel::{Kernel, Tree};
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{image, measured, tests};
use std::path::Path;
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    a_virtio_machine_loads_what_is_predicted,
    a_machine_with_its_root_on_usb_loads_what_is_predicted,
];
/// Those that `make boots` alone runs.
pub(crate) const EXTRA: &[Test] = tests![BOOT =>
    the_fleet_machine_loads_what_is_predicted,
    an_aarch64_machine_loads_what_is_predicted,
];

/// Firmware of a network card of the fleet, which works without.
const FIRMWARE: [&str; 3] = ["d101m_ucode.bin", "d101s_ucode.bin", "d102e_ucode.bin"];

/// What the kernel requests of the image when the driver of the fleet's sound card finds a codec.
const ASKED: [&str; 2] = ["ledtrig_audio", "snd_hda_codec_generic"];

/// Boots with all modules, and the init of the root captures the machine; then boots with the image
/// that is built for it and has the `firmware`. `asked`: the modules that the kernel requests.
fn captured_by_the_root(
    tree: &Tree,
    (firmware, asked): (&[&str], &[&str]),
    machine: impl Fn(&Tree, &Path) -> Machine,
) {
    let first = machine(tree, &image::coldplug(tree, &["--all"])).run();
    first.expect("ok");
    let facts = first.facts();
    let board = Captured::new(tree, facts.get("capture").as_str().expect("a capture"));
    let image = board.image(&[]);
    if !firmware.is_empty() {
        let dirs = ["lib/firmware", "lib/firmware/e100"];
        let dirs = dirs.map(|dir| (dir.to_owned(), Entry::Directory));
        let file = |name: &&str| (format!("lib/firmware/e100/{name}"), Entry::File(vec![0]));
        let entries: Vec<_> = dirs.into_iter().chain(firmware.iter().map(file)).collect();
        image::with_entries(&image, &entries, &image);
    }
    board.check(&image);
    let boot = machine(tree, &image).run();
    boot.expect("ok");
    board.compare(&boot.facts(), asked);
}

fn a_virtio_machine_loads_what_is_predicted() {
    let machine =
        |tree: &Tree, image: &Path| measured::virtio(tree, image).cmdline("root=/dev/vda");
    captured_by_the_root(&Kernel::Cloud61.get(), (&[], &[]), machine);
}

fn a_machine_with_its_root_on_usb_loads_what_is_predicted() {
    let machine = |tree: &Tree, image: &Path| {
        let vm = Machine::new(tree, image).cmdline(&format!("root=LABEL={}", ROOT.label));
        measured::with_root(vm, Bus::UsbStorage)
    };
    captured_by_the_root(&Kernel::Full61.get(), (&[], &[]), machine);
}

fn the_fleet_machine_loads_what_is_predicted() {
    let machine = |tree: &Tree, image: &Path| {
        measured::fleet(tree, image).cmdline("root=/dev/vda coldplug.settle=all")
    };
    captured_by_the_root(&Kernel::Full61.get(), (&FIRMWARE, &ASKED), machine);
}

/// The root has no program for the capture: PID 1 prints it.
fn an_aarch64_machine_loads_what_is_predicted() {
    let tree = Kernel::CloudArm64.get();
    let machine = |image: &Path| {
        let vm = Machine::new(&tree, image)
            .cmdline(&format!("root=LABEL={} rootfstype=ext4 coldplug.settle=all", ROOT.label))
            .guest_clock()
            .deadline(Duration::from_secs(400));
        vm.attach(Bus::VirtioBlk, ROOT)
    };
    let first = machine(&image::coldplug(&tree, &["--all"]));
    let (first, _) = first.cmdline("coldplug.capture=/dev/console").run_ok();
    let board = Captured::new(&tree, &first.console);
    let image = board.image(&[]);
    board.check(&image);
    let (_, facts) = machine(&image).run_clean();
    board.compare(&facts, &[]);
}
