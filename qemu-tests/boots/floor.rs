//! The harness itself: the floor, which never deletes anything, and the kernels.

use harness::disk::ROOT;
use harness::kernel::Kernel;
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{image, tests};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    the_floor_boots,
    every_kernel_is_complete,
];

/// Tests the harness itself, with an init that deletes nothing.
fn the_floor_boots() {
    let tree = Kernel::Cloud61.get();
    let modules = [
        "virtio_ring",
        "virtio",
        "virtio_pci_modern_dev",
        "virtio_pci_legacy_dev",
        "virtio_pci",
        "virtio_blk",
    ];
    let image = image::floor(&tree, &modules);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda");
    let ballast = vec![7; 4 << 20];
    let image = image::overlay(&image, &[("ballast", &ballast)], &vm.dir().join("image"));
    let boot = vm.image(&image).attach(Bus::VirtioBlk, ROOT).run();
    let facts = boot.facts();
    assert_eq!(facts.modules(), modules);
    assert_eq!(facts.mount("/").unwrap().kind, "ext4");
    let left = facts.meminfo_kib("Unevictable");
    assert!(left > 4096, "an initramfs of more than 4 MiB stays, {left} KiB are seen");
}

fn every_kernel_is_complete() {
    for (kernel, suffix) in [
        (Kernel::Cloud61, ".ko"),
        (Kernel::Cloud612, ".ko.xz"),
        (Kernel::Full61, ".ko"),
        (Kernel::Cloud61Zst, ".ko.zst"),
        (Kernel::Cloud61Gz, ".ko.gz"),
    ] {
        let tree = kernel.get();
        assert!(tree.vmlinuz().is_file(), "{kernel:?}");
        let blk = tree.module("virtio_blk").unwrap_or_else(|| panic!("{kernel:?}: no virtio_blk"));
        assert!(blk.ends_with(&format!("virtio_blk{suffix}")), "{kernel:?}: {blk}");
        assert!(tree.modules().join(blk).is_file(), "{kernel:?}");
    }
}
