//! `make run`: boots the demo machine and shows which modules were loaded, and why.
//!
//! Debian's 6.1 cloud kernel, an image with all its modules, and a q35 with a virtio disk, a
//! network card, a random number generator and a USB keyboard. The root's init is guest.rs, which
//! powers off.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

use harness::{image, paths};
use std::process::Command;

use harness::disk::{LABEL, ROOT};
use harness::kernel::Kernel;
use harness::machine::{Bus, Machine};

fn main() {
    let tree = Kernel::Cloud61.get();
    let image = image::coldplug(&tree, &["--all"]);
    println!("image:  {}", image.display());
    println!("kernel: {}\n", tree.vmlinuz().display());
    let vm = Machine::with_defaults(&tree, &image)
        .device("virtio-net-pci")
        .device("virtio-rng-pci")
        .device("qemu-xhci")
        .device("usb-kbd")
        .cmdline(&format!("root=LABEL={LABEL} coldplug.log=debug"));
    let disk = vm.dir().join("root");
    ROOT.make(&disk);
    let boot = vm.disk(Bus::VirtioBlk, &disk).run();
    for line in boot.console.lines().filter(|line| line.contains("coldplug: ")) {
        println!("{line}");
    }
    let record = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(record.path(), boot.record().to_string()).unwrap();
    println!("\n$ coldplug report");
    let status = Command::new(paths::program("coldplug")).arg("report").arg(record.path()).status();
    assert!(status.unwrap().success(), "the boot left no record");
}
