//! Buses of the root disk, and a controller that appears late.

use harness::disk::{DECOY, ROOT, UUID};
use harness::kernel::Kernel;
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{image, machine, tests};
use serde_json::json;
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    virtio_scsi_root,
    ahci_root,
    nvme_root,
    usb_storage_root,
    a_controller_that_is_plugged_in_late,
];

fn virtio_scsi_root() {
    let (_, facts) =
        machine::boot_from(&image::all_of(Kernel::Cloud61), Bus::VirtioScsi, "/dev/sda");
    assert_eq!(facts.mount("/").unwrap().source, "/dev/sda");
}

fn ahci_root() {
    let (_, facts) = machine::boot_from(&image::all_of(Kernel::Full61), Bus::Ahci, "/dev/sda");
    assert!(facts.modules().contains(&"ahci"));
}

fn nvme_root() {
    let (_, facts) = machine::boot_from(&image::all_of(Kernel::Full61), Bus::Nvme, "/dev/nvme0n1");
    assert_eq!(facts.mount("/").unwrap().source, "/dev/nvme0n1");
}

fn usb_storage_root() {
    let (_, facts) =
        machine::boot_from(&image::all_of(Kernel::Full61), Bus::UsbStorage, "/dev/sda");
    assert!(facts.modules().contains(&"usb_storage"));
}

fn a_controller_that_is_plugged_in_late() {
    let (tree, image) = image::all_of(Kernel::Full61);
    let vm = Machine::new(&tree, &image).cmdline(&format!("root=UUID={UUID}"));
    let vm = vm.attach(Bus::VirtioBlk, DECOY).device("pcie-root-port,id=socket,chassis=1,slot=1");
    let mut machine = vm.attach(Bus::Unplugged, ROOT).start();
    machine.wait_for("[vda]");
    // The first disk has appeared and is not the root. After three seconds all other devices have
    // settled.
    std::thread::sleep(Duration::from_secs(3));
    machine.wait_for("[vda]");
    assert!(!machine.console().contains("nvme0"), "an NVMe controller before it was plugged in");
    let late = json!({ "driver": "nvme", "serial": "late", "drive": "disk1", "bus": "socket" });
    machine.qmp().execute("device_add", late);
    let boot = machine.finish();
    boot.expect("ok");
    assert_eq!(boot.facts().mount("/").unwrap().source, "/dev/nvme0n1");
}
