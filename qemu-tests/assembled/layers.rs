//! Roots with several layers: LUKS, LVM and md below each other.

use harness::kernel::{Kernel, Tree};
use harness::machine::{Boot, Bus, Machine};
use harness::made_disk::{PASSPHRASE, made};
use harness::run::{BOOT, Test};
use harness::{debian, image, tests};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    layers_in_any_order,
    usr_on_a_volume_of_its_own,
    a_verified_root_on_a_volume,
    a_system_that_sleeps_on_a_volume_in_luks_resumes,
];

/// The root filesystem of all disks: `disk::UUID`.
const ROOT: &str = "root=UUID=c01d9106-0000-4000-8000-000000000001";

fn machine(line: &str) -> Machine {
    with_kernel(&debian::system(), line)
}

fn with_kernel(tree: &Tree, line: &str) -> Machine {
    let sets = "@virtio,@storage,@filesystems,@crypt,@lvm,@raid";
    let options = ["--generic", "--modules", sets];
    Machine::new(tree, &image::coldplug(tree, &options)).cmdline(line)
}

/// Boots, and types the passphrase when it is asked for.
fn types_the_passphrase(vm: Machine) -> Boot {
    vm.run_with_answers("assphrase for ", &[PASSPHRASE])
}

/// Returns the name of the mapping of a LUKS device.
fn luks(number: u32) -> String {
    format!("luks-c01d9106-0000-4000-8000-{number:012}")
}

fn layers_in_any_order() {
    for (recipe, line, source) in [
        ("lvm-on-luks", "root=/dev/vg0/root resume=/dev/vg0/swap_1", "vg0-root"),
        ("luks-on-lvm", ROOT, &luks(302)),
        ("luks-on-md", ROOT, &luks(303)),
        ("lvm-on-luks-on-md", "root=/dev/mapper/vg0-root", "vg0-root"),
        ("lvm-on-two-luks", "root=/dev/vg0/root", "vg0-root"),
        ("btrfs-on-two-luks", "root=LABEL=pair", &luks(307)),
        ("luks-in-partition", ROOT, &luks(309)),
    ] {
        let vm = made(recipe).attach(machine(line), Bus::VirtioBlk);
        let boot = types_the_passphrase(vm);
        boot.expect("ok");
        let facts = boot.facts();
        assert_eq!(facts.mount("/").unwrap().source, format!("/dev/mapper/{source}"), "{recipe}");
    }
    let vm = made("lvm-on-md").attach(machine("root=/dev/vg0/root"), Bus::VirtioBlk);
    assert_eq!(vm.run_clean().1.mount("/").unwrap().source, "/dev/mapper/vg0-root");
}

fn usr_on_a_volume_of_its_own() {
    let vm = machine("root=/dev/vg0/root mount.usr=/dev/vg0/usr");
    let (_, facts) = made("usr-on-lvm").attach(vm, Bus::VirtioBlk).run_clean();
    assert_eq!(facts.mount("/usr").unwrap().source, "/dev/mapper/vg0-usr");
}

fn a_verified_root_on_a_volume() {
    let disks = made("verity-on-lvm");
    let hash = disks.text("roothash");
    let line =
        format!("coldplug.verity=roothash={},data=/dev/vg0/root,hash=/dev/vg0/hash", hash.trim());
    let (_, facts) = disks.attach(machine(&line), Bus::VirtioBlk).run_clean();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/mapper/root");
}

fn a_system_that_sleeps_on_a_volume_in_luks_resumes() {
    let scratch = tempfile::tempdir().unwrap();
    let disk = made("resume-on-lvm-in-luks").copy(scratch.path()).remove(0);
    let start = |words: &str| {
        let line = "root=/dev/vg0/root resume=/dev/vg0/swap_1 init=/sbin/sleeper nokaslr";
        let vm = with_kernel(&Kernel::Full61.get(), line).cmdline(words).args(["-m", "512"]);
        types_the_passphrase(vm.disk(Bus::VirtioBlk, &disk))
    };
    let first = start("token=first");
    first.check(!first.console.contains("awake again"), "it sleeps");
    let second = start("token=second");
    second.check(second.console.contains("awake again, token=first"), "it goes on");
    let third = start("token=third");
    third.check(third.console.contains("started afresh, token=third"), "the image is used up");
}
