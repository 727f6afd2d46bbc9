//! The smallest program, `coldplug-init-boot`: what it boots, and how it names what it lacks.

use harness::disk::{LABEL, ROOT};
use harness::kernel::Kernel;
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Need, Test};
use harness::{image, tests};

/// What these boots need.
const NEEDS: [Need; 3] = [BOOT[0], BOOT[1], Need::Program("coldplug-init-boot")];

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![NEEDS =>
    it_boots_from_a_disk_by_label,
    it_names_what_it_lacks,
];

fn machine(words: &str) -> Machine {
    let tree = Kernel::Cloud61.get();
    let image = image::coldplug(&tree, &["--all", "--boot-only"]);
    Machine::new(&tree, &image).cmdline(words).attach(Bus::VirtioBlk, ROOT)
}

fn it_boots_from_a_disk_by_label() {
    let words = format!("root=LABEL={LABEL} coldplug.report=/r coldplug.led=x");
    let (boot, facts) = machine(&words).run_clean();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/vda");
    for text in [
        "coldplug.report=/r: this coldplug has no boot record",
        "coldplug.led=x: this coldplug has no LED control",
    ] {
        boot.check(boot.console.contains(text), text);
    }
}

fn it_names_what_it_lacks() {
    for (words, verdict, text) in [
        ("root=10.0.2.2:/srv", "no-root", "root=10.0.2.2:/srv: this coldplug has no NFS"),
        (
            "root=/dev/disk/by-id/virtio-x",
            "no-root",
            "root=/dev/disk/by-id/virtio-x: this coldplug has no links of disks in /dev/disk",
        ),
        (
            "root=/dev/vda coldplug.overlay=tmpfs",
            "mount-failed",
            "coldplug.overlay=tmpfs: this coldplug has no overlay",
        ),
        // It cannot know which slot is to start.
        (
            "root=/dev/vda coldplug.slots=A:/dev/vda",
            "mount-failed",
            "coldplug.slots=A:/dev/vda: this coldplug has no slots",
        ),
    ] {
        let boot =
            machine(&format!("{words} coldplug.onfail=poweroff")).run_failed(verdict, &[text]);
        boot.check(!boot.console.contains("not found after"), "it waited");
    }
    let words = "root=LABEL=none coldplug.timeout=2 coldplug.onfail=shell";
    machine(words).run_failed("no-root", &["coldplug.onfail=shell: this coldplug has no shell"]);
}
