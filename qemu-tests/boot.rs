#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test's helpers fail the test, with a message"
)]
mod apt;
mod image;
mod kernel;
mod qmp;
mod tool;
mod vm;
use image::*;
use kernel::Kernel;
use vm::*;
#[test]
fn floor_boots() {
    let tree = Kernel::Cloud61.get();
    let img = image::floor(
        &tree,
        &[
            "virtio_ring",
            "virtio",
            "virtio_pci_modern_dev",
            "virtio_pci_legacy_dev",
            "virtio_pci",
            "virtio_blk",
        ],
    );
    let vm = Vm::new(&tree, &img).cmdline("root=/dev/vda");
    let disk = ROOT.make(&vm.dir().join("d"));
    let boot = vm.disk(Bus::VirtioBlk, &disk).run();
    println!("{}\n{}\n{:?}", boot.console, boot.facts_text, boot.wall);
    let f = boot.facts();
    println!("{:?} {:?}", f.modules(), f.meminfo_kib("Unevictable"));
}
